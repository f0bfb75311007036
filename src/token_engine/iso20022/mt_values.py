"""Amounts and dates as SWIFT MT writes them."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final

from token_engine.domain.money import INTEGER_DIGITS, check_decimals, decimals_of
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.mt_fields import Field
from token_engine.iso20022.words import AMOUNT_LENGTH

AMOUNT: Final = r"\d*[,.]\d*"
"""15d: the decimal mark is always there ("1234,"), so that a figure that was cut off is seen."""

_TOO_LARGE: Final = Decimal(10) ** INTEGER_DIGITS
_LAST_CENTURY: Final = 80
_POINT_DECIMALS: Final = 2
_LONGEST_MONTH: Final = 31


def amount(digits: str, currency: str, field: Field, part: str = "amount") -> Decimal:
    """The amount that `AMOUNT` matched, in major units: "1234,", "1234,5" or ",50".

    Some banks write a point for the comma. With three digits behind it that could part thousands, which MT
    never does: refused. Raises RefusedError, also for more decimals than the currency has.
    """
    mark = digits.find(",")
    decimals = len(digits) - mark - 1
    if mark < 0:
        decimals = len(digits) - digits.index(".") - 1
        if decimals > _POINT_DECIMALS:
            field.refuse("invalid_amount", f"{digits[:AMOUNT_LENGTH]!r} has no decimal comma", part)
    if len(digits) > AMOUNT_LENGTH:
        field.refuse("invalid_amount", f"is longer than {AMOUNT_LENGTH} characters", part)
    if len(digits) == 1:
        field.refuse("invalid_amount", f"{digits!r} has no digits", part)
    value = Decimal(digits.replace(",", "."))
    if value >= _TOO_LARGE:
        field.refuse("invalid_amount", f"more than {INTEGER_DIGITS} digits before the comma", part)
    if decimals > decimals_of(currency):
        try:
            check_decimals(value, currency)
        except RefusedError as error:
            field.refuse("invalid_amount", str(error).removeprefix("amount: "), part)
    return value


@lru_cache(maxsize=4096)
def short_date(yymmdd: str) -> date:
    """A date with two digits of its year: 80 to 99 are of the last century. Raises ValueError."""
    year = int(yymmdd[:2])
    return _day(year + (1900 if year >= _LAST_CENTURY else 2000), int(yymmdd[2:4]), int(yymmdd[4:6]))


@lru_cache(maxsize=4096)
def entry_date(mmdd: str, value: date) -> date:
    """An entry date, written without its year: the one nearest to the value date. Raises ValueError.

    An entry of 2 January may have the value of 31 December, and one of 31 December that of 2 January.
    """
    month, day = int(mmdd[:2]), int(mmdd[2:])
    near = [_day(year, month, day) for year in (value.year - 1, value.year, value.year + 1)]
    return min(near, key=lambda candidate: abs(candidate - value))


def _day(year: int, month: int, day: int) -> date:
    """A day, of 29 to 31 that its month lacks the last there is. Raises ValueError.

    Banks that count every month to its 30th give interest from "30 February", and the German banks' own specification
    closes a statement on 31 November (DFÜ-Abkommen, Anlage 3, 8.2.5).
    """
    last = monthrange(year, month)[1]
    return date(year, month, last if last < day <= _LONGEST_MONTH else day)
