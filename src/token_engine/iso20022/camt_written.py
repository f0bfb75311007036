"""Reads the plainly written entries of one message: those of one payment or none, and batches."""

from __future__ import annotations

from typing import Final

from token_engine.domain.entry import DETAILS_KEPT, Entry
from token_engine.iso20022.camt_shape import DetailShape
from token_engine.iso20022.camt_shapes import ENTRIES, PAYMENTS, Shapes, Texts
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.camt_texts import detail_of, entry_of

_BLANKS: Final = " \t\r\n"
Written = tuple[Entry, int, int]
"""An entry, where its text ends, and how many line breaks it has."""


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

    def at(self, text: str, at: int) -> Written | None:
        """The entry that begins here, or the blanks before it, if it is plain. `text` has its closing tag."""
        if (found := self._entries.alike(text, at)) is not None:
            pattern, texts, end = found
            try:
                return entry_of(pattern.shape, texts), end, pattern.lines
            except NoShapeError:
                return None
        end = text.index(self._closing, at) + len(self._closing)
        opening = text.find(self._opening, at, end)
        if opening < 0 or text[at:opening].strip(_BLANKS):
            return None
        element = text[at:end]
        try:
            return self._entry(element), end, element.count("\n")
        except NoShapeError:
            return None

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
            payment, at = self._payment_at(text, at, opening)
            payments.append(payment)
        if len(payments) == 1:
            raise NoShapeError  # the others stand somewhere else
        outer = f"{text[:begin]}{self._no_payment}{text[at:]}"
        found = self._entries.alike(outer, 0)
        shape, texts = self._entries.taken_apart(outer) if found is None else (found[0].shape, found[1])
        if not shape.itemised:
            raise NoShapeError
        details = tuple([detail_of(of, words, shape.currency) for of, words in payments])
        return entry_of(shape, texts, details if len(details) <= DETAILS_KEPT else ())

    def _payment_at(self, text: str, at: int, opening: int) -> tuple[tuple[DetailShape, Texts], int]:
        """The payment whose tag is at `opening`, what stands before it from `at` on, and where it ends."""
        if (found := self._payments.alike(text, at)) is not None:
            pattern, texts, end = found
            return (pattern.shape, texts), end
        end = text.find(self._payment_end, opening) + len(self._payment_end)
        if end < opening:
            raise NoShapeError
        return self._payments.taken_apart(text[at:end]), end
