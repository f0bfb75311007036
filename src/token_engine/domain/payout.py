"""A payout: tokens held until the bank has paid their fiat out, one automaton, one table (DESIGN 3.3)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec


class PayoutState(StrEnum):
    """HELD and SENT reserve their amount; the others reserve nothing."""

    HELD = "HELD"
    SENT = "SENT"
    SETTLED = "SETTLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    RETURNED = "RETURNED"


class PayoutEvent(StrEnum):
    """What moves a payout. SENT_OUT: its order has gone to the bank. REJECTED: the bank will not pay it."""

    SENT_OUT = "sent_out"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    DEBITED = "debited"
    RETURNED = "returned"


_S, _E = PayoutState, PayoutEvent

TABLE: Final[dict[tuple[PayoutState, PayoutEvent], PayoutState]] = {
    (_S.HELD, _E.SENT_OUT): _S.SENT,
    (_S.HELD, _E.CANCELLED): _S.CANCELLED,
    (_S.HELD, _E.REJECTED): _S.CANCELLED,
    (_S.HELD, _E.TIMED_OUT): _S.EXPIRED,
    # The bank was quicker than the word that the order has gone.
    (_S.HELD, _E.DEBITED): _S.SETTLED,
    # Once it is on its way only the bank can say that it will not be paid: nobody's second thoughts, no clock.
    (_S.SENT, _E.REJECTED): _S.CANCELLED,
    (_S.SENT, _E.DEBITED): _S.SETTLED,
    (_S.SETTLED, _E.RETURNED): _S.RETURNED,
}
"""The automaton. A pair that is not in it is not lawful."""

RESERVING: Final = frozenset({_S.HELD, _S.SENT})
"""The states in which the amount is part of `reserved_balance`."""


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """Held: tokens of `holder`, until a debit with this end-to-end id. `amount` in major units of the account's
    currency, times with a zone.
    """

    id: UUID
    account_id: UUID
    end_to_end_id: str
    amount: Decimal
    holder: str
    beneficiary: str | None
    state: PayoutState
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    sent_by: str | None = None
    sent_at: datetime | None = None
