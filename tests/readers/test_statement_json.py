"""The JSON statement of the specification: what is read, and what each refusal says."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readers.messages import JSON, STATEMENT_JSON, read, read_entry, read_heading, refused
from token_engine.domain.checks import Tally, checks
from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.domain.money import UNSTATED
from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.statement import Outcome
from token_engine.iso20022 import reader
from token_engine.iso20022.reader import read_message, sections

ENTRY: dict[str, Any] = {"credit_debit_indicator": "CRDT", "amount": "1.00"}


def said(**members: Any) -> str:
    """The example with some members changed; None takes one out."""
    return json.dumps({k: v for k, v in (STATEMENT_JSON | members).items() if v is not None})


def with_entry(**members: Any) -> str:
    return said(entries=[ENTRY, {k: v for k, v in (ENTRY | members).items() if v is not None}])


def test_the_specifications_example() -> None:
    statement = read(said())
    heading, (entry,) = statement.heading, statement.entries
    assert (heading.kind, heading.type) == (MessageKind.STATEMENT, "camt.053")
    assert (heading.message_id, heading.account_number) == ("STMT-2025-11-18", "AE070331234567890123456")
    assert heading.currency == entry.currency == "AED"
    credit, day = CreditDebit.CRDT, date(2025, 11, 18)
    assert heading.balances == (
        StatedBalance(code="OPBD", amount=Decimal(5000000), currency="AED", credit_debit=credit),
        StatedBalance(code="CLBD", amount=Decimal(5250000), currency="AED", credit_debit=credit, as_of=day),
    )
    assert (entry.amount, entry.credit_debit, entry.status) == (Decimal("100000.00"), credit, EntryStatus.BOOK)
    assert (entry.entry_reference, entry.end_to_end_id) == ("E001", "E2E-TXN-67890")
    assert (entry.servicer_reference, entry.booking_date, entry.value_date) == (None, None, None)


def test_the_specifications_example_does_not_add_up() -> None:
    statement = read(said())
    tally = Tally()
    tally.add(statement.entries[0])
    check = checks(statement.heading, tally)[0]
    assert (check.outcome, check.expected, check.actual) == (Outcome.FAILED, Decimal(5250000), Decimal(5100000))


def test_the_specifications_second_example_leaves_the_currency_to_the_account() -> None:
    statement = read(said(currency=None, opening_balance=None))
    assert statement.heading.currency is None
    assert [(b.code, b.currency) for b in statement.heading.balances] == [("CLBD", UNSTATED)]
    assert [e.currency for e in statement.entries] == [UNSTATED]


def test_what_a_bank_may_add() -> None:
    text = with_entry(
        credit_debit_indicator="DBIT",
        bank_reference="BNK-1",
        transaction_id="T-1",
        uetr="8a562c67-ca16-48ba-b074-65581be6f001",
        booking_date="2025-11-18",
        value_date="2025-11-19T00:00:00+04:00",
        status="PDNG",
        currency="USD",
        something_else={"ignored": [1, 2]},
    )
    entry = read(text).entries[1]
    assert (entry.servicer_reference, entry.transaction_id) == ("BNK-1", "T-1")
    assert entry.uetr == "8a562c67-ca16-48ba-b074-65581be6f001"
    assert (entry.booking_date, entry.value_date) == (date(2025, 11, 18), date(2025, 11, 19))
    assert (entry.status, entry.currency, entry.credit_debit) == (EntryStatus.PDNG, "USD", CreditDebit.DBIT)
    told = read_heading(said(creation_date_time="2025-11-18T20:00:00Z", bank={"name": "X"}, opening_balance=None))
    assert told.created_at == datetime(2025, 11, 18, 20, tzinfo=UTC)


def test_a_day_without_entries() -> None:
    assert read(said(entries=[])).entries == ()


@pytest.mark.parametrize(
    ("text", "signed"), [("-5.00", "-5"), ("-0.00", "0"), ("0", "0"), ("5.10", "5.1"), ("-1.500", "-1.5")]
)
def test_a_balance_may_be_negative(text: str, signed: str) -> None:
    opening, closing = read_heading(said(opening_balance=text, closing_balance=text)).balances
    assert opening.signed == closing.signed == Decimal(signed)
    assert opening.amount >= 0


@pytest.mark.parametrize("word", ["SETTLED", "book", " BOOK"])
def test_a_status_that_we_do_not_know_is_never_money(word: str) -> None:
    assert read(with_entry(status=word)).entries[1].status is EntryStatus.INFO


def test_without_a_currency_an_amount_may_have_the_decimals_of_any() -> None:
    text = said(currency=None, closing_balance="1.12345678", entries=[ENTRY | {"amount": "1.001"}])
    assert read_entry(text).amount == Decimal("1.001")
    assert refused(said(currency=None, closing_balance="1.123456789")).field == "closing_balance"


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"message_id": None}, "missing_field", "message_id"),
        ({"message_id": " "}, "missing_field", "message_id"),
        ({"message_id": "x" * 101}, "text_too_long", "message_id"),
        ({"account_id": None}, "missing_field", "account_id"),
        ({"account_id": 7}, "invalid_json", "account_id"),
        ({"currency": "aed"}, "unknown_currency", "currency"),
        ({"currency": UNSTATED}, "unknown_currency", "currency"),
        ({"statement_date": None}, "missing_field", "statement_date"),
        ({"statement_date": "18.11.2025"}, "invalid_date", "statement_date"),
        ({"statement_date": 20251118}, "invalid_date", "statement_date"),
        ({"closing_balance": None}, "missing_field", "closing_balance"),
        ({"closing_balance": 5250000.0}, "invalid_amount", "closing_balance"),
        ({"closing_balance": "5,250,000.00"}, "invalid_amount", "closing_balance"),
        ({"closing_balance": "--5"}, "invalid_amount", "closing_balance"),
        ({"closing_balance": "-"}, "invalid_amount", "closing_balance"),
        ({"closing_balance": "1.001"}, "invalid_amount", "closing_balance"),
        ({"opening_balance": 5000000}, "invalid_amount", "opening_balance"),
        ({"opening_balance": ""}, "invalid_amount", "opening_balance"),
        ({"opening_balance": "0" * 41}, "invalid_amount", "opening_balance"),
        ({"entries": None}, "missing_field", "entries"),
        ({"entries": {}}, "invalid_json", "entries"),
        ({"entries": "none"}, "invalid_json", "entries"),
        ({"entries": [ENTRY, 7]}, "invalid_json", "entries[1]"),
    ],
)
def test_a_refusal_names_the_member(members: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(said(**members))
    assert (refusal.code, refusal.field) == (code, field)
    assert refusal.message.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"amount": None}, "missing_field", "amount"),
        ({"amount": 100.5}, "invalid_amount", "amount"),
        ({"amount": 100}, "invalid_amount", "amount"),
        ({"amount": "-1.00"}, "invalid_amount", "amount"),
        ({"amount": "1.001"}, "invalid_amount", "amount"),
        ({"amount": "1.001", "currency": "JPY"}, "invalid_amount", "amount"),
        ({"credit_debit_indicator": None}, "missing_field", "credit_debit_indicator"),
        ({"credit_debit_indicator": "crdt"}, "invalid_indicator", "credit_debit_indicator"),
        ({"currency": "dirham"}, "unknown_currency", "currency"),
        ({"status": ""}, "missing_field", "status"),
        ({"status": 1}, "invalid_json", "status"),
        ({"booking_date": "2025-02-29"}, "invalid_date", "booking_date"),
        ({"value_date": ""}, "invalid_date", "value_date"),
        ({"end_to_end_id": "x" * 141}, "text_too_long", "end_to_end_id"),
        ({"uetr": "a\0b"}, "invalid_text", "uetr"),
        ({"bank_reference": ["x"]}, "invalid_json", "bank_reference"),
    ],
)
def test_a_refusal_names_the_entry_and_its_member(members: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(with_entry(**members))
    assert (refusal.code, refusal.field) == (code, f"entries[1].{field}")
    assert refusal.message.startswith(f"entries[1].{field}: ")


def test_a_number_is_refused_with_what_to_send_instead() -> None:
    assert 'such as "100.00"' in refused(said(closing_balance=5250000.0)).message
    assert 'such as "100.00"' in refused(with_entry(amount=5.5)).message


@pytest.mark.parametrize(
    ("once", "twice", "field"),
    [
        ('"closing_balance"', '"closing_balance": "1.00", "closing_balance"', "closing_balance"),
        ('"entries"', '"entries": [], "entries"', "entries"),
        ('"entries"', '"entr\\u0069es": [], "entries"', "entries"),
        ('"amount"', '"amount": "5.00", "amount"', "entries[0].amount"),
        ('"amount"', '"am\\u006funt": "5.00", "amount"', "entries[0].amount"),
        ('"amount"', '"status": "PDNG", "status": "BOOK", "amount"', "entries[0].status"),
    ],
)
def test_a_member_said_twice_is_refused_since_others_may_have_read_the_other(once: str, twice: str, field: str) -> None:
    refusal = refused(said().replace(once, twice))
    assert (refusal.code, refusal.field) == ("repeated_member", field)


def test_a_value_may_be_the_name_of_a_member_and_unknown_members_are_ignored() -> None:
    text = said(message_id="entries", x=[{"amount": 5, "y": '"amount"'}], entries=[ENTRY | {"end_to_end_id": "a\\b"}])
    assert (read_heading(text).message_id, read_entry(text).end_to_end_id) == ("entries", "a\\b")


def test_the_order_of_members_and_the_encoding_play_no_part() -> None:
    backwards = json.dumps(dict(reversed(STATEMENT_JSON.items())), indent=1)
    assert read_message(backwards.encode()) == read_message(said().encode())
    for encoding in ("utf-8-sig", "utf-16", "utf-16-be", "utf-32"):
        assert read_message(said().encode(encoding)) == read_message(said().encode())


def test_a_message_with_an_indicator_of_its_own_is_a_notification_whatever_else_it_says() -> None:
    text = json.dumps(JSON | {"closing_balance": "1", "statement_date": "2025-11-18"})
    assert read_heading(text).kind is MessageKind.NOTIFICATION


@pytest.mark.parametrize("text", ['{"entries": [', '{"entries": [1,', said()[:-1], said() + "x", said()[:-3] + "}"])
def test_a_statement_cut_short_is_refused(text: str) -> None:
    assert refused(text).code == "invalid_json"


def test_deep_nesting_is_refused_not_raised() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert refused(f'{{"x": {deep}, {said()[1:]}').code in ("invalid_json", "missing_field")
    assert refused(said()[:-1] + f', "x": {deep}}}').code == "invalid_json"
    assert refused(with_entry(x="@").replace('"@"', deep)).code == "invalid_json"


def test_a_statement_larger_than_a_notification_ever_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(entries=[ENTRY] * 30_000).encode()
    assert len(text) > reader.JSON_BYTES
    parts = list(sections(BytesIO(text)))
    assert isinstance(parts[0], Heading)
    assert sum(isinstance(part, Entry) for part in parts) == 30_000
    monkeypatch.setattr(reader, "STATEMENT_JSON_BYTES", len(text) - 1)
    assert refused(text).code == "too_large"


_decimals = st.decimals(0, 10**12, places=2, allow_nan=False, allow_infinity=False)
_entries = st.fixed_dictionaries(
    {"amount": _decimals.map(str), "credit_debit_indicator": st.sampled_from(["CRDT", "DBIT"])},
    optional={
        "end_to_end_id": st.from_regex(re.compile(r"[A-Z][A-Z0-9-]{5,20}", re.ASCII), fullmatch=True),
        "booking_date": st.dates().map(str),
        "status": st.sampled_from(["BOOK", "PDNG", "INFO"]),
    },
)


@given(st.lists(_entries, max_size=5), st.decimals(-(10**12), 10**12, places=2))
def test_what_is_written_is_read(entries: list[dict[str, str]], closing: Decimal) -> None:
    statement = read(said(entries=entries, closing_balance=f"{closing:f}"))
    assert statement.heading.balances[-1].signed == closing
    for entry, wrote in zip(statement.entries, entries, strict=True):
        assert (entry.amount, entry.credit_debit) == (Decimal(wrote["amount"]), wrote["credit_debit_indicator"])
        assert (entry.end_to_end_id, entry.status) == (wrote.get("end_to_end_id"), wrote.get("status", "BOOK"))
        assert wrote.get("booking_date") == (str(entry.booking_date) if entry.booking_date else None)
