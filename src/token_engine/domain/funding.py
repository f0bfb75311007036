"""A funding: money that is expected on an account, and whose tokens it will become once the bank has booked it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from token_engine.domain.refusal import RefusedError

LONGEST: Final = timedelta(days=366)
"""How long a funding may be expected: one that nobody will remember mints for nobody."""


class FundingState(StrEnum):
    """EXPECTED is left once, for good."""

    EXPECTED = "EXPECTED"
    MET = "MET"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class Funding(msgspec.Struct, frozen=True, kw_only=True):
    """Announced: a credit with this end-to-end id. `amount` in major units of the account's currency, times
    with a zone. What the bank books is minted, not what was announced.
    """

    id: UUID
    account_id: UUID
    end_to_end_id: str
    amount: Decimal
    holder: str
    state: FundingState
    announced_by: str
    announced_at: datetime
    expires_at: datetime

    def awaited(self, now: datetime) -> bool:
        """Whether a credit may still meet it: told by the clock, so that none outlives a timer that did not run."""
        return self.state is FundingState.EXPECTED and now < self.expires_at

    def state_as_of(self, now: datetime) -> FundingState:
        """The state by the clock: one whose time is over is EXPIRED before the sweep has written it down."""
        return FundingState.EXPIRED if self.state is FundingState.EXPECTED and not self.awaited(now) else self.state


def expiry(now: datetime, minutes: int) -> datetime:
    """When a funding announced `now` (with a time zone) ends. Raises RefusedError: not from a minute to 366 days."""
    longest = int(LONGEST.total_seconds()) // 60
    if not 1 <= minutes <= longest:
        text = f"expires_in_minutes: from 1 to {longest}"
        raise RefusedError("invalid_expires_in_minutes", text, "expires_in_minutes")
    return now + timedelta(minutes=minutes)


def check_awaited(funding: Funding, now: datetime) -> None:
    """Raise RefusedError if no credit may meet it any more, nor anybody cancel it."""
    if not funding.awaited(now):
        text = f"funding {funding.id} is {funding.state_as_of(now)} and waits for nothing"
        raise RefusedError("funding_settled", text, "funding_id")
