"""Notifications over HTTP: 64 connections, each sends the next when the last is answered, after its commit.

The client is a process of its own that writes prepared bytes and looks for the status only, so that
the servers are the bottleneck. Engine and plain service take turns, one process each.

    python -m benchmarks.http PORT CONNECTIONS SECONDS ACCOUNTS FIRST     the client; prints requests/s
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import harmonic_mean
from typing import Final, cast

import uvloop

from benchmarks.figure import Figure
from benchmarks.servers import Servers, free_port, run_module
from benchmarks.workload import Movement, Workload, body

CONNECTIONS: Final = 64
SECONDS: Final = 6
WARM_UP_SECONDS: Final = 2
ACCOUNTS: Final = 1_000
_ROUNDS: Final = 2
_MOST: Final = 200_000


def run(servers: Servers) -> Iterator[Figure]:
    """Requests a second, each side the mean of its turns."""
    plain, engine = [], []
    for _ in range(_ROUNDS):
        plain.append(_turn(servers, engine=False))
        engine.append(_turn(servers, engine=True))
    value, baseline = harmonic_mean(engine), harmonic_mean(plain)
    name = f"HTTP, {CONNECTIONS} connections, answered after commit"
    yield Figure(name, value, "requests/s", baseline, value / baseline)


def _turn(servers: Servers, *, engine: bool) -> float:
    port = free_port()
    with ExitStack() as stack:
        arena = stack.enter_context(servers.arena(ACCOUNTS))
        command = arena.engine(port) if engine else arena.naive_http(port)
        (process,) = stack.enter_context(arena.running([command]))
        process.wait_for_http(f"http://127.0.0.1:{port}/api/v1/reconciliation/health")
        _client(port, WARM_UP_SECONDS, first=0)
        return _client(port, SECONDS, first=_MOST)


def _client(port: int, seconds: int, first: int) -> float:
    arguments = [str(n) for n in (port, CONNECTIONS, seconds, ACCOUNTS, first)]
    return float(run_module("benchmarks.http", *arguments, within=seconds + 60))


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request, its answer, the next request."""

    transport: asyncio.Transport

    def __init__(self, requests: Iterator[bytes], counter: _Counter) -> None:
        self._requests = requests
        self._counter = counter
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found or len(rest) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        self._received = b""
        if not self._counter.answered(head, rest):
            self.transport.close()
            return
        self.transport.write(next(self._requests))

    def connection_lost(self, exc: Exception | None) -> None:
        self._counter.lost(exc)


class _Counter:
    """Counts answers until the time is over; the first answer that is not 201 ends it all."""

    def __init__(self, until: float, connections: int) -> None:
        self.count = 0
        self.last = 0.0
        self._until = until
        self._left = connections
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(self, head: bytes, content: bytes) -> bool:
        if not head.startswith(b"HTTP/1.1 201"):
            if not self.done.done():
                self.done.set_exception(RuntimeError(f"{head!r} {content!r}"))
            return False
        self.count += 1
        self.last = time.perf_counter()
        return self.last < self._until

    def lost(self, error: Exception | None) -> None:
        self._left -= 1
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        elif self._left == 0:
            self.done.set_result(None)


async def load(port: int, connections: int, seconds: int, accounts: int, first: int) -> float:
    """Answers a second."""
    requests = iter([_request(port, m._replace(place=first + m.place)) for m in Workload(_MOST, accounts).movements()])
    start = time.perf_counter()
    counter = _Counter(start + seconds, connections)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(requests, counter), "127.0.0.1", port)
    await counter.done
    return counter.count / (counter.last - start)


def _request(port: int, movement: Movement) -> bytes:
    content = body(movement)
    return (
        b"POST /api/v1/reconciliation/camt054 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (port, len(content), content)
    )


if __name__ == "__main__":
    print(uvloop.run(load(*map(int, sys.argv[1:]))))
