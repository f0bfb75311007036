"""Payouts as they are shown: where each stands, and what made it so."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from token_engine.domain.money import in_currency
from token_engine.domain.payout import Payout, PayoutState
from token_engine.storage import payouts as stored
from token_engine.storage.database import Transaction
from token_engine.tiers import accounts, events

_MET: Final = {"payout": PayoutState.SETTLED, "payout_return": PayoutState.RETURNED}
_RELEASED: Final = (PayoutState.CANCELLED, PayoutState.EXPIRED)


async def listing(
    tx: Transaction, name: str, state: PayoutState | None, before: UUID | None, limit: int, now: datetime
) -> list[dict[str, Any]] | None:
    """An account's payouts, newest first; None if it is not known. `before` is the last one seen."""
    view = await accounts.show(tx, name, now)
    if view is None:
        return None
    found = await stored.listing(tx, UUID(view["id"]), state, before, limit)
    return [events.payout(p, view["account_number"], view["currency"]) for p in found]


async def show(tx: Transaction, key: UUID) -> dict[str, Any] | None:
    """One payout and its story, oldest first; None if it is not known."""
    payout = await stored.one(tx, key)
    if payout is None:
        return None
    payer = await stored.payer(tx, payout.account_id)
    meetings = await stored.meetings(tx, key)
    story = [*_told_by_people(payout), *(_told_by_bank(row, payer.currency) for row in meetings)]
    return events.payout(payout, payer.number, payer.currency) | {"story": story}


def _told_by_people(payout: Payout) -> list[dict[str, Any]]:
    story: list[dict[str, Any]] = [
        {"state": PayoutState.HELD, "at": payout.requested_at, "actor": payout.requested_by}
    ]  # fmt: skip
    if payout.sent_at is not None:
        story.append({"state": PayoutState.SENT, "at": payout.sent_at, "actor": payout.sent_by})
    if payout.state in _RELEASED:
        story.append(
            {
                "state": payout.state, "at": payout.settled_at, "actor": payout.settled_by,
                "reason": payout.settled_reason,
            }
        )  # fmt: skip
    return story


def _told_by_bank(row: dict[str, Any], currency: str) -> dict[str, Any]:
    """The entry that settled it or brought it back, and the movement of tokens that it made."""
    return {
        "state": _MET[row["met"]],
        "at": row["at"],
        "actor": row["actor"],
        "reason": row["reason"],
        "movement_id": row["movement_id"],
        "amount": in_currency(row["amount"], currency),
        "entry": {
            "credit_debit": row["credit_debit"],
            "amount": in_currency(row["booked"], currency),
            "kept_as": row["message_id"],
            "message_id": row["bank_message_id"],
            "bank_reference": row["servicer_reference"],
            "booking_date": row["booking_date"],
            "value_date": row["value_date"],
        },
    }
