"""`token-engine connection`: accesses to banks. Set at the engine's own machine only, and credentials by reference."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from token_engine.cli.once import ask, fail
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl
from token_engine.cli.session import show
from token_engine.domain.refusal import Refusal
from token_engine.storage.database import Transaction

app = typer.Typer(help="Accesses to banks.", no_args_is_help=True)
_COLUMNS: Final = {"name": "Name", "kind": "Kind", "set_by": "Set by", "set_at": "Set at"}
Name = Annotated[str, typer.Argument(help="Of the connection: small letters, digits, and _ . -")]


@app.command("set")
def save(
    name: Name,
    settings: Annotated[Path, typer.Argument(help="JSON file with its settings; - reads standard input.")],
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Set an access to a bank, whole. Credentials stand in it as {"env": NAME} or {"file": PATH}. Audited."""
    from token_engine.tiers import connections  # the banks' libraries: other commands start without them

    try:
        content = sys.stdin.buffer.read() if str(settings) == "-" else settings.read_bytes()
    except OSError as error:
        fail(Refusal("unreadable", f"{settings}: {error.strerror}"))
    rows = ask(database_url, data, lambda tx, at: connections.save(tx, name, content, actor, at))
    show([rows], _COLUMNS, as_json=as_json)


@app.command("list")
def listing(data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """All of them."""
    from token_engine.tiers import connections

    async def all_of_them(tx: Transaction, _: datetime) -> dict[str, Any]:
        return {"connections": await connections.listing(tx)}

    show(ask(database_url, data, all_of_them)["connections"], _COLUMNS, as_json=as_json)


@app.command("show")
def show_one(name: Name, data: Data = DATA, database_url: DatabaseUrl = None) -> None:
    """One with its settings, as JSON."""
    from token_engine.tiers import connections

    show([ask(database_url, data, lambda tx, _: connections.settings_of(tx, name))], _COLUMNS, as_json=True)
