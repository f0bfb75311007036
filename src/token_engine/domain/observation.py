"""What a bank said of an account's booked balance when it was asked (Tier 2), or why that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from token_engine.domain.money import in_currency


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
    CLOCKS_APART = "clocks_apart"
    BUDGET_SPENT = "budget_spent"


MAY_HELP_TO_ASK_AGAIN: Final = frozenset({Why.UNREACHABLE, Why.TIMED_OUT, Why.SERVER_ERROR, Why.THROTTLED})


class NoObservation(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing that may be judged. `text` names the bank's field and what it said, for a person; no credential ever
    stands in it. `retry_after` is what the bank asked for (`Retry-After`)."""

    why: Why
    text: str
    retry_after: timedelta | None = None


class Kind(StrEnum):
    """What a booked balance is of (ISO 20022 ExternalBalanceType1Code)."""

    INTERIM = "interim booked"
    CLOSING = "closing booked"
    OPENING = "opening booked"
    PREVIOUSLY_CLOSED = "previously closed booked"


BOOKED: Final = {
    # NextGenPSD2
    "interimBooked": Kind.INTERIM,
    "closingBooked": Kind.CLOSING,
    "openingBooked": Kind.OPENING,
    # UK Open Banking v3.1, UAE Open Finance
    "InterimBooked": Kind.INTERIM,
    "ClosingBooked": Kind.CLOSING,
    "OpeningBooked": Kind.OPENING,
    "PreviouslyClosedBooked": Kind.PREVIOUSLY_CLOSED,
    # UK Open Banking v4, camt
    "ITBD": Kind.INTERIM,
    "CLBD": Kind.CLOSING,
    "OPBD": Kind.OPENING,
    "PRCD": Kind.PREVIOUSLY_CLOSED,
}
"""Banks' words for booked balances, as they write them. Every other word (available, expected, cleared, information,
or one that we do not know) is of a balance that is not booked."""


class ReportedBalance(msgspec.Struct, frozen=True, kw_only=True):
    """One balance as a bank reported it, before anybody asked what it is worth."""

    place: str
    """Where in the bank's answer: "balances[0]". For people."""
    type: str
    """The bank's own word."""
    kind: Kind | None
    """None: not booked."""
    amount: Decimal
    """Below zero when overdrawn."""
    currency: str
    as_of: datetime | None
    """None: the bank does not say as of when."""
    credit_line_included: bool = False
    account: str | None = None
    """The number of the account that the bank says it is of; None: it says none."""


class Freshness(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How old a booked balance may be when the bank is asked."""

    interim_minutes: int = 60
    closing_minutes: int | None = None
    """Of a closing, opening or previously closed balance, which tell of the turn of a day; None: none is taken."""

    def __post_init__(self) -> None:
        if self.interim_minutes < 1 or (self.closing_minutes is not None and self.closing_minutes < 1):
            raise ValueError("interim_minutes and closing_minutes are above zero")


CLOCK_SKEW: Final = timedelta(minutes=2)
"""By how much a bank's clock may be ahead of ours."""


def choose(
    reported: Sequence[ReportedBalance], account: BankAccount, freshness: Freshness, now: datetime
) -> Observation | NoObservation:
    """The one booked balance to judge, or why there is none (DESIGN 3.2).

    An answer that names another account is refused whole. Of booked balances in the account's currency, without a
    credit line and fresh enough, the one with the latest reference time counts; several of that time must agree.
    `now` (with a time zone) is when the bank was asked.
    """
    if others := [b for b in reported if b.account is not None and not same_account(b.account, account.number)]:
        why = f"{others[0].place} is of account {shown(others[0].account)}, asked was {shown(account.number)}"
        return NoObservation(why=Why.OTHER_ACCOUNT, text=why)
    booked = [b for b in reported if b.kind is not None]
    if not booked:
        types = ", ".join(shown(b.type) for b in reported[:10])
        why = f"no booked balance among those reported ({types})" if types else "the bank reported no balance at all"
        return NoObservation(why=Why.NO_BOOKED_BALANCE, text=why)
    ours = [b for b in booked if b.currency == account.currency]
    if not ours:
        why = f"{_told(booked[0])}: the account is in {account.currency}"
        return NoObservation(why=Why.OTHER_CURRENCY, text=why)
    plain = [b for b in ours if not b.credit_line_included]
    if not plain:
        return NoObservation(why=Why.CREDIT_LINE_INCLUDED, text=f"{_told(ours[0])} includes a credit line")
    refused = [(b, _refusal_of_time(b, freshness, now)) for b in plain]
    fresh = [b for b, refusal in refused if refusal is None]
    if not fresh:
        return _nearest(refused)
    newest = max(fresh, key=_reference_time)
    rivals = [b for b in fresh if b.as_of == newest.as_of and b.amount != newest.amount]
    if rivals:
        return NoObservation(why=Why.CONTRADICTORY, text=f"{_told(newest)}, and {_told(rivals[0])}")
    return Observation(
        balance=newest.amount or newest.amount.copy_abs(),  # no -0.00
        currency=newest.currency,
        as_of=min(_reference_time(newest), now),
        balance_type=newest.type,
    )


def same_account(one: str, other: str) -> bool:
    """Whether two numbers are one account's, however they are spaced and spelled."""
    return plain_number(one) == plain_number(other)


def plain_number(number: str) -> str:
    """An account's number without blanks, in capitals."""
    return "".join(number.split()).upper()


def shown(said: str | None) -> str:
    """What a bank said, in quotes for a text. Long words are not quoted, and not cut: half of a credential that a
    bank repeats would not be recognised as one."""
    return repr(said) if said is None or len(said) <= LONGEST_SHOWN else f"(a text of {len(said)} characters)"


LONGEST_SHOWN: Final = 40


def _reference_time(balance: ReportedBalance) -> datetime:
    assert balance.as_of is not None
    return balance.as_of


def _refusal_of_time(balance: ReportedBalance, freshness: Freshness, now: datetime) -> NoObservation | None:
    if balance.as_of is None:
        return NoObservation(why=Why.TOO_OLD, text=f"{_told(balance)}: the bank does not say as of when")
    if balance.as_of > now + CLOCK_SKEW:
        return NoObservation(why=Why.IN_THE_FUTURE, text=f"{_told(balance)}: it was asked at {now.isoformat()}")
    if balance.kind is Kind.INTERIM:
        minutes: int | None = freshness.interim_minutes
    else:
        minutes = freshness.closing_minutes
    if minutes is None:
        why = f"{_told(balance)}: it is of the turn of a day, and closing_minutes does not allow it"
        return NoObservation(why=Why.TOO_OLD, text=why)
    if now - balance.as_of > timedelta(minutes=minutes):
        why = f"{_told(balance)}: older than {minutes} minutes at {now.isoformat()}"
        return NoObservation(why=Why.TOO_OLD, text=why)
    return None


def _nearest(refused: Sequence[tuple[ReportedBalance, NoObservation | None]]) -> NoObservation:
    """The refusal of the balance that came nearest to being judged: interim before a day's, later before earlier."""

    def near(each: tuple[ReportedBalance, NoObservation | None]) -> tuple[bool, bool, float]:
        as_of = each[0].as_of
        return each[0].kind is Kind.INTERIM, as_of is not None, as_of.timestamp() if as_of else 0

    refusal = max(refused, key=near)[1]
    assert refusal is not None
    return refusal


def _told(balance: ReportedBalance) -> str:
    amount = in_currency(balance.amount, balance.currency)
    as_of = f" as of {balance.as_of.isoformat()}" if balance.as_of else ""
    return f"{balance.place} ({shown(balance.type)}, {amount} {balance.currency}{as_of})"
