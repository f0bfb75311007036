"""True movements, and every way in which banks tell of them. The oracle knows what really happened.

Each movement carries its own end-to-end id, which plays no part in telling movements apart: the truth
can be read off it, and the engine cannot.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus

ACCOUNT = UUID("00000000-0000-4000-8000-000000000001")
DAY = date(2025, 11, 18)


def entry(
    amount: str | Decimal = "10",
    *,
    tag: str | None = None,
    debit: bool = False,
    status: EntryStatus = EntryStatus.BOOK,
    reference: str | None = None,
    entry_reference: str | None = None,
    booked: int | None = None,
    value: int | None = None,
) -> Entry:
    """An entry; `booked` and `value` are days after DAY."""
    return Entry(
        amount=Decimal(amount),
        currency="AED",
        credit_debit=CreditDebit.DBIT if debit else CreditDebit.CRDT,
        status=status,
        booking_date=None if booked is None else DAY + timedelta(days=booked),
        value_date=None if value is None else DAY + timedelta(days=value),
        servicer_reference=reference,
        entry_reference=entry_reference,
        end_to_end_id=tag,
    )


class Style(msgspec.Struct, frozen=True):
    """What one kind of message of one bank says of an entry."""

    references: bool
    booking_dates: bool
    value_dates: bool


class Real(msgspec.Struct, frozen=True):
    """A movement as it really happened."""

    tag: str
    amount: Decimal
    debit: bool
    day: int
    reference: str

    def told(self, style: Style) -> Entry:
        return entry(
            self.amount,
            tag=self.tag,
            debit=self.debit,
            reference=self.reference if style.references else None,
            booked=self.day if style.booking_dates else None,
            value=self.day if style.value_dates else None,
        )
