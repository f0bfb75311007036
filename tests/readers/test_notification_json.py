"""The JSON notification of the specification: what is read, and what each refusal says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from readers.messages import JSON, read, read_entry, read_heading, refused
from token_engine.domain.entry import CreditDebit, EntryStatus
from token_engine.domain.notification import MessageKind


def said(**members: Any) -> str:
    """The example of the specification with some members changed; None takes one out."""
    return json.dumps({k: v for k, v in (JSON | members).items() if v is not None})


def test_the_specifications_example() -> None:
    notification = read(said(bank_reference="BNK-REF-12345", end_to_end_id="E2E-TXN-67890"))
    heading, (entry,) = notification.heading, notification.entries
    assert (heading.kind, heading.type) == (MessageKind.NOTIFICATION, "camt.054")
    assert (heading.message_id, heading.account_number) == ("M-1", "AE070331234567890123456")
    assert heading.currency == entry.currency == "AED"
    assert (entry.amount, entry.credit_debit) == (Decimal("100000.00"), CreditDebit.CRDT)
    assert entry.status is EntryStatus.BOOK
    assert (entry.servicer_reference, entry.end_to_end_id) == ("BNK-REF-12345", "E2E-TXN-67890")
    assert (entry.booking_date, entry.value_date, heading.created_at) == (None, None, None)


def test_optional_members() -> None:
    text = said(
        booking_date="2025-11-18",
        value_date="2025-11-19T00:00:00+04:00",
        creation_date_time="2025-11-18T12:00:00Z",
        transaction_id="T-1",
        uetr="8a562c67-ca16-48ba-b074-65581be6f001",
        something_else={"ignored": [1, 2]},
    )
    entry = read_entry(text)
    assert (entry.booking_date, entry.value_date) == (date(2025, 11, 18), date(2025, 11, 19))
    assert (entry.transaction_id, entry.uetr) == ("T-1", "8a562c67-ca16-48ba-b074-65581be6f001")
    assert read_heading(text).created_at == datetime(2025, 11, 18, 12, tzinfo=UTC)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_and_leading_blanks(encoding: str) -> None:
    text = ("\n \t" if encoding == "utf-8" else "") + said(bank_reference="Größe")
    text = text.replace("\\u00f6", "ö").replace("\\u00df", "ß")
    assert read_entry(text.encode(encoding)).servicer_reference == "Größe"


def test_an_iban_is_kept_without_blanks_and_another_number_as_it_is() -> None:
    spaced = read_heading(said(account_id="ae07 0331 2345 6789 0123 456"))
    assert spaced.account_number == "AE070331234567890123456"
    assert read_heading(said(account_id=" 12 34 ")).account_number == "12 34"


def test_no_reference_words() -> None:
    entry = read_entry(said(bank_reference="NONREF", end_to_end_id="NOTPROVIDED", uetr="", transaction_id="000"))
    assert entry.servicer_reference is None
    assert (entry.end_to_end_id, entry.uetr, entry.transaction_id) == (None, None, None)


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"message_id": None}, "missing_field", "message_id"),
        ({"message_id": ""}, "missing_field", "message_id"),
        ({"message_id": "   "}, "missing_field", "message_id"),
        ({"message_id": "x" * 101}, "text_too_long", "message_id"),
        ({"message_id": "a\0b"}, "invalid_text", "message_id"),
        ({"message_id": 7}, "invalid_json", "message_id"),
        ({"account_id": None}, "missing_field", "account_id"),
        ({"account_id": " "}, "missing_field", "account_id"),
        ({"account_id": "1" * 51}, "text_too_long", "account_id"),
        ({"account_id": "1\n2"}, "invalid_text", "account_id"),
        ({"account_id": "1\x9f2"}, "invalid_text", "account_id"),
        ({"currency": None}, "missing_field", "currency"),
        ({"currency": "aed"}, "unknown_currency", "currency"),
        ({"currency": "XXX"}, "unknown_currency", "currency"),
        ({"currency": 784}, "unknown_currency", "currency"),
        ({"credit_debit_indicator": "crdt"}, "invalid_indicator", "credit_debit_indicator"),
        ({"credit_debit_indicator": "CREDIT"}, "invalid_indicator", "credit_debit_indicator"),
        ({"credit_debit_indicator": ""}, "invalid_indicator", "credit_debit_indicator"),
        ({"amount": None}, "missing_field", "amount"),
        ({"amount": 100000.00}, "invalid_amount", "amount"),
        ({"amount": 100000}, "invalid_amount", "amount"),
        ({"amount": ""}, "invalid_amount", "amount"),
        ({"amount": "-1.00"}, "invalid_amount", "amount"),
        ({"amount": "1e5"}, "invalid_amount", "amount"),
        ({"amount": "1,000.00"}, "invalid_amount", "amount"),
        ({"amount": " 1.00"}, "invalid_amount", "amount"),
        ({"amount": "1.001"}, "invalid_amount", "amount"),
        ({"amount": "1.5", "currency": "JPY"}, "invalid_amount", "amount"),
        ({"bank_reference": "x" * 141}, "text_too_long", "bank_reference"),
        ({"end_to_end_id": "a\x1bb"}, "invalid_text", "end_to_end_id"),
        ({"uetr": ["x"]}, "invalid_json", "uetr"),
        ({"booking_date": "18.11.2025"}, "invalid_date", "booking_date"),
        ({"value_date": "2025-02-29"}, "invalid_date", "value_date"),
        ({"creation_date_time": "yesterday"}, "invalid_date", "creation_date_time"),
    ],
)
def test_a_refusal_names_the_member(members: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(said(**members))
    assert (refusal.code, refusal.field) == (code, field)
    assert refusal.message.startswith(f"{field}: ")


def test_hints_say_what_to_send_instead() -> None:
    assert "in capitals" in refused(said(credit_debit_indicator="crdt")).message
    assert "JSON string" in refused(said(amount=1.5)).message
    assert "capitals" in refused(said(currency="aed")).message


def test_null_is_missing_where_required_and_absent_where_not() -> None:
    assert refused(json.dumps(JSON | {"amount": None})).code == "missing_field"
    assert read_entry(json.dumps(JSON | {"bank_reference": None})).servicer_reference is None


@pytest.mark.parametrize("text", ["[]", "[1]", "{}x", '{"message_id"', '{"message_id": "\\ud800"', "{" * 9999])
def test_what_is_no_notification_at_all(text: str) -> None:
    assert refused(text).code in ("invalid_json", "missing_field")


def test_deep_nesting_in_an_ignored_member_is_refused_not_raised() -> None:
    assert refused(said()[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}").code == "invalid_json"


@pytest.mark.parametrize("raw", [b'{"message_id":"\xff"}', said().encode()[:-5] + b'\xfe\xff"}'])
def test_bytes_that_are_no_utf8(raw: bytes) -> None:
    assert refused(raw).code in ("invalid_json", "missing_field")


def test_a_half_of_a_character_is_refused() -> None:
    assert refused(said(bank_reference="R").replace('"R"', '"\\ud800"')).code == "invalid_json"


@pytest.mark.parametrize("raw", [b"", b"  \n\t ", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_message(raw: bytes) -> None:
    assert refused(raw).code == "empty_message"


@pytest.mark.parametrize(
    ("raw", "looks_like"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"date;amount;currency;text\n", "comma-separated"),
        (b"hello", "plain text"),
        (b"\x89PNG\r\n\x1a\n\x00", "binary"),
    ],
)
def test_anything_else_is_refused_by_what_it_looks_like(raw: bytes, looks_like: str) -> None:
    refusal = refused(raw)
    assert refusal.code == "not_a_bank_message"
    assert looks_like in refusal.message


@pytest.mark.parametrize("twice", ['{"amount":"1.00","amount":"100.00",', '{"amount":"1.00","am\\u006funt":"1.00",'])
def test_a_member_said_twice_is_refused_since_others_may_have_read_the_other(twice: str) -> None:
    refusal = refused(twice + said(amount=None)[1:])
    assert (refusal.code, refusal.field) == ("repeated_member", "amount")


def test_a_value_may_be_the_name_of_a_member() -> None:
    assert read_heading(said(message_id="amount", end_to_end_id="a\\b")).message_id == "amount"


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 900 + "]" * 900, '{"amount":1}'])
def test_what_is_ignored_is_ignored_also_when_it_is_looked_at_twice(value: str) -> None:
    text = '{"other":' + value + "," + said(message_id="a\\b")[1:]
    assert read_heading(text).message_id == "a\\b"
