"""Reads the texts of many plainly written entries at once, one column after the other, as `camt_texts` reads those of
one: most of what each needs by itself can be seen for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.iso20022.camt_details import party_account, short_reference, single_reference
from token_engine.iso20022.camt_shape import ORDERED, SINGLES, Shape
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.camt_texts import AMOUNT, REFERENCE, SIDES, STATUSES, YES_NO, checked_reference, code_in
from token_engine.iso20022.words import ACCOUNT_NUMBER_LENGTH, NAME_LENGTH, REMITTANCE_LENGTH, calendar_date

W = TypeVar("W", bound=Hashable)
T = TypeVar("T")
Column = Sequence[str]
"""One text of each of several entries, empty where there is none."""
Told = Sequence[str | None]

_BETWEEN: Final = "\0"
"""No text of XML has one."""


def _in_a_row(word: str) -> re.Pattern[str]:
    return re.compile(f"{word}(?:{_BETWEEN}{word})*+", re.ASCII)


_AMOUNTS: Final = _in_a_row(AMOUNT.pattern)
_REFERENCES: Final = _in_a_row(REFERENCE)
_ACCOUNTS: Final = _in_a_row(rf"[!-`{{-~]{{0,{ACCOUNT_NUMBER_LENGTH}}}+")


def entries_of(shape: Shape, texts: Sequence[Column]) -> list[Entry]:
    """The entries of one shape whose texts these are, a column for each of its places: what many have in common is
    found once. Raises NoShapeError where `camt_entry` has to look at one of them.
    """
    amounts, debtor_accounts, creditor_accounts, *references = texts[ORDERED]
    (
        indicators, reversal_words, status_words, booked, valued, payment_information_ids, batch_message_ids,
        debtors, creditors,
    ) = texts[SINGLES]  # fmt: skip
    if not _AMOUNTS.fullmatch(_BETWEEN.join(amounts)):
        raise NoShapeError
    lines = len(amounts)
    sides = _each(SIDES.__getitem__, indicators)
    reversals = _each(YES_NO.__getitem__, reversal_words) if shape.has_reversal else [False] * lines
    by_debtor = [(side is CreditDebit.CRDT) is not reversal for side, reversal in zip(sides, reversals, strict=True)]
    own, servicer, of_detail, end_to_end_ids, uetrs, instruction_ids, transaction_ids = map(_kept, references)
    structured, unstructured = texts[shape.structured], texts[shape.unstructured]
    nothing = [None] * lines
    columns = {
        "amount": map(Decimal, amounts),
        "currency": [shape.currency] * lines,
        "credit_debit": sides,
        "status": _each(STATUSES.__getitem__, status_words) if shape.has_status else [EntryStatus.BOOK] * lines,
        "reversal": reversals,
        "booking_date": _each(calendar_date, booked) if shape.has_booking_date else nothing,
        "value_date": _each(calendar_date, valued) if shape.has_value_date else nothing,
        "servicer_reference": _first(servicer, of_detail),
        "entry_reference": _first(own),
        "end_to_end_id": _first(end_to_end_ids),
        "uetr": _first(uetrs),
        "instruction_id": _first(instruction_ids),
        "transaction_id": _first(transaction_ids),
        "counterparty": _first(_written(_chosen(by_debtor, debtors, creditors), NAME_LENGTH)),
        "counterparty_account": _first(_accounts(_chosen(by_debtor, debtor_accounts, creditor_accounts))),
        "creditor_reference": [*map(single_reference, zip(*structured, strict=True))] if structured else nothing,
        "remittance": _first(_written(_on_one_line(unstructured), REMITTANCE_LENGTH)) if unstructured else nothing,
        "transaction_code": _first(
            _each(code_in, [*zip(*texts[shape.transaction_code], strict=True)]),
            _each(code_in, [*zip(*texts[shape.detail_code], strict=True)]),
        ),
        "batch_reference": _first(
            _each(short_reference, payment_information_ids), _each(short_reference, batch_message_ids)
        ),
        "details": [()] * lines,
    }
    return list(map(Entry, *[columns[name] for name in Entry.__struct_fields__]))


def _kept(references: Column) -> Column:
    words = _BETWEEN.join(references)
    if not _REFERENCES.fullmatch(words):
        return [checked_reference(word) or "" for word in references]
    return ["" if word == "NOTPROVIDED" else word for word in references] if "NOTPROVIDED" in words else references


def _accounts(column: Column) -> Told:
    return column if _ACCOUNTS.fullmatch(_BETWEEN.join(column)) else [party_account(word) for word in column]


def _written(column: Column, length: int) -> Told:
    """Words for people, as `written`: of all texts at once single blanks are made, and none beside what is between."""
    if not any(column):
        return column
    told = " ".join(_BETWEEN.join(column).split()).replace(f" {_BETWEEN}", _BETWEEN).replace(f"{_BETWEEN} ", _BETWEEN)
    words = told.split(_BETWEEN)
    return words if max(map(len, words)) <= length else [word[:length].rstrip() for word in words]


def _on_one_line(columns: Sequence[Column]) -> Column:
    return columns[0] if len(columns) == 1 else list(map(" ".join, zip(*columns, strict=True)))


def _each(rule: Callable[[W], T], column: Sequence[W]) -> list[T]:
    """What a rule makes of each, where most are the same: of each word once. Raises NoShapeError where it has none."""
    try:
        if column.count(column[0]) == len(column):
            return [rule(column[0])] * len(column)
        made = {word: rule(word) for word in set(column)}
    except (KeyError, ValueError) as error:
        raise NoShapeError from error
    return list(map(made.__getitem__, column))


def _chosen(first: Sequence[bool], column: Column, other: Column) -> Column:
    if all(first):
        return column
    if not any(first):
        return other
    return [one if chosen else two for chosen, one, two in zip(first, column, other, strict=True)]


def _first(column: Told, other: Told | None = None) -> Told:
    """Of each the first of two words that says something, None where neither does."""
    if all(column):
        return column
    if other is None:
        return [word or None for word in column]
    return [word or instead or None for word, instead in zip(column, other, strict=True)]
