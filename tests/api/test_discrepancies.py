"""Discrepancies over HTTP, on the page, in the metrics and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import psycopg
import pytest

from engine import V1, Engine, notification

LIST = f"{V1}/discrepancies"


def broken(engine: Engine, number: str, amount: str = "200.00") -> str:
    """The id of a discrepancy of this account, made by a credit."""
    assert engine.send(notification(f"BREAK-{number}", number, amount)).status_code == 201
    [found] = engine.get(f"{LIST}?status=unresolved&account={number}")["discrepancies"]
    return str(found["id"])


def post(engine: Engine, key: str, act: str, **body: Any) -> httpx2.Response:
    return engine.http.post(f"{LIST}/{key}/{act}", json=body)


def test_one_discrepancy_from_the_break_to_its_end_and_back(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    key = broken(engine, number)
    assigned = post(engine, key, "assignment", actor="ann", assignee="bob")
    assert assigned.status_code == 200
    assert assigned.json()["data"]["status"] == "INVESTIGATING"
    assert post(engine, key, "comments", actor="bob", text="<b>a fee</b>").status_code == 200
    refused = post(engine, key, "resolution", actor="bob", reason="done")
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert error["code"] == "difference_remains"
    assert error["figures"]["difference"] == "200.00"
    assert "200.00 AED" in error["message"]

    assert key in [d["id"] for d in engine.get(f"{LIST}?assignee=bob&severity=minor&limit=1000")["discrepancies"]]
    page = engine.http.get("/").text
    assert f"/api/v1/discrepancies/{key}" in page
    assert "bob" in page

    assert engine.send(notification("HEAL", number, "200.00", credit_debit_indicator="DBIT")).status_code == 201
    shown = engine.get(f"{LIST}/{key}")
    assert (shown["status"], shown["resolved_by"], shown["assignee"]) == ("RESOLVED", "engine", "bob")
    assert [line["happening"] for line in shown["history"]] == ["opened", "assigned", "commented", "resolved"]
    assert shown["history"][-1]["text"] == "difference within bounds again by CAMT_054 HEAL"
    evidence = engine.get(f"{V1}/messages/{shown['evidence']['message_id']}")
    assert evidence["bank_message_id"] == "HEAL"
    assert shown["account"]["account_number"] == number
    assert shown["age_seconds"] >= 0
    assert f"/api/v1/discrepancies/{key}" not in engine.http.get("/").text

    assert post(engine, key, "assignment", actor="ann", assignee=None).status_code == 409
    assert post(engine, key, "reopening", actor="ann", reason="why?").json()["data"]["status"] == "INVESTIGATING"
    again = post(engine, key, "reopening", actor="bob", reason="me too")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_resolved")
    done = post(engine, key, "resolution", actor="bob", reason="explained")
    assert done.json()["data"]["resolution"] == "explained"


def test_the_list_page_by_page(engine: Engine, account: Callable[..., str]) -> None:
    keys = [broken(engine, account()) for _ in range(3)]
    for order in ("newest", "oldest"):
        seen: list[str] = []
        after = ""
        while page := engine.get(f"{LIST}?status=open&order={order}&limit=2{after}")["discrepancies"]:
            seen += [d["id"] for d in page]
            after = f"&after={seen[-1]}"
        assert len(seen) == len(set(seen))
        assert [k for k in seen if k in keys] == (keys if order == "oldest" else keys[::-1])
    assert engine.get(f"{LIST}?status=open&older_than=1d")["discrepancies"] == []


def test_the_age_of_the_oldest_is_scraped(engine: Engine, account: Callable[..., str]) -> None:
    key = broken(engine, account(), "3000.00")

    def age() -> float:
        [line] = [
            line
            for line in engine.http.get("/metrics").text.splitlines()
            if line.startswith('token_engine_oldest_discrepancy_seconds{severity="significant"}')
        ]
        return float(line.rpartition(" ")[2])

    assert 0 <= age() < 60
    with psycopg.connect(engine.database_url) as connection:
        connection.execute(
            "UPDATE reconciliation_discrepancies SET opened_at = now() - interval '2 days' WHERE id = %s", [key]
        )
    assert 2 * 86_400 <= age() < 2 * 86_400 + 60
    # One that somebody investigates is open still.
    summary = engine.get(f"{V1}/reconciliation/summary")["open_discrepancies"]
    post(engine, key, "assignment", actor="ann", assignee="bob")
    assert age() >= 2 * 86_400
    assert engine.get(f"{V1}/reconciliation/summary")["open_discrepancies"] == summary
    assert "2 d 0 h" in engine.http.get("/").text


NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("act", "body", "status", "code", "field"),
    [
        ("assignment", b"", 422, "invalid_json", None),
        ("assignment", b"\xff", 422, "invalid_json", None),
        ("assignment", {"actor": "ann"}, 422, "invalid_request", None),
        ("assignment", {"actor": 5, "assignee": "bob"}, 422, "invalid_request", "actor"),
        ("assignment", {"actor": "", "assignee": "bob"}, 422, "invalid_actor", "actor"),
        ("assignment", {"actor": "engine", "assignee": "bob"}, 422, "invalid_actor", "actor"),
        ("assignment", {"actor": "ann", "assignee": "b\0b"}, 422, "invalid_assignee", "assignee"),
        ("comments", {"actor": "ann", "text": ""}, 422, "invalid_text", "text"),
        ("comments", {"actor": "ann", "text": "x" * 70_000}, 413, "too_large", "body"),
        ("resolution", {"actor": "ann"}, 422, "invalid_request", None),
        ("resolution", {"actor": "ann", "reason": "r", "force": True}, 422, "invalid_request", None),
        ("reopening", {"actor": "ann", "reason": " "}, 422, "invalid_reason", "reason"),
        ("reopening", {"actor": "ann", "reason": "r"}, 409, "not_resolved", None),
    ],
)
def test_an_act_that_cannot_be(
    engine: Engine, account: Callable[..., str], act: str, body: Any, status: int, code: str, field: str | None
) -> None:
    key = broken(engine, account())
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = engine.http.post(f"{LIST}/{key}/{act}", content=content)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error.get("field")) == (code, field), error
    assert len(engine.get(f"{LIST}/{key}")["history"]) == 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{LIST}/{NOBODY}", 404, "unknown_discrepancy"),
        (f"{LIST}/x", 404, "unknown_discrepancy"),
        (f"{LIST}/%00", 404, "unknown_discrepancy"),
        (f"{LIST}?severity=ok", 422, "invalid_request"),
        (f"{LIST}?order=x", 422, "invalid_request"),
        (f"{LIST}?after={NOBODY}", 422, "invalid_request"),
        (f"{LIST}?older_than=5", 422, "invalid_request"),
        (f"{LIST}?older_than=99999d", 200, ""),
        (f"{LIST}?assignee=%00", 422, "invalid_request"),
        (f"{LIST}?limit=0", 422, "invalid_request"),
    ],
)
def test_a_question_that_has_no_answer(engine: Engine, path: str, status: int, code: str) -> None:
    answer = engine.http.get(path)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["error"]["code"] == code


def test_the_command_line_does_the_same(engine: Engine, account: Callable[..., str]) -> None:
    def cli(*words: str) -> tuple[int, str, str]:
        done = engine.cli("discrepancies", *words)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    number = account()
    key = broken(engine, number)
    status, out, _ = cli("list", "--account", number, "--json")
    assert (status, json.loads(out)["id"]) == (0, key)
    status, out, _ = cli("assign", key, "bob", "--actor", "ann", "--json")
    assert (status, json.loads(out)["assignee"]) == (0, "bob")
    assert number in cli("list", "--assignee", "bob")[1]
    assert cli("comment", key, "a fee", "--actor", "bob")[0] == 0
    status, _, problem = cli("resolve", key, "--reason", "done", "--actor", "bob")
    assert status == 1
    assert problem.startswith("difference_remains: the difference remains (Minor)")
    assert engine.send(notification("CLI-HEAL", number, "200.00", credit_debit_indicator="DBIT")).status_code == 201
    assert cli("list", "--account", number, "--json")[1] == ""
    assert cli("reopen", key, "--reason", "why?", "--actor", "ann")[0] == 0
    assert cli("resolve", key, "--reason", "explained", "--actor", "bob")[0] == 0
    status, out, _ = cli("show", key)
    assert status == 0
    assert all(word in out for word in ("commented", "a fee", "reopened", "explained"))
    assert cli("show", NOBODY)[2].startswith("unknown_discrepancy: ")
    assert cli("list", "--severity", "ok")[2].startswith("invalid_request: severity: ")


def test_the_log_holds_no_traceback(engine: Engine) -> None:
    assert "Traceback" not in engine.log
    assert "ERROR" not in engine.log
