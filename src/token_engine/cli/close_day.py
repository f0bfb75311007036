"""`token-engine close-day`: take in the statements of a day, and see how it stands."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from token_engine.cli.ingest import take_in
from token_engine.cli.options import DATA, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.storage.database import Database
from token_engine.tiers import day_view

_COLUMNS: Final = {
    "account_number": "Account", "currency": "", "standing": "Day", "ledger_balance": "Tokens",
    "closing_balance": "Bank holds", "difference": "Difference", "entries_matched": "Matched",
    "entries_unmatched": "Unmatched", "statement": "Statement",
}  # fmt: skip


def close_day(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE...]", help="Statements to take in first; - is stdin.")
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], metavar="DATE", help="The day to show; default: yesterday (UTC)."),
    ] = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Take in statements, then show how the day stands. Exits 1 if a file is rejected or any account's day is not
    reconciled, held back, or awaited and without a statement.
    """
    wanted = day.date() if day else now().date() - timedelta(days=1)

    async def work(database: Database) -> bool:
        fine = await take_in(database, files or [], as_json, quiet=True)
        return await _shown(database, wanted, as_json) and fine

    if not with_database(database_of(database_url, data), work):
        raise typer.Exit(1)


async def _shown(database: Database, day: date, as_json: bool) -> bool:
    counts: Counter[str] = Counter()
    after: tuple[str, str] | None = None
    fine = True
    while True:
        async with database.transaction() as tx:
            rows: list[dict[str, Any]] = await day_view.of_day(tx, day, after=after)
        if rows:
            show(rows, _COLUMNS, as_json=as_json)
        counts.update(row["standing"] for row in rows)
        fine &= all(row["standing"] == "reconciled" or _not_awaited(row) for row in rows)
        if len(rows) < day_view.LARGEST_PAGE:
            break
        after = rows[-1]["account_number"], rows[-1]["currency"]
    if not as_json:
        said = ", ".join(f"{number} {standing.replace('_', ' ')}" for standing, number in sorted(counts.items()))
        typer.echo(f"{day}: {said or 'no accounts'}")
    return fine


def _not_awaited(row: dict[str, Any]) -> bool:
    return row["standing"] == "no_statement" and not row["awaited"]
