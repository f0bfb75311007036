"""Statements as people have them: listed, shown and released over HTTP and at the command line; their calendars."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import psycopg
import pytest

from engine import V1, Engine, wait_for
from road.statement_writer import line, message, statement

Account = Callable[..., str]
DAY = date(2025, 11, 17)
DUBAI = {"actor": "ann", "time_zone": "Asia/Dubai", "cut_off": "17:00", "due_after_minutes": 360, "holidays": "AE"}


def quarantined(engine: Engine, number: str) -> int:
    """A statement of the account that does not add up, as the specification's example, sent in."""
    raw = message(
        statement(
            line("100000", reference=number, day=f"{DAY}"), opening="1000000", closing="1250000", day=f"{DAY}",
            account=number, name=f"STMT-{number}",
        ),
        name=f"M-{number}",
    )  # fmt: skip
    answer = engine.http.post(f"{V1}/reconciliation/eod", content=raw)
    assert answer.is_success, answer.text
    return int(engine.get(f"{V1}/statements?account_id={number}")["statements"][0]["id"])


def post(engine: Engine, where: str, status: int, said: Any) -> Any:
    answer = engine.http.post(f"{V1}/statements/{where}", content=said if isinstance(said, bytes) else json.dumps(said))
    assert answer.status_code == status, answer.text
    body = answer.json()
    return body["data"] if body["success"] else body["error"]


def act(actor: str, reason: str = "the bank confirmed it") -> dict[str, str]:
    return {"actor": actor, "reason": reason}


def test_a_statement_is_found_with_what_is_wrong_with_it(engine: Engine, account: Account) -> None:
    number = account()
    held = quarantined(engine, number)
    [listed] = engine.get(f"{V1}/statements?account_id={number}&state=quarantined")["statements"]
    assert (listed["id"], listed["state"], listed["failed_checks"]) == (held, "QUARANTINED", ["entries_sum"])
    assert engine.get(f"{V1}/statements?account_id={number}&state=accepted")["statements"] == []
    assert engine.get(f"{V1}/statements?account_id={number}&before={held}")["statements"] == []
    shown = engine.get(f"{V1}/statements/{held}")
    [check] = [each for each in shown["checks"] if each["outcome"] == "failed"]
    assert (check["name"], check["expected"], check["actual"]) == ("entries_sum", "1100000.00", "1250000.00")
    assert (shown["closing_balance"], shown["release"]) == ("1250000.00", {"pending": None, "story": []})


def test_what_is_asked_wrongly_names_its_field(engine: Engine) -> None:
    for query, status, field in (
        ("account_id=NONE", 404, "account_id"), ("state=late", 422, "state"), ("before=x", 422, "before"),
        ("before=-1", 422, "before"), (f"before={2**70}", 422, "before"), ("limit=0", 422, "limit"),
    ):  # fmt: skip
        answer = engine.http.get(f"{V1}/statements?{query}")
        assert (answer.status_code, answer.json()["error"]["field"]) == (status, field), query
    for name, status in (("999999999", 404), (str(2**70), 404), ("0", 404), ("x", 422)):
        assert engine.http.get(f"{V1}/statements/{name}").status_code == status


def test_a_release_waits_for_a_second_person(engine: Engine, account: Account) -> None:
    number = account()
    held = quarantined(engine, number)
    assert post(engine, f"{held}/release/approve", 409, act("bob"))["code"] == "no_release_pending"
    asked = post(engine, f"{held}/release", 201, act("ann"))
    assert asked["release"]["pending"]["actor"] == "ann"
    assert post(engine, f"{held}/release", 409, act("carol"))["code"] == "release_pending"
    same = post(engine, f"{held}/release/approve", 409, act(" ANN "))
    assert (same["code"], same["field"]) == ("same_person", "actor")
    assert post(engine, "999999999/release", 404, act("ann"))["code"] == "unknown_statement"
    assert engine.balance(number) == "1000000.00"
    done = post(engine, f"{held}/release/approve", 200, act("bob"))
    assert (done["state"], [told["act"] for told in done["release"]["story"]]) == (
        "RELEASED",
        ["REQUESTED", "APPROVED"],
    )
    assert engine.balance(number) == "1250000.00"
    assert post(engine, f"{held}/release/approve", 200, act("bob"))["state"] == "RELEASED"
    assert post(engine, f"{held}/release/approve", 409, act("carol"))["code"] == "not_quarantined"


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        (b"", "invalid_json", None), ({}, "invalid_request", "actor"), ({"actor": "ann"}, "invalid_request", "reason"),
        (act(" "), "invalid_actor", "actor"), (act("ann", ""), "invalid_text", "reason"),
        (act("a\0nn"), "invalid_actor", "actor"), (act("ann") | {"more": 1}, "invalid_request", "more"),
    ],
)  # fmt: skip
def test_words_that_cannot_be(engine: Engine, account: Account, said: Any, code: str, field: str | None) -> None:
    held = quarantined(engine, account())
    for where in ("release", "release/approve"):
        wrong = post(engine, f"{held}/{where}", 422, said)
        assert (wrong["code"], wrong.get("field")) == (code, field)


def test_the_same_at_the_command_line(engine: Engine, account: Account) -> None:
    number = account()
    held = str(quarantined(engine, number))

    def cli(*words: str, code: int = 0) -> Any:
        done = engine.cli("statement", *words, *(["--json"] if not code else []))
        assert done.returncode == code, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()] if not code else done.stderr.decode()

    assert [row["id"] for row in cli("list", "--account", number)] == [int(held)]
    [asked] = cli("release", held, "--actor", "ann", "--reason", "r")
    assert asked["release"]["pending"]["actor"] == "ann"
    assert cli("approve", held, "--actor", "Ann", "--reason", "r", code=1).startswith("same_person: ")
    assert cli("show", "999999999", code=1).startswith("unknown_statement: ")
    assert cli("list", "--state", "late", code=1).startswith("invalid_request: ")
    shown = engine.cli("statement", "show", held).stdout.decode()
    assert all(word in shown for word in ("entries_sum", "1100000.00", "1250000.00", "REQUESTED", "ann"))


def test_a_calendar_is_set_and_shown(engine: Engine, account: Account) -> None:
    number = account()
    where = f"{V1}/accounts/{number}/statement-calendar"
    assert engine.http.get(where).json()["error"]["code"] == "unknown_calendar"
    answer = engine.http.put(where, json=DUBAI)
    assert answer.status_code == 200, answer.text
    told = engine.get(where)
    assert told == answer.json()["data"]
    assert (told["cut_off"], told["weekend"], told["missing"]) == ("17:00", ["SA", "SU"], [])
    assert told["next_due"]["statement_date"] >= told["today"]
    for wrong, field in (
        ({"time_zone": "Dubai"}, "time_zone"), ({"cut_off": 17}, "cut_off"),
        ({"extra_holidays": ["soon"]}, "extra_holidays"),
        ({"weekend": ["XX"]}, "weekend"), ({"actor": ""}, "actor"), ({"holidays": "ZZ"}, "holidays"),
        ({"due_after_minutes": 1.5}, "due_after_minutes"), ({"country": "AE"}, "country"),
    ):  # fmt: skip
        refused = engine.http.put(where, json=DUBAI | wrong)
        assert refused.status_code == 422
        assert refused.json()["error"]["field"].startswith(field), refused.text
    assert engine.get(where) == told
    assert engine.http.put(f"{V1}/accounts/NONE/statement-calendar", json=DUBAI).status_code == 404


def test_a_calendar_at_the_command_line(engine: Engine, account: Account) -> None:
    number = account()
    words = ("--time-zone", "Asia/Kolkata", "--cut-off", "23:59", "--due-after-minutes", "600", "--holidays", "IN-MH",
             "--weekend", "SU,2SA,4SA", "--extra-holiday", "2026-03-04", "--actor", "ann")  # fmt: skip
    done = engine.cli("calendar", "set", number, *words, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["weekend"], told["extra_holidays"]) == (["SU", "2SA", "4SA"], ["2026-03-04"])
    shown = engine.cli("calendar", "show", number).stdout.decode()
    assert all(word in shown for word in ("Asia/Kolkata", "23:59", "SU,2SA,4SA", "IN-MH"))
    assert engine.cli("calendar", "show", "NONE").returncode == 1
    wrong = engine.cli("calendar", "set", number, "--time-zone", "X", "--cut-off", "1", "--due-after-minutes", "1")
    assert (wrong.returncode, wrong.stderr.decode().startswith("invalid_calendar: ")) == (1, True)


def test_a_running_engine_looks_for_what_is_missing(engine: Engine, account: Account) -> None:
    """The sweep is wired: with a calendar turned back, the page's account is told of within seconds."""
    number = account()
    assert engine.http.put(f"{V1}/accounts/{number}/statement-calendar", json=DUBAI).status_code == 200
    key = engine.account(number)["id"]
    with psycopg.connect(engine.database_url) as connection:
        connection.execute(
            "UPDATE statement_calendars SET looked_to = looked_to - 14, next_due_at = now() WHERE account_id = %s",
            [key],
        )
    found = wait_for(lambda: engine.get(f"{V1}/discrepancies?type=STATEMENT_MISSING&account={number}")["discrepancies"])
    assert len(found) >= 5
    stale = engine.account(number)
    assert (stale["verdict"], stale["statement_missing_since"]) == ("Stale", min(d["opened_at"] for d in found))
    assert engine.get(f"{V1}/accounts/{number}/gate")["mint"]["reasons"] == ["statement_missing"]
    assert len(engine.get(f"{V1}/accounts/{number}/statement-calendar")["missing"]) == len(found)
