"""The texts of many entries, looked at column by column, are what each entry's would be by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readers.test_camt_plain import ENTRY
from token_engine.iso20022.camt_columns import entries_of
from token_engine.iso20022.camt_shape import Shape, shape_of
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.camt_texts import entry_of

Texts = tuple[str, ...]


def _shape(entry: str) -> Shape:
    shape = shape_of(re.split("[<>]", entry)[3:-3:2], "")
    assert shape is not None
    return shape


_USTRD: Final = "<Ustrd>Invoice 1</Ustrd><Ustrd>of November</Ustrd>"
_SHAPES: Final = [
    _shape(ENTRY),
    _shape(ENTRY.replace("<Ustrd>of November</Ustrd>", "")),
    _shape(ENTRY.replace("</Strd>", "</Strd><Strd><CdtrRefInf><Ref>OTHER</Ref></CdtrRefInf></Strd>")),
    _shape('<Ntry><Amt Ccy="USD">1</Amt><CdtDbtInd>CRDT</CdtDbtInd></Ntry>'),
]
_DATES: Final = ["2025-11-18", "2025-11-19T10:00:00+04:00"]
_READABLE: Final = {
    0: ["1", "1.50", "0", "9" * 18 + ".12345"],
    10: ["CRDT", "DBIT"],
    11: ["true", "false"],
    12: ["BOOK", "PDNG"],
    13: _DATES,
    14: _DATES,
}
"""By the place among a shape's: an amount, the indicators, the dates. In any other any word can be read."""
_WORDS: Final = [
    "", "0", "00", "1", "R-1", "NOTPROVIDED", "NOTPROVIDED1", "NotProvided", "NONREF", "N/A", "-", "abc", "ABC", "a 1",
    " 1", "1 ", "a  b", "1\n", "1\n1", "\u00a0x\u2003y", "\x85", "\x1c", "1\u0661", "de89370400440532013000",
    "DE89 3704 0044 0532 0130 00", "1" * 50, "1" * 51, "n " * 100, "w\u00f6rd " * 300, "x" * 139 + " yz", "PMNT",
    "RF18539007547034", "x" * 36,
    *(f"{'x' * before}1{'x' * behind}" for before, behind in ((69, 70), (70, 0), (69, 71), (0, 139))),
]  # fmt: skip
_any_word = st.sampled_from(_WORDS) | st.text("aA01- \n\t\u00a0\u0661\u0085\\", max_size=5)
_WRONG: Final = [
    "",
    ".5",
    "1.123456",
    "-1",
    "1" * 19,
    "\u0661",
    "crdt",
    "1",
    "LATER",
    "2025-02-30",
    "NOTPROVIDED",
    "1\n1",
]


def _texts(shape: Shape, pick: Callable[[int], str]) -> Texts:
    return tuple(pick(place) if at >= 0 else "" for place, at in enumerate(shape.places))


def _assert_each_as_alone(shape: Shape, texts: list[Texts]) -> None:
    columns = list(zip(*texts, strict=True))
    try:
        alone = [entry_of(shape, each) for each in texts]
    except NoShapeError:
        with pytest.raises(NoShapeError):
            entries_of(shape, columns)
        return
    assert entries_of(shape, columns) == alone


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.sampled_from(_SHAPES), st.integers(1, 5), st.data())
def test_of_words_that_can_be_read(shape: Shape, lines: int, data: st.DataObject) -> None:
    def drawn(place: int) -> str:
        return data.draw(st.sampled_from(_READABLE[place]) if place in _READABLE else _any_word)

    alike = data.draw(st.sets(st.integers(0, len(shape.places))))
    first = _texts(shape, drawn)
    others = [_texts(shape, lambda place: first[place] if place in alike else drawn(place)) for _ in range(lines)]
    _assert_each_as_alone(shape, [first, *others])


@pytest.mark.parametrize("word", [*_WORDS, *_WRONG])
@pytest.mark.parametrize("odd", range(3))
def test_of_one_odd_word_in_any_place(word: str, odd: int) -> None:
    usual = _texts(_SHAPES[0], lambda place: _READABLE.get(place, ["R-1"])[0])
    for place in range(len(usual)):
        texts = [list(usual) for _ in range(3)]
        texts[odd][place] = word
        _assert_each_as_alone(_SHAPES[0], [tuple(each) for each in texts])
