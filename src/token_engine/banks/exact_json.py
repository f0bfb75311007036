"""JSON as a bank wrote it: numbers exact, every member said once, and every refusal in words of ours."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

_MAY_BE_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")


class NotExactError(ValueError):
    """It cannot be read for certain. The message says why and repeats nothing of what was read."""


def parse(body: bytes) -> Any:
    """Objects, lists, texts, booleans and None; numbers as Decimals, in the digits that were written.

    Raises NotExactError: not UTF-8, not JSON, nested too deep, NaN or Infinity, a number beyond any money, half a
    character (a lone surrogate), a member that one object says twice (which of the two is meant, nobody can say).
    """
    try:
        text = body.decode()
        content = json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_no_number, object_pairs_hook=_once
        )
        if _MAY_BE_HALF.search(text):
            # Only where one is escaped: UTF-8 itself has none.
            json.dumps(content, ensure_ascii=False, default=str).encode()
        return content
    except NotExactError:
        raise
    except json.JSONDecodeError as error:
        raise NotExactError(f"{error.msg} at byte {error.pos}") from None
    except UnicodeEncodeError:
        raise NotExactError("half a character") from None
    except UnicodeDecodeError as error:
        raise NotExactError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise NotExactError("nested too deep") from None


def _number(word: str) -> Decimal:
    # 1e999999999 is a number of a gigabyte of digits once somebody writes it out.
    try:
        number = Decimal(word) if len(word) <= 60 else None
    except InvalidOperation:
        number = None  # an exponent beyond any
    if number is None or number.adjusted() > 30 or _decimals(number) > 60:
        raise NotExactError("a number beyond any amount of money")
    return number


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def _no_number(word: str) -> NoReturn:
    raise NotExactError(f"{word} is no number")


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(members)
    if len(told) < len(members):
        raise NotExactError("an object says a member twice")
    return told
