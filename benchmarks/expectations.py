"""What it costs that the bank's entry meets what was expected of it: mint or burn, in the entry's own transaction.

The same backlog twice: once nothing is expected, once every credit was announced as a funding and every debit
is a payout under way, so that each message moves tokens too.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import harmonic_mean
from typing import Final

import psycopg

from benchmarks.drain import PROCESSES
from benchmarks.figure import Figure
from benchmarks.servers import Servers, free_port
from benchmarks.workload import Workload, check, expect_all

ACCOUNTS: Final = 1_000
MESSAGES: Final = 60_000


def run(servers: Servers) -> Iterator[Figure]:
    """Without expectations before and after, so that a machine that slows down slows both."""
    before = _drain(servers, expected=False)
    met = _drain(servers, expected=True)
    none = harmonic_mean([before, _drain(servers, expected=False)])
    yield Figure(f"drain {MESSAGES:,}, each meets a funding or payout (none)", met, "messages/s", none, met / none)


def _drain(servers: Servers, *, expected: bool) -> float:
    workload = Workload(MESSAGES, ACCOUNTS)
    with servers.arena(ACCOUNTS, workload.bodies()) as arena:
        if expected:
            expect_all(arena.database_url, workload)
        with arena.running([arena.engine(free_port()) for _ in range(PROCESSES)]) as processes:
            arena.wait_for_messages(MESSAGES, processes, within=300)
        check(arena.database_url, workload)
        _check_met(arena.database_url, MESSAGES if expected else 0)
        return arena.rate()


def _check_met(url: str, count: int) -> None:
    with psycopg.connect(url) as connection:
        met = connection.execute("SELECT count(*) FROM entry_meetings").fetchone()
        assert met == (count,), f"meetings: {met}"
        kept = connection.execute(
            "SELECT count(*) FROM emi_accounts WHERE reserved_balance <> 0 OR (%s AND circuit_breaker <> 'closed')",
            [count > 0],
        ).fetchone()
        assert kept == (0,), f"accounts with something reserved, or a breaker that opened: {kept}"
