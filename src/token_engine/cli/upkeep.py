"""`token-engine migrate` and `token-engine check`."""

from __future__ import annotations

from typing import Any

import typer

from token_engine.cli.options import DATA, Data, DatabaseUrl, database_of
from token_engine.cli.session import unreachable_is_exit_2, with_database
from token_engine.storage import accounts
from token_engine.storage import migrate as steps
from token_engine.storage.database import Database


def migrate(data: Data = DATA, database_url: DatabaseUrl = None) -> None:
    """Bring the database to this engine's schema."""
    url = database_of(database_url, data)
    with unreachable_is_exit_2():
        taken = steps.migrate(url)
    for step in taken:
        typer.echo(f"Applied {step.version:04d} {step.name}")
    if not taken:
        typer.echo("The schema is up to date.")


def check(data: Data = DATA, database_url: DatabaseUrl = None) -> None:
    """Recompute every position from its entries. Exits 1 if a stored one differs."""

    async def work(database: Database) -> list[dict[str, Any]]:
        async with database.transaction() as tx:
            return await accounts.position_drift(tx)

    wrong = with_database(database_of(database_url, data), work)
    for row in wrong:
        typer.echo(
            f"{row['account_number']} {row['currency']}: stored {row['stored']}, its entries make {row['folded']}",
            err=True,
        )
    if wrong:
        raise typer.Exit(1)
    typer.echo("Every position is the fold of its entries.")
