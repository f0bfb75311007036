"""What a statement says as a whole, and what is found when it is checked (DESIGN 3.4, Tier 3 checks)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum

import msgspec

from token_engine.domain.notification import Heading
from token_engine.domain.statement_balances import CLOSING


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
    """A statement (all of its pages, or one of them) without its lines. Balances and sums are signed, in major units
    of the account.
    """

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


class Identity(msgspec.Struct, frozen=True):
    """What a bank means by one statement. Two messages with one identity tell of the same statement: again where
    their lines are the same, and otherwise with another content, which is refused.

    `name` is the bank's own id, or the sequence number where it gives none; None where it gives neither, and then
    account and day tell it apart. `day` is the date of the closing balance; None for a page that closes nothing yet.
    """

    account_number: str
    currency: str | None
    name: str | None
    day: date | None

    @property
    def of_pages(self) -> tuple[str, str | None, str | None]:
        """What all pages of one statement share: each may have a closing date of its own."""
        return self.account_number, self.currency, self.name


def identity(heading: Heading) -> Identity:
    """The identity of the statement under a (complete) heading.

    `message_id` is no part of it: many banks write the same :20: every day, and one that sends a statement again
    does so under a new `MsgId` (docs/adr/0013, 0015).
    """
    currencies = {balance.currency for balance in heading.balances}
    days = {b.as_of for b in heading.balances if b.code in CLOSING and not b.interim}
    name = f"id {heading.notification_id}" if heading.notification_id is not None else None
    if name is None and heading.sequence_number is not None:
        name = f"number {heading.sequence_number}"
    return Identity(
        account_number=heading.account_number,
        currency=heading.currency or (currencies.pop() if len(currencies) == 1 else None),
        name=name,
        day=days.pop() if len(days) == 1 else None,
    )
