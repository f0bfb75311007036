"""A database for the length of one command, and what its failures look like to a person."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

import msgspec
import psycopg
import psycopg_pool
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from token_engine.storage.database import Database
from token_engine.storage.migrate import MigrationError

_T = TypeVar("_T")
_WIDTH_OF_A_PIPE = 240


def now() -> datetime:
    """The command's clock."""
    return datetime.now(UTC)


def with_database(url: str, work: Callable[[Database], Awaitable[_T]]) -> _T:
    """Do `work` on the database at `url`; exit 2 with a reason if it cannot be reached."""

    async def session() -> _T:
        database = Database(url, pool_size=2)
        try:
            await database.open()
            return await work(database)
        finally:
            await database.close()

    with unreachable_is_exit_2():
        return asyncio.run(session())


@contextmanager
def unreachable_is_exit_2() -> Iterator[None]:
    """Turns a database that does not answer, or does not fit, into one line and exit code 2."""
    try:
        yield
    except (psycopg_pool.PoolTimeout, psycopg.OperationalError) as error:
        _fail("The database does not answer: is the engine running?", error)
    except psycopg.errors.UndefinedTable:
        _fail("The database has no schema yet: run `token-engine migrate`.", None)
    except psycopg.ProgrammingError as error:
        _fail("The database cannot be used.", error)
    except psycopg.Error as error:
        _fail("The database refused what the engine asked, and took back what belongs to it.", error)
    except MigrationError as error:
        _fail(str(error), None)


def _fail(message: str, error: BaseException | None) -> NoReturn:
    typer.echo(f"{message} ({' '.join(str(error).split())})" if error else message, err=True)
    raise typer.Exit(2)


def show(rows: list[dict[str, Any]], columns: dict[str, str], *, as_json: bool) -> None:
    """Print rows as JSON lines, or as a table of `columns` (key → heading)."""
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    match value:
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case Decimal():
            return f"{value.normalize():f}"
        case _:
            return str(value)
