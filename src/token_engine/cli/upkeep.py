"""`token-engine migrate` and `token-engine check`."""

from __future__ import annotations

from typing import Any

import typer

from token_engine.cli.options import DATA, Data, DatabaseUrl, database_of
from token_engine.cli.session import unreachable_is_exit_2, with_database
from token_engine.storage import accounts, ledger
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
    """Recompute every position from its entries, and every ledger balance from its movements. Exits 1 if a stored
    one differs.
    """

    async def work(database: Database) -> list[str]:
        async with database.transaction() as tx:
            positions = await accounts.position_drift(tx)
            balances = await ledger.drift(tx)
        return [
            *(f"{_of(row)}: stored {row['stored']}, its entries make {row['folded']}" for row in positions),
            *(f"{_of(row)}: ledger balance {row['stored']}, its movements make {row['folded']}" for row in balances),
        ]

    wrong = with_database(database_of(database_url, data), work)
    for line in wrong:
        typer.echo(line, err=True)
    if wrong:
        raise typer.Exit(1)
    typer.echo("Every position is the fold of its entries.")
    typer.echo("Every ledger balance is the fold of its movements.")


def _of(row: dict[str, Any]) -> str:
    account = f"{row['account_number']} {row['currency']}"
    return f"{account} holder {row['holder']}" if row.get("holder") else account
