"""The JSON form of a camt.053 (specification, "TIER 3", its two examples)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.domain.money import FRACTION_DIGITS, UNSTATED, check_currency, check_decimals
from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.json_members import (
    CREDIT_DEBIT,
    check_said_once,
    dated,
    optional_reference,
    plain_amount,
    refuse,
    refuse_indicator,
    required,
)
from token_engine.iso20022.words import ACCOUNT_NUMBER_LENGTH, MESSAGE_ID_LENGTH, account_number, calendar_date, moment


class _Statement(msgspec.Struct):
    """The members of the specification, and one a bank may add. Others are ignored."""

    message_id: str
    account_id: str
    statement_date: str
    closing_balance: str
    entries: msgspec.Raw
    """Not decoded yet: as values, a large statement's would take several times its size."""
    currency: str | None = None
    opening_balance: str | None = None
    creation_date_time: str | None = None


class _Entry(msgspec.Struct, gc=False):
    """The members of the specification's entry, and those that a bank may add. Others are ignored."""

    credit_debit_indicator: str
    amount: str
    entry_reference: str | None = None
    end_to_end_id: str | None = None
    bank_reference: str | None = None
    transaction_id: str | None = None
    uetr: str | None = None
    booking_date: str | None = None
    value_date: str | None = None
    status: str | None = None
    currency: str | None = None


_WHAT: Final = "statement"
_decode: Final = msgspec.json.Decoder(_Statement).decode
_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_entry: Final = msgspec.json.Decoder(_Entry).decode
_STATUSES: Final = {status.value: status for status in EntryStatus}


def sections(raw: bytes) -> Iterator[Heading | Entry]:
    """Yield the heading of one JSON statement in UTF-8, then its entries, as they are read.

    A statement without `currency` leaves that to the account: its heading's is None, its balances' and entries'
    is `UNSTATED`. Raises RefusedError whose field is the member at fault, such as `entries[0].amount` of the first
    entry; what was yielded before it is then void.
    """
    said, entries = _decoded(raw)
    # A member of ours has four quotation marks, and `entries` two: more than those were said twice, or are nothing of
    # ours.
    outside = raw.count(b'"') - sum(bytes(each).count(b'"') for each in entries)
    if outside != 4 * _told(said) - 2:
        check_said_once(raw.replace(bytes(said.entries), b"[]", 1), _Statement.__struct_fields__, _WHAT)
    yield _heading(said)
    currency = said.currency or UNSTATED
    for place, each in enumerate(entries):
        yield _entry(bytes(each), currency, f"entries[{place}].")


def _decoded(raw: bytes) -> tuple[_Statement, list[msgspec.Raw]]:
    at = ""
    try:
        said = _decode(raw)
        at = "entries."
        return said, _decode_array(said.entries)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(error, _WHAT, at)


def _heading(said: _Statement) -> Heading:
    if said.currency is not None:
        check_currency(said.currency)
    currency = said.currency or UNSTATED
    closes = _day(said.statement_date, "statement_date")
    opening, closing = said.opening_balance, said.closing_balance
    balances = [] if opening is None else [_balance("OPBD", opening, "opening_balance", currency, None)]
    balances.append(_balance("CLBD", closing, "closing_balance", currency, closes))
    message_id = required(said.message_id, "message_id", MESSAGE_ID_LENGTH)
    return Heading(
        kind=MessageKind.STATEMENT,
        type="camt.053",
        message_id=message_id,
        notification_id=message_id,  # the form names both at once
        account_number=account_number(required(said.account_id, "account_id", ACCOUNT_NUMBER_LENGTH)),
        currency=said.currency,
        created_at=dated(said.creation_date_time, "creation_date_time", moment),
        balances=tuple(balances),
    )


def _day(word: str, field: str) -> date:
    found = dated(word, field, calendar_date)
    assert found is not None  # only None gives None
    return found


def _balance(code: str, word: str, field: str, currency: str, as_of: date | None) -> StatedBalance:
    """A balance may be negative, other than an amount; the side is then the debit's."""
    size = _exactly(plain_amount(word.removeprefix("-"), field), currency, field)
    side = CreditDebit.DBIT if word.startswith("-") and size else CreditDebit.CRDT
    return StatedBalance(code=code, amount=size, currency=currency, credit_debit=side, as_of=as_of)


def _exactly(amount: Decimal, currency: str, field: str) -> Decimal:
    """Refused with more decimals than the currency has; where none is stated yet, than any amount at rest has."""
    if currency != UNSTATED:
        return check_decimals(amount, currency, field)
    if amount != round(amount, FRACTION_DIGITS):
        raise RefusedError("invalid_amount", f"{field}: {amount} has more than {FRACTION_DIGITS} decimals", field)
    return amount


def _entry(raw: bytes, currency: str, at: str) -> Entry:
    try:
        said = _decode_entry(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(error, _WHAT, at)
    if raw.count(b'"') != 4 * _told(said):
        check_said_once(raw, _Entry.__struct_fields__, _WHAT, at)
    if said.currency is not None:
        currency = check_currency(said.currency, f"{at}currency")
    credit_debit = CREDIT_DEBIT.get(said.credit_debit_indicator)
    if credit_debit is None:
        refuse_indicator(said.credit_debit_indicator, f"{at}credit_debit_indicator")
    return Entry(
        amount=_exactly(plain_amount(said.amount, f"{at}amount"), currency, f"{at}amount"),
        currency=currency,
        credit_debit=credit_debit,
        status=_status(said.status, f"{at}status"),
        booking_date=dated(said.booking_date, f"{at}booking_date", calendar_date),
        value_date=dated(said.value_date, f"{at}value_date", calendar_date),
        servicer_reference=optional_reference(said.bank_reference, f"{at}bank_reference"),
        entry_reference=optional_reference(said.entry_reference, f"{at}entry_reference"),
        end_to_end_id=optional_reference(said.end_to_end_id, f"{at}end_to_end_id"),
        uetr=optional_reference(said.uetr, f"{at}uetr"),
        transaction_id=optional_reference(said.transaction_id, f"{at}transaction_id"),
    )


def _status(word: str | None, field: str) -> EntryStatus:
    """A statement tells of booked entries unless it says otherwise. A word we do not know is never money."""
    if word is None:
        return EntryStatus.BOOK
    if not word.strip():
        raise RefusedError("missing_field", f"{field}: is blank", field)
    return _STATUSES.get(word, EntryStatus.INFO)


def _told(said: msgspec.Struct) -> int:
    return sum(getattr(said, name) is not None for name in said.__struct_fields__)
