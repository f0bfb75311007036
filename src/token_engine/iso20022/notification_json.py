"""The JSON form of a camt.054: one entry per message (specification, "TIER 1", its NATS example)."""

from __future__ import annotations

from typing import Final

import msgspec

from token_engine.domain.entry import Entry, EntryStatus
from token_engine.domain.money import check_currency, check_decimals
from token_engine.domain.notification import Heading, MessageKind, Notification
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
from token_engine.iso20022.words import (
    ACCOUNT_NUMBER_LENGTH,
    MESSAGE_ID_LENGTH,
    account_number,
    calendar_date,
    moment,
)


class _Members(msgspec.Struct, gc=False):
    """The members of the specification, and four a bank may add. Others are ignored."""

    message_id: str
    account_id: str
    currency: str
    credit_debit_indicator: str
    amount: str
    bank_reference: str | None = None
    end_to_end_id: str | None = None
    transaction_id: str | None = None
    uetr: str | None = None
    booking_date: str | None = None
    value_date: str | None = None
    creation_date_time: str | None = None


_decode: Final = msgspec.json.Decoder(_Members).decode
_DECISIVE: Final = {
    f'"{name}"'.encode(): name
    for name in ("amount", "credit_debit_indicator", "account_id", "currency", "message_id", "bank_reference")
}


def read(raw: bytes) -> Notification:
    """Read one JSON notification, in UTF-8. Raises RefusedError whose field is the member at fault.

    The message says nothing about status: it tells of a booked entry.
    """
    try:
        said = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(error, "notification")
    # A member of ours has four quotation marks: more than those were said twice, or are nothing of ours.
    if raw.count(b'"') != 4 * _members_of(said) and (b"\\" in raw or any(raw.count(name) > 1 for name in _DECISIVE)):
        check_said_once(raw, _DECISIVE.values(), "notification")
    message_id = required(said.message_id, "message_id", MESSAGE_ID_LENGTH)
    account_id = required(said.account_id, "account_id", ACCOUNT_NUMBER_LENGTH)
    currency = check_currency(said.currency)
    amount = check_decimals(plain_amount(said.amount, "amount"), currency)
    credit_debit = CREDIT_DEBIT.get(said.credit_debit_indicator)
    if credit_debit is None:
        refuse_indicator(said.credit_debit_indicator, "credit_debit_indicator")
    return Notification(
        heading=Heading(
            kind=MessageKind.NOTIFICATION,
            type="camt.054",
            message_id=message_id,
            account_number=account_number(account_id),
            currency=currency,
            created_at=dated(said.creation_date_time, "creation_date_time", moment),
        ),
        entries=(
            Entry(
                amount=amount,
                currency=currency,
                credit_debit=credit_debit,
                status=EntryStatus.BOOK,
                booking_date=dated(said.booking_date, "booking_date", calendar_date),
                value_date=dated(said.value_date, "value_date", calendar_date),
                servicer_reference=optional_reference(said.bank_reference, "bank_reference"),
                end_to_end_id=optional_reference(said.end_to_end_id, "end_to_end_id"),
                uetr=optional_reference(said.uetr, "uetr"),
                transaction_id=optional_reference(said.transaction_id, "transaction_id"),
            ),
        ),
    )


def _members_of(said: _Members) -> int:
    return (
        5
        + (said.bank_reference is not None)
        + (said.end_to_end_id is not None)
        + (said.transaction_id is not None)
        + (said.uetr is not None)
        + (said.booking_date is not None)
        + (said.value_date is not None)
        + (said.creation_date_time is not None)
    )
