"""Statements as people ask for them: which there are, what their checks found, who released them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from token_engine.domain.closed_day import StatementState
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.refusal import RefusedError
from token_engine.domain.release import pending
from token_engine.domain.statement import Outcome
from token_engine.storage import statement_story as stored
from token_engine.storage.database import Transaction
from token_engine.tiers import accounts

LARGEST_PAGE: Final = 1000
_LARGEST_NUMBER: Final = 2**63
_MONEY: Final = ("opening_balance", "closing_balance", "booked_sum", "ledger_balance")


async def listing(
    tx: Transaction, now: datetime, *, account: str | None = None, state: str | None = None,
    before: int | None = None, limit: int = 100,
) -> list[dict[str, Any]]:  # fmt: skip
    """Statements of account `account` (id or number) or of all, newest first; `before` is the last one seen.

    Raises RefusedError: no such account, or no such state.
    """
    key = None
    if account is not None:
        view = await accounts.show(tx, account, now)
        if view is None:
            text = f"account_id: no account {account[:50]!r} is known here"
            raise RefusedError("unknown_account", text, "account_id")
        key = UUID(view["id"])
    words = [word.value.lower() for word in StatementState]
    if state is not None and state.lower() not in (*words, "all"):
        raise RefusedError("invalid_request", f"state: {state[:20]!r} is none of all, {', '.join(words)}", "state")
    wanted = StatementState(state.upper()) if state and state.lower() != "all" else None
    if before is not None and not 0 <= before < _LARGEST_NUMBER:
        raise RefusedError("invalid_request", "before: is the number of no statement", "before")
    rows = await stored.listing(tx, account_id=key, state=wanted, before=before, limit=min(limit, LARGEST_PAGE))
    return [_view(row) for row in rows]


async def show(tx: Transaction, number: int, now: datetime) -> dict[str, Any] | None:
    """One statement with all of its checks, and who asked to release it and approved; None if there is none."""
    row = await stored.one(tx, number) if 0 < number < _LARGEST_NUMBER else None
    if row is None:
        return None
    story = await stored.story(tx, number)
    waits = pending(story, now) if row["state"] == StatementState.QUARANTINED else None
    return _view(row) | {"checks": row["checks"], "release": {"pending": waits, "story": story}}


def _view(row: dict[str, Any]) -> dict[str, Any]:
    currency = row["currency"]
    money = {name: None if row[name] is None else in_currency(row[name], currency) for name in _MONEY}
    apart = in_currency(EXACT.subtract(row["closing_balance"], row["ledger_balance"]), currency)
    failed = [each["name"] for each in row["checks"] if each["outcome"] == Outcome.FAILED]
    rest = {name: value for name, value in row.items() if name != "checks"}
    return rest | money | {"difference": apart, "failed_checks": failed}
