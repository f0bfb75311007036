"""Fields of banks' answers: amounts, times, texts. What is not as the standard says is refused and named."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from token_engine.banks.answers import Answer
from token_engine.domain.money import check_decimals, parse_amount
from token_engine.domain.observation import LONGEST_SHOWN, shown
from token_engine.domain.refusal import RefusedError

_T = TypeVar("_T")


def typed(answer: Answer, form: type[_T]) -> _T:
    """The answer's content as `form`, whose members it must have; more members are none of our business.

    A text where a text is asked, never a number: NextGenPSD2 and the open-banking standards write amounts as texts,
    and a bank that writes numbers has had them in floats. Raises NotObservedError.
    """
    try:
        return msgspec.convert(answer.content, form)
    except msgspec.ValidationError as error:
        # msgspec names types and places, and of values only those of an enumeration, which ours have none of.
        raise answer.unreadable(f"not as the standard says: {error}") from None
    except RecursionError:
        raise answer.unreadable("nested too deep") from None


def amount(answer: Answer, place: str, text: str, currency: str, signed: bool = False) -> Decimal:
    """A plain decimal text as an amount of `currency`; `signed`: a minus may stand before it.

    Raises NotObservedError: anything else (an exponent, a plus, blanks), more decimals than the currency has.
    """
    if len(text) > LONGEST_SHOWN:
        raise answer.unreadable(f"{place}: {shown(text)} is no amount")
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise answer.unreadable(f"{place}: {shown(currency)} is no currency")
    minus = signed and text.startswith("-")
    try:
        figure = check_decimals(parse_amount(text.removeprefix("-") if minus else text, place), currency, place)
    except RefusedError as error:
        raise answer.unreadable(str(error)) from None
    return -figure if minus else figure


def moment(answer: Answer, place: str, text: str) -> datetime:
    """An ISO 8601 date and time with its zone, in UTC. Raises NotObservedError: no zone says no moment."""
    try:
        said = datetime.fromisoformat(text)
        if said.tzinfo is None or len(text) < len("2026-01-01T00:00Z"):
            raise ValueError
        return said.astimezone(UTC)
    except (ValueError, OverflowError):
        raise answer.unreadable(f"{place}: {shown(text)} is no date and time with a time zone") from None


def day(answer: Answer, place: str, text: str) -> date:
    """An ISO 8601 date. Raises NotObservedError."""
    try:
        said = date.fromisoformat(text)
        if not 1970 <= said.year <= 9000:
            raise ValueError
    except ValueError:
        raise answer.unreadable(f"{place}: {shown(text)} is no date") from None
    return said


def zone(name: str) -> ZoneInfo:
    """The time zone of that name ("Asia/Dubai"). Raises ValueError, naming it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"time_zone: {name!r} is no time zone") from None


def start_of(said: date, where: ZoneInfo) -> datetime:
    """When a day began there, in UTC."""
    return datetime.combine(said, time(), where).astimezone(UTC)


def end_of(said: date, where: ZoneInfo) -> datetime:
    """When a day ended there, in UTC: the moment the next one began."""
    return start_of(said + timedelta(days=1), where)
