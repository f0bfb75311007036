"""What the simulated bank's books are made of. Amounts are signed, in major units: below zero is a debit."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9/?:().,'+ -]{1,35}$")]
"""A reference, in the characters that every payment system takes."""
Text = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{1,140}$")]
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account of the bank. `resource` is its name in the APIs (`resourceId`, `AccountId`)."""

    id: int
    resource: str
    number: str
    currency: str
    holder: str
    opened_at: datetime
    opening: Decimal

    @property
    def iban(self) -> bool:
        return _IBAN.fullmatch(self.number) is not None


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry to be booked. `notifications` are sent of it: none of a silent one, two of a duplicate; one that is not
    `listed` counts in every balance and stands in no report or statement.
    """

    amount: Decimal
    reference: Name | None = None
    end_to_end: Name | None = None
    text: Text | None = None
    notifications: Annotated[int, msgspec.Meta(ge=0, le=9)] = 1
    listed: bool = True


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A booked entry; `balance` is the account's after it."""

    id: int
    amount: Decimal
    balance: Decimal
    booked_at: datetime
    booking_date: date
    reference: str
    end_to_end: str | None
    text: str | None
    listed: bool


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notification of one entry that is due to be sent, or was sent by an engine killed before it said so."""

    id: int
    account: Account
    entry: Entry


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A closed day, or the days since the statement before: what lies between `opening` and `closing`."""

    account: Account
    number: int
    first_day: date
    day: date
    opening: Decimal
    closing: Decimal
    made_at: datetime
    entries: tuple[Entry, ...]
