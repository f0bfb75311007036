"""Reads the texts of a plainly written entry, by its shape, as `camt_entry` reads its elements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final

from token_engine.domain.entry import CreditDebit, Entry, EntryDetail, EntryStatus
from token_engine.iso20022.camt_details import code_of, party_account, short_reference, single_reference
from token_engine.iso20022.camt_shape import DetailShape, Shape
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.words import (
    NAME_LENGTH,
    REFERENCE_LENGTH,
    REMITTANCE_LENGTH,
    calendar_date,
    reference,
    written,
)
from token_engine.iso20022.xml import clean

# What is written otherwise, `plain_decimal` reads or refuses.
_AMOUNT: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,5})?", re.ASCII)
_SIDES: Final = {"CRDT": CreditDebit.CRDT, "DBIT": CreditDebit.DBIT}
_STATUSES: Final = {status.value: status for status in EntryStatus}
_YES_NO: Final = {"true": True, "false": False}


def entry_of(shape: Shape, texts: Sequence[str], details: tuple[EntryDetail, ...] = ()) -> Entry:
    """The entry whose texts these are. Raises NoShapeError where `camt_entry` has to look at them."""
    (
        amount, side, reversal_word, status_word, booked, valued, entry_reference, servicer_reference,
        detail_reference, end_to_end_id, uetr, instruction_id, transaction_id, payment_information_id, batch_message_id,
        debtor, debtor_account, creditor, creditor_account,
    ) = shape.singles(texts)  # fmt: skip
    credit_debit = _SIDES.get(side)
    status = _STATUSES.get(status_word) if shape.has_status else EntryStatus.BOOK
    reversal = _YES_NO.get(reversal_word) if shape.has_reversal else False
    if credit_debit is None or status is None or reversal is None or not _AMOUNT.fullmatch(amount):
        raise NoShapeError
    by_debtor = (credit_debit is CreditDebit.CRDT) is not reversal
    return Entry(
        amount=Decimal(amount),
        currency=shape.currency,
        credit_debit=credit_debit,
        status=status,
        reversal=reversal,
        booking_date=_day(booked) if shape.has_booking_date else None,
        value_date=_day(valued) if shape.has_value_date else None,
        servicer_reference=_reference(servicer_reference) or _reference(detail_reference),
        entry_reference=_reference(entry_reference),
        end_to_end_id=_reference(end_to_end_id),
        uetr=_reference(uetr),
        instruction_id=_reference(instruction_id),
        transaction_id=_reference(transaction_id),
        counterparty=written(debtor if by_debtor else creditor, NAME_LENGTH),
        counterparty_account=party_account(debtor_account if by_debtor else creditor_account),
        creditor_reference=single_reference(texts[at] for at in shape.structured) if shape.structured else None,
        remittance=written(" ".join([texts[at] for at in shape.unstructured]), REMITTANCE_LENGTH),
        transaction_code=_code(texts, shape.transaction_code) or _code(texts, shape.detail_code),
        batch_reference=_batch_reference(payment_information_id, batch_message_id),
        details=details,
    )


def detail_of(shape: DetailShape, texts: Sequence[str], currency: str) -> EntryDetail:
    """One payment of an entry in this currency, as `camt_details` reads it. Raises NoShapeError as `entry_of`."""
    amount = None
    for place, of in shape.amounts:
        if of == currency:
            word = texts[place]
            if not _AMOUNT.fullmatch(word):
                raise NoShapeError
            amount = Decimal(word)
            break
    side = texts[shape.side]
    if side and side not in _SIDES:
        raise NoShapeError
    end_to_end_id, uetr, instruction_id, transaction_id = shape.references
    return EntryDetail(
        amount=amount,
        credit_debit=_SIDES.get(side),
        end_to_end_id=short_reference(texts[end_to_end_id]),
        uetr=short_reference(texts[uetr]),
        instruction_id=short_reference(texts[instruction_id]),
        transaction_id=short_reference(texts[transaction_id]),
        creditor_reference=single_reference(texts[at] for at in shape.structured) if shape.structured else None,
    )


def _day(word: str) -> date:
    try:
        return calendar_date(word)
    except ValueError as error:
        raise NoShapeError from error


def _reference(text: str) -> str | None:
    if not text:
        return None
    word = reference(clean(text))
    if word is not None and len(word) > REFERENCE_LENGTH:
        raise NoShapeError
    return word


def _batch_reference(payment_information_id: str, message_id: str) -> str | None:
    if not (payment_information_id or message_id):
        return None
    return short_reference(payment_information_id) or short_reference(message_id)


def _code(texts: Sequence[str], places: tuple[tuple[int, ...], int]) -> str | None:
    words, own = places
    return _code_of(tuple([texts[at] for at in words]), texts[own])


@lru_cache(maxsize=1024)
def _code_of(words: tuple[str, ...], own: str) -> str | None:
    return code_of(words, own)
