"""Ten thousand accounts: the bank costs little enough to stand beside an engine whose sweep is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from simulated_bank.running import UK, RunningBank, running

ACCOUNTS = 10_000
REQUESTS = 2_000
AT_ONCE = 64


@pytest.fixture
def large_bank(tmp_path: Path) -> Iterator[RunningBank]:
    with running(tmp_path) as bank:
        bank.open(*((f"AE{n % 90 + 10}033{n:016}", "AED", "1000.00") for n in range(ACCOUNTS)))
        yield bank


def test_a_balance_costs_the_bank_less_than_a_millisecond(large_bank: RunningBank) -> None:
    accounts = large_bank.control("accounts", method="GET")
    assert len(accounts) == ACCOUNTS
    paths = iter([f"{UK}/accounts/{each['resource']}/balances" for each in accounts[:: ACCOUNTS // REQUESTS]])
    process = psutil.Process(large_bank.process.pid)
    before = process.cpu_times()
    answered = asyncio.run(_sweep(large_bank, paths))
    after = process.cpu_times()
    assert answered == REQUESTS
    # Time of the processor, not of the clock: it is the same on a machine that others use.
    spent = after.user + after.system - before.user - before.system
    assert spent / REQUESTS < 0.001, f"{spent / REQUESTS * 1000:.2f} ms"


async def _sweep(bank: RunningBank, paths: Iterator[str]) -> int:
    """By hand, on kept connections: a client of httpx2 would take more of the machine than the bank does."""
    host, port = bank.url.removeprefix("http://").split(":")
    headers = "".join(f"{name}: {value}\r\n" for name, value in bank.headers().items())

    async def worker() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        answered = 0
        for path in paths:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200 "), head
            body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            assert b'"Amount":"1000.00"' in body
            answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(worker() for _ in range(AT_ONCE))))
