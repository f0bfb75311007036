"""The shapes that entries have had so far, and the entries that the texts of one make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from token_engine.domain.entry import DETAILS_KEPT, Entry, EntryDetail
from token_engine.iso20022.camt_shape import DetailShape, Shape, detail_shape_of, shape_of
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.camt_texts import detail_of, entry_of

_MOST: Final = 2_000
_MOST_NEW: Final = 200
"""Of one message. Where each entry has another shape, finding them takes longer than parsing does."""
_MOST_TAGS: Final = 400
"""So that all shapes together stay small, whatever is sent."""
_T = TypeVar("_T")

_Known = dict[tuple[str, str], _T | None]
_entries: _Known[Shape] = {}
_details: _Known[DetailShape] = {}
"""Of all messages that were read, by prefix and tags: a bank's next message is written as the last one."""


class Shapes:
    """The shapes of one message, whose elements have this prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._details = f"{prefix}TxDtls"
        self._closing = f"/{prefix}TxDtls"
        self._empty = f"{prefix}TxDtls/"
        self._new = 0

    def entry(self, texts: list[str]) -> Entry:
        """The entry that these are the texts and tags of, in turn, from behind `<Ntry>` to before `</Ntry>`.

        Raises NoShapeError where the parser has to look at it.
        """
        tags = texts[1::2]
        if tags.count(self._details) > 1:
            return self._batch(texts, tags)
        shape = self._shape(_entries, tags, shape_of)
        texts.append("")
        return entry_of(shape, texts)

    def _batch(self, texts: list[str], tags: list[str]) -> Entry:
        """An entry of several details in a row: its shape has one that is empty, in their place."""
        if self._empty in tags:
            raise NoShapeError
        begin = at = tags.index(self._details)
        payments: list[list[str]] = []
        while at < len(tags) and tags[at] == self._details:
            try:
                end = tags.index(self._closing, at)
            except ValueError as error:
                raise NoShapeError from error
            payments.append(texts[2 * at + 2 : 2 * end + 1])
            at = end + 1
        if len(payments) == 1:
            raise NoShapeError  # the others stand somewhere else
        outer = self._shape(_entries, [*tags[:begin], self._empty, *tags[at:]], shape_of)
        if not outer.itemised:
            raise NoShapeError
        around = [*texts[: 2 * begin + 2], *texts[2 * at :], ""]
        details = tuple([self._detail(payment, outer.currency) for payment in payments])
        return entry_of(outer, around, details if len(details) <= DETAILS_KEPT else ())

    def _detail(self, texts: list[str], currency: str) -> EntryDetail:
        shape = self._shape(_details, texts[1::2], detail_shape_of)
        texts.append("")
        return detail_of(shape, texts, currency)

    def _shape(self, known: _Known[_T], tags: list[str], find: Callable[[Sequence[str], str], _T | None]) -> _T:
        if len(tags) > _MOST_TAGS:
            raise NoShapeError
        key = self._prefix, "<".join(tags)
        if key in known:
            shape = known[key]
        else:
            if self._new == _MOST_NEW:
                raise NoShapeError
            self._new += 1
            if len(known) >= _MOST:
                known.clear()
            shape = known[key] = find(tags, self._prefix)
        if shape is None:
            raise NoShapeError
        return shape
