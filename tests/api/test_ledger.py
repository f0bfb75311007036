"""The token ledger through its HTTP door."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import httpx2
import psycopg
import pytest

from engine import V1, Engine, notification

Make = Callable[..., str]
_keys = count(1)


def post(engine: Engine, path: str, content: Any, key: str | None = None) -> httpx2.Response:
    return engine.http.post(
        f"{V1}/{path}", json=content, headers={"Idempotency-Key": key or f"key-{next(_keys)}"}
    )  # fmt: skip


def done(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


def refused(answer: httpx2.Response) -> tuple[int, str, str | None]:
    body = answer.json()
    assert body["success"] is False
    return answer.status_code, body["error"]["code"], body["error"].get("field")


def burn_of(account: str, amount: str = "10.00", **more: Any) -> dict[str, Any]:
    return {
        "account_id": account,
        "holder": "unattributed",
        "amount": amount,
        "reason": "redeemed",
        "actor": "ann",
    } | more


def test_tokens_are_passed_on_burnt_and_the_burn_is_undone(engine: Engine, account: Make) -> None:
    number = account()
    passed = {
        "account_id": number,
        "from_holder": "unattributed",
        "to_holder": "BANKAEAD",
        "amount": "25",
        "actor": "a",
    }
    assert done(post(engine, "transfers", passed))["ledger_balance"] == "1000000.00"
    burnt = done(post(engine, "burns", burn_of(number, "10.5", holder="BANKAEAD")))
    assert (burnt["kind"], burnt["amount"], burnt["token"], burnt["ledger_balance"]) == (
        "burn", "10.50", "xAED", "999989.50",
    )  # fmt: skip
    assert burnt["threshold_level"] == "Ok"
    back = done(post(engine, f"movements/{burnt['id']}/reversal", {"reason": "wrong holder", "actor": "bob"}))
    assert (back["kind"], back["reverses"], back["to_holder"]) == ("reversal", burnt["id"], "BANKAEAD")
    assert engine.account(number)["ledger_balance"] == "1000000.00"
    found = engine.get(f"{V1}/accounts/{number}/movements")["movements"]
    assert [m["kind"] for m in found] == ["reversal", "burn", "transfer", "opening"]
    assert found[1]["reversed_by"] == back["id"]
    page = engine.get(f"{V1}/accounts/{number}/movements?limit=1&before={burnt['id']}")["movements"]
    assert [m["kind"] for m in page] == ["transfer"]
    assert engine.cli("check").returncode == 0


def test_supply_is_told_by_token(engine: Engine, account: Make) -> None:
    number = account("JPY", ledger_balance="500", bank_balance="500")
    done(post(engine, "transfers", {"account_id": number, "from_holder": "unattributed", "to_holder": "0xabc",
                                    "amount": "200", "actor": "a"}))  # fmt: skip
    supply = {row["token"]: row for row in engine.get(f"{V1}/supply")["supply"]}
    assert supply["xJPY"] == {
        "token": "xJPY", "currency": "JPY", "supply": "500", "own_funds": "0", "holders": 2, "accounts": 1,
    }  # fmt: skip
    held = engine.get(f"{V1}/supply/xJPY/holders")
    assert held["holders"] == [{"holder": "0xabc", "balance": "200"}, {"holder": "unattributed", "balance": "300"}]
    assert engine.get(f"{V1}/supply/xJPY/holders?after=0xabc&limit=1")["holders"] == held["holders"][1:]
    assert engine.http.get(f"{V1}/supply/JPY/holders").status_code == 404


def test_the_same_key_answers_the_same_and_another_request_under_it_is_a_conflict(
    engine: Engine, account: Make
) -> None:
    number = account()
    first = post(engine, "burns", burn_of(number, "10"), "once")
    again = post(engine, "burns", burn_of(number, "10.00", emergency=False), "once")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert refused(post(engine, "burns", burn_of(number, "11"), "once")) == (
        409, "idempotency_conflict", "Idempotency-Key",
    )  # fmt: skip
    assert engine.account(number)["ledger_balance"] == "999990.00"


def test_an_open_breaker_does_not_stop_the_burn_that_heals_the_shortfall_but_its_undoing(
    engine: Engine, account: Make
) -> None:
    number = account()
    engine.send(notification("DEBIT-L", number, "100", credit_debit_indicator="DBIT"))
    assert engine.account(number)["circuit_breaker"] == "open"
    burnt = done(post(engine, "burns", burn_of(number, "100", emergency=True)))
    assert (burnt["kind"], burnt["threshold_level"], burnt["circuit_breaker"]) == ("emergency_burn", "Ok", "open")
    assert engine.account(number)["verdict"] == "Ok"
    answer = post(engine, f"movements/{burnt['id']}/reversal", {"reason": "r", "actor": "a"})
    assert refused(answer)[:2] == (409, "breaker_open")
    with psycopg.connect(engine.database_url) as connection:
        audited = connection.execute(
            "SELECT actor, details->>'reason' FROM audit_log WHERE action = 'ledger_emergency_burn'"
        ).fetchall()
    assert audited == [("ann", "redeemed")]


def test_own_money_backs_and_mints_nothing(engine: Engine, account: Make) -> None:
    number = account("CHF")
    view = done(post(engine, "replenishments", {"account_id": number, "amount": "5000", "reason": "buffer",
                                                "actor": "a", "reference": "FT123"}))  # fmt: skip
    assert (view["ledger_balance"], view["cause"], view["threshold_level"]) == ("1000000.00", "FT123", "Ok")
    shown = engine.account(number)
    assert (shown["ledger_balance"], shown["bank_reported_balance"]) == ("1000000.00", "1000000.00")
    [supply] = [row for row in engine.get(f"{V1}/supply")["supply"] if row["token"] == "xCHF"]
    assert (supply["supply"], supply["own_funds"]) == ("1000000.00", "5000.00")
    done(post(engine, f"movements/{view['id']}/reversal", {"reason": "taken out again", "actor": "a"}))
    [supply] = [row for row in engine.get(f"{V1}/supply")["supply"] if row["token"] == "xCHF"]
    assert (supply["supply"], supply["own_funds"]) == ("1000000.00", "0.00")


def test_a_request_without_a_key_is_refused_and_names_it(engine: Engine, account: Make) -> None:
    answer = engine.http.post(f"{V1}/burns", json=burn_of(account()))
    assert refused(answer) == (422, "invalid_request", "Idempotency-Key")
    for key in ("", "k" * 256, "two words"):
        answer = engine.http.post(f"{V1}/burns", json=burn_of("x"), headers={"Idempotency-Key": key})
        assert refused(answer) == (422, "invalid_request", "Idempotency-Key")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount": "0"}, (422, "invalid_amount", "amount")),
        ({"amount": "-1"}, (422, "invalid_amount", "amount")),
        ({"amount": "1e3"}, (422, "invalid_amount", "amount")),
        ({"amount": "0.001"}, (422, "invalid_amount", "amount")),
        ({"amount": "9" * 19}, (422, "invalid_amount", "amount")),
        ({"amount": 10}, (422, "invalid_request", "amount")),
        ({"amount": "1000000.01"}, (409, "insufficient_holder_balance", "amount")),
        ({"holder": "nobody"}, (409, "insufficient_holder_balance", "amount")),
        ({"holder": " "}, (422, "invalid_text", "holder")),
        ({"holder": "\u0000"}, (422, "invalid_text", "holder")),
        ({"reason": ""}, (422, "invalid_text", "reason")),
        ({"actor": "a" * 141}, (422, "invalid_actor", "actor")),
        ({"actor": " Engine"}, (422, "invalid_actor", "actor")),
        ({"actor": None}, (422, "invalid_request", "actor")),
        ({"account_id": "NOBODY"}, (404, "unknown_account", "account_id")),
        ({"currency": "USD"}, (404, "unknown_account", "account_id")),
        ({"colour": "red"}, (422, "invalid_request", "colour")),
    ],
)  # fmt: skip
def test_a_bad_burn_is_refused_by_the_name_of_what_is_wrong(
    engine: Engine, account: Make, change: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    number = account()
    assert refused(post(engine, "burns", burn_of(number) | change)) == expected
    assert engine.account(number)["ledger_balance"] == "1000000.00"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a": "\\ud800"}', b"{" + b" " * 2**21])
def test_a_body_that_is_none_is_refused(engine: Engine, body: bytes) -> None:
    answer = engine.http.post(f"{V1}/burns", content=body, headers={"Idempotency-Key": f"key-{next(_keys)}"})
    assert answer.status_code in (413, 422)
    assert answer.json()["success"] is False


def test_a_body_lacks_a_member(engine: Engine) -> None:
    assert refused(post(engine, "burns", {"account_id": "x"})) == (422, "invalid_request", "holder")


def test_a_number_kept_in_two_currencies_needs_the_currency(engine: Engine, account: Make) -> None:
    number = account()
    engine.create_account(number, "USD", ledger_balance="5", bank_balance="5")
    assert refused(post(engine, "burns", burn_of(number))) == (422, "ambiguous_account", "currency")
    assert done(post(engine, "burns", burn_of(number, "1", currency="USD")))["ledger_balance"] == "4.00"


def test_a_closed_account_takes_no_movement(engine: Engine, account: Make) -> None:
    number = account()
    engine.http.post(f"{V1}/accounts/{number}/close")
    assert refused(post(engine, "burns", burn_of(number))) == (409, "account_closed", "account_id")


def test_what_cannot_be_reversed_is_said_so(engine: Engine, account: Make) -> None:
    ask = {"reason": "r", "actor": "a"}
    for unknown in ("999999", "0", "-1", str(2**70)):
        assert post(engine, f"movements/{unknown}/reversal", ask).status_code == 404
    burnt = done(post(engine, "burns", burn_of(account())))
    back = done(post(engine, f"movements/{burnt['id']}/reversal", ask))
    assert refused(post(engine, f"movements/{burnt['id']}/reversal", ask)) == (409, "already_reversed", "reverses")
    assert refused(post(engine, f"movements/{back['id']}/reversal", ask)) == (409, "not_reversible", "reverses")


def test_the_documentation_says_what_a_body_holds(engine: Engine) -> None:
    documented = engine.http.get("/openapi.json").json()["paths"]
    assert "$defs" not in str(documented)

    def body(path: str) -> dict[str, Any]:
        schema = documented[f"{V1}/{path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        found: dict[str, Any] = schema["properties"]
        return found

    assert {"account_id", "holder", "amount", "reason", "actor", "emergency"} <= set(body("burns"))
    assert "mint" in body("ledger/movements")["movements"]["items"]["properties"]["kind"]["enum"]
    assert set(body("accounts")["ledger_mode"]["enum"]) == {"engine", "external"}


# A token ledger kept elsewhere ------------------------------------------------------------------------


def moved(account: str, reference: str, kind: str = "mint", amount: str = "10", **more: Any) -> dict[str, Any]:
    return {"account_id": account, "kind": kind, "reference": reference, "amount": amount} | more


def feed(engine: Engine, *movements: dict[str, Any], key: str | None = None) -> httpx2.Response:
    return post(engine, "ledger/movements", {"actor": "core banking", "movements": list(movements)}, key)


def test_an_external_ledger_is_watched(engine: Engine, account: Make) -> None:
    number = account(ledger_mode="external")
    assert engine.account(number)["ledger_mode"] == "external"
    [mint, burn] = done(
        feed(engine, moved(number, "T1", "mint", "7", to_holder="h"), moved(number, "T2", "burn", "2", from_holder="h"))
    )["movements"]
    assert (mint["ledger_balance"], burn["ledger_balance"]) == ("1000007.00", "1000005.00")
    assert burn["threshold_level"] == "Critical", "it minted more than the bank holds: that is what is watched for"
    assert engine.account(number)["circuit_breaker"] == "open"
    done(feed(engine, {"account_id": number, "kind": "reversal", "reference": "T3", "reverses": burn["id"]},
              moved(number, "T4", "adjustment", "7", from_holder="h")))  # fmt: skip
    assert engine.account(number)["ledger_balance"] == "1000000.00"
    assert engine.account(number)["verdict"] == "Ok"


def test_a_batch_that_overlaps_an_earlier_one_adds_only_what_is_new(engine: Engine, account: Make) -> None:
    number = account(ledger_mode="external")
    done(feed(engine, moved(number, "T1")))
    views = done(feed(engine, moved(number, "T1"), moved(number, "T2")))["movements"]
    assert [view["receipt"] for view in views] == ["AlreadyRecorded", "Recorded"]
    assert engine.account(number)["ledger_balance"] == "1000020.00"
    assert refused(feed(engine, moved(number, "T3"), moved(number, "T2", amount="11"))) == (
        409, "idempotency_conflict", "movements[1].reference",
    )  # fmt: skip
    assert engine.account(number)["ledger_balance"] == "1000020.00", "all of a batch, or nothing"


def test_a_thousand_movements_are_one_act(engine: Engine, account: Make) -> None:
    number = account(ledger_mode="external")
    batch = [moved(number, f"T{n}", "mint" if n % 2 else "burn", "1", **{"to_holder" if n % 2 else "from_holder": "h"})
             for n in range(1, 1001)]  # fmt: skip
    views = done(feed(engine, *batch))["movements"]
    assert [view["id"] for view in views] == sorted(view["id"] for view in views)
    assert engine.account(number)["circuit_breaker"] == "closed", "what it came to in between is no break"
    assert refused(feed(engine, *batch, moved(number, "T0"))) == (422, "invalid_batch", "movements")


def test_an_account_has_one_ledger(engine: Engine, account: Make) -> None:
    ours, theirs = account(), account(ledger_mode="external")
    assert refused(feed(engine, moved(theirs, "T1"), moved(ours, "T2"))) == (
        409, "wrong_ledger_mode", "movements[1].account_id",
    )  # fmt: skip
    assert refused(post(engine, "burns", burn_of(theirs))) == (409, "wrong_ledger_mode", "account_id")
    assert engine.account(theirs)["ledger_balance"] == "1000000.00"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "opening"}, (422, "wrong_kind", "movements[1].kind")),
        ({"kind": "theft"}, (422, "invalid_request", "movements[1].kind")),
        ({"amount": None}, (422, "missing_field", "movements[1].amount")),
        ({"amount": "0.001"}, (422, "invalid_amount", "movements[1].amount")),
        ({"from_holder": "h"}, (422, "wrong_holders", "movements[1].from_holder")),
        ({"kind": "adjustment"}, (422, "wrong_holders", "movements[1].to_holder")),
        ({"kind": "burn", "from_holder": "nobody"}, (409, "insufficient_holder_balance", "movements[1].amount")),
        ({"kind": "reversal", "reverses": 999999}, (404, "unknown_movement", "movements[1].reverses")),
        ({"reverses": 1}, (422, "wrong_kind", "movements[1].reverses")),
        ({"reference": "T1"}, (422, "duplicate_reference", "movements[1].reference")),
        ({"reference": ""}, (422, "invalid_text", "movements[1].reference")),
    ],
)  # fmt: skip
def test_a_bad_movement_is_refused_by_its_place_and_with_it_the_batch(
    engine: Engine, account: Make, change: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    number = account(ledger_mode="external")
    assert refused(feed(engine, moved(number, "T1"), moved(number, "T2") | change)) == expected
    assert engine.account(number)["ledger_balance"] == "1000000.00"
