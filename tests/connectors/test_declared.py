"""A bank's own API, declared: which declarations are refused, and what is read by those that are not."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest

from connectors.bank import Bank, Reply, ok
from connectors.subjects import ACCOUNT, NOW
from token_engine.banks.declared import DeclaredJson, JsonSettings, Sign
from token_engine.domain.observation import NoObservation, Observation, Why

PLAIN: dict[str, Any] = {
    "url": "balance/{number}", "balances": "$", "amount": "@.amount", "currency": "@.currency", "as_of": "@.time"
}  # fmt: skip
SAID: dict[str, Any] = {"amount": "5.00", "currency": "AED", "time": "2026-11-23T10:20:00Z"}


def ask(bank: Bank, content: Any, **settings: Any) -> Observation | NoObservation:
    bank.respond = lambda request: content if isinstance(content, Reply) else ok(content)

    async def run() -> Observation | NoObservation:
        client = httpx2.AsyncClient(base_url=bank.base_url, verify=False)
        connector = DeclaredJson(client, JsonSettings(**PLAIN | settings))
        answer = await connector.booked_balance(ACCOUNT, NOW)
        await connector.close()
        return answer

    return asyncio.run(run())


def raw(amount: str) -> Reply:
    return Reply(body=b'{"amount": %s, "currency": "AED", "time": "2026-11-23T10:20:00Z"}' % amount.encode())


@pytest.mark.parametrize(
    ("written", "balance"),
    [
        ('"5.00"', "5.00"), ('"-5.00"', "-5.00"), ("5", "5"), ("-5.25", "-5.25"), ("1E+2", "100"), ("1.5e1", "15"),
        ("9007199254740993", "9007199254740993"), ("123456789012345678.91", "123456789012345678.91"), ("-0.00", "0"),
        ("0.1", "0.1"), ("5.000000", "5"),
    ],
)  # fmt: skip
def test_texts_and_numbers_are_exact(bank: Bank, written: str, balance: str) -> None:
    answer = ask(bank, raw(written))
    assert isinstance(answer, Observation), answer
    assert answer.balance == Decimal(balance)
    assert not (answer.balance.is_zero() and answer.balance.is_signed())


@pytest.mark.parametrize(
    "written",
    ["NaN", "Infinity", "1e400", "1e-400", "1e99999999999999999999", '"1E+2"', '"5,00"', '"AED 5.00"', "5.001", "null",
     "true", "[5]", '{"value": 5}', "0.30000000000000004", "1234567890123456789", "05", "+5", "1" * 500, '""'],
)  # fmt: skip
def test_what_is_no_amount_is_no_balance(bank: Bank, written: str) -> None:
    answer = ask(bank, raw(written))
    assert isinstance(answer, NoObservation), answer
    assert answer.why is Why.UNREADABLE


def test_a_member_said_twice_is_not_believed(bank: Bank) -> None:
    answer = ask(bank, Reply(body=b'{"amount": "5.00", "amount": "6.00", "currency": "AED", "time": ""}'))
    assert isinstance(answer, NoObservation)
    assert "twice" in answer.text


@pytest.mark.parametrize(
    ("word", "balance"), [("C", "5.00"), ("D", "-5.00"), ("credit", None), ("", None), (None, None), (True, None)]
)
def test_the_sign_by_its_words(bank: Bank, word: Any, balance: str | None) -> None:
    sign = Sign(path="@.side", credit="C", debit="D")
    answer = ask(bank, SAID | {"side": word}, sign=sign)
    if balance is None:
        assert isinstance(answer, NoObservation)
        assert answer.why is Why.UNREADABLE
    else:
        assert isinstance(answer, Observation), answer
        assert answer.balance == Decimal(balance)
    # With an indicator, a minus could mean either.
    twice = ask(bank, SAID | {"side": "D", "amount": "-5.00"}, sign=sign)
    assert isinstance(twice, NoObservation)
    assert twice.why is Why.UNREADABLE


def test_places_from_the_root_and_from_each_balance(bank: Bank) -> None:
    content = {
        "account": {"no": 7, "ccy": "AED"},
        "rows": [["BOOKED", "5.00"], ["PENDING", "9.00"], ["BOOKED", "5.00"]],
        "at": "2026-11-23T10:20:00Z",
    }
    answer = ask(
        bank, content, balances="$.rows[?@[0]=='BOOKED']", amount="@[1]", currency="$.account.ccy", as_of="$.at"
    )
    assert isinstance(answer, Observation), answer
    assert answer.balance == 5
    scalar = ask(
        bank,
        {"booked": "5.00", "c": "AED", "t": SAID["time"]},
        balances="$.booked",
        amount="@",
        currency="$.c",
        as_of="$.t",
    )
    assert isinstance(scalar, Observation), scalar


@pytest.mark.parametrize(
    ("changed", "content", "why"),
    [
        ({"balances": "$.nothing"}, SAID, Why.NO_BOOKED_BALANCE),
        ({"balances": "$.nothing"}, "5.00", Why.NO_BOOKED_BALANCE),
        ({"balances": "$"}, '{"amount": "5.00", "currency": "AED", "time": "2026-11-23T10:20:00Z"}', Why.UNREADABLE),
        ({"amount": "@.nothing"}, SAID, Why.UNREADABLE),
        ({"amount": "@..amount"}, SAID | {"more": {"amount": "5.00"}}, Why.UNREADABLE),
        ({"amount": "@..amount"}, {"a": SAID | {"b": 1}}, Why.UNREADABLE),
        ({"balances": "$[*]"}, [SAID, SAID | {"amount": "6.00"}], Why.CONTRADICTORY),
        ({"account": "@.iban"}, SAID, Why.UNREADABLE),
        ({"account": "@.iban"}, SAID | {"iban": "AE460090000000123456789"}, Why.OTHER_ACCOUNT),
        ({"credit_line_included": "@.line"}, SAID | {"line": "no"}, Why.UNREADABLE),
        ({"credit_line_included": "@.line"}, SAID | {"line": True}, Why.CREDIT_LINE_INCLUDED),
    ],
)  # fmt: skip
def test_what_does_not_stand_where_it_was_declared(bank: Bank, changed: Any, content: Any, why: Why) -> None:
    answer = ask(bank, content, **changed)
    assert isinstance(answer, NoObservation), answer
    assert answer.why is why


def test_an_answer_too_deep_to_look_through(bank: Bank) -> None:
    deep: Any = SAID
    for _ in range(300):
        deep = [deep]
    answer = ask(bank, deep, balances="$..[?@.amount]")
    assert isinstance(answer, NoObservation)
    assert answer.why is Why.UNREADABLE


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"url": "https://elsewhere.example/{number}"}, "url"),
        ({"url": "//elsewhere.example/{number}"}, "url"),
        ({"url": "balance/{number.__class__}"}, "url"),
        ({"url": "balance/{}"}, "url"),
        ({"url": "balance/{secret}"}, "url"),
        ({"url": "balance/{number"}, "expected"),
        ({"balances": "result.balances"}, "balances"),
        ({"balances": "$.a["}, "balances"),
        ({"amount": ""}, "amount"),
        ({"account": "@.a b"}, "account"),
        ({"sign": Sign(path="side", credit="C", debit="D")}, "sign"),
    ],
)
def test_a_declaration_that_cannot_be_meant(changed: Any, names: str) -> None:
    with pytest.raises(ValueError, match=names) as refusal:
        JsonSettings(**PLAIN | changed)
    assert "\n" not in str(refusal.value)


def test_settings_as_they_are_kept() -> None:
    kept = msgspec.json.encode(JsonSettings(**PLAIN))
    assert msgspec.json.decode(kept, type=JsonSettings) == JsonSettings(**PLAIN)
    assert b'"kind":"json"' in kept
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(kept[:-1] + b',"acount":"$.typo"}', type=JsonSettings)
