"""`token-engine migrate` and `token-engine check`."""

from __future__ import annotations

from typing import Any

import typer

from token_engine.cli.options import DATA, Data, DatabaseUrl, database_of
from token_engine.cli.session import unreachable_is_exit_2, with_database
from token_engine.storage import accounts, calendars, ledger, matches, payouts, receipts, trends
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
    """Recompute every position from its entries, every ledger balance from its movements, and what is reserved from
    the payouts under way; hold every mint and every settled payout against the bank's entry that it was for, both sides
    of every match against each other, what is said of missing statements against the statements, and the days of trends
    against the observations. Exits 1 if anything differs.
    """

    async def work(database: Database) -> list[str]:
        async with database.transaction() as tx:
            positions = await accounts.position_drift(tx)
            balances = await ledger.drift(tx)
            unlike = await receipts.unlike_their_movements(tx)
            unmet = await receipts.met_without_meeting(tx)
            unsettled = await payouts.unlike_their_meetings(tx)
            unbooked = await receipts.mints_without_meeting(tx)
            reserved = await payouts.drift(tx)
            waiting = await calendars.drift(tx)
            unequal = await matches.unequal(tx)
            unlike_days = await trends.unlike(tx)
        return [
            *(f"{_of(row)}: stored {row['stored']}, its entries make {row['folded']}" for row in positions),
            *(f"{_of(row)}: ledger balance {row['stored']}, its movements make {row['folded']}" for row in balances),
            *(
                f"{_of(m)}: entry {m['entry_id']} of {m['booked']} was {m['met']}, and movement {m['movement_id']} "
                f"is a {m['kind']} of {m['moved']}"
                for m in unlike
            ),
            *(f"{_of(f)}: funding {f['id']} is not what the bank's entries say of it" for f in unmet),
            *(f"{_of(p)}: payout {p['id']} is {p['state']}, not what the bank's entries say of it" for p in unsettled),
            *(f"{_of(m)}: movement {m['id']} mints {m['amount']} against no entry of the bank" for m in unbooked),
            *(f"{_of(row)}: reserved {row['stored']}, its payouts hold {row['folded']}" for row in reserved),
            *(f"{_of(row)}: statement missing since {row['stored']}, not {row['folded']}" for row in waiting),
            *(
                f"{_of(row)}: match {row['match_id']} pairs entries of {row['entries']} "
                f"with movements of {row['movements']}"
                for row in unequal
            ),
            *(
                f"{_of(row)}: trend of {row['day']} stored as {row['stored_low']} to {row['stored_high']}, its "
                f"observations make {row['low']} to {row['high']}"
                for row in unlike_days
            ),
        ]

    wrong = with_database(database_of(database_url, data), work)
    for line in wrong:
        typer.echo(line, err=True)
    if wrong:
        raise typer.Exit(1)
    typer.echo("Every position is the fold of its entries.")
    typer.echo("Every ledger balance is the fold of its movements.")
    typer.echo("Every mint is of a booked credit, and of its amount.")
    typer.echo("What is reserved is what payouts hold.")
    typer.echo("What is said to be missing of statements is missing.")
    typer.echo("Every day of a trend is the fold of its observations.")
    typer.echo("Every match is of equal sums, or forced by two people.")


def _of(row: dict[str, Any]) -> str:
    account = f"{row['account_number']} {row['currency']}"
    return f"{account} holder {row['holder']}" if row.get("holder") else account
