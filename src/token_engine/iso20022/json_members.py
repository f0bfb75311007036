"""Small readings of a JSON member, whose refusals name it; shared by the notification and the statement."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeVar

from token_engine.domain.entry import CreditDebit
from token_engine.domain.money import parse_amount
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.words import AMOUNT_LENGTH, REFERENCE_LENGTH, reference

CREDIT_DEBIT: Final = {"CRDT": CreditDebit.CRDT, "DBIT": CreditDebit.DBIT}
_T = TypeVar("_T")


def check_said_once(raw: bytes, names: Collection[str], what: str, at: str = "") -> None:
    """Refuse a text that says one of these members twice: decoders before us may have taken the first, ours takes
    the last.

    Called where a name occurs twice or may hide in an escape: it might stand in a value, which is fine.
    """

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        told = Counter(name for name, _ in pairs)
        for name in names:
            if told[name] > 1:
                raise RefusedError("repeated_member", f"{at}{name}: is said {told[name]} times", f"{at}{name}")
        return {}

    try:
        json.loads(raw, object_pairs_hook=members, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise RefusedError("invalid_json", f"not a JSON {what}: {error}") from error


def required(word: str, field: str, length: int) -> str:
    """A text that says something, without outer blanks."""
    _check_text(word, field, length)
    word = word.strip()
    if not word:
        raise RefusedError("missing_field", f"{field}: is blank", field)
    return word


def optional_reference(word: str | None, field: str) -> str | None:
    """A reference, or None where there is none or its word identifies nothing."""
    if word is None:
        return None
    _check_text(word, field, REFERENCE_LENGTH)
    return reference(word)


def _check_text(word: str, field: str, length: int) -> None:
    if len(word) > length:
        raise RefusedError("text_too_long", f"{field}: is longer than {length} characters", field)
    if not word.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in word):
        raise RefusedError("invalid_text", f"{field}: holds a control character", field)


def plain_amount(word: str, field: str) -> Decimal:
    """A non-negative plain decimal in major units."""
    if len(word) > AMOUNT_LENGTH:
        raise RefusedError("invalid_amount", f"{field}: is longer than {AMOUNT_LENGTH} characters", field)
    return parse_amount(word, field)


def dated(word: str | None, field: str, parse: Callable[[str], _T]) -> _T | None:
    """A date or date-time by `parse`, which raises ValueError for what is none."""
    if word is None:
        return None
    try:
        return parse(word)
    except ValueError as error:
        raise RefusedError("invalid_date", f"{field}: {word[:40]!r} is not an ISO 8601 date", field) from error


def refuse_indicator(word: str, field: str) -> NoReturn:
    hint = " (in capitals)" if word.strip().upper() in CREDIT_DEBIT else ""
    raise RefusedError("invalid_indicator", f"{field}: {word[:12]!r} is neither CRDT nor DBIT{hint}", field)


_MISSING: Final = re.compile(r"missing required field `(\w+)`|got `null` - at `\$\.(\w+)`")
_WRONG_TYPE: Final = re.compile(r"Expected `(\w+)[^`]*`, got `(\w+)`(?: - at `\$\.(\w+)[^`]*`)?")
_MEMBER: Final = {
    "amount": ("invalid_amount", ', such as "100.00": a JSON number may lose digits'),
    "opening_balance": ("invalid_amount", ', such as "100.00": a JSON number may lose digits'),
    "closing_balance": ("invalid_amount", ', such as "100.00": a JSON number may lose digits'),
    "credit_debit_indicator": ("invalid_indicator", ""),
    "currency": ("unknown_currency", ""),
    "booking_date": ("invalid_date", ""),
    "value_date": ("invalid_date", ""),
    "creation_date_time": ("invalid_date", ""),
    "statement_date": ("invalid_date", ""),
}
_NAMES: Final = {"str": "string", "array": "array", "object": "object"}


def refuse(error: Exception, what: str, at: str = "") -> NoReturn:
    """Say in the words of the message what the decoder found wrong; `at` is where the member stands, "entries[3]."."""
    why = str(error)
    if missing := _MISSING.search(why):
        field = f"{at}{missing[1] or missing[2]}"
        raise RefusedError("missing_field", f"{field}: is missing", field) from error
    if wrong := _WRONG_TYPE.search(why):
        expected, kind, name = wrong.groups()
        code, hint = _MEMBER.get(name, ("invalid_json", ""))
        field = f"{at}{name}" if name else at.rstrip(".")
        if field:
            must = f"must be a JSON {_NAMES.get(expected, expected)}"
            raise RefusedError(code, f"{field}: is of type {kind}, {must}{hint}", field) from error
    raise RefusedError("invalid_json", f"not a JSON {what}: {why}") from error
