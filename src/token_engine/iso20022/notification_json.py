"""The JSON form of a camt.054: one entry per message (specification, "TIER 1", its NATS example)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.domain.money import check_currency, check_decimals, parse_amount
from token_engine.domain.notification import Heading, MessageKind, Notification
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.words import (
    ACCOUNT_NUMBER_LENGTH,
    AMOUNT_LENGTH,
    MESSAGE_ID_LENGTH,
    REFERENCE_LENGTH,
    account_number,
    calendar_date,
    moment,
    reference,
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
_CREDIT_DEBIT: Final = {"CRDT": CreditDebit.CRDT, "DBIT": CreditDebit.DBIT}
_T = TypeVar("_T")


def read(raw: bytes) -> Notification:
    """Read one JSON notification, in UTF-8. Raises RefusedError whose field is the member at fault.

    The message says nothing about status: it tells of a booked entry.
    """
    try:
        said = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse(raw, error)
    # A member of ours has four quotation marks: more than those were said twice, or are nothing of ours.
    if raw.count(b'"') != 4 * _members_of(said) and (b"\\" in raw or any(raw.count(name) > 1 for name in _DECISIVE)):
        _check_said_once(raw)
    message_id = _required(said.message_id, "message_id", MESSAGE_ID_LENGTH)
    account_id = _required(said.account_id, "account_id", ACCOUNT_NUMBER_LENGTH)
    currency = check_currency(said.currency)
    if len(said.amount) > AMOUNT_LENGTH:
        raise RefusedError("invalid_amount", f"amount: is longer than {AMOUNT_LENGTH} characters", "amount")
    amount = check_decimals(parse_amount(said.amount), currency)
    credit_debit = _CREDIT_DEBIT.get(said.credit_debit_indicator)
    if credit_debit is None:
        _refuse_indicator(said.credit_debit_indicator)
    return Notification(
        heading=Heading(
            kind=MessageKind.NOTIFICATION,
            type="camt.054",
            message_id=message_id,
            account_number=account_number(account_id),
            currency=currency,
            created_at=_dated(said.creation_date_time, "creation_date_time", moment),
        ),
        entries=(
            Entry(
                amount=amount,
                currency=currency,
                credit_debit=credit_debit,
                status=EntryStatus.BOOK,
                booking_date=_dated(said.booking_date, "booking_date", calendar_date),
                value_date=_dated(said.value_date, "value_date", calendar_date),
                servicer_reference=_reference(said.bank_reference, "bank_reference"),
                end_to_end_id=_reference(said.end_to_end_id, "end_to_end_id"),
                uetr=_reference(said.uetr, "uetr"),
                transaction_id=_reference(said.transaction_id, "transaction_id"),
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


def _check_said_once(raw: bytes) -> None:
    """Refuse a message that says a thing twice: decoders before us may have taken the first, ours takes the last.

    Called where a name occurs twice or may hide in an escape: it might stand in a value, which is fine.
    """

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        told = Counter(name for name, _ in pairs)
        for name in _DECISIVE.values():
            if told[name] > 1:
                raise RefusedError("repeated_member", f"{name}: is said {told[name]} times", name)
        return {}

    try:
        json.loads(raw, object_pairs_hook=members, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise RefusedError("invalid_json", f"not a JSON notification: {error}") from error


def _required(word: str, field: str, length: int) -> str:
    _check_text(word, field, length)
    word = word.strip()
    if not word:
        raise RefusedError("missing_field", f"{field}: is blank", field)
    return word


def _reference(word: str | None, field: str) -> str | None:
    if word is None:
        return None
    _check_text(word, field, REFERENCE_LENGTH)
    return reference(word)


def _check_text(word: str, field: str, length: int) -> None:
    if len(word) > length:
        raise RefusedError("text_too_long", f"{field}: is longer than {length} characters", field)
    if not word.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in word):
        raise RefusedError("invalid_text", f"{field}: holds a control character", field)


def _dated(word: str | None, field: str, parse: Callable[[str], _T]) -> _T | None:
    if word is None:
        return None
    try:
        return parse(word)
    except ValueError as error:
        raise RefusedError("invalid_date", f"{field}: {word[:40]!r} is not an ISO 8601 date", field) from error


def _refuse_indicator(word: str) -> NoReturn:
    field = "credit_debit_indicator"
    hint = " (in capitals)" if word.strip().upper() in _CREDIT_DEBIT else ""
    raise RefusedError("invalid_indicator", f"{field}: {word[:12]!r} is neither CRDT nor DBIT{hint}", field)


_MISSING: Final = re.compile(r"missing required field `(\w+)`|got `null` - at `\$\.(\w+)`")
_WRONG_TYPE: Final = re.compile(r"got `(\w+)` - at `\$\.(\w+)`")
_CODES: Final = {
    "amount": "invalid_amount",
    "credit_debit_indicator": "invalid_indicator",
    "currency": "unknown_currency",
    "booking_date": "invalid_date",
    "value_date": "invalid_date",
    "creation_date_time": "invalid_date",
}


def _refuse(raw: bytes, error: Exception) -> NoReturn:
    """Say in the words of the message what the decoder found wrong."""
    why = str(error)
    if missing := _MISSING.search(why):
        if _is_statement(raw):
            raise RefusedError(
                "not_a_bank_message", "a statement (camt.053) in JSON, where a notification is expected"
            ) from error
        field = missing[1] or missing[2]
        raise RefusedError("missing_field", f"{field}: is missing", field) from error
    if wrong := _WRONG_TYPE.search(why):
        kind, field = wrong[1], wrong[2]
        hint = ', such as "100.00": a JSON number may lose digits' if field == "amount" else ""
        raise RefusedError(
            _CODES.get(field, "invalid_json"),
            f"{field}: is of type {kind}, must be a JSON string{hint}",
            field,
        ) from error
    raise RefusedError("invalid_json", f"not a JSON notification: {why}") from error


def _is_statement(raw: bytes) -> bool:
    try:
        members: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return "closing_balance" in members or "entries" in members
