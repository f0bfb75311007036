"""What a bank said of an account's booked balance when it was asked (Tier 2), or why that cannot be used."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec


class BankAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its bank is asked for it."""

    number: str
    """IBAN without blanks, or the bank's own account number."""
    currency: str
    resource: str | None = None
    """The bank's name for it in its API (`resourceId`, `AccountId`); None: the connector asks for the list of accounts
    and takes the one with this number and currency."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A booked balance that may be judged: `balance` in major units of `currency`, below zero when overdrawn."""

    balance: Decimal
    currency: str
    as_of: datetime
    """The bank's reference time (with a time zone): everything booked by then is in it, nothing later."""
    balance_type: str
    """The bank's own word: "interimBooked", "InterimBooked", "ITBD"."""


class Why(StrEnum):
    """Why there is no observation. Never read as a balance of zero: no evidence is not good evidence."""

    # The bank was not reached or would not answer now; asking again may help.
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    SERVER_ERROR = "server_error"
    THROTTLED = "throttled"
    # It answered, and asking again as before does not help.
    ACCESS_REFUSED = "access_refused"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNREADABLE = "unreadable"
    # It was read, and says nothing that may be judged.
    NO_BOOKED_BALANCE = "no_booked_balance"
    CREDIT_LINE_INCLUDED = "credit_line_included"
    OTHER_CURRENCY = "other_currency"
    OTHER_ACCOUNT = "other_account"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    CONTRADICTORY = "contradictory"
    # It was not asked.
    GUARD_OPEN = "guard_open"
    BUDGET_SPENT = "budget_spent"


MAY_HELP_TO_ASK_AGAIN: Final = frozenset({Why.UNREACHABLE, Why.TIMED_OUT, Why.SERVER_ERROR, Why.THROTTLED})


class NoObservation(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing that may be judged. `text` names the bank's field and what it said, for a person; no credential ever
    stands in it. `retry_after` is what the bank asked for (`Retry-After`)."""

    why: Why
    text: str
    retry_after: timedelta | None = None
