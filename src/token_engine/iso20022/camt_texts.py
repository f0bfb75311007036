"""Reads the texts of a plainly written entry, by its shape, as `camt_entry` reads its elements."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

from token_engine.domain.entry import CreditDebit, Entry, EntryDetail, EntryStatus
from token_engine.iso20022.camt_details import code_of, party_account, short_reference, single_reference
from token_engine.iso20022.camt_shape import ORDERED, PAYMENT_REFERENCES, SINGLES, DetailShape, Shape
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.words import (
    ACCOUNT_NUMBER_LENGTH,
    NAME_LENGTH,
    REFERENCE_LENGTH,
    REMITTANCE_LENGTH,
    calendar_date,
    reference,
    written,
)
from token_engine.iso20022.xml import clean

# What is written otherwise, `plain_decimal` reads or refuses.
AMOUNT: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,5})?", re.ASCII)
# Most words are written as they are kept, and one look at all of an entry's, each on a line, tells: an amount; account
# numbers without blanks and small letters; references without blanks and with a digit other than zero, which no word
# for "none" has. NOTPROVIDED is often written for a reference, and among accounts it is a number like others.
_ACCOUNT: Final = rf"(?!NOTPROVIDED\n)[!-`{{-~]{{0,{ACCOUNT_NUMBER_LENGTH}}}+"
REFERENCE: Final = (
    rf"(?:[!-0:-~]{{0,{REFERENCE_LENGTH // 2 - 1}}}+[1-9][!-~]{{0,{REFERENCE_LENGTH // 2}}}+|NOTPROVIDED|)"
)
_IN_ORDER: Final = re.compile("\n".join([AMOUNT.pattern, _ACCOUNT, _ACCOUNT, *[REFERENCE] * 7]))
_REFERENCES_IN_ORDER: Final = re.compile("\n".join([REFERENCE] * 4))
SIDES: Final = {"CRDT": CreditDebit.CRDT, "DBIT": CreditDebit.DBIT}
STATUSES: Final = {status.value: status for status in EntryStatus}
YES_NO: Final = {"true": True, "false": False}


def entry_of(shape: Shape, texts: tuple[str, ...], details: tuple[EntryDetail, ...] = ()) -> Entry:
    """The entry whose texts these are, in the order of the shape's places. Raises NoShapeError where `camt_entry` has
    to look at them.
    """
    (
        side, reversal_word, status_word, booked, valued, payment_information_id, batch_message_id, debtor, creditor,
    ) = texts[SINGLES]  # fmt: skip
    credit_debit = SIDES.get(side)
    status = STATUSES.get(status_word) if shape.has_status else EntryStatus.BOOK
    reversal = YES_NO.get(reversal_word) if shape.has_reversal else False
    if credit_debit is None or status is None or reversal is None:
        raise NoShapeError
    try:
        booking_date = calendar_date(booked) if shape.has_booking_date else None
        value_date = calendar_date(valued) if shape.has_value_date else None
    except ValueError as error:
        raise NoShapeError from error
    (
        amount, debtor_account, creditor_account, entry_reference, servicer_reference, detail_reference,
        end_to_end_id, uetr, instruction_id, transaction_id,
    ) = _kept(texts[ORDERED], _IN_ORDER, _ordered)  # fmt: skip
    structured = texts[shape.structured]
    by_debtor = (credit_debit is CreditDebit.CRDT) is not reversal
    return Entry(
        amount=Decimal(amount),
        currency=shape.currency,
        credit_debit=credit_debit,
        status=status,
        reversal=reversal,
        booking_date=booking_date,
        value_date=value_date,
        servicer_reference=servicer_reference or detail_reference or None,
        entry_reference=entry_reference or None,
        end_to_end_id=end_to_end_id or None,
        uetr=uetr or None,
        instruction_id=instruction_id or None,
        transaction_id=transaction_id or None,
        counterparty=written(debtor if by_debtor else creditor, NAME_LENGTH),
        counterparty_account=(debtor_account if by_debtor else creditor_account) or None,
        creditor_reference=single_reference(structured) if structured else None,
        remittance=written(" ".join(texts[shape.unstructured]), REMITTANCE_LENGTH),
        transaction_code=code_in(texts[shape.transaction_code]) or code_in(texts[shape.detail_code]),
        batch_reference=_batch_reference(payment_information_id, batch_message_id),
        details=details,
    )


def detail_of(shape: DetailShape, texts: tuple[str, ...], currency: str) -> EntryDetail:
    """One payment of an entry in this currency, as `camt_details` reads it. Raises NoShapeError as `entry_of`."""
    side = texts[0]
    end_to_end_id, uetr, instruction_id, transaction_id = _kept(
        texts[PAYMENT_REFERENCES], _REFERENCES_IN_ORDER, _short_references
    )
    amount = None
    if currency in shape.currencies:
        word = texts[shape.amounts][shape.currencies.index(currency)]
        if not AMOUNT.fullmatch(word):
            raise NoShapeError
        amount = Decimal(word)
    if side and side not in SIDES:
        raise NoShapeError
    structured = texts[shape.structured]
    return EntryDetail(
        amount=amount,
        credit_debit=SIDES.get(side),
        end_to_end_id=end_to_end_id or None,
        uetr=uetr or None,
        instruction_id=instruction_id or None,
        transaction_id=transaction_id or None,
        creditor_reference=single_reference(structured) if structured else None,
    )


def _kept(
    words: tuple[str, ...], in_order: re.Pattern[str], otherwise: Callable[[tuple[str, ...]], Sequence[str]]
) -> Sequence[str]:
    """Words as they are kept, empty where there is none."""
    joined = "\n".join(words)
    if not in_order.fullmatch(joined):
        return otherwise(words)
    return ["" if word == "NOTPROVIDED" else word for word in words] if "NOTPROVIDED" in joined else words


def _ordered(words: tuple[str, ...]) -> Sequence[str]:
    amount, debtor_account, creditor_account, *references = words
    if not AMOUNT.fullmatch(amount):
        raise NoShapeError
    accounts = (party_account(debtor_account) or "", party_account(creditor_account) or "")
    return [amount, *accounts, *[checked_reference(word) or "" for word in references]]


def _short_references(words: tuple[str, ...]) -> Sequence[str]:
    return [short_reference(word) or "" for word in words]


def checked_reference(text: str) -> str | None:
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


@lru_cache(maxsize=1024)
def code_in(words: tuple[str, ...]) -> str | None:
    *of_domain, own = words
    return code_of(of_domain, own)
