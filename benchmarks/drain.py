"""Draining a backlog: how many notifications a second two processes commit, all effects included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.figure import Figure
from benchmarks.servers import Servers, free_port
from benchmarks.workload import Workload, check

ACCOUNTS: Final = (1_000, 100_000)
ENGINE_MESSAGES: Final = 200_000
NAIVE_MESSAGES: Final = 10_000  # its cost per message does not depend on how many there are
PROCESSES: Final = 2


def run(servers: Servers) -> Iterator[Figure]:
    """The plain service before and after the engine, so that a machine that slows down slows both."""
    for accounts in ACCOUNTS:
        before = naive(servers, accounts)
        engine_rate = engine(servers, accounts)
        after = naive(servers, accounts)
        plain = 2 / (1 / before + 1 / after)
        name = f"drain {ENGINE_MESSAGES:,} over {accounts:,} accounts"
        yield Figure(name, engine_rate, "messages/s", plain, engine_rate / plain)


def naive(servers: Servers, accounts: int) -> float:
    """Messages a second of the plain service."""
    return _drain(servers, Workload(NAIVE_MESSAGES, accounts), engine=False)


def engine(servers: Servers, accounts: int) -> float:
    """Messages a second of the engine."""
    return _drain(servers, Workload(ENGINE_MESSAGES, accounts), engine=True)


def _drain(servers: Servers, workload: Workload, *, engine: bool) -> float:
    with servers.arena(workload.accounts, workload.bodies()) as arena:
        commands = [arena.engine(free_port()) if engine else arena.naive_consumer() for _ in range(PROCESSES)]
        with arena.running(commands) as processes:
            arena.wait_for_messages(workload.messages, processes, within=300)
        check(arena.database_url, workload)
        return arena.rate()
