"""What it costs that the bank's entry meets what was expected of it: mint or burn, in the entry's own transaction.

The same backlog twice: once nothing is expected, once every credit was announced as a funding and every debit
is a payout under way, so that each message moves tokens too.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import harmonic_mean
from typing import Final

import psycopg

from benchmarks import latency
from benchmarks.drain import NAIVE_MESSAGES, PROCESSES
from benchmarks.figure import Figure
from benchmarks.servers import Servers, free_port
from benchmarks.workload import Workload, check, expect_all

ACCOUNTS: Final = 1_000
MESSAGES: Final = 60_000


def run(servers: Servers) -> Iterator[Figure]:
    """What is compared with before and after, so that a machine that slows down slows both."""
    before, plain_before = _drain(servers, expected=False), _drain(servers, expected=True, engine=False)
    met = _drain(servers, expected=True)
    none = harmonic_mean([before, _drain(servers, expected=False)])
    plain = harmonic_mean([plain_before, _drain(servers, expected=True, engine=False)])
    name = f"drain {MESSAGES:,}, each meets a funding or payout"
    yield Figure(name, met, "messages/s", plain, met / plain)
    yield Figure(f"{name} (none)", met, "messages/s", none, met / none)
    yield from _latency(servers)


def _latency(servers: Servers) -> Iterator[Figure]:
    """At the rate of `latency`: every message meets something, and before that none does."""
    without, met = (
        {f.name: f.value for f in latency.run(servers, expected=expected) if ", committed after" in f.name}
        for expected in (False, True)
    )
    for name, value in met.items():
        yield Figure(f"{name}, each meets something (none)", value, "ms", without[name], value / without[name])


def _drain(servers: Servers, *, expected: bool, engine: bool = True) -> float:
    workload = Workload(MESSAGES if engine else NAIVE_MESSAGES, ACCOUNTS)
    with servers.arena(ACCOUNTS, workload.bodies()) as arena:
        if expected:
            expect_all(arena.database_url, workload)
        commands = [arena.engine(free_port()) if engine else arena.naive_consumer() for _ in range(PROCESSES)]
        with arena.running(commands) as processes:
            arena.wait_for_messages(workload.messages, processes, within=300)
        check(arena.database_url, workload)
        _check_met(arena.database_url, workload.messages if expected else 0)
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
