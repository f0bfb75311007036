"""`token-engine trend` and `token-engine recompute-trends`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import typer

from token_engine.cli.once import fail
from token_engine.cli.options import DATA, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.refusal import Refusal
from token_engine.storage import trends
from token_engine.storage.database import Database
from token_engine.tiers import trend_view

_DAYS: Final = {"day": "Day (UTC)", "low": "Lowest difference", "high": "Highest"}
_BOUNDS: Final = {"difference": "Bound", "beyond": "Beyond it", "crosses_at": "Crossed at (UTC)"}


def trend(
    account: Annotated[str, typer.Argument(help="Id or number.")],
    data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show where an account's difference between bank and ledger is going, and when it would cross a bound."""

    async def work(database: Database) -> dict[str, Any] | None:
        async with database.transaction() as tx:
            return await trend_view.view(tx, account, now())

    found = with_database(database_of(database_url, data), work)
    if found is None:
        fail(Refusal("unknown_account", f"no account {account!r} is known here"))
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    typer.echo(_words(found))
    show(found["bounds"], _BOUNDS, as_json=False)
    show(found["days"], _DAYS, as_json=False)


def _words(view: dict[str, Any]) -> str:
    said, currency = view["trend"], view["currency"]
    if said is None:
        return f"{view['account_number']} {currency}: its bank has told no balance on a day that is over."
    told = f"{view['account_number']} {currency}: {said['shape']}, {said['slope_per_day']} a day since {said['since']}"
    told += f" ({said['days']} days, consistency {said['consistency']}); the difference is {view['difference']}"
    if said["changed_on"]:
        told += f"; it jumped by {said['changed_by']} on {said['changed_on']}"
    return told + ("; raised as DRIFT." if view["drift_raised"] else ".")


def recompute_trends(data: Data = DATA, database_url: DatabaseUrl = None) -> None:
    """Make the days of all trends again from the observations. What `check` says of trends, this repairs."""

    async def work(database: Database) -> int:
        async with database.transaction() as tx:
            return len(await trends.recompute(tx))

    wrong = with_database(database_of(database_url, data), work)
    typer.echo(f"{wrong} days were not what their observations make; all are now.")
