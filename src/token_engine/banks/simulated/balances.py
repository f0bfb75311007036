"""What the simulated bank says of an account's balances: the truth of its books, or what a fault makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.faults import Faults, Kind
from token_engine.banks.simulated.words import Account

_ELSE: Final = {"USD": "EUR"}
"""The currency of an answer about another; of all others it is USD."""


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """Signed amounts in major units of `currency`. `booked` None: the bank says only what is available.

    `of` is the account that the answer names. A `credit_line` that is not zero is counted into what is booked.
    """

    of: Account
    currency: str
    booked: Decimal | None
    available: Decimal
    credit_line: Decimal
    as_of: datetime


def told(books: Books, faults: Faults, account: Account, now: datetime) -> Balances:
    """The balances of an account as they are told now."""
    resource, as_of = account.resource, now
    if stale := faults.strike(Kind.STALE, resource):
        as_of -= timedelta(hours=stale.hours)
    balance = books.balance(account, as_of)
    line = faults.strike(Kind.CREDIT_LINE, resource)
    credit_line = abs(line.amount) if line else Decimal(0)
    said = account
    if faults.strike(Kind.OTHER_ACCOUNT, resource):
        said = _another(account)
    elsewhere = faults.strike(Kind.OTHER_CURRENCY, resource)
    hidden = faults.strike(Kind.NO_BOOKED_BALANCE, resource)
    return Balances(
        of=said,
        currency=_ELSE.get(account.currency, "USD") if elsewhere else account.currency,
        booked=None if hidden else balance + credit_line,
        available=balance + credit_line,
        credit_line=credit_line,
        as_of=as_of,
    )


def _another(account: Account) -> Account:
    """With another number and resource id, both of the same form."""
    number = account.number[:-1] + str((int(account.number[-1], 36) + 1) % 10)
    resource = account.resource[:-1] + f"{(int(account.resource[-1], 16) + 1) % 16:x}"
    return msgspec.structs.replace(account, number=number, resource=resource)
