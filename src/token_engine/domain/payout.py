"""A payout: tokens held until the bank has paid their fiat out, one automaton, one table (DESIGN 3.3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from token_engine.domain.refusal import RefusedError

LONGEST: Final = timedelta(days=30)
"""How long tokens may be held for an order that nobody sends."""


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
    settled_by: str | None = None
    settled_at: datetime | None = None
    settled_reason: str | None = None

    def moved(self, event: PayoutEvent, actor: str, reason: str, now: datetime) -> Payout:
        """As `event` leaves it. Raises RefusedError if that is not lawful: `payout_` and the state it is in, or
        `payout_not_rejected` where only the bank's rejection is wanting.

        Told by the clock, so that none outlives a timer that did not run: what has timed out is not sent any more.
        """
        if event is PayoutEvent.SENT_OUT and self.timed_out(now):
            raise RefusedError("payout_expired", f"the hold was to be sent by {self.expires_at:%Y-%m-%dT%H:%M:%SZ}")
        after = TABLE.get((self.state, event))
        if after is None:
            if event is PayoutEvent.CANCELLED and self.state is PayoutState.SENT:
                text = "it is on its way: released only when the bank has rejected it (rejected_by_bank)"
                raise RefusedError("payout_not_rejected", text, "rejected_by_bank")
            raise RefusedError(f"payout_{self.state.lower()}", f"the payout is {self.state}")
        if after is PayoutState.SENT:
            return msgspec.structs.replace(self, state=after, sent_by=actor, sent_at=now)
        return msgspec.structs.replace(self, state=after, settled_by=actor, settled_at=now, settled_reason=reason)

    def timed_out(self, now: datetime) -> bool:
        """Whether it waits to be sent longer than was asked for."""
        return self.state is PayoutState.HELD and self.expires_at <= now


def expiry(minutes: int, now: datetime) -> datetime:
    """Until when a payout asked for `now` waits to be sent. Raises RefusedError."""
    most = LONGEST // timedelta(minutes=1)
    if not 1 <= minutes <= most:
        raise RefusedError("invalid_minutes", f"expires_in_minutes: 1 to {most}", "expires_in_minutes")
    return now + timedelta(minutes=minutes)
