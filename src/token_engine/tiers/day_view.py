"""How a day stands, account by account: closed and reconciled, closed and not, held back, or without a statement."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from token_engine.domain.backing import Level
from token_engine.domain.closed_day import StatementState
from token_engine.domain.money import EXACT, in_currency
from token_engine.storage import statement_story as stored
from token_engine.storage.database import Transaction

LARGEST_PAGE: Final = 1000
_STANDING: Final = (StatementState.ACCEPTED, StatementState.RELEASED)


async def of_day(
    tx: Transaction, day: date, *, after: tuple[str, str] | None = None, limit: int = LARGEST_PAGE
) -> list[dict[str, Any]]:
    """A line for each open account, in order of number and currency; `after` is the last one seen.

    `standing` is reconciled, not_reconciled, quarantined or no_statement: no evidence is not good evidence.
    """
    return [_view(row) for row in await stored.day(tx, day, after=after, limit=min(limit, LARGEST_PAGE))]


def _view(row: dict[str, Any]) -> dict[str, Any]:
    currency, ledger, bank = row["currency"], row["ledger_balance"], row["closing_balance"]
    if row["statement"] is None:
        standing = "no_statement"
    elif row["state"] not in _STANDING:
        standing = row["state"].lower()
    else:
        standing = "reconciled" if row["threshold_level"] == Level.OK else "not_reconciled"
    money = {
        "ledger_balance": None if ledger is None else in_currency(ledger, currency),
        "closing_balance": None if bank is None else in_currency(bank, currency),
        "difference": None if ledger is None else in_currency(EXACT.subtract(bank, ledger), currency),
    }
    return row | money | {"standing": standing}
