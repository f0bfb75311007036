"""The circuit breaker as people have it: over HTTP, on the page, in the metrics, at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from engine import V1, Engine, notification, wait_for

Account = Callable[..., str]


def broken(engine: Engine, account: Account) -> str:
    number = account()
    assert engine.send(notification(f"{number}-SHORT", number, "1.00", credit_debit_indicator="DBIT")).is_success
    return number


def heal(engine: Engine, number: str) -> None:
    assert engine.send(notification(f"{number}-BACK", number, "1.00")).is_success


def path(number: str, *more: str) -> str:
    return "/".join((V1, "accounts", number, "circuit-breaker", *more))


def gate(engine: Engine, number: str) -> dict[str, Any]:
    said: dict[str, Any] = engine.get(f"{V1}/accounts/{number}/gate")
    return said


def post(engine: Engine, where: str, actor: str, status: int, **more: Any) -> dict[str, Any]:
    """`data` of a success, `error` of a refusal."""
    answer = engine.http.post(where, json={"actor": actor, "reason": "seen and settled"} | more)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    said: dict[str, Any] = body["data"] if body["success"] else body["error"]
    return said


def test_two_persons_close_a_breaker(engine: Engine, account: Account) -> None:
    number = account()
    assert gate(engine, number)["payout"] == {"allowed": True, "reasons": []}
    assert engine.send(notification(f"{number}-SHORT", number, "1.00", credit_debit_indicator="DBIT")).is_success
    said = gate(engine, number)
    assert said["payout"] == said["mint"] == {"allowed": False, "reasons": ["open"]}
    assert (said["circuit_breaker"], said["closing"], said["override"]) == ("open", None, None)

    asked = post(engine, path(number, "closings"), "ann", 201)
    assert (asked["state"], asked["requested_by"], asked["settled_by"]) == ("PENDING", "ann", None)
    assert post(engine, path(number, "closings"), "bob", 409)["code"] == "closing_pending"
    approval = path(number, "closings", asked["id"], "approval")
    same = post(engine, approval, " ANN ", 409)
    assert (same["code"], same["field"]) == ("same_person", "actor")
    early = post(engine, approval, "bob", 409)
    assert early["code"] == "not_ok"
    assert early["standing"]["difference"] == "-1.00"
    assert early["standing"]["threshold_level"] == "Critical"
    heal(engine, number)
    assert gate(engine, number)["closing"]["id"] == asked["id"]
    assert post(engine, approval, "bob", 200)["state"] == "APPROVED"
    assert post(engine, approval, "bob", 200)["state"] == "APPROVED"
    assert gate(engine, number)["payout"]["allowed"] is True
    shown = engine.get(path(number))
    assert [(s["from_state"], s["to_state"], s["actor"]) for s in shown["steps"]] == [
        ("open", "closed", "bob"), ("closed", "open", "engine"),
    ]  # fmt: skip


def test_an_override_is_seen_everywhere_and_ends_by_itself(engine: Engine, account: Account) -> None:
    number = broken(engine, account)
    asked = post(engine, path(number, "overrides"), "ann", 201, minutes=30)
    post(engine, path(number, "closings"), "ann", 201)
    assert metric(engine, "circuit_breaker_overrides_in_force") == 0
    granted = post(engine, path(number, "overrides", asked["id"], "approval"), "bob", 200)
    assert (granted["state"], granted["expires_at"]) == ("IN_FORCE", asked["expires_at"])
    said = gate(engine, number)
    assert (said["payout"]["allowed"], said["mint"]["reasons"]) == (True, ["open"])
    assert (said["circuit_breaker"], said["override"]["approved_by"]) == ("open", "bob")
    assert engine.account(number)["override_until"] == asked["expires_at"]
    assert metric(engine, "circuit_breaker_overrides_in_force") == 1
    assert metric(engine, "circuit_breaker_closings_pending") == 1
    page = engine.http.get("/").text
    assert f"open, overridden until {asked['expires_at'][11:16]}" in page
    assert "closing waits for a second person until" in page

    # Nobody can make its time shorter; so the clock of its row is turned, as the owner of the database could.
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("ALTER TABLE breaker_overrides DISABLE TRIGGER breaker_overrides_settled_once")
        connection.execute(
            "UPDATE breaker_overrides SET requested_at = requested_at - interval '2 hours', "
            "approved_at = approved_at - interval '2 hours', expires_at = now() WHERE id = %s",
            [asked["id"]],
        )
        connection.execute("ALTER TABLE breaker_overrides ENABLE TRIGGER breaker_overrides_settled_once")
    assert gate(engine, number)["payout"]["reasons"] == ["open"]

    def written() -> Any:
        with psycopg.connect(engine.database_url) as connection:
            return connection.execute(
                "SELECT state, ended_by FROM breaker_overrides WHERE id = %s AND state <> 'IN_FORCE'", [asked["id"]]
            ).fetchone()

    assert wait_for(written) == ("EXPIRED", "engine")


@pytest.mark.parametrize("way", ["revocation", "delete"])
def test_anybody_may_end_an_override(engine: Engine, account: Account, way: str) -> None:
    number = broken(engine, account)
    asked = post(engine, path(number, "overrides"), "ann", 201, minutes=5)
    where = path(number, "overrides", asked["id"])
    post(engine, f"{where}/approval", "bob", 200)
    if way == "revocation":
        ended = post(engine, f"{where}/revocation", "carol", 200)
    else:
        assert engine.http.delete(where).status_code == 422
        answer = engine.http.delete(where, headers={"X-Actor": "carol"}, params={"reason": "enough"})
        assert answer.status_code == 200, answer.text
        ended = answer.json()["data"]
    assert (ended["state"], ended["ended_by"]) == ("REVOKED", "carol")
    assert gate(engine, number)["payout"]["reasons"] == ["open"]


ACT = {"actor": "ann", "reason": "r"}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "invalid_json", None),
        (b"[]", "invalid_request", None),
        ({}, "invalid_request", None),
        ({"actor": "ann"}, "invalid_request", None),
        (ACT | {"actor": 5}, "invalid_request", "actor"),
        (ACT | {"actor": " "}, "invalid_actor", "actor"),
        (ACT | {"actor": "a\x00b"}, "invalid_actor", "actor"),
        (ACT | {"reason": ""}, "invalid_reason", "reason"),
        (ACT | {"reason": "a\x00b"}, "invalid_reason", "reason"),
        (ACT | {"because": "r"}, "invalid_request", None),
        (ACT, "invalid_expires_at", "expires_at"),
        (ACT | {"minutes": 0}, "invalid_minutes", "minutes"),
        (ACT | {"minutes": 1441}, "invalid_minutes", "minutes"),
        (ACT | {"minutes": 1.5}, "invalid_request", "minutes"),
        (ACT | {"expires_at": "2099-01-01T00:00:00Z"}, "invalid_expires_at", "expires_at"),
        (ACT | {"expires_at": "soon"}, "invalid_request", "expires_at"),
    ],
)
def test_an_override_that_cannot_be(
    engine: Engine, account: Account, body: bytes | dict[str, Any], code: str, field: str | None
) -> None:
    where = path(broken(engine, account), "overrides")
    raw = body if isinstance(body, bytes) else json.dumps(body)
    answer = engine.http.post(where, content=raw)
    assert answer.status_code == 422, answer.text
    assert (answer.json()["error"]["code"], answer.json()["error"].get("field")) == (code, field)


def test_what_is_not_there_is_404_and_what_is_not_open_409(engine: Engine, account: Account) -> None:
    number = account()
    assert post(engine, path(number, "closings"), "ann", 409)["code"] == "breaker_not_open"
    assert post(engine, path("NONE", "closings"), "ann", 404)["code"] == "unknown_account"
    assert engine.http.get(f"{V1}/accounts/NONE/gate").status_code == 404
    assert engine.http.get(path("NONE")).status_code == 404
    nothing = str(uuid4())
    assert post(engine, path(number, "closings", nothing, "approval"), "ann", 404)["code"] == "unknown_closing"
    assert post(engine, path(number, "overrides", nothing, "revocation"), "ann", 404)["code"] == "unknown_override"
    assert post(engine, path(number, "closings", "x", "approval"), "ann", 422)["field"] == "closing_id"


def metric(engine: Engine, name: str) -> float:
    [line] = [t for t in engine.http.get("/metrics").text.splitlines() if t.startswith(f"token_engine_{name} ")]
    return float(line.rpartition(" ")[2])


def cli(engine: Engine, command: str, *arguments: str, code: int = 0) -> Any:
    done = engine.cli("breaker", command, *arguments, *(["--json"] if not code else []))
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if not code else done.stderr.decode()


def test_the_same_at_the_command_line(engine: Engine, account: Account) -> None:
    number = broken(engine, account)
    ann, bob = ("--actor", "ann", "--reason", "r"), ("--actor", "bob", "--reason", "r")
    asked = cli(engine, "override", number, "--minutes", "5", *ann)
    assert cli(engine, "approve-override", number, asked["id"], *ann, code=1).startswith("same_person: ")
    assert cli(engine, "approve-override", number, asked["id"], *bob)["state"] == "IN_FORCE"
    assert cli(engine, "revoke", number, asked["id"], *ann)["state"] == "REVOKED"
    first = cli(engine, "request-close", number, *ann)
    assert cli(engine, "withdraw-close", number, first["id"], *bob)["state"] == "WITHDRAWN"
    second = cli(engine, "request-close", number, *ann)
    assert cli(engine, "approve-close", number, second["id"], *bob, code=1).startswith("not_ok: ")
    shown = engine.cli("breaker", "show", number)
    assert "PENDING" in shown.stdout.decode()
    heal(engine, number)
    assert cli(engine, "approve-close", number, second["id"], *bob)["state"] == "APPROVED"
    assert cli(engine, "show", number)["circuit_breaker"] == "closed"
    assert cli(engine, "show", "NONE", code=1).startswith("unknown_account: ")
