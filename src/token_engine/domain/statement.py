"""What a statement says as a whole, and what is found when it is checked (DESIGN 3.4, Tier 3 checks)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum

import msgspec

from token_engine.domain.notification import Heading


class Outcome(StrEnum):
    """A check whose data the message lacks is neither passed nor failed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKABLE = "not_checkable"


class Check(msgspec.Struct, frozen=True):
    """One check of a statement. `expected` and `actual` are what the answer shows: amounts in major units."""

    name: str
    outcome: Outcome
    text: str
    """What was found, for people, also where it passed."""
    expected: str | None = None
    actual: str | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement (all of its pages) without its lines. Balances and sums are signed, in major units of the account."""

    heading: Heading
    """Complete: with the balances and counts that an MT says at its end."""
    lines: int = 0
    """Entries stated, whatever their status."""
    currencies: frozenset[str] = frozenset()
    """Of the entries."""
    booked_sum: Decimal = Decimal(0)
    amount_sum: Decimal = Decimal(0)
    """Of all entries, without sign: what `TxsSummry` counts."""
    valued_later: Decimal = Decimal(0)
    """Signed sum of the booked entries whose value date lies after the closing balance's date."""
    first_booking: date | None = None
    last_booking: date | None = None


class Previous(msgspec.Struct, frozen=True):
    """The statement that stands for an earlier day of the account, or what it was taken on with."""

    statement_date: date | None
    closing_balance: Decimal
    sequence_number: str | None = None
