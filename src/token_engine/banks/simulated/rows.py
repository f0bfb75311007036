"""Between the simulated bank's words and the columns of its books: times as text, amounts in minor units."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from token_engine.banks.simulated.words import Account, Entry
from token_engine.domain.money import check_currency, decimals_of
from token_engine.domain.refusal import RefusedError

LARGEST: Final = Decimal(10**13)
"""In major units: the amounts of the open banking standards have thirteen digits before the point."""


class Closed(NamedTuple):
    """A row of `statements`, without its account."""

    number: int
    day: str
    first_day: str
    after_entry: int
    last_entry: int
    opening: int
    closing: int
    made_at: str

    @property
    def next_day(self) -> date:
        return date.fromisoformat(self.day) + timedelta(days=1)


def resource_of(number: str, currency: str) -> str:
    """The same in books that were begun anew, so that who knew it may go on."""
    return str(uuid5(NAMESPACE_URL, f"account:{number}:{currency}"))


def as_text(moment: datetime) -> str:
    """In UTC and always as long, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def minor(amount: Decimal, currency: str) -> int:
    """In minor units, which a SQLite integer holds exactly. Raises RefusedError."""
    decimals = decimals_of(check_currency(currency))
    if amount.is_finite() and abs(amount) < LARGEST:
        units = amount.scaleb(decimals)
        if units == units.to_integral_value():
            return int(units)
    raise RefusedError("invalid_amount", f"{amount} is no amount of {currency} that can be booked", "amount")


def major(units: int, currency: str) -> Decimal:
    return Decimal(units).scaleb(-decimals_of(currency))


def account_of(row: tuple[Any, ...]) -> Account:
    number, resource, name, currency, holder, opened_at, opening = row
    return Account(
        id=number, resource=resource, number=name, currency=currency, holder=holder,
        opened_at=datetime.fromisoformat(opened_at), opening=major(opening, currency),
    )  # fmt: skip


def entry_of(row: Sequence[Any], currency: str) -> Entry:
    number, amount, balance, booked_at, booking_date, reference, end_to_end, text, listed = row
    return Entry(
        id=number, amount=major(amount, currency), balance=major(balance, currency),
        booked_at=datetime.fromisoformat(booked_at), booking_date=date.fromisoformat(booking_date),
        reference=reference, end_to_end=end_to_end, text=text, listed=bool(listed),
    )  # fmt: skip
