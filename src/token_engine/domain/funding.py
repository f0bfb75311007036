"""A funding: money that is expected on an account, and whose tokens it will become once the bank has booked it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec


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
