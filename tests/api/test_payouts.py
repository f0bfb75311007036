"""Payouts through their HTTP door, and by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx2
import psycopg
import pytest

from engine import V1, Engine, notification, wait_for

Make = Callable[..., str]
PATH = f"{V1}/payouts"
_keys = count(1)


def post(engine: Engine, path: str, content: Any, key: str | None = None) -> httpx2.Response:
    return engine.http.post(path, json=content, headers={"Idempotency-Key": key or f"payout-{next(_keys)}"})


def done(answer: httpx2.Response, status: int = 201) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


def refused(answer: httpx2.Response) -> tuple[int, str, str | None]:
    body = answer.json()
    assert body["success"] is False
    return answer.status_code, body["error"]["code"], body["error"].get("field")


def payout_of(account: str, amount: str = "10.00", **more: Any) -> dict[str, Any]:
    return {"account_id": account, "amount": amount, "holder": "unattributed", "actor": "ann"} | more


def test_the_life_of_a_payout_until_the_bank_speaks(engine: Engine, account: Make) -> None:
    number = account()
    wanted = payout_of(number, "250.5", end_to_end_id="INV-1", beneficiary="Supplier LLC", expires_in_minutes=5)
    first = post(engine, PATH, wanted, "life")
    view = done(first)
    assert (view["state"], view["amount"], view["token"], view["end_to_end_id"]) == ("HELD", "250.50", "xAED", "INV-1")
    again = post(engine, PATH, wanted, "life")
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (201, "true", first.json())
    assert "Idempotent-Replayed" not in first.headers
    assert engine.account(number)["available_balance"] == "999749.50"

    path = f"{PATH}/{view['id']}"
    assert done(post(engine, f"{path}/sent", {"actor": "ann"}), 200)["state"] == "SENT"
    assert refused(post(engine, f"{path}/cancel", {"actor": "bob", "reason": "r"})) == (
        409, "payout_not_rejected", "rejected_by_bank",
    )  # fmt: skip
    rejected = {"actor": "bob", "reason": "AC04", "rejected_by_bank": True}
    assert done(post(engine, f"{path}/cancel", rejected), 200)["settled_by"] == "bob"
    assert engine.account(number)["available_balance"] == "1000000.00"
    told = engine.get(path)
    assert [(line["state"], line["actor"], line.get("reason")) for line in told["story"]] == [
        ("HELD", "ann", None), ("SENT", "ann", None), ("CANCELLED", "bob", "AC04"),
    ]  # fmt: skip
    assert engine.cli("check").returncode == 0


def test_an_accounts_payouts_are_listed_newest_first(engine: Engine, account: Make) -> None:
    number = account()
    ids = [done(post(engine, PATH, payout_of(number)))["id"] for _ in range(3)]
    done(post(engine, f"{PATH}/{ids[1]}/cancel", {"actor": "ann", "reason": "r"}), 200)
    path = f"{V1}/accounts/{number}/payouts"
    assert [p["id"] for p in engine.get(path)["payouts"]] == ids[::-1]
    assert [p["id"] for p in engine.get(f"{path}?state=held")["payouts"]] == [ids[2], ids[0]]
    assert [p["id"] for p in engine.get(f"{path}?limit=1&before={ids[2]}")["payouts"]] == [ids[1]]
    assert engine.get(f"{V1}/accounts/{account()}/payouts") == {"payouts": []}
    assert engine.http.get(f"{path}?state=gone").status_code == 422
    assert engine.http.get(f"{V1}/accounts/NOBODY/payouts").status_code == 404
    assert engine.http.get(f"{PATH}/00000000-0000-4000-8000-000000000000").status_code == 404
    assert engine.http.get(f"{PATH}/7").status_code == 422


def test_a_shut_gate_says_why_and_so_do_the_questions(engine: Engine, account: Make) -> None:
    number = account()
    engine.send(notification("GATE-1", number, "1.00", credit_debit_indicator="DBIT"))
    answer = post(engine, PATH, payout_of(number, "1000000.01"), "gate")
    assert refused(answer) == (409, "breaker_open", None)
    assert answer.json()["error"]["reasons"] == ["open", "insufficient"]
    again = post(engine, PATH, payout_of(number, "1000000.01"), "gate")
    assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", answer.json())
    gate = engine.get(f"{V1}/accounts/{number}/gate?amount=1000000.01&holder=unattributed")
    assert gate["payout"] == {"allowed": False, "reasons": ["open", "insufficient"]}
    assert engine.get(f"{V1}/accounts/{number}/gate")["payout"] == {"allowed": False, "reasons": ["open"]}
    assert refused(engine.http.get(f"{V1}/accounts/{number}/gate?amount=-1")) == (422, "invalid_amount", "amount")
    room = engine.get(f"{V1}/accounts/{number}/headroom?holder=unattributed")
    assert (room["may_pay_out"], room["may_pay_out_reasons"]) == ("0.00", ["open"])
    assert (room["may_mint"], room["may_mint_reasons"]) == ("0.00", ["open"])
    assert (room["ledger_balance"], room["bank_balance"], room["reserved_balance"], room["available_balance"]) == (
        "1000000.00", "999999.00", "0.00", "1000000.00",
    )  # fmt: skip
    assert room["holder"] == {"holder": "unattributed", "balance": "1000000.00", "reserved": "0.00"}
    assert engine.http.get(f"{V1}/accounts/NOBODY/headroom").status_code == 404
    assert engine.http.get(f"{V1}/accounts/NOBODY/gate?amount=1").status_code == 404


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount": "x"}, (422, "invalid_amount", "amount")),
        ({"amount": "0.00"}, (422, "invalid_amount", "amount")),
        ({"amount": "0.001"}, (422, "invalid_amount", "amount")),
        ({"amount": 10}, (422, "invalid_request", "amount")),
        ({"holder": " "}, (422, "invalid_text", "holder")),
        ({"holder": "a\u0000b"}, (422, "invalid_text", "holder")),
        ({"actor": "engine"}, (422, "invalid_actor", "actor")),
        ({"end_to_end_id": "NOTPROVIDED"}, (422, "invalid_end_to_end_id", "end_to_end_id")),
        ({"end_to_end_id": "x" * 141}, (422, "invalid_text", "end_to_end_id")),
        ({"expires_in_minutes": 0}, (422, "invalid_minutes", "expires_in_minutes")),
        ({"account_id": "NOBODY"}, (404, "unknown_account", "account_id")),
        ({"account_id": "a\u0000b"}, (422, "invalid_text", "account_id")),
        ({"currency": "USD"}, (404, "unknown_account", "account_id")),
        ({"amount": "1000000.01"}, (409, "insufficient_holder_balance", "amount")),
        ({"nonsense": 1}, (422, "invalid_request", "nonsense")),
    ],
)
def test_what_cannot_be_held_is_refused_by_name(
    engine: Engine, account: Make, change: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    number = account()
    assert refused(post(engine, PATH, payout_of(number) | change)) == expected
    assert engine.account(number)["reserved_balance"] == "0.00"


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 256])
def test_a_request_without_a_usable_key_is_refused(engine: Engine, account: Make, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = engine.http.post(PATH, json=payout_of(account()), headers=headers)
    assert refused(answer) == (422, "invalid_request", "Idempotency-Key")


def test_what_cannot_be_read_is_refused_and_not_kept(engine: Engine, account: Make) -> None:
    headers = {"Idempotency-Key": "unreadable"}
    assert refused(engine.http.post(PATH, content=b"{", headers=headers))[:2] == (422, "invalid_json")
    assert refused(engine.http.post(PATH, content=b"[]", headers=headers))[:2] == (422, "invalid_request")
    too_large = engine.http.post(PATH, content=b" " * (1024 * 1024 + 1), headers=headers)
    assert refused(too_large) == (413, "too_large", "body")
    done(post(engine, PATH, payout_of(account()), "unreadable"))


def test_many_at_once_hold_no_more_than_there_is(engine: Engine, account: Make) -> None:
    number = account(ledger_balance="100", bank_balance="100")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: post(engine, PATH, payout_of(number, "7"), f"many-{number}-{n}"), range(40)))
    assert [a.status_code for a in answers].count(201) == 14
    assert {refused(a)[:2] for a in answers if a.status_code != 201} == {(409, "insufficient_available")}
    assert engine.account(number)["reserved_balance"] == "98.00"
    scraped = engine.http.get("/metrics").text
    assert "token_engine_payout_holds_total" in scraped
    assert 'token_engine_batch_size_count{work="holds"}' in scraped
    held = next(line for line in scraped.splitlines() if line.startswith("token_engine_payouts_held "))
    assert float(held.split()[1]) >= 14


def test_a_hold_that_is_over_is_released_by_the_engine_itself(engine: Engine, account: Make) -> None:
    """The shortest hold lasts a minute; the clock of this one is turned back in the database."""
    number = account()
    view = done(post(engine, PATH, payout_of(number)))
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("ALTER TABLE payouts DISABLE TRIGGER payouts_lawful")
        connection.execute("UPDATE payouts SET expires_at = now() - interval '1 second' WHERE id = %s", [view["id"]])
        connection.execute("ALTER TABLE payouts ENABLE TRIGGER payouts_lawful")
    assert refused(post(engine, f"{PATH}/{view['id']}/sent", {"actor": "ann"}))[:2] == (409, "payout_expired")
    wait_for(lambda: engine.get(f"{PATH}/{view['id']}")["state"] == "EXPIRED")
    assert engine.account(number)["reserved_balance"] == "0.00"


def test_the_paths_are_described(engine: Engine) -> None:
    paths = engine.http.get("/openapi.json").json()["paths"]
    described = paths[PATH]["post"]
    assert [p["name"] for p in described["parameters"]] == ["Idempotency-Key"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {"account_id", "amount", "holder", "actor"}
    assert "get" not in paths[PATH]
    assert engine.http.get(PATH).status_code == 405


def test_the_same_by_command_line(engine: Engine, account: Make) -> None:
    number = account()

    def run(*words: str) -> dict[str, Any]:
        answer = engine.cli("payouts", *words, "--json")
        assert answer.returncode == 0, answer.stderr
        view: dict[str, Any] = json.loads(answer.stdout)
        return view

    view = run("hold", number, "10", "--holder", "unattributed", "--actor", "ann", "--key", "by-hand")
    assert view == run("hold", number, "10", "--holder", "unattributed", "--actor", "ann", "--key", "by-hand")
    assert run("list", number, "--state", "held")["id"] == view["id"]
    assert run("sent", view["id"], "--actor", "ann")["state"] == "SENT"
    refusal = engine.cli("payouts", "cancel", view["id"], "--reason", "r", "--actor", "ann")
    assert (refusal.returncode, refusal.stderr.partition(b":")[0]) == (1, b"payout_not_rejected")
    run("cancel", view["id"], "--reason", "AC04", "--actor", "ann", "--rejected-by-bank")
    assert [line["state"] for line in run("show", view["id"])["story"]] == ["HELD", "SENT", "CANCELLED"]
    plain = engine.cli("payouts", "show", view["id"])
    assert b"AC04" in plain.stdout
    for words in (("list", "NOBODY"), ("show", "00000000-0000-4000-8000-000000000000")):
        assert engine.cli("payouts", *words).returncode == 1
