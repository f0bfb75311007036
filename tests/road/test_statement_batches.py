"""Batches of statements that run at once: read side by side, and recorded in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import BinaryIO

import psycopg
import pytest

from road.bench import NOW, came, road_on
from road.statement_writer import line, message, statement
from token_engine.domain.receipt import AlreadyRecorded, Receipt, Recorded
from token_engine.entrypoints.batcher import Batcher, UnforeseenError
from token_engine.entrypoints.lanes import STATEMENTS
from token_engine.storage.database import Database, Transaction
from token_engine.storage.turns import Turns
from token_engine.tiers import end_of_day
from token_engine.tiers.changes import Changes
from token_engine.tiers.closing_days import close_days
from token_engine.tiers.day import Day
from token_engine.tiers.delivery import Delivery
from token_engine.tiers.progress import Progress
from token_engine.tiers.stating import Reading
from token_engine.tiers.stating import stage as read_and_stage

FRIDAY = message(
    statement(line("10", reference="R1", day="2025-11-14"), opening="1000000", closing="1000010", day="2025-11-14"),
    name="M-1",
)
MONDAY = message(
    statement(line("5", reference="R2", day="2025-11-17"), opening="1000010", closing="1000015", day="2025-11-17"),
    name="M-2",
)


class Gate:
    """Holds the reading of one message, and tells which have been read."""

    def __init__(self, held: bytes) -> None:
        self._held = held
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.other_read = asyncio.Event()
        self.fails = False

    async def stage(
        self, tx: Transaction, source: BinaryIO, numbers: Iterator[int], come: Callable[[int], None]
    ) -> Reading:
        held = source.read() == self._held
        source.seek(0)
        if held:
            self.begun.set()
            await self.open.wait()
            if self.fails:
                raise RuntimeError("a defect of ours")
        reading = await read_and_stage(tx, source, numbers, come)
        if not held:
            self.other_read.set()
        return reading


@asynccontextmanager
async def engine(url: str) -> AsyncIterator[Batcher[Delivery, Receipt]]:
    database = Database(url)
    await database.open()
    batcher = Batcher(database, lambda: NOW, lambda: None, STATEMENTS)
    batcher.start()
    try:
        yield batcher
    finally:
        await batcher.stop()
        await database.close()


@pytest.mark.parametrize("fridays", ["taken in", "fails", "tried again"])
def test_mondays_statement_waits_for_fridays_though_it_was_read_first(
    migrated: str, monkeypatch: pytest.MonkeyPatch, fridays: str
) -> None:
    """Recorded the other way round, Monday would be quarantined: it does not go on from what stands."""
    attempts: list[date] = []

    async def close(tx: Transaction, days: Sequence[Day], changes: Changes, now: datetime, say: Progress) -> None:
        attempts.extend(day.date for day in days)
        if fridays == "tried again" and len(attempts) == 1:
            raise psycopg.OperationalError("gone for a moment, and with it the account's lock")
        await close_days(tx, days, changes, now, say)

    async def story() -> None:
        async with road_on(migrated) as road, road.connection.transaction():
            await road.account()
        gate = Gate(FRIDAY)
        gate.fails = fridays == "fails"
        monkeypatch.setattr(end_of_day, "stage", gate.stage)
        monkeypatch.setattr(end_of_day, "close_days", close)
        async with engine(migrated) as batcher, asyncio.timeout(60):
            friday = asyncio.create_task(batcher.submit([came(FRIDAY)]))
            await gate.begun.wait()
            monday = asyncio.create_task(batcher.submit([came(MONDAY)]))
            await gate.other_read.wait()
            done, _ = await asyncio.wait([monday], timeout=0.3)
            assert not done, "it waits for its turn"
            gate.open.set()
            [first], [second] = await friday, await monday
        assert isinstance(second, Recorded), "whoever came before is not waited for for ever"
        if gate.fails:
            assert isinstance(first, UnforeseenError)
        else:
            assert isinstance(first, Recorded)
            assert [day.state for day in (*first.days, *second.days)] == ["ACCEPTED", "ACCEPTED"]
            assert sorted(attempts) == attempts

    asyncio.run(story())


def test_a_message_that_is_in_two_batches_at_once_keeps_neither_from_going_on(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked before its turn by the second batch, it would be waited for by the first, and the first by the second."""

    async def story() -> None:
        async with road_on(migrated) as road, road.connection.transaction():
            await road.account()
        gate = Gate(FRIDAY)
        monkeypatch.setattr(end_of_day, "stage", gate.stage)
        async with engine(migrated) as batcher, asyncio.timeout(30):
            both = asyncio.create_task(batcher.submit([came(FRIDAY), came(MONDAY)]))
            await gate.begun.wait()
            again = asyncio.create_task(batcher.submit([came(MONDAY)]))
            await gate.other_read.wait()
            gate.open.set()
            (_, first), [second] = await both, await again
            assert isinstance(first, Recorded)
            assert isinstance(second, AlreadyRecorded)
            assert (second.kept_as, second.days) == (first.kept_as, first.days)

    asyncio.run(story())


def test_only_what_is_about_the_same_accounts_waits() -> None:
    async def story() -> None:
        turns = Turns()
        first, second, third = turns.begin(), turns.begin(), turns.begin()
        coming = {
            name: asyncio.create_task(turn.come(accounts))
            for name, turn, accounts in (("third", third, {"A", "C"}), ("second", second, {"B"}))
        }
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in coming.values()), "nobody knows yet what the first is about"
        async with asyncio.timeout(10):
            await first.come({"A"})
            await coming["second"]
            assert not coming["third"].done()
            second.end()
            await first.come({"A"})  # tried again
            await asyncio.sleep(0.05)
            assert not coming["third"].done()
            first.end()
            await coming["third"]
            third.end()
            await turns.begin().come({"A"})

    asyncio.run(story())


def test_what_comes_to_nothing_before_it_was_read_is_waited_for_no_longer() -> None:
    async def story() -> None:
        turns = Turns()
        first, second = turns.begin(), turns.begin()
        coming = asyncio.create_task(second.come({"A"}))
        await asyncio.sleep(0.05)
        assert not coming.done()
        first.end()
        async with asyncio.timeout(10):
            await coming

    asyncio.run(story())
