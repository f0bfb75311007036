"""`token-engine run`: everything up, until Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Annotated

import nats.errors
import psycopg
import psycopg_pool
import typer
import uvloop

from token_engine.cli.options import DATA, Data, DatabaseUrl, Firm, NatsUrl
from token_engine.config import DEFAULT_PORT, Settings
from token_engine.servers import ServerError
from token_engine.storage.migrate import MigrationError
from token_engine.telemetry import logs


def run(
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    nats_url: NatsUrl = None,
    host: Annotated[str, typer.Option(help="Address to serve on; other machines reach it on 0.0.0.0.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="TOKEN_ENGINE_PORT", min=1, max=65535, help="Port of the API.")
    ] = DEFAULT_PORT,
    demo: Annotated[bool, typer.Option(help="Demo accounts and a simulated bank.")] = False,
    drop_folder: Annotated[
        Path | None,
        typer.Option(
            envvar="TOKEN_ENGINE_DROP_FOLDER",
            help="Bank files dropped here are taken in; default: inbox in --data, unless both URLs are given.",
        ),
    ] = None,
    firm: Firm = None,
) -> None:
    """Run the engine. Servers that no URL names are started here, and stopped with it."""
    from token_engine import wiring  # every room of the engine: other commands start without it

    logs.configure()
    settings = Settings(
        data_dir=data, database_url=database_url, nats_url=nats_url, host=host, port=port, demo=demo,
        drop_folder=drop_folder, firm=firm,
    )  # fmt: skip
    # A batch makes thousands of short-lived objects and few cycles: look for cycles seldom, and never among
    # what the process keeps for good.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(wiring.run(settings))
    except (wiring.PortTakenError, ServerError, MigrationError) as error:
        _fail(str(error))
    except (psycopg.OperationalError, psycopg.ProgrammingError, psycopg_pool.PoolTimeout) as error:
        _fail(f"The database cannot be used: {' '.join(str(error).split())}")
    except nats.errors.Error as error:
        _fail(f"NATS cannot be used: {type(error).__name__} {error}".strip())
    except OSError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    typer.echo(f"ERROR {message}", err=True)
    raise typer.Exit(1)
