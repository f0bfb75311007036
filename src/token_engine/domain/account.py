"""An EMI account: the bank account that safeguards the fiat behind tokens of one currency."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.backing import DEFAULT_POLICY, Level, Policy
from token_engine.domain.breaker import Breaker
from token_engine.domain.entry import ReversalSign
from token_engine.domain.ledger import Mode


class OpenDiscrepancy(msgspec.Struct, frozen=True):
    """The break of an account that is not resolved yet, and how bad it was when last judged.

    `gone_since` (with a time zone): the difference is gone, and it waits for a person to say so. `reopened`: a
    person took it up again after it was resolved.
    """

    id: UUID
    severity: Level
    assignee: str | None = None
    gone_since: datetime | None = None
    reopened: bool = False


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What a judgement needs to know of an account. Balances in major units of `currency`."""

    id: UUID
    number: str
    currency: str
    ledger: Decimal
    bank: Decimal
    breaker: Breaker
    closed_at: datetime | None = None
    reversal_sign: ReversalSign = ReversalSign.PUBLISHED
    mode: Mode = Mode.ENGINE
    policy: Policy = DEFAULT_POLICY
    open_discrepancy: OpenDiscrepancy | None = None
    statement_missing_since: datetime | None = None
    """When the oldest statement that has not come was due (with a time zone)."""
    observed_gap: Decimal = Decimal(0)
    """What the bank's own balance showed, when it was last asked, beyond what its messages and expectations tell of."""
    observed_at: datetime | None = None
    """The bank's time of that balance (with a time zone)."""
