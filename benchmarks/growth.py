"""What must not grow: the cost of a message with the entries its account has, and memory with messages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import harmonic_mean
from typing import Final

import psycopg

from benchmarks.figure import Figure
from benchmarks.servers import Arena, Servers, free_port
from benchmarks.workload import Workload, account_id

FEW: Final = 1_000
MANY: Final = 1_000_000
MESSAGES: Final = 20_000
MANY_REPORTED: Final = 200_000
MESSAGES_AMONG_REPORTED: Final = 3_000


def run(servers: Servers) -> Iterator[Figure]:
    """All messages go to one account: with few stored entries, with many, with few again. Entries that
    came by reports are told apart: a notification must be compared with those of its amount.
    """
    for origin, many, messages in (
        ("camt.054", MANY, MESSAGES),
        ("camt.052", MANY_REPORTED, MESSAGES_AMONG_REPORTED),
    ):
        before = _microseconds(servers, FEW, origin, messages)
        cost = _microseconds(servers, many, origin, messages)
        few = harmonic_mean([before, _microseconds(servers, FEW, origin, messages)])
        name = f"cost of a message at {many:,} stored {origin} entries ({FEW:,})"
        yield Figure(name, cost, "µs", few, cost / few)


def _microseconds(servers: Servers, stored: int, origin: str, messages: int) -> float:
    with servers.arena(1, Workload(messages, 1).bodies()) as arena:
        _store_entries(arena, stored, origin)
        with arena.running([arena.engine(free_port())]) as processes:
            arena.wait_for_messages(messages + 1, processes, within=200)
        return 1e6 / arena.rate()


def _store_entries(arena: Arena, count: int, origin: str) -> None:
    """Entries of the very amounts that will come, a thousand of each when there are a million."""
    with psycopg.connect(arena.admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no look-up of the same key a million times
        connection.execute(
            "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer,"
            " last_attempt_at)"
            " VALUES (sha256('stored'), now(), 'CLI', 'stored', '', 0, 'RECORDED', '{}', now())"
        )
        connection.execute(
            "INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit,"
            " status, reversal, position_change, booking_date, servicer_reference, identity, occurrence)"
            " SELECT %s, 1, %s, 'OLD-' || n, amount, 'CRDT', 'BOOK', false, amount,"
            " DATE '2025-01-01' + n %% 365, 'OLD-' || n,"
            " 'CRDT BOOK ref OLD-' || n, 0"
            " FROM generate_series(1, %s) AS n, LATERAL (SELECT (1 + n %% 1000) / 100.0 AS amount)",
            [account_id(0), origin, count],
        )
        connection.execute("VACUUM ANALYZE bank_entries")


def memory(servers: Servers, *, full: bool) -> Iterator[Figure]:
    """Resident memory of one engine after a fifth of the messages, and after all."""
    messages = 1_000_000 if full else 300_000
    with (
        servers.arena(10_000, Workload(messages, 10_000).bodies()) as arena,
        arena.running([arena.engine(free_port())]) as processes,
    ):
        while arena.messages() < messages // 5:
            processes[0].check()
            time.sleep(0.1)
        early = processes[0].resident_mb()
        arena.wait_for_messages(messages, processes, within=messages / 1000)
        late = processes[0].resident_mb()
    name = f"memory after {messages:,} messages ({messages // 5:,})"
    yield Figure(name, late, "MB", early, late / early)
