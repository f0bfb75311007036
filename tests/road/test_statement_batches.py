"""Batches of statements that run at once: read side by side, and recorded in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import BinaryIO

import pytest

from road.bench import NOW, came, road_on
from road.statement_writer import line, message, statement
from token_engine.domain.receipt import Receipt, Recorded
from token_engine.entrypoints.batcher import Batcher, UnforeseenError
from token_engine.entrypoints.lanes import STATEMENTS
from token_engine.storage.database import Database, Transaction
from token_engine.storage.turns import Turn
from token_engine.tiers import end_of_day
from token_engine.tiers.delivery import Delivery
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

    async def stage(self, tx: Transaction, source: BinaryIO, numbers: Iterator[int]) -> Reading:
        held = source.read() == self._held
        source.seek(0)
        if held:
            self.begun.set()
            await self.open.wait()
            if self.fails:
                raise RuntimeError("a defect of ours")
        reading = await read_and_stage(tx, source, numbers)
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


@pytest.mark.parametrize("fails", [False, True])
def test_mondays_statement_waits_for_fridays_though_it_was_read_first(
    migrated: str, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Recorded the other way round, Monday would be quarantined: it does not go on from what stands."""

    async def story() -> None:
        async with road_on(migrated) as road, road.connection.transaction():
            await road.account()
        gate = Gate(FRIDAY)
        gate.fails = fails
        monkeypatch.setattr(end_of_day, "stage", gate.stage)
        async with engine(migrated) as batcher, asyncio.timeout(60):
            friday = asyncio.create_task(batcher.submit([came(FRIDAY)]))
            await gate.begun.wait()
            monday = asyncio.create_task(batcher.submit([came(MONDAY)]))
            await gate.other_read.wait()
            done, _ = await asyncio.wait([monday], timeout=0.3)
            assert not done, "it waits for its turn"
            gate.open.set()
            [first], [second] = await friday, await monday
            if fails:
                assert isinstance(first, UnforeseenError)
            else:
                assert [day.state for r in (first, second) if isinstance(r, Recorded) for day in r.days] == [
                    "ACCEPTED"
                ] * 2
            assert isinstance(second, Recorded)
            assert not fails or second.days[0].checks, "whoever came before is not waited for for ever"

    asyncio.run(story())


def test_turns_are_taken_in_order_also_where_some_come_to_nothing() -> None:
    async def story() -> None:
        turns = [Turn()]
        for _ in range(3):
            turns.append(Turn(turns[-1]))
        taken: list[int] = []

        async def take(number: int, *, fails: bool) -> None:
            if fails:
                await turns[number].pass_on()
            else:
                async with turns[number]:
                    taken.append(number)
            await turns[number].pass_on()  # as whoever began it does in the end, whatever came of it

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for number in (3, 2, 1):
                group.create_task(take(number, fails=number == 2))
            await asyncio.sleep(0.05)
            assert taken == []
            group.create_task(take(0, fails=False))
        assert taken == [0, 1, 3]

    asyncio.run(story())
