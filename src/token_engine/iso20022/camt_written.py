"""Reads the plainly written entries of one message: those of one payment or none, and batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from token_engine.domain.entry import DETAILS_KEPT, Entry
from token_engine.iso20022.camt_columns import entries_of
from token_engine.iso20022.camt_pattern import Pattern, S
from token_engine.iso20022.camt_shape import DetailShape, Shape
from token_engine.iso20022.camt_shapes import ENTRIES, PAYMENTS, Alike, Shapes, Texts
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.camt_texts import detail_of, entry_of

_BLANKS: Final = " \t\r\n"
_MANY: Final = 8
"""Fewer entries are read sooner one by one than by columns."""
Written = tuple[list[Entry], int, int]
"""Entries that follow each other, where the text of the last one ends, and how many line breaks they have. None, where
there is one that is not plain.
"""


class WrittenEntries:
    """The plainly written entries of one message, whose tags have this prefix."""

    def __init__(self, prefix: str) -> None:
        self._opening = f"<{prefix}Ntry>"
        self._closing = f"</{prefix}Ntry>"
        self._payment = f"<{prefix}TxDtls>"
        self._payment_end = f"</{prefix}TxDtls>"
        self._no_payment = f"<{prefix}TxDtls/>"
        self._entries = Shapes(ENTRIES, prefix)
        self._payments = Shapes(PAYMENTS, prefix)

    def read(self, text: str) -> Iterator[Written]:
        """All of a text that begins with an entry, or the blanks before one, and ends with an entry."""
        at = 0
        while at < len(text):
            if alike := self._entries.alike(text, at):
                yield from self._told(text, at, alike)
                at = alike[-1][2]
            else:
                end = text.index(self._closing, at) + len(self._closing)
                yield self._alone(text, at, end)
                at = end

    def _told(self, text: str, at: int, alike: Sequence[Alike[Shape]]) -> Iterator[Written]:
        """Entries that patterns tell: all at once, but for those that are to be taken apart, and where one cannot be
        read each by itself.
        """
        if len(alike) >= _MANY and None in [texts for _, texts, _ in alike]:
            half = len(alike) // 2
            yield from self._told(text, at, alike[:half])
            yield from self._told(text, alike[half - 1][2], alike[half:])
        elif len(alike) >= _MANY and (entries := _at_once(alike)):
            yield entries, alike[-1][2], sum([pattern.lines for pattern, _, _ in alike])
        else:
            for each in alike:
                yield self._one(text, at, each)
                *_, at = each

    def _one(self, text: str, at: int, told: Alike[Shape]) -> Written:
        pattern, texts, end = told
        if texts is None:
            return self._alone(text, at, end)
        try:
            return [entry_of(pattern.shape, pattern.pick(texts))], end, pattern.lines
        except NoShapeError:
            return [], end, 0

    def _alone(self, text: str, at: int, end: int) -> Written:
        opening = text.find(self._opening, at, end)
        if opening < 0 or text[at:opening].strip(_BLANKS):
            return [], end, 0
        element = text[at:end]
        try:
            return [self._entry(element)], end, element.count("\n")
        except NoShapeError:
            return [], end, 0

    def _entry(self, text: str) -> Entry:
        if text.count(self._payment) > 1:
            return self._batch(text)
        shape, texts = self._entries.taken_apart(text)
        return entry_of(shape, texts)

    def _batch(self, text: str) -> Entry:
        """An entry of several payments in a row: its shape has one that is empty, in their place."""
        if self._no_payment in text:
            raise NoShapeError
        begin = at = text.rindex(">", 0, text.index(self._payment)) + 1
        payments: list[tuple[DetailShape, Texts]] = []
        while text.startswith(self._payment, opening := text.index("<", at)):
            more, at = self._payments_at(text, at, opening)
            payments += more
        if len(payments) == 1:
            raise NoShapeError  # the others stand somewhere else
        outer = f"{text[:begin]}{self._no_payment}{text[at:]}"
        [told] = [_picked(pattern, texts) for pattern, texts, _ in self._entries.alike(outer, 0)] or [None]
        shape, texts = told or self._entries.taken_apart(outer)
        if not shape.itemised:
            raise NoShapeError
        details = tuple([detail_of(of, words, shape.currency) for of, words in payments])
        return entry_of(shape, texts, details if len(details) <= DETAILS_KEPT else ())

    def _payments_at(self, text: str, at: int, opening: int) -> tuple[list[tuple[DetailShape, Texts]], int]:
        """The payment whose tag is at `opening`, what stands before it from `at` on, and those that follow; and where
        the last one ends.
        """
        if not (alike := self._payments.alike(text, at)):
            end = text.find(self._payment_end, opening) + len(self._payment_end)
            if end < opening:
                raise NoShapeError
            return [self._payments.taken_apart(text[at:end])], end
        payments = []
        for pattern, texts, end in alike:
            payments.append(_picked(pattern, texts) or self._payments.taken_apart(text[at:end]))
            at = end
        return payments, at


def _picked(pattern: Pattern[S], texts: Texts | None) -> tuple[S, Texts] | None:
    return None if texts is None else (pattern.shape, pattern.pick(texts))


def _at_once(alike: Sequence[Alike[Shape]]) -> list[Entry]:
    """What these tell, whichever pattern each of them has; none where one cannot be read."""
    texts_of: dict[Pattern[Shape], list[Texts]] = {}
    for pattern, texts, _ in alike:
        if texts is not None:
            texts_of.setdefault(pattern, []).append(texts)
    try:
        told = {
            pattern: iter(entries_of(pattern.shape, pattern.pick([*zip(*texts, strict=True)])))
            for pattern, texts in texts_of.items()
        }
    except NoShapeError:
        return []
    return [next(told[pattern]) for pattern, _, _ in alike]
