"""`token-engine messages`: every bank message as it came, and what became of it."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from token_engine.cli.options import DATA, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import show, with_database
from token_engine.storage import messages as stored
from token_engine.storage import parts
from token_engine.storage.database import Database

_COLUMNS: Final = {
    "id": "No.", "received_at": "Received (UTC)", "door": "Door", "source": "Source", "raw_size": "Bytes",
    "bank_message_id": "Message", "state": "State", "refusal_code": "Code", "refusal_message": "Reason",
}  # fmt: skip


def messages(
    number: Annotated[int | None, typer.Argument(help="Show this one; its bytes go to stdout with --raw.")] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Only what is kept as rejected.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The message's bytes as they came.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List bank messages, newest first, or show one."""
    url = database_of(database_url, data)

    async def listing(database: Database) -> None:
        async with database.transaction() as tx:
            state = "REJECTED" if rejected else None
            rows = await stored.listing(tx, state=state, before=None, limit=limit)
        show(rows, _COLUMNS, as_json=as_json)

    async def one(database: Database) -> None:
        async with database.transaction() as tx:
            row = await stored.one(tx, number or 0)
            if row is None:
                typer.echo(f"No message {number} is kept here.", err=True)
                raise typer.Exit(1)
            content = row.pop("raw")
            if not raw:
                show([row], {key: key for key in row}, as_json=True)
            elif content or not row["raw_size"]:
                sys.stdout.buffer.write(content)
            else:  # too large for one value
                await parts.read(tx, row["id"], sys.stdout.buffer)

    with_database(url, listing if number is None else one)
