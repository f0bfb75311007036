"""Matches through the doors: HTTP and the command line. The rows of both sides are laid beside the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import httpx2
import psycopg
import pytest
from benchmarks.business import Line, Move

from engine import V1, Engine
from road.bench import road_on
from simulation.books import Books
from token_engine.storage.matching import match

Make = Callable[..., str]
_keys = count(1)


def post(engine: Engine, path: str, content: Any, key: str | None = None) -> httpx2.Response:
    return engine.http.post(f"{V1}/{path}", json=content, headers={"Idempotency-Key": key or f"match-{next(_keys)}"})


def refused(answer: httpx2.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("field")


def laid(engine: Engine, number: str, lines: list[Line], moves: list[Move]) -> Books:
    """A statement with these lines, matched with these movements."""

    async def lay() -> Books:
        async with road_on(engine.database_url) as road, road.connection.transaction():
            row = await road.row("SELECT id FROM emi_accounts WHERE account_number = %s", number)
            books = Books(road.connection, row["id"])
            await books.move(moves)
            await match(road.tx, [await books.state(lines)], datetime(2025, 11, 19, 2, tzinfo=UTC))
            return books

    return asyncio.run(lay())


def both(books: Books, entry: str, movement: str, **more: Any) -> dict[str, Any]:
    return {
        "entry_ids": [books.entries[entry]], "movement_ids": [books.movements[movement]], "actor": "ann",
        "reason": "seen both",
    } | more  # fmt: skip


def test_from_an_ambiguous_line_to_a_match_and_back(engine: Engine, account: Make) -> None:
    number = account()
    lines = [Line(n, Decimal(70), counterparty="ACME") for n in "ab"]
    books = laid(engine, number, lines, [Move("m", Decimal(70), counterparty="ACME")])
    items = engine.get(f"{V1}/open-items?account_id={number}&side=bank&reason=ambiguous&older_than_days=1")[
        "open_items"
    ]
    assert [(item["amount"], item["reason"]) for item in items] == [("70.00", "ambiguous")] * 2
    assert items[0]["candidates"][0]["movement_id"] == books.movements["m"]
    wanted = both(books, "a", "m")
    made = post(engine, "matches", wanted, "lost")
    assert made.status_code == 201, made.text
    again = post(engine, "matches", wanted, "lost")
    assert (again.content, again.headers["Idempotent-Replayed"]) == (made.content, "true")
    assert refused(post(engine, "matches", both(books, "b", "m"))) == (409, "already_matched", "movement_ids")
    name = made.json()["data"]["match_id"]
    shown = engine.get(f"{V1}/matches/{name}")
    assert (shown["pass"], shown["agreed"]["counterparty"], shown["alternatives"][0]["entry_id"]) == (
        "manual", "ACME", books.entries["b"],
    )  # fmt: skip
    listed = engine.get(f"{V1}/matches?account_id={number}&pass=manual")["matches"]
    assert [row["match_id"] for row in listed] == [name]
    undone = post(engine, f"matches/{name}/unmatch", {"actor": "bob", "reason": "the other one"})
    assert (undone.status_code, undone.json()["data"]["state"]) == (200, "UNMATCHED")
    assert engine.get(f"{V1}/matches/{name}")["story"][1]["actor"] == "bob"
    assert engine.get(f"{V1}/matches?account_id={number}")["matches"] == []


def test_unequal_sums_by_two(engine: Engine, account: Make) -> None:
    number = account()
    books = laid(engine, number, [Line("a", Decimal(85))], [Move("m", Decimal(100))])
    assert refused(post(engine, "matches", both(books, "a", "m"))) == (409, "sums_differ", None)
    asked = post(engine, "matches/requests", both(books, "a", "m"))
    assert asked.status_code == 201, asked.text
    path = f"matches/requests/{asked.json()['data']['id']}"
    word = {"actor": "Ann", "reason": "a charge on the way"}
    assert refused(post(engine, f"{path}/approval", word)) == (409, "same_person", "actor")
    assert len(engine.get(f"{V1}/matches/requests?account_id={number}&pending=true")["requests"]) == 1
    made = post(engine, f"{path}/approval", word | {"actor": "bob"})
    assert (made.status_code, made.json()["data"]["difference"]) == (201, "-15.00")
    assert refused(post(engine, f"{path}/withdrawal", word)) == (409, "match_request_settled", "request_id")
    assert b"match" not in engine.cli("check").stderr
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("UPDATE matches SET pass = 'manual' WHERE match_id = %s", [made.json()["data"]["match_id"]])
    assert b"with movements of 100" in engine.cli("check").stderr


def test_the_policy_of_an_account(engine: Engine, account: Make) -> None:
    path = f"{V1}/accounts/{account()}/matching-policy"
    assert engine.get(path)["own"] is False
    said = engine.http.put(path, json={"actor": "ann", "passes": ["uetr", "end_to_end"], "window_days": 0})
    assert (said.status_code, said.json()["data"]["passes"]) == (200, ["uetr", "end_to_end"])
    assert engine.get(path)["own"] is True
    wrong = engine.http.put(path, json={"actor": "ann", "passes": ["met"]})
    assert refused(wrong) == (422, "invalid_policy", "passes")
    nobody = engine.http.put(f"{V1}/accounts/NOBODY/matching-policy", json={"actor": "ann"})
    assert refused(nobody) == (404, "unknown_account", "account_id")


def test_what_the_bank_will_carry_is_said_with_a_movement(engine: Engine, account: Make) -> None:
    number = account()
    said = {"end_to_end_id": "E-1", "bank_reference": "NOTPROVIDED", "uetr": "ABCDEF00-0000-4000-8000-000000000000"}
    burn = {"account_id": number, "holder": "unattributed", "amount": "70", "actor": "ann", "reason": "redeemed"}
    assert post(engine, "burns", burn | {"references": said}).status_code == 201
    replenished = {
        "account_id": number,
        "amount": "30",
        "actor": "ann",
        "reason": "own",
        "references": {"bank_reference": "R"},
    }
    assert post(engine, "replenishments", replenished).status_code == 201
    newest, before = engine.get(f"{V1}/accounts/{number}/movements?limit=2")["movements"]
    assert (newest["bank_reference"], before["end_to_end_id"], before["bank_reference"]) == ("R", "E-1", None)
    assert before["uetr"] == said["uetr"].lower()
    wrong = post(engine, "burns", burn | {"references": {"end_to_end_id": "\x07"}})
    assert refused(wrong) == (422, "invalid_text", "references.end_to_end_id")
    external = account(ledger_mode="external")
    moved = {"account_id": external, "kind": "mint", "reference": "X1", "amount": "5", "to_holder": "h",
             "references": {"batch_reference": "B", "value_date": "2025-11-18", "counterparty": "ACME"}}  # fmt: skip
    posted = post(engine, "ledger/movements", {"actor": "ledger", "movements": [moved]})
    assert posted.status_code == 201, posted.text
    [movement] = engine.get(f"{V1}/accounts/{external}/movements?limit=1")["movements"]
    assert (movement["batch_reference"], movement["value_date"]) == ("B", "2025-11-18")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("matches/999999", 404, "unknown_match"),
        ("matches/-1", 404, "unknown_match"),
        (f"matches/{2**70}", 404, "unknown_match"),
        ("matches/x", 422, "invalid_request"),
        ("matches?pass=guess", 422, "invalid_request"),
        ("matches?account_id=NOBODY", 404, "unknown_account"),
        ("open-items?side=left", 422, "invalid_request"),
        ("open-items?reason=x", 422, "invalid_request"),
        ("open-items?older_than_days=-1", 422, "invalid_request"),
        ("open-items?older_than_days=100000", 200, ""),
        ("open-items?account_id=NOBODY", 404, "unknown_account"),
        ("accounts/NOBODY/matching-policy", 404, "unknown_account"),
    ],
)
def test_a_question_that_has_no_answer(engine: Engine, path: str, status: int, code: str) -> None:
    answer = engine.http.get(f"{V1}/{path}")
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "invalid_request", "entry_ids"),
        ({"entry_ids": [1], "movement_ids": [2], "actor": "", "reason": "r"}, "invalid_actor", "actor"),
        ({"entry_ids": [1], "movement_ids": [2], "actor": "ann", "reason": " "}, "invalid_text", "reason"),
        ({"entry_ids": [], "movement_ids": [2], "actor": "ann", "reason": "r"}, "invalid_request", "entry_ids"),
        ({"entry_ids": [2**63], "movement_ids": [2], "actor": "ann", "reason": "r"}, "invalid_request", "entry_ids"),
        ({"entry_ids": ["1"], "movement_ids": [2], "actor": "ann", "reason": "r"}, "invalid_request", "entry_ids[0]"),
    ],
)
def test_a_match_that_cannot_be(engine: Engine, body: dict[str, Any], code: str, field: str) -> None:
    assert refused(post(engine, "matches", body)) == (422, code, field)


def test_the_command_line_does_the_same(engine: Engine, account: Make) -> None:
    def cli(*words: str) -> tuple[int, str, str]:
        done = engine.cli(*words)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    number = account()
    line, move = Line("a", Decimal(70), end_to_end_id="E"), Move("a", Decimal(70), end_to_end_id="E")
    lines, moves = [line, Line("b", Decimal(60))], [move, Move("c", Decimal(60)), Move("d", Decimal(50))]
    books = laid(engine, number, lines, moves)
    status, out, _ = cli("matches", "list", "--account", number, "--json")
    first = json.loads(out)
    assert (status, first["pass"], first["confidence"]) == (0, "end_to_end", "certain")
    status, out, _ = cli("matches", "show", str(first["match_id"]))
    assert status == 0
    assert "Agreed: end_to_end_id E" in out
    status, out, _ = cli("open-items", "--account", number, "--side", "ledger", "--json")
    assert sorted(json.loads(row)["amount"] for row in out.splitlines()) == ["50.00", "60.00"]
    entry, wrong, right = (str(n) for n in (books.entries["b"], books.movements["d"], books.movements["c"]))
    words = ("matches", "match", "--entry", entry, "--reason", "seen")
    status, _, problem = cli(*words, "--movement", wrong)
    assert (status, problem.startswith("sums_differ: ")) == (1, True)
    status, out, _ = cli(*words, "--movement", wrong, "--force", "--actor", "ann", "--json")
    request = str(json.loads(out)["id"])
    assert cli("matches", "approve", request, "--reason", "r", "--actor", "ann")[2].startswith("same_person: ")
    assert request in cli("matches", "requests", "--account", number)[1]
    status, out, _ = cli("matches", "approve", request, "--reason", "r", "--actor", "bob", "--json")
    assert (status, json.loads(out)["difference"]) == (0, "10.00")
    undone = cli("matches", "unmatch", str(json.loads(out)["match_id"]), "--reason", "no", "--actor", "bob")
    assert undone[0] == 0
    assert "unmatched by bob: no" in undone[1]
    assert cli(*words, "--movement", right)[0] == 0
    assert cli("matches", "show", "99999999")[2].startswith("unknown_match: ")
    assert cli("open-items", "--side", "left")[2].startswith("invalid_request: side: ")


def test_the_log_holds_no_traceback(engine: Engine) -> None:
    assert "Traceback" not in engine.log
    assert "ERROR" not in engine.log
