"""One transaction for whatever arrived while the last one committed.

Every door of this process hands in here what is one of many: bank messages, holds. Nothing waits for a timer unless
its lane says so: a lone one is committed at once, and under load a batch grows to what arrived during the commit
before it.
What a batch does, and what is counted of it, is its lane's (`lanes.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import psycopg
import psycopg_pool
from psycopg import AsyncConnection

from token_engine.storage.database import Database, Transaction, pipelined_transaction
from token_engine.storage.turns import Turn, Turns
from token_engine.telemetry import metrics
from token_engine.telemetry.logs import logger

LARGEST_BATCH: Final = 1000
LARGEST_BATCH_BYTES: Final = 8 * 1024 * 1024
_ATTEMPTS: Final = 3
_log = logger()
In = TypeVar("In")
Out = TypeVar("Out")


class UnavailableError(Exception):
    """The database could not be reached; nothing was recorded and the message may be sent again."""


class UnforeseenError(Exception):
    """The engine failed on this very message; nothing of it was recorded."""


@dataclass(frozen=True, slots=True)
class Lane(Generic[In, Out]):
    """One kind of work: what a batch of it does, how large each is in bytes, what a log calls it, and what is
    counted once a batch is committed. `take` gives what comes back, each at the place of what was handed in.

    `sets`: it streams and works on sets of any size, which takes other plans than looking up, and no pipeline.
    `at_once`: how many transactions of it run at a time, each in its turn; more than one only with `sets`.
    `batch_bytes`: where a batch ends, unless one alone is larger. `gather_seconds`: how long the first of a batch waits
    for others, where nobody minds and many small transactions would cost more than they are worth.
    """

    name: str
    take: Callable[[Transaction, Sequence[In], datetime], Awaitable[list[Out]]]
    size: Callable[[In], int]
    named: Callable[[In], dict[str, str]]
    count: Callable[[Sequence[In], Sequence[Out]], None]
    sets: bool = False
    at_once: int = 1
    batch_bytes: int = LARGEST_BATCH_BYTES
    gather_seconds: float = 0.0


class _Parcel(Generic[In, Out]):
    """What one door hands in at once, and waits for together."""

    __slots__ = ("handed_in", "outcomes")

    def __init__(self, handed_in: Sequence[In], outcomes: asyncio.Future[list[Out | Exception]]) -> None:
        self.handed_in = handed_in
        self.outcomes = outcomes


class Batcher(Generic[In, Out]):
    """Commits what is handed in, in groups, on a connection of its own."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], committed: Callable[[], None], lane: Lane[In, Out]
    ) -> None:
        """`committed` is called after each commit: there may be events to publish."""
        self._database = database
        self._clock = clock
        self._committed = committed
        self._lane = lane
        self._waiting: deque[_Parcel[In, Out]] = deque()
        self._turns = Turns()
        self._arrived = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._closing = False

    def start(self) -> asyncio.Task[Any]:
        """The task, which ends only after `stop`."""
        self._task = asyncio.create_task(self._run_all(), name=f"batcher of {self._lane.name}")
        return self._task

    async def stop(self) -> None:
        """Commit what was handed in, then stop."""
        self._closing = True
        self._arrived.set()
        if self._task:
            await self._task
        if self._connection:
            await self._connection.close()

    async def submit(self, handed_in: Sequence[In]) -> list[Out | Exception]:
        """What comes of each after the commit, at its place; an exception where nothing came of it.

        The exceptions are UnavailableError and UnforeseenError.
        """
        if self._closing:
            return [UnavailableError("the engine is stopping") for _ in handed_in]
        parcel: _Parcel[In, Out] = _Parcel(handed_in, asyncio.get_running_loop().create_future())
        self._waiting.append(parcel)
        self._arrived.set()
        return await parcel.outcomes

    async def _run_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._lane.at_once):
                group.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                if self._lane.gather_seconds and not self._closing:
                    await asyncio.sleep(self._lane.gather_seconds)
                await self._commit_next()  # at once: another worker of this lane may take the rest
            if self._closing:
                self._arrived.set()  # for the others of this lane
                return

    async def _commit_next(self) -> None:
        parcels = self._next_parcels()
        turn = self._turns.begin()
        try:
            outcomes = iter(await self._commit([one for p in parcels for one in p.handed_in], turn))
        finally:
            turn.end()
        for parcel in parcels:
            found = [next(outcomes) for _ in parcel.handed_in]
            if not parcel.outcomes.cancelled():
                parcel.outcomes.set_result(found)

    def _next_parcels(self) -> list[_Parcel[In, Out]]:
        parcels = [self._waiting.popleft()]
        count = len(parcels[0].handed_in)
        size = sum(map(self._lane.size, parcels[0].handed_in))
        while self._waiting:
            following = self._waiting[0].handed_in
            count += len(following)
            size += sum(map(self._lane.size, following))
            if count > LARGEST_BATCH or size > self._lane.batch_bytes:
                break
            parcels.append(self._waiting.popleft())
        return parcels

    async def _commit(self, batch: Sequence[In], turn: Turn) -> list[Out | Exception]:
        """One transaction; if the engine fails on it, each of it alone, so that one spoils no other."""
        try:
            return list(await self._transaction(batch, turn))
        except UnavailableError as unavailable:
            return [unavailable] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                _log.exception(f"The engine failed on one of the {self._lane.name}", **self._lane.named(batch[0]))
                return [UnforeseenError(f"{type(error).__name__}: {error}")]
        return [outcome for one in batch for outcome in await self._commit([one], turn)]

    async def _transaction(self, batch: Sequence[In], turn: Turn) -> list[Out]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._try(batch, turn)
            except psycopg.errors.ProgramLimitExceeded:
                raise  # an OperationalError by its class, but about a message: trying again cannot help
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
                # A lost server, a failover, a deadlock: nothing was committed, or if it was and only the
                # answer got lost, the second attempt finds every message recorded and every key answered.
                _log.warning("Database did not answer; trying again", attempt=attempt, error=str(error).strip())
                await asyncio.sleep(0.1 * attempt)
        raise UnavailableError("the database cannot be reached")

    async def _try(self, batch: Sequence[In], turn: Turn) -> list[Out]:
        with metrics.COMMIT_SECONDS.labels(self._lane.name).time():
            async with self._transaction_of_lane(turn) as tx:
                outcomes = await self._lane.take(tx, batch, self._clock())
        metrics.BATCH_SIZE.labels(self._lane.name).observe(len(batch))
        self._lane.count(batch, outcomes)
        self._committed()
        return outcomes

    @asynccontextmanager
    async def _transaction_of_lane(self, turn: Turn) -> AsyncIterator[Transaction]:
        if self._lane.sets:
            async with self._database.transaction(turn) as tx:
                yield tx
            return
        if self._connection is None or self._connection.closed:
            self._connection = await self._database.connect_for_the_road()
        async with pipelined_transaction(self._connection) as tx:
            yield tx
