"""Every statement of the road is index look-ups, on an empty database and on a large one, analysed or not.

A plan is made once for a connection and kept: one made on empty tables must not turn into a scan of
millions of entries the day after.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from storage.conftest import Databases
from token_engine.storage import discrepancies
from token_engine.storage.database import Database
from token_engine.storage.migrate import migrate
from token_engine.storage.queries import load

ROAD = {
    "recall": ["recall"],
    "entries": ["known_stated", "known_of_amount", "insert_sightings"],
    "recording": ["record"],
    "positions": [
        "numbers_of_ids", "lock", "lock_by_id", "open_discrepancies", "policies", "save_breakers",
        "insert_breaker_steps", "save_discrepancies", "insert_audit",
    ],
    "meetings": ["meet", "keep"],
    "ledger": ["books", "holders", "post", "of_keys", "originals"],
    "idempotency": ["lock", "lock_all", "first_answer", "first_answers", "keep"],
    "calendars": ["of_accounts", "missing"],
    "trends": ["fold", "load", "save"],
    "unresolved": ["of_types"],
    "payouts": ["lock", "facts", "holders", "used", "hold", "one", "move", "timed_out", "raised"],
}  # fmt: skip
STATEMENTS = [(module, name) for module, names in ROAD.items() for name in names]
BIG = {
    "emi_accounts", "bank_entries", "bank_entry_sightings", "bank_messages", "reconciliation_discrepancies",
    "discrepancy_events", "circuit_breaker_steps", "audit_log", "outbox", "ledger_movements", "ledger_holders",
    "idempotency_keys", "fundings", "payouts", "entry_meetings", "breaker_overrides",
    "trend_days", "account_trends", "account_polling", "balance_polls",
}  # fmt: skip
BASE_CASES = ["empty", "full", "full and analysed"]

# One account with 200,000 entries, half of one amount, beside 2,000 accounts with a message each.
FILL = """
INSERT INTO banks (id, name) VALUES ('00000000-0000-4000-8000-000000000000', 'Bank');
INSERT INTO emi_accounts (id, bank_id, account_number, currency)
SELECT md5(n::text)::uuid, '00000000-0000-4000-8000-000000000000', 'N' || n, 'AED' FROM generate_series(1, 2000) n;
INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer, last_attempt_at)
SELECT sha256(n::text::bytea), now(), 'NATS', 's', '', 0, 'RECORDED', '{}', now() FROM generate_series(1, 20000) n;
INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status, reversal,
    position_change, booking_date, identity, occurrence)
SELECT md5('1')::uuid, 1 + n % 20000, CASE WHEN n % 3 = 0 THEN 'camt.052' ELSE 'camt.054' END, 'M' || n,
    CASE WHEN n % 2 = 0 THEN 10 ELSE n END, 'CRDT', 'BOOK', false, CASE WHEN n % 2 = 0 THEN 10 ELSE n END,
    date '2025-01-01' + n % 300, 'CRDT BOOK ref R' || n, 0
FROM generate_series(1, 200000) n;
INSERT INTO bank_entry_sightings (account_id, amount, identity, entry_identity, entry_occurrence, message_id,
    origin, bank_message_id)
SELECT account_id, amount, 'CRDT BOOK msg ' || id, identity, occurrence, message_id, 'camt.054', 'S'
FROM bank_entries WHERE origin = 'camt.052' AND message_id % 10 = 0;
INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type, status, resolved_at, resolution,
    resolved_by)
SELECT gen_random_uuid(), md5((1 + n % 2000)::text)::uuid, 'BALANCE_MISMATCH',
    CASE WHEN n <= 2000 THEN 'OPEN' ELSE 'RESOLVED' END,
    CASE WHEN n > 2000 THEN now() END, CASE WHEN n > 2000 THEN 'r' END,
    CASE WHEN n > 2000 THEN 'engine' END FROM generate_series(1, 10000) n;
INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, to_holder, reason, actor, at, idempotency_key)
SELECT md5((1 + n % 2000)::text)::uuid, 'mint', 1, 'issued', 'holder', 'H' || n % 5000, 'r', 'a', now(), 'K' || n
FROM generate_series(1, 20000) n;
INSERT INTO fundings (id, account_id, end_to_end_id, amount, holder, state, announced_by, announced_at, expires_at,
    settled_by, settled_at, settled_reason)
SELECT gen_random_uuid(), md5((1 + n % 2000)::text)::uuid, 'E' || n, 1, 'H', CASE WHEN n % 2 = 0 THEN 'EXPECTED'
    ELSE 'MET' END, 'a', now(), now(), CASE WHEN n % 2 = 1 THEN 'a' END, CASE WHEN n % 2 = 1 THEN now() END,
    CASE WHEN n % 2 = 1 THEN 'r' END
FROM generate_series(1, 20000) n;
WITH settled AS (
    INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, state, requested_by, requested_at, expires_at,
        settled_by, settled_at, settled_reason)
    SELECT gen_random_uuid(), account_id, 'P' || id, 1, to_holder, 'SETTLED', 'a', now(), now(), 'a', now(), 'r'
    FROM ledger_movements RETURNING id, account_id
), numbered AS (SELECT id, account_id, row_number() OVER () AS n FROM settled)
INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, payout_id, movement_id, actor, reason, at)
SELECT e.account_id, e.amount, e.identity, e.occurrence, 'payout', s.id, s.n, 'a', 'r', now()
FROM numbered s JOIN bank_entries e ON e.id = s.n;
INSERT INTO idempotency_keys SELECT 'K' || n, sha256('1'), 201, '{}', now() FROM generate_series(1, 20000) n;
INSERT INTO breaker_overrides (id, account_id, state, requested_by, reason, requested_at, expires_at, ended_by,
    ended_reason, ended_at)
SELECT gen_random_uuid(), md5((1 + n % 2000)::text)::uuid, 'REVOKED', 'ann', 'r', now(), now() + interval '1 hour',
    'bob', 'r', now() FROM generate_series(1, 20000) n;
INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, state, requested_by, requested_at, expires_at,
    settled_by, settled_at, settled_reason)
SELECT md5('payout ' || n)::uuid, CASE WHEN n % 2 = 0 THEN md5('1')::uuid ELSE md5((1 + n % 2000)::text)::uuid END,
    'E' || n, 1, 'H1', 'CANCELLED', 'ann', now(), now(), 'bob', now(), 'r' FROM generate_series(1, 50000) n;
INSERT INTO bank_connections (name, kind, settings, set_by, set_at)
SELECT 'bank' || n, 'json', '{}', 'a', now() FROM generate_series(0, 3) n;
INSERT INTO account_polling (account_id, connection, every_minutes, offset_seconds, business_days_only, next_slot_at,
    set_by, set_at)
SELECT md5(n::text)::uuid, 'bank' || n % 4, 60, 0, n % 3 = 0, now() + n * interval '2 seconds', 'a', now()
FROM generate_series(1, 2000) n;
INSERT INTO balance_polls (account_id, slot_at, claimed_at, claimed_by)
SELECT md5((1 + n % 2000)::text)::uuid, now() - n * interval '1 second', now() - n * interval '1 second', 'engine'
FROM generate_series(1, 60000) n;
INSERT INTO trend_days SELECT md5(n::text)::uuid, '2026-01-01'::date + d, 0, 1
FROM generate_series(1, 2000) n, generate_series(0, 59) d;
INSERT INTO account_trends SELECT md5(n::text)::uuid, '2026-03-01', now(), 'steady', 0
FROM generate_series(1, 2000) n;
"""


@pytest.fixture(scope="module")
def urls(another_for_all: Databases) -> dict[str, str]:
    urls = {case: another_for_all() for case in BASE_CASES}
    for case, url in urls.items():
        migrate(url)
        if case == "empty":
            continue
        with psycopg.connect(url, autocommit=True) as connection:
            for table in BIG:  # or autovacuum would analyse the one that is not to be
                connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
            connection.execute(FILL.encode())
            if case == "full and analysed":
                connection.execute("ANALYZE")
    return urls


class Planner:
    """Explains statements on a connection as the road opens it."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(Database(url).connect_for_the_road())

    def plan(self, statement: bytes) -> dict[str, Any]:
        numbers = iter(range(1, 100))
        text = re.sub(r"%s", lambda _: f"${next(numbers)}", statement.decode())

        async def ask() -> dict[str, Any]:
            cursor = await self._connection.execute(
                f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}".encode(), prepare=False
            )
            row = await cursor.fetchone()
            assert row is not None
            return dict(json.loads(row[0])[0]["Plan"] if isinstance(row[0], str) else row[0][0]["Plan"])

        return self._runner.run(ask())

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


@pytest.fixture(scope="module", params=BASE_CASES)
def planner(urls: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Planner]:
    planner = Planner(urls[request.param])
    yield planner
    planner.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


@pytest.mark.parametrize(("module", "name"), STATEMENTS)
def test_a_statement_of_the_road_looks_its_rows_up_by_index(planner: Planner, module: str, name: str) -> None:
    for node in nodes(planner.plan(getattr(load(module), name))):
        kind = node["Node Type"]
        assert kind not in ("Hash Join", "Merge Join", "Bitmap Heap Scan"), node
        if node.get("Relation Name") in BIG and kind != "ModifyTable":
            assert kind in ("Index Scan", "Index Only Scan"), node
            assert "Index Cond" in node, f"a whole index read is a scan by another name: {node}"


def test_slots_that_lie_ahead_are_found_by_index(planner: Planner) -> None:
    """The whole database is looked at every minute: those that are there only, and of each its last poll."""
    found = {n["Relation Name"]: n for n in nodes(planner.plan(load("polling").far_ahead)) if "Relation Name" in n}
    assert {node["Node Type"] for node in found.values()} <= {"Index Scan", "Index Only Scan"}
    assert "next_slot_at" in found["account_polling"]["Index Cond"]
    assert "connection" in found["account_polling"]["Index Cond"]
    assert found["balance_polls"]["Index Name"] == "balance_polls_of_account"


@pytest.mark.parametrize("relation", ["reconciliation_discrepancies", "fundings", "payouts"])
def test_what_is_open_or_expected_is_looked_up_account_by_account(planner: Planner, relation: str) -> None:
    """Else a plan made on a quiet day would read everybody's with every batch on a bad one."""
    found = [node for node in nodes(planner.plan(load("recall").recall)) if node.get("Relation Name") == relation]
    assert found
    assert all("account_id" in node["Index Cond"] for node in found)
    if relation != "reconciliation_discrepancies":
        assert all("end_to_end_id" in node["Index Cond"] for node in found), "not all that the account ever had"


def test_an_entry_is_looked_up_by_amount_and_name_together(planner: Planner) -> None:
    conditions = [
        node["Index Cond"]
        for node in nodes(planner.plan(load("recall").recall))
        if node.get("Relation Name") == "bank_entries"
    ]
    by_name, by_amount = sorted(conditions, key=len, reverse=True)
    assert all(column in by_name for column in ("account_id", "amount", "identity"))
    assert all(column in by_amount for column in ("account_id", "amount"))


@pytest.mark.parametrize(
    ("name", "relation", "column"), [("holders", "ledger_holders", "holder"), ("used", "payouts", "end_to_end_id")]
)
def test_what_a_hold_looks_up_is_looked_up_within_its_account(
    planner: Planner, name: str, relation: str, column: str
) -> None:
    """A holder may have tokens at every account, and an end-to-end id may be anybody's."""
    [found] = [n for n in nodes(planner.plan(getattr(load("payouts"), name))) if n.get("Relation Name") == relation]
    assert "account_id" in found["Index Cond"]
    assert column in found["Index Cond"]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"statuses": ["OPEN", "INVESTIGATING"]}, "discrepancies_unresolved_by_age"),
        ({"account_id": "c4ca4238-a0b9-2382-0dcc-509a6f75849b"}, "discrepancies_of_account"),
        ({}, "discrepancies_by_age"),
    ],
)
def test_what_is_left_to_do_is_listed_without_reading_what_is_done(
    urls: dict[str, str], wanted: dict[str, Any], index: str
) -> None:
    nothing = dict.fromkeys(
        ("statuses", "account_id", "account_number", "type", "severity", "assignee", "open_for", "now", "after_at",
         "after")
    )  # fmt: skip
    for statement in (discrepancies.OLDEST_FIRST, discrepancies.NEWEST_FIRST):
        with psycopg.connect(urls["full and analysed"]) as connection:
            row = connection.execute(
                b"EXPLAIN (FORMAT JSON) " + statement, nothing | {"limit": 100} | wanted
            ).fetchone()  # fmt: skip
        assert row is not None
        assert index in {node.get("Index Name") for node in nodes(row[0][0]["Plan"])}


def test_every_statement_of_the_road_is_on_the_list() -> None:
    """What a module of the road gains is either planned above or named here as no part of the road."""
    elsewhere = {
        "recall": set(),
        "entries": set(),
        "recording": set(),
        "meetings": set(),
        "positions": {"all_policies", "save_policy"},
        "ledger": {"accounts_named", "movements", "supply", "holders_of_token", "drift"},
        "idempotency": set(),
        "unresolved": set(),
        "calendars": {"save", "due", "looked", "stated", "drift"},
        "trends": {
            "days",
            "state",
            "last_observations",
            "observations",
            "drifting",
            "no_fold_meanwhile",
            "room_for_the_fold",
            "forget_fold",
            "fold_all",
            "drop_wrong",
            "add_missing",
            "unlike",
        },
        "payouts": {"listing", "meetings", "overdue", "overdue_gone", "under_way", "drift", "unlike_their_meetings"},
    }
    for module, names in ROAD.items():
        assert set(vars(load(module))) == set(names) | elsewhere[module]
