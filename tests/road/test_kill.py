"""kill -9 of everything in turn while messages pour in: nothing is lost, and nothing counts twice.

What must hold afterwards is computed here, by plain addition, from what was sent; and again from the
bytes that the engine kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import nats.errors
import psutil
import psycopg
import pytest

from engine import Engine, notification, wait_for
from road.bus import Bus, bus, nats_server, until
from token_engine.servers import EmbeddedNats

MESSAGES = 3_000
NUMBERS = [f"KILL-{n}" for n in range(5)]
OPENING = Decimal(1_000_000)


def traffic(seed: int) -> list[bytes]:
    """Notifications over five accounts; one in ten is sent a second time, some of those respelled."""
    dice = random.Random(seed)
    sent: list[bytes] = []
    for n in range(MESSAGES):
        message = notification(
            f"K-{n}", dice.choice(NUMBERS), f"{dice.randrange(1, 20_000) / 100:.2f}",
            credit_debit_indicator=dice.choice(["CRDT", "CRDT", "DBIT"]), bank_reference=f"KR-{n}",
        )  # fmt: skip
        sent.append(json.dumps(message).encode())
        if dice.random() < 0.1:
            sent.append(sent[-1])
        elif dice.random() < 0.05:
            sent.append(json.dumps(message, indent=1).encode())
    return sent


def added_up(messages: list[bytes]) -> dict[str, Decimal]:
    """Each movement once, whoever told of it how often."""
    movements: dict[str, tuple[str, Decimal]] = {}
    for raw in messages:
        said = json.loads(raw)
        sign = 1 if said["credit_debit_indicator"] == "CRDT" else -1
        movements[said["bank_reference"]] = (said["account_id"], sign * Decimal(said["amount"]))
    totals = dict.fromkeys(NUMBERS, OPENING)
    for number, change in movements.values():
        totals[number] += change
    return totals


class Publisher:
    """Sends everything, in order, and sends again what was not acknowledged."""

    def __init__(self, sender: Bus, messages: list[bytes]) -> None:
        self._sender = sender
        self._messages = messages
        self.acknowledged = 0

    async def run(self) -> None:
        for raw in self._messages:
            while True:
                try:
                    await self._sender.send(raw, seconds=2)
                except (nats.errors.Error, TimeoutError, OSError):
                    await asyncio.sleep(0.1)
                else:
                    break
            self.acknowledged += 1
            if self.acknowledged % 10 == 0:
                await asyncio.sleep(0.01)  # leaves the killing time to happen in mid-stream

    async def reached(self, share: float) -> None:
        async with asyncio.timeout(120):
            while self.acknowledged < share * len(self._messages):
                await asyncio.sleep(0.02)


async def postgres_backends(engine: Engine) -> list[psutil.Process]:
    """Those that serve the engine's own connections, at least one."""

    def found() -> list[psutil.Process]:
        # A server that starts beside what a killed one left gives up, and another is started.
        with contextlib.suppress(psutil.NoSuchProcess):
            children = [child for server in engine.servers("postgres") for child in server.children()]
            return [child for child in children if "token_engine" in " ".join(_command_of(child))]
        return []

    return await asyncio.to_thread(wait_for, found)


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:  # it ended since it was listed
        return []


def end(process: psutil.Process, how: Callable[[psutil.Process], None]) -> None:
    """End it, unless it was quicker."""
    with contextlib.suppress(psutil.NoSuchProcess):
        how(process)


def balances(engine: Engine) -> dict[str, Decimal]:
    return {number: Decimal(engine.balance(number)) for number in NUMBERS}


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_counts_twice(tmp_path: Path) -> None:
    with nats_server(tmp_path / "nats") as server:
        asyncio.run(_kill_everything(tmp_path / "data", server))


async def _kill_everything(data: Path, server: EmbeddedNats) -> None:
    messages = traffic(20251118)
    urls = ("--nats-url", server.url)
    engine = Engine(data, *urls)
    try:
        for number in NUMBERS:
            engine.create_account(number, ledger_balance=str(OPENING), bank_balance=str(OPENING))
        async with bus(server.url) as sender:
            publisher = Publisher(sender, messages)
            sending = asyncio.create_task(publisher.run())

            await publisher.reached(0.1)
            await asyncio.to_thread(engine.kill)
            engine = await asyncio.to_thread(Engine, data, *urls)

            await publisher.reached(0.3)
            assert server.pid
            psutil.Process(server.pid).kill()
            await asyncio.to_thread(wait_for, lambda: not server.alive())
            await asyncio.to_thread(server.start, print)

            await publisher.reached(0.5)
            await asyncio.to_thread(engine.kill_server, "postgres")

            for share in (0.6, 0.65, 0.7):
                await publisher.reached(share)
                for backend in await postgres_backends(engine):
                    end(backend, psutil.Process.kill)

            await publisher.reached(0.85)
            for backend in await postgres_backends(engine):
                end(backend, psutil.Process.terminate)

            await sending
            await sender.hurry()
            await sender.settled(seconds=60)
            await check(engine, sender, messages)
        assert engine.stop() == 0
    finally:
        engine.__exit__()


async def check(engine: Engine, sender: Bus, messages: list[bytes]) -> None:
    expected = added_up(messages)
    assert balances(engine) == expected

    with psycopg.connect(engine.database_url) as connection:
        rows = connection.execute("SELECT id, raw, state FROM bank_messages ORDER BY id").fetchall()
        entries = connection.execute("SELECT count(*), count(DISTINCT servicer_reference) FROM bank_entries").fetchone()
    kept = [bytes(raw) for _, raw, _ in rows]
    assert {state for *_, state in rows} == {"RECORDED"}
    assert set(kept) == set(messages)  # every acknowledged message is recorded
    assert len(kept) == len(set(kept))
    assert added_up(kept) == expected
    assert entries == (MESSAGES, MESSAGES)

    # Each movement was judged and announced; the ids tell second copies apart, and there are none.
    async def announced() -> list[Any] | None:
        found = [e for e in await sender.events() if e.subject.startswith("reconciliation.tier1.")]
        return found if len({e.content["message_id"] for e in found}) >= MESSAGES else None

    events = await until(announced, 30)
    judged = [e for e in events if e.content["data"]["entries_recorded"]]
    assert len({e.id for e in judged}) == len(judged) == MESSAGES
    assert {e.header for e in judged} == {e.id for e in judged}
    assert {e.content["message_id"] for e in judged} == {json.loads(raw)["message_id"] for raw in messages}
    # The last event of an account tells its final balance: they left in order.
    last = {e.content["data"]["account_number"]: Decimal(e.content["data"]["bank_balance"]) for e in judged}
    assert last == expected

    checked = engine.cli("check")
    assert checked.returncode == 0, checked.stderr


def test_a_connection_cut_in_the_middle_of_anything_is_replaced(tmp_path: Path) -> None:
    """A backend that ends inside a pipeline leaves a connection that is neither usable nor marked broken."""
    with Engine(tmp_path / "data") as engine, ThreadPoolExecutor(8) as pool:
        engine.create_account("CUT", ledger_balance="0", bank_balance="0")
        cutting = threading.Event()

        def send(lane: int) -> int:
            count = 0
            while not cutting.is_set():
                raw = json.dumps(notification(f"CUT-{lane}-{count}", "CUT", "0.01"))
                while engine.send(raw).status_code not in (200, 201):
                    time.sleep(0.01)
                count += 1
            return count

        lanes = [pool.submit(send, lane) for lane in range(6)]
        try:
            with psycopg.connect(engine.database_url, autocommit=True) as connection:
                for _ in range(150):
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'token-engine road' AND state = 'active'"
                    )
                    time.sleep(0.01)
        finally:
            cutting.set()
        sent = sum(lane.result(timeout=30) for lane in lanes)
        assert engine.send(notification("CUT-LAST", "CUT", "1.00")).status_code == 201
        assert Decimal(engine.balance("CUT")) == 1 + sent * Decimal("0.01")
        assert engine.cli("check").returncode == 0
