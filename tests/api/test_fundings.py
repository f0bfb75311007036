"""Fundings and receipts through the doors: HTTP, the command line, the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx2
import psycopg
import pytest

from engine import V1, Engine, notification, wait_for

Make = Callable[..., str]
NOBODY = "00000000-0000-4000-8000-000000000000"
_keys = count(1)


def post(engine: Engine, path: str, content: Any, key: str | None = None) -> httpx2.Response:
    return engine.http.post(f"{V1}/{path}", json=content, headers={"Idempotency-Key": key or f"funding-{next(_keys)}"})


def done(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


def refused(answer: httpx2.Response) -> tuple[int, str, str | None]:
    body = answer.json()
    assert body["success"] is False
    return answer.status_code, body["error"]["code"], body["error"].get("field")


def of(account: str, tag: str = "E1", **more: Any) -> dict[str, Any]:
    return {
        "account_id": account, "amount": "50.00", "end_to_end_id": tag, "holder": "BANKAEAD", "actor": "ann",
    } | more  # fmt: skip


def credit(engine: Engine, account: str, tag: str = "E1", amount: str = "50.00") -> None:
    answer = engine.send(notification(f"{account}-{next(_keys)}", account, amount, end_to_end_id=tag))
    assert answer.status_code == 201, answer.text


def receipt(engine: Engine, account: str) -> dict[str, Any]:
    """The one that waits."""
    [found] = engine.get(f"{V1}/receipts?account_id={account}")["receipts"]
    assert isinstance(found, dict)
    return found


def test_announced_and_met(engine: Engine, account: Make) -> None:
    number = account()
    expected = done(post(engine, "fundings", of(number)))
    assert (expected["state"], expected["minted"], expected["waiting"]) == ("EXPECTED", None, None)
    assert refused(post(engine, "fundings", of(number))) == (409, "funding_exists", "end_to_end_id")
    credit(engine, number)
    shown = engine.get(f"{V1}/fundings/{expected['id']}")
    assert (shown["state"], shown["entry"]["amount"], shown["movement"]["amount"]) == ("MET", "50.00", "50.00")
    found = engine.get(f"{V1}/accounts/{number}/movements")["movements"][0]
    assert (found["kind"], found["to_holder"], found["id"]) == ("mint", "BANKAEAD", shown["movement"]["id"])
    assert engine.get(f"{V1}/receipts?account_id={number}&state=all")["receipts"] == []
    again = {"reason": "r", "actor": "ann"}
    assert refused(post(engine, f"movements/{found['id']}/reversal", again)) == (409, "not_reversible", "reverses")
    assert engine.cli("check").returncode == 0


def test_a_lost_answer_is_given_again_and_nothing_is_minted_twice(engine: Engine, account: Make) -> None:
    number = account()
    credit(engine, number)
    first = post(engine, "fundings", of(number), "lost")
    again = post(engine, "fundings", of(number, amount="50", expires_in_minutes=43200), "lost")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert done(first)["minted"]["amount"] == "50.00"
    assert engine.account(number)["ledger_balance"] == "1000050.00"
    assert refused(post(engine, "fundings", of(number, amount="51"), "lost"))[1] == "idempotency_conflict"


def test_fundings_are_listed_and_cancelled(engine: Engine, account: Make) -> None:
    number = account()
    made = [done(post(engine, "fundings", of(number, f"E{n}")))["id"] for n in range(3)]
    path = f"{V1}/accounts/{number}/fundings"
    assert [f["id"] for f in engine.get(path)["fundings"]] == made[::-1]
    assert [f["id"] for f in engine.get(f"{path}?limit=1&before={made[1]}")["fundings"]] == [made[0]]
    act = {"actor": "bob", "reason": "withdrawn"}
    ended = done(post(engine, f"fundings/{made[0]}/cancel", act))
    assert (ended["state"], ended["settled_by"]) == ("CANCELLED", "bob")
    assert refused(post(engine, f"fundings/{made[0]}/cancel", act)) == (409, "funding_settled", "funding_id")
    assert refused(post(engine, f"fundings/{NOBODY}/cancel", act)) == (404, "unknown_funding", "funding_id")
    assert [f["id"] for f in engine.get(f"{path}?state=cancelled")["fundings"]] == [made[0]]
    assert len(engine.get(f"{path}?state=expected")["fundings"]) == 2


def test_a_receipt_is_allocated(engine: Engine, account: Make) -> None:
    number = account()
    expected = done(post(engine, "fundings", of(number)))
    credit(engine, number, "other")
    waits = receipt(engine, number)
    assert (waits["state"], waits["amount"], waits["suggestion"]["funding_id"]) == (
        "UNALLOCATED", "50.00", expected["id"],
    )  # fmt: skip
    path = f"receipts/{waits['entry_id']}/allocation"
    whose = {"actor": "ann", "reason": "seen the payer", "funding_id": expected["id"]}
    assert refused(post(engine, path, whose | {"holder": "h"})) == (422, "invalid_allocation", None)
    said = done(post(engine, path, whose, "allocated"))
    assert (said["state"], said["movement"]["to_holder"]) == ("ALLOCATED", "BANKAEAD")
    assert done(post(engine, path, whose, "allocated")) == said
    assert refused(post(engine, path, whose)) == (409, "receipt_settled", "entry_id")
    assert engine.get(f"{V1}/receipts/{waits['entry_id']}")["became"]["met"] == "funding"
    assert engine.get(f"{V1}/fundings/{expected['id']}")["state"] == "MET"


def test_a_receipt_goes_back(engine: Engine, account: Make) -> None:
    number = account()
    credit(engine, number)
    waits = receipt(engine, number)
    path = f"receipts/{waits['entry_id']}/return"
    assert refused(post(engine, path, {"actor": "engine", "reason": "r"})) == (422, "invalid_actor", "actor")
    debit = notification(f"{number}-D", number, "0.01", credit_debit_indicator="DBIT")
    assert engine.send(debit).status_code == 201
    assert refused(post(engine, path, {"actor": "ann", "reason": "r"})) == (409, "not_excess", None)
    credit(engine, number, "E2", "0.01")
    said = done(post(engine, path, {"actor": "ann", "reason": "r"}))
    assert (said["state"], said["became"]["return_reference"]) == ("RETURNED", "E1")
    [gone] = engine.get(f"{V1}/receipts?account_id={number}&state=returned")["receipts"]
    assert (gone["entry_id"], gone["became"]["debit_id"]) == (waits["entry_id"], None)
    taken = notification(f"{number}-B", number, "50", credit_debit_indicator="DBIT", bank_reference="THE BANK'S OWN")
    assert engine.send(taken).status_code == 201
    with psycopg.connect(engine.database_url) as connection:
        row = connection.execute(
            "SELECT id FROM bank_entries WHERE bank_message_id = %s", [f"{number}-B"]
        ).fetchone()  # fmt: skip
    assert row is not None
    told = {"actor": "bob", "reason": "r", "debit_entry_id": row[0]}
    assert done(post(engine, f"{path}/debit", told))["became"]["debit_id"] == row[0]
    assert refused(post(engine, f"{path}/debit", told)) == (409, "receipt_settled", "entry_id")
    again = engine.cli("receipts", "debited", str(waits["entry_id"]), str(row[0]), "--reason", "r", "--actor", "bob")
    assert (again.returncode, again.stderr[:16]) == (1, b"receipt_settled:")


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("fundings", {}, (422, "invalid_request", "account_id")),
        ("fundings", of("x", mint=True), (422, "invalid_request", "mint")),
        ("fundings", of("nobody's"), (404, "unknown_account", "account_id")),
        ("fundings", of("x", actor="engine"), (422, "invalid_actor", "actor")),
        ("fundings", of("x", amount=50), (422, "invalid_request", "amount")),
        ("fundings", of("x", amount="1e3"), (422, "invalid_amount", "amount")),
        ("fundings", of("x", "NOTPROVIDED"), (422, "invalid_end_to_end_id", "end_to_end_id")),
        ("fundings", of("x", expires_in_minutes=0), (422, "invalid_expires_in_minutes", "expires_in_minutes")),
        ("fundings/x/cancel", {"actor": "ann", "reason": "r"}, (404, "unknown_funding", "funding_id")),
        ("fundings/x/cancel", {"actor": "ann", "reason": " "}, (422, "invalid_text", "reason")),
        ("receipts/0/allocation", {"actor": "a", "reason": "r", "holder": "h"}, (404, "unknown_receipt", "entry_id")),
        (f"receipts/{2**70}/return", {"actor": "a", "reason": "r"}, (404, "unknown_receipt", "entry_id")),
        ("receipts/x/return", {"actor": "a", "reason": "r"}, (422, "invalid_request", "entry_id")),
        ("receipts/1/allocation", {"actor": "a", "reason": "r"}, (422, "invalid_allocation", None)),
        ("receipts/1/allocation", {"actor": "a", "reason": "r", "own_funds": "yes"},
         (422, "invalid_request", "own_funds")),
    ],
)  # fmt: skip
def test_what_is_refused(engine: Engine, path: str, content: Any, expected: tuple[int, str, str | None]) -> None:
    assert refused(post(engine, path, content)) == expected


def test_without_a_key_no_money_moves(engine: Engine, account: Make) -> None:
    number = account()
    for path in ("fundings", f"fundings/{NOBODY}/cancel", "receipts/1/allocation", "receipts/1/return"):
        answer = engine.http.post(f"{V1}/{path}", json=of(number))
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"fundings/{NOBODY}", 404, "unknown_funding"),
        ("fundings/%00", 404, "unknown_funding"),
        ("accounts/nobody's/fundings", 404, "unknown_account"),
        ("accounts/x/fundings?before=x", 422, "invalid_request"),
        ("accounts/x/fundings?limit=0", 422, "invalid_request"),
        ("receipts/999999999", 404, "unknown_receipt"),
        (f"receipts/{2**70}", 404, "unknown_receipt"),
        ("receipts?state=lost", 422, "invalid_request"),
        ("receipts?account_id=nobody's", 404, "unknown_account"),
        (f"receipts?before={2**70}", 422, "invalid_request"),
    ],
)
def test_a_question_that_has_no_answer(engine: Engine, path: str, status: int, code: str) -> None:
    answer = engine.http.get(f"{V1}/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def test_the_clock_ends_what_nobody_met(engine: Engine, account: Make) -> None:
    """By the clock at once, and written down with its event within seconds."""
    number = account()
    funding = done(post(engine, "fundings", of(number, expires_in_minutes=1)))
    with psycopg.connect(engine.database_url) as connection:
        # What a minute does, without waiting for it: the announcement itself cannot be changed.
        connection.execute("ALTER TABLE fundings DISABLE TRIGGER fundings_settled_once")
        connection.execute("UPDATE fundings SET expires_at = now() WHERE id = %s", [funding["id"]])
        connection.execute("ALTER TABLE fundings ENABLE TRIGGER fundings_settled_once")
    assert engine.get(f"{V1}/fundings/{funding['id']}")["state"] == "EXPIRED"
    wait_for(lambda: engine.get(f"{V1}/fundings/{funding['id']}")["settled_by"] == "engine")
    credit(engine, number)
    assert receipt(engine, number)["suggestion"]["state"] == "EXPIRED"


def test_the_command_line_does_the_same(engine: Engine, account: Make) -> None:
    number = account()

    def cli(*words: str) -> tuple[int, str, str]:
        ran = engine.cli(*words)
        return ran.returncode, ran.stdout.decode(), ran.stderr.decode()

    status, out, problem = cli("fundings", "announce", number, "50", "E1", "BANKAEAD", "--actor", "ann", "--json")
    assert status == 0, problem
    funding = json.loads(out)
    assert funding["state"] == "EXPECTED"
    status, _, problem = cli("fundings", "announce", number, "50", "E1", "BANKAEAD", "--actor", "ann")
    assert (status, problem.partition(":")[0]) == (1, "funding_exists")
    assert number in cli("fundings", "list", number, "--state", "expected")[1]
    credit(engine, number, "E2")
    credit(engine, number, "E3", "7")
    status, out, _ = cli("receipts", "list", "--account", number, "--json")
    by_tag = {r["end_to_end_id"]: str(r["entry_id"]) for r in map(json.loads, out.splitlines())}
    assert funding["id"] in cli("receipts", "list", "--account", number)[1], "what it may be for"
    words = ("receipts", "allocate", by_tag["E2"], "--reason", "r", "--actor", "ann", "--funding", funding["id"])
    assert cli(*words, "--key", "cli-1")[0] == 0
    assert cli(*words, "--key", "cli-1")[0] == 0, "the same key is answered as the first time"
    assert cli(*words)[2].startswith("receipt_settled")
    assert cli("receipts", "allocate", by_tag["E3"], "--reason", "r")[2].startswith("invalid_allocation")
    assert "E3" in cli("receipts", "return", by_tag["E3"], "--reason", "r", "--actor", "ann")[1]
    assert "MET" in cli("fundings", "show", funding["id"])[1]
    assert cli("fundings", "cancel", funding["id"], "--reason", "r", "--actor", "ann")[2].startswith("funding_settled")
    assert cli("fundings", "show", NOBODY)[2].startswith("unknown_funding")
    assert cli("fundings", "list", "nobody's")[2].startswith("unknown_account")
    assert cli("receipts", "list", "--state", "lost")[2].startswith("invalid_request")
    status, out, _ = cli("check")
    assert status == 0
    assert "Every mint is of a booked credit" in out


def test_the_log_holds_no_traceback(engine: Engine) -> None:
    assert "Traceback" not in engine.log
    assert "ERROR" not in engine.log
