"""Tier 2 as its users have it: an engine, a bank that is asked over HTTP and by files, and what goes wrong between."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx2
import psycopg
import pytest

from engine import V1, Engine, wait_for

EMIRATES, GULF = "AE070331234567890123456", "AE460261000000000000001"
NEW_YORK, INDIA = "021000089-4000123456", "50100123456789"
_TIMES: Final = 100
ALL: Final = f"{V1}/reconciliation/intradey/all"


class Bank:
    """The demo's bank by its controls."""

    def __init__(self, engine: Engine) -> None:
        found = re.search(r"(http://127\.0\.0\.1:\d+)/simulated/accounts", engine.log)
        assert found is not None, engine.log
        self.url = found[1]
        self.http = httpx2.Client(base_url=self.url, timeout=30)

    def _send(self, method: str, path: str, **said: Any) -> Any:
        answer = self.http.request(method, f"/simulated{path}", json=said or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, kind: str, number: str, **more: Any) -> None:
        self._send("POST", "/faults", kind=kind, account=number, **more)

    def left_of(self, kind: str) -> list[int]:
        return [fault["times"] for fault in self._send("GET", "/faults") if fault["kind"] == kind]

    def well(self) -> None:
        self._send("DELETE", "/faults")

    def book(self, number: str, amount: str, *, silent: bool = False) -> None:
        self._send("POST", f"/accounts/{number}/entries", amount=amount, notifications=0 if silent else 1)

    def open(self, accounts: list[dict[str, str]]) -> None:
        answer = self.http.post("/simulated/accounts", json=accounts)
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("demo") / "data", "--demo") as running:
        yield running


@pytest.fixture(scope="module")
def bank(engine: Engine) -> Bank:
    return Bank(engine)


@pytest.fixture(autouse=True)
def well(bank: Bank) -> Iterator[None]:
    yield
    bank.well()


def ask(engine: Engine, number: str) -> httpx2.Response:
    return engine.http.post(f"{V1}/reconciliation/intradey/{number}")


def polling(engine: Engine, number: str, **how: Any) -> httpx2.Response:
    return engine.http.put(f"{V1}/accounts/{number}/polling", json={"actor": "ann", **how})


def test_every_account_is_asked_in_its_banks_own_way_as_soon_as_the_engine_is_up(engine: Engine) -> None:
    for number, connection in (
        (EMIRATES, "demo-uae-open-finance"), (GULF, "demo-berlin-group"), (NEW_YORK, "demo-uk-open-banking"),
        (INDIA, "demo-files"),
    ):  # fmt: skip

        def last(number: str = number) -> dict[str, Any] | None:
            polls: list[dict[str, Any]] = engine.get(f"{V1}/accounts/{number}/polling")["polls"]
            return next((poll for poll in polls if "level" in poll), None)

        found = wait_for(last)
        assert found is not None
        assert found["level"] == "Ok"
        assert engine.get(f"{V1}/accounts/{number}/polling")["polling"]["connection"] == connection
    kinds = {c["name"]: c["kind"] for c in engine.get(f"{V1}/connections")["connections"]}
    assert kinds["demo-files"] == "host_to_host"


def test_all_at_once_answers_account_by_account(engine: Engine) -> None:
    found = engine.http.post(ALL).json()["data"]
    assert (found["accounts_judged"], found["ok"], found["mismatch"]) == (4, 4, 0)
    assert {r["source"] for r in found["results"]} == {"BANK_API"}
    asked = {r["account_number"]: r["balance_type"] for r in found["results"]}
    assert asked == {EMIRATES: "InterimBooked", GULF: "interimBooked", NEW_YORK: "ITBD", INDIA: "ITBD"}


def test_the_answer_says_what_the_bank_holds_and_what_explains_it(engine: Engine) -> None:
    found = ask(engine, GULF).json()["data"]
    assert found["connection"] == "demo-berlin-group"
    assert found["observed_level"] == found["threshold_level"] == "Ok"
    assert found["as_of"] <= found["timestamp"]
    by_id = ask(engine, engine.account(GULF)["id"]).json()["data"]
    assert by_id["account_number"] == GULF


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "server_error"}, 502, "server_error"),
        ({"kind": "cut"}, 502, "unreadable"),
        ({"kind": "not_json"}, 502, "unreadable"),
        ({"kind": "other_currency"}, 502, "other_currency"),
        ({"kind": "other_account"}, 502, "other_account"),
        ({"kind": "stale"}, 502, "too_old"),
        ({"kind": "no_booked_balance"}, 502, "no_booked_balance"),
        ({"kind": "credit_line"}, 502, "credit_line_included"),
        ({"kind": "throttled", "retry_after": 1800}, 429, "throttled"),
    ],
)
def test_a_bank_that_fails_is_no_evidence_and_no_zero(
    engine: Engine, bank: Bank, fault: dict[str, Any], status: int, code: str
) -> None:
    # Its own connection, so that a pause that the bank asks for is no other test's.
    name = f"uk-{fault['kind'].replace('_', '-')}"
    with psycopg.connect(engine.database_url) as connection:
        connection.execute(
            """INSERT INTO bank_connections SELECT %s, kind, settings || '{"asking": {"most_requests": 1}}', 'tests',
                now() FROM bank_connections WHERE name = 'demo-uk-open-banking'""",
            [name],
        )
    number = f"FAULT-{fault['kind']}"
    bank.open([{"number": number, "currency": "USD", "balance": "1000"}])
    engine.create_account(number, "USD", ledger_balance="1000", bank_balance="1000")
    bank.fault(number=number, **fault)
    assert polling(engine, number, connection=name, every_minutes=60).status_code == 200
    wait_for(lambda: [p for p in engine.get(f"{V1}/accounts/{number}/polling")["polls"] if p["answered_at"]])
    before = engine.account(number)
    answer = ask(engine, number)
    if fault["kind"] == "cut":
        code = answer.json()["error"]["code"]
        assert code in ("unreadable", "unreachable")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 429)
    assert engine.account(number) == before
    with psycopg.connect(engine.database_url) as connection:
        [(observations,)] = connection.execute(
            "SELECT count(*) FROM balance_observations o JOIN emi_accounts a ON a.id = o.account_id"
            " WHERE a.account_number = %s",
            [number],
        ).fetchall()
    assert observations == 0


def test_a_silent_debit_is_found_by_the_next_poll_and_halts_payouts(engine: Engine, bank: Bank) -> None:
    number = "SILENT-DEBIT"
    bank.open([{"number": number, "currency": "AED", "balance": "1000000"}])
    engine.create_account(number, ledger_balance="1000000", bank_balance="1000000")
    assert polling(engine, number, connection="demo-berlin-group", every_minutes=15).status_code == 200

    def polled(times: int) -> bool:
        polls = engine.get(f"{V1}/accounts/{number}/polling")["polls"]
        return len([p for p in polls if p["answered_at"]]) >= times

    wait_for(lambda: polled(1))
    assert engine.account(number)["verdict"] == "Ok"
    bank.book(number, "-250.00", silent=True)
    with psycopg.connect(engine.database_url) as connection:  # the next slot has come
        connection.execute(
            "UPDATE account_polling p SET next_slot_at = now() FROM emi_accounts a"
            " WHERE a.id = p.account_id AND a.account_number = %s",
            [number],
        )
        connection.execute(
            "UPDATE balance_polls SET slot_at = slot_at - interval '15 minutes' WHERE slot_at IS NOT NULL"
        )
    wait_for(lambda: polled(2))
    view = engine.account(number)
    assert (view["verdict"], view["circuit_breaker"]) == ("Critical", "open")
    assert (view["bank_reported_balance"], view["observed_gap"]) == ("1000000.00", "-250.00")
    payout = {"account_id": number, "end_to_end_id": "E1", "amount": "5.00", "holder": "H", "actor": "ann"}
    refused = engine.http.post(f"{V1}/payouts", json=payout, headers={"Idempotency-Key": "silent-1"})
    assert refused.status_code == 409, refused.text
    assert refused.json()["error"]["code"] == "breaker_open"
    raised = engine.get(f"{V1}/discrepancies?account_id={number}")["discrepancies"]
    assert {d["discrepancy_type"] for d in raised} == {"BALANCE_MISMATCH", "POSITION_DIFFERS"}


def test_a_budget_that_is_spent_is_said_with_when_it_will_not_be(engine: Engine, bank: Bank) -> None:
    number = "BUDGET"
    bank.open([{"number": number, "currency": "AED", "balance": "5"}])
    engine.create_account(number, ledger_balance="5", bank_balance="5")
    assert polling(engine, number, connection="demo-berlin-group", polls_a_day=1).status_code == 200
    wait_for(lambda: engine.get(f"{V1}/accounts/{number}/polling")["polls"])
    answer = ask(engine, number)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "budget_spent")
    assert 86_000 < int(answer.headers["retry-after"]) <= 86_400


def test_of_many_accounts_the_answer_is_a_run_to_follow(engine: Engine, bank: Bank) -> None:
    numbers = [f"RUN-{n:03}" for n in range(60)]
    bank.open([{"number": number, "currency": "AED", "balance": "10"} for number in numbers])
    for number in numbers:
        engine.create_account(number, ledger_balance="10", bank_balance="10")
        assert polling(engine, number, connection="demo-berlin-group", every_minutes=60).status_code == 200
    answer = engine.http.post(ALL, headers={"X-Actor": "ann"})
    assert answer.status_code == 202
    follow = answer.json()["data"]["follow"]
    assert answer.headers["location"] == follow
    run = wait_for(lambda: (found := engine.get(follow))["state"] == "DONE" and found, seconds=60)
    assert run["actor"] == "ann"
    assert run["asked"] == run["answered"] >= 64
    asked: dict[str, dict[str, Any]] = {}
    after = 0
    while page := engine.get(f"{follow}?after={after}&limit=25")["results"]:
        asked |= {r["account_number"]: r for r in page}
        after = page[-1]["poll_id"]
    assert set(numbers) <= asked.keys()
    assert asked["RUN-000"]["observed_balance"] == "10.00"
    assert engine.http.get(f"{V1}/reconciliation/intraday/runs/{'0' * 8}-0000-4000-8000-{'0' * 12}").status_code == 404


def test_settings_are_set_at_the_engines_machine_and_name_credentials(engine: Engine) -> None:
    settings = settings_of(engine, "demo-berlin-group")
    secret = json.dumps(settings["access"]["authentication"]["client_secret"])
    assert "simulated_bank_client_secret" in secret
    value = (engine.data / "simulated_bank_client_secret").read_text()
    assert (engine.data / "simulated_bank_client_secret").stat().st_mode & 0o777 == 0o600
    assert value not in engine.log
    with psycopg.connect(engine.database_url) as connection:
        for table in ("bank_connections", "audit_log", "outbox", "balance_polls"):
            rows = connection.execute(f"SELECT row_to_json(t)::text FROM {table} t").fetchall()
            assert not [row for (row,) in rows if value in row]
    settings["access"]["base_url"] = "http://bank.example"
    wrong = engine.cli("connection", "set", "wrong", "-", stdin=json.dumps(settings).encode())
    assert wrong.returncode == 1
    assert b"base_url" in wrong.stderr
    assert engine.http.put(f"{V1}/connections/demo-berlin-group", json=settings).status_code in (404, 405)


def test_no_polling_is_said_so(engine: Engine) -> None:
    engine.create_account("UNPOLLED", ledger_balance="1", bank_balance="1")
    assert engine.http.get(f"{V1}/accounts/UNPOLLED/polling").status_code == 404
    assert engine.http.delete(f"{V1}/accounts/UNPOLLED/polling").status_code == 404
    assert polling(engine, "UNPOLLED", connection="nobody").json()["error"]["code"] == "unknown_connection"
    assert polling(engine, "NOBODY", connection="demo-files").status_code == 404
    judged = ask(engine, "UNPOLLED").json()["data"]
    assert judged["source"] == "POSITION"


def settings_of(engine: Engine, name: str) -> dict[str, Any]:
    shown = engine.cli("connection", "show", name)
    assert shown.returncode == 0, shown.stderr
    settings: dict[str, Any] = json.loads(shown.stdout)["settings"]
    return settings


def test_two_engine_processes_share_the_accounts_and_none_is_asked_twice_in_a_slot(engine: Engine, bank: Bank) -> None:
    numbers = [f"SHARED-{n:02}" for n in range(60)]
    bank.open([{"number": number, "currency": "AED", "balance": "10"} for number in numbers])
    with psycopg.connect(engine.database_url) as connection:
        connection.execute(
            "INSERT INTO bank_connections SELECT 'shared', kind, settings, 'tests', now() FROM bank_connections"
            " WHERE name = 'demo-berlin-group'"
        )
    for number in numbers:
        engine.create_account(number, ledger_balance="10", bank_balance="10")
        bank.fault("slow", number, milliseconds=1500, times=_TIMES)
    urls = ("--database-url", engine.database_url, "--nats-url", engine.nats_url)
    with Engine(engine.data.parent / "second", *urls) as _:
        with psycopg.connect(engine.database_url) as connection:  # all at once, as after a night without engines
            connection.execute(
                """INSERT INTO account_polling (account_id, connection, every_minutes, offset_seconds, next_slot_at,
                    set_by, set_at)
                SELECT id, 'shared', 60, (extract(epoch FROM now())::bigint + 1800) % 3600, now(), 'tests', now()
                FROM emi_accounts WHERE account_number LIKE 'SHARED-%'"""
            )

        def polls() -> list[tuple[str, int, int]] | None:
            with psycopg.connect(engine.database_url) as connection:
                found: list[tuple[str, int, int]] = connection.execute(
                    """SELECT q.claimed_by, count(*), count(DISTINCT q.account_id) FROM balance_polls q
                    JOIN account_polling p ON p.account_id = q.account_id
                    WHERE p.connection = 'shared' AND q.answered_at IS NOT NULL GROUP BY 1"""
                ).fetchall()
            return found if sum(number for _, number, _ in found) >= len(numbers) else None

        shares = wait_for(polls)
        assert shares is not None
        assert len(shares) == 2, shares
        assert sum(number for _, number, _ in shares) == sum(accounts for _, _, accounts in shares) == len(numbers)
        # The bank's own word: each of the slow answers that it had to give was asked for once.
        assert bank.left_of("slow") == [_TIMES - 1] * len(numbers)
