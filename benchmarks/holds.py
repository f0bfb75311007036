"""Holding tokens for payouts: how many a second, and how long one takes from the request to its answer.

The rate is taken inside one process, without HTTP in front: the same number of requests is always under way, in the
engine through its batcher, in the plain service each in a transaction of its own, on as many connections as serve it
best. Both write the payout (the database reserves its amount), its event, its audit row and the answer under its key.
The latency is taken over HTTP at a steady rate that does not wait for answers.

    python -m benchmarks.holds engine|plain DATABASE_URL ACCOUNTS SECONDS     prints holds/s
    python -m benchmarks.holds offer PORT RATE SECONDS ACCOUNTS               prints how long each took, as JSON
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from statistics import harmonic_mean, quantiles
from typing import Any, Final
from uuid import uuid4

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool

from benchmarks.figure import Figure
from benchmarks.naive import hold as plain_hold
from benchmarks.servers import Servers, free_port, run_module
from benchmarks.workload import account_number
from token_engine.entrypoints.batcher import Batcher
from token_engine.entrypoints.lanes import HOLDS
from token_engine.storage.database import Database
from token_engine.tiers.payouts import Hold, NewPayout

ACCOUNTS: Final = (1, 1_000)
UNDER_WAY: Final = 512
PLAIN_CONNECTIONS: Final = {1: 4, 1_000: 16}  # more of them wait for the one lock, and for each other, longer
SECONDS: Final = 6
OFFERED: Final = 500
OFFERED_SECONDS: Final = 12
WARM_UP_SECONDS: Final = 2
_AMOUNT: Final = Decimal("0.01")


def run(servers: Servers) -> Iterator[Figure]:
    """The plain service before and after the engine, so that a machine that slows down slows both."""
    for accounts in ACCOUNTS:
        before = _rate(servers, "plain", accounts)
        engine = _rate(servers, "engine", accounts)
        plain = harmonic_mean([before, _rate(servers, "plain", accounts)])
        name = "one hot account" if accounts == 1 else f"{accounts:,} accounts"
        yield Figure(f"holds on {name}", engine, "holds/s", plain, engine / plain)
    yield from _latency(servers)


def _rate(servers: Servers, side: str, accounts: int) -> float:
    with servers.arena(accounts) as arena:
        _speak_of(arena.database_url)
        arguments = [side, arena.database_url, str(accounts), str(SECONDS)]
        rate, held = json.loads(run_module("benchmarks.holds", *arguments, within=SECONDS + 60))
        _check(arena.database_url, held)
        return float(rate)


def _latency(servers: Servers) -> Iterator[Figure]:
    port = free_port()
    with servers.arena(1_000) as arena:
        _speak_of(arena.database_url)
        with arena.running([arena.engine(port)]) as (process,):
            process.wait_for_http(f"http://127.0.0.1:{port}/api/v1/reconciliation/health")
            seconds = WARM_UP_SECONDS + OFFERED_SECONDS
            arguments = [str(port), str(OFFERED), str(seconds), "1000"]
            took = json.loads(run_module("benchmarks.holds", "offer", *arguments, within=seconds + 60))
        _check(arena.database_url, len(took))
    percentiles = quantiles([1000 * t for t in took[OFFERED * WARM_UP_SECONDS :]], n=100)
    yield Figure(f"{OFFERED}/s offered over HTTP, hold answered after, p50", percentiles[49], "ms")
    yield Figure(f"{OFFERED}/s offered over HTTP, hold answered after, p99", percentiles[98], "ms")


def _speak_of(url: str) -> None:
    """The bank has spoken of every account: else nothing may be held."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE emi_accounts SET last_reconciliation_at = now(), reconciliation_status = 'OK'")
        connection.execute("VACUUM ANALYZE emi_accounts, ledger_holders")


def _check(url: str, held: int) -> None:
    """Every hold that was answered is there, and its amount reserved. Raises AssertionError."""
    with psycopg.connect(url) as connection:
        stored = connection.execute("SELECT count(*) FROM payouts WHERE state = 'HELD'").fetchone()
        reserved = connection.execute("SELECT sum(reserved_balance) FROM emi_accounts").fetchone()
        assert stored == (held,), f"{held} answered, stored: {stored}"
        assert reserved == (held * _AMOUNT,), f"reserved: {reserved}"


async def rate(side: str, url: str, accounts: int, seconds: int) -> tuple[float, int]:
    """Holds a second, and how many there were with those of the warm-up."""
    database = Database(url)
    if side == "engine":
        await database.open()
        batcher = Batcher(database, lambda: datetime.now(UTC), lambda: None, HOLDS)
        batcher.start()

        async def one(number: int) -> None:
            [answer] = await batcher.submit([_request(number, accounts)])
            assert not isinstance(answer, Exception), answer
            assert answer.status == 201, answer

        try:
            return await _counted(one, seconds)
        finally:
            await batcher.stop()
            await database.close()
    size = PLAIN_CONNECTIONS[accounts]
    settings = {"autocommit": True, "prepare_threshold": 0}
    async with AsyncConnectionPool(url, min_size=size, max_size=size, open=False, kwargs=settings) as pool:

        async def plain(number: int) -> None:
            request = _request(number, accounts)
            async with pool.connection(timeout=60) as connection, connection.transaction():
                await plain_hold(connection, request.key, request.payout_id, request.wanted)

        return await _counted(plain, seconds)


def _request(number: int, accounts: int) -> Hold:
    wanted = NewPayout(
        account_id=account_number(number * 7919 % accounts), amount=str(_AMOUNT), holder="unattributed",
        actor="benchmark", beneficiary="Supplier LLC", end_to_end_id=f"E2E-{number}",
    )  # fmt: skip
    return Hold(f"key-{number}", uuid4(), wanted)


async def _counted(one: Callable[[int], Awaitable[None]], seconds: int) -> tuple[float, int]:
    """Keep UNDER_WAY of them under way; a second to warm up is not counted."""
    numbers = iter(range(10_000_000))
    done = 0
    until = time.perf_counter() + 1 + seconds

    async def asker() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await one(next(numbers))
            done += 1

    askers = [asyncio.create_task(asker()) for _ in range(UNDER_WAY)]
    await asyncio.sleep(1)
    warm, start = done, time.perf_counter()
    await asyncio.gather(*askers)
    return (done - warm) / (time.perf_counter() - start), done


async def offer(port: int, offered: int, seconds: int, accounts: int) -> list[float]:
    """Seconds from the planned moment of each request to its answer, in the order of the plan."""
    loop = asyncio.get_running_loop()
    idle = [await _Caller.connected(port) for _ in range(256)]
    took = [0.0] * (offered * seconds)
    start = loop.time() + 0.1

    async def one(number: int, planned: float) -> None:
        caller = idle.pop()
        await caller.hold(_request(number, accounts))
        idle.append(caller)
        took[number] = loop.time() - planned

    tasks = []
    for number in range(offered * seconds):
        planned = start + number / offered
        await asyncio.sleep(max(0.0, planned - loop.time()))
        tasks.append(asyncio.create_task(one(number, planned)))
    await asyncio.gather(*tasks)
    return took


class _Caller:
    """A connection that asks one thing at a time."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port, self._reader, self._writer = port, reader, writer

    @classmethod
    async def connected(cls, port: int) -> _Caller:
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    async def hold(self, request: Hold) -> None:
        content = json.dumps(_said(request.wanted)).encode()
        self._writer.write(
            b"POST /api/v1/payouts HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
            b"Idempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (self._port, request.key.encode(), len(content), content)
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201"), head
        [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await self._reader.readexactly(int(length.partition(b":")[2]))


def _said(wanted: NewPayout) -> dict[str, Any]:
    names = ("account_id", "amount", "holder", "actor", "beneficiary", "end_to_end_id")
    return {name: getattr(wanted, name) for name in names}


def main() -> None:
    match sys.argv[1:]:
        case ["offer", port, offered, seconds, accounts]:
            json.dump(uvloop.run(offer(int(port), int(offered), int(seconds), int(accounts))), sys.stdout)
        case [("engine" | "plain") as side, url, accounts, seconds]:
            json.dump(uvloop.run(rate(side, url, int(accounts), int(seconds))), sys.stdout)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
