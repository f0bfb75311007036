"""Small readings of an XML element, by local name, with a fault that knows its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import takewhile
from typing import Final, cast

from lxml.etree import _Element as Element

from token_engine.domain.entry import CreditDebit
from token_engine.domain.money import UNSTATED, parse_amount
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.words import AMOUNT_LENGTH

_BLANKS: Final = " \t\r\n"
_LINE_BREAKS: Final = dict.fromkeys(map(ord, "\t\n\r"), " ")
FRACTION_DIGITS: Final = 5
"""ISO 20022, ActiveOrHistoricCurrencyAndAmount: fractionDigits 5."""
_WRITTEN_OUT: Final = re.compile(r"\+?([0-9]*)(\.?)([0-9]*)", re.ASCII)
"""XML Schema part 2, 3.2.3.1: a plus may be written, and the digits on one side of the point be left out (".72")."""


class FaultError(Exception):
    """Something wrong at `path` below the element being read, on `line` of the message."""

    def __init__(self, code: str, element: Element, path: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.path = path
        self.why = why
        self.line = cast("int | None", element.sourceline)  # the stubs know no None

    def within(self, place: str, lines_skipped: int) -> RefusedError:
        """The same as a refusal whose field is the whole path: "Ntfctn[1]/Ntry[3]/Amt"."""
        field = f"{place}/{self.path}" if self.path else place
        where = "" if self.line is None else f" (line {self.line + lines_skipped})"
        return RefusedError(self.code, f"{field}: {self.why}{where}", field)


def local(tag: str) -> str:
    """The name of a tag without its namespace."""
    return tag.rpartition("}")[2]


def named(children: Iterable[Element], *names: str) -> Iterator[Element]:
    """Those of an element's children that bear one of these local names."""
    for child in children:
        if local(child.tag) in names:
            yield child


def before(parent: Element, name: str) -> list[Element]:
    """The children before the first `name`. What follows may not be complete while a stream is read."""
    return list(takewhile(lambda child: local(child.tag) != name, parent))


def find(children: Iterable[Element] | None, *path: str) -> Element | None:
    """The first descendant along a path of local names; a step may offer several: "BICFI|BIC"."""
    found: Element | None = None
    for step in path:
        if children is None:
            return None
        children = found = next(named(children, *step.split("|")), None)
    return found


def text(element: Element, path: str) -> str:
    """All text of a leaf, without blanks around it; a line break or tab inside it is a blank.

    An element, or an entity left unresolved, inside would cut `Element.text` short: that is refused.
    """
    if len(element):
        raise FaultError("invalid_xml", element, path, "holds other elements where plain text is expected")
    return clean(element.text or "")


def clean(words: str) -> str:
    """The text of a leaf without blanks around it, and with a blank for a line break or tab inside."""
    word = words.strip(_BLANKS)
    return word if word.isprintable() else word.translate(_LINE_BREAKS)


def text_at(children: Iterable[Element] | None, *path: str) -> str:
    """Text of the leaf at a path, empty where there is none."""
    leaf = find(children, *path)
    return "" if leaf is None else text(leaf, "/".join(path))


def amount(element: Element, path: str) -> tuple[Decimal, str]:
    """An `Amt` with its `Ccy`: a non-negative decimal in major units, and three capitals."""
    currency = element.get("Ccy", "").strip(_BLANKS)
    if not currency:
        raise FaultError("missing_field", element, f"{path}/@Ccy", "the amount has no currency")
    return plain_decimal(text(element, path), element, path), currency_code(currency, element, f"{path}/@Ccy")


def currency_code(word: str, element: Element, path: str) -> str:
    """Three capitals. Banks still write codes that ISO 4217 has withdrawn, so no list decides here."""
    if not (len(word) == 3 and word.isascii() and word.isalpha() and word.isupper() and word != UNSTATED):
        raise FaultError("unknown_currency", element, path, f"{word[:12]!r} is no currency code")
    return word


def plain_decimal(digits: str, element: Element, path: str, decimals: int = FRACTION_DIGITS) -> Decimal:
    """A non-negative decimal of at most so many decimals (trailing zeros aside)."""
    if len(digits) > AMOUNT_LENGTH:
        raise FaultError("invalid_amount", element, path, f"is longer than {AMOUNT_LENGTH} characters")
    if (written := _WRITTEN_OUT.fullmatch(digits)) and (written[1] or written[3]):
        digits = f"{written[1] or 0}.{written[3] or 0}" if written[2] else written[1]
    try:
        value = parse_amount(digits, path)
    except RefusedError as error:
        raise FaultError(error.refusal.code, element, path, str(error).removeprefix(f"{path}: ")) from error
    if len(digits.partition(".")[2].rstrip("0")) > decimals:
        raise FaultError("invalid_amount", element, path, f"{value} has more than {decimals} decimals")
    return value


def credit_debit(element: Element, path: str) -> CreditDebit:
    """CRDT or DBIT, in capitals as the standard has them."""
    word = text(element, path)
    if word == "CRDT":
        return CreditDebit.CRDT
    if word == "DBIT":
        return CreditDebit.DBIT
    raise FaultError("invalid_indicator", element, path, f"{word[:12]!r} is neither CRDT nor DBIT")


_YES_NO: Final = {"true": True, "1": True, "false": False, "0": False}


def yes_no(element: Element, path: str) -> bool:
    """An XML boolean."""
    word = text(element, path)
    if word not in _YES_NO:
        raise FaultError("invalid_indicator", element, path, f"{word[:12]!r} is neither true nor false")
    return _YES_NO[word]
