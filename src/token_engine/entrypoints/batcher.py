"""One transaction for whatever arrived while the last one committed.

Every door of this process hands its deliveries here. Nothing waits for a timer: a lone message is
committed at once, and under load a batch grows to what arrived during the commit before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from token_engine.domain.receipt import Receipt
from token_engine.storage.database import Database, pipelined_transaction
from token_engine.telemetry import metrics
from token_engine.telemetry.logs import logger
from token_engine.tiers import notification
from token_engine.tiers.delivery import Delivery

LARGEST_BATCH: Final = 1000
LARGEST_BATCH_BYTES: Final = 8 * 1024 * 1024
_ATTEMPTS: Final = 3
_log = logger()


class UnavailableError(Exception):
    """The database could not be reached; nothing was recorded and the message may be sent again."""


class UnforeseenError(Exception):
    """The engine failed on this very message; nothing of it was recorded."""


class _Parcel:
    """Deliveries of one door that get their receipts together."""

    __slots__ = ("deliveries", "receipts")

    def __init__(self, deliveries: Sequence[Delivery], receipts: asyncio.Future[list[Receipt | Exception]]) -> None:
        self.deliveries = deliveries
        self.receipts = receipts


class Batcher:
    """Commits deliveries in groups, on a connection of its own."""

    def __init__(self, database: Database, clock: Callable[[], datetime], committed: Callable[[], None]) -> None:
        """`committed` is called after each commit: there may be events to publish."""
        self._database = database
        self._clock = clock
        self._committed = committed
        self._waiting: deque[_Parcel] = deque()
        self._arrived = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> asyncio.Task[None]:
        """The task, which ends only after `stop`."""
        self._task = asyncio.create_task(self._run(), name="batcher")
        return self._task

    async def stop(self) -> None:
        """Commit what was handed in, then stop."""
        self._closing = True
        self._arrived.set()
        if self._task:
            await self._task
        if self._connection:
            await self._connection.close()

    async def submit(self, deliveries: Sequence[Delivery]) -> list[Receipt | Exception]:
        """Receipts after the commit, each at its delivery's place; an exception where there is none.

        The exceptions are UnavailableError and UnforeseenError.
        """
        if self._closing:
            return [UnavailableError("the engine is stopping") for _ in deliveries]
        parcel = _Parcel(deliveries, asyncio.get_running_loop().create_future())
        self._waiting.append(parcel)
        self._arrived.set()
        return await parcel.receipts

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                parcels = self._next_parcels()
                batch = [d for p in parcels for d in p.deliveries]
                outcomes = iter(await self._commit(batch))
                for parcel in parcels:
                    receipts = [next(outcomes) for _ in parcel.deliveries]
                    if not parcel.receipts.cancelled():
                        parcel.receipts.set_result(receipts)
            if self._closing:
                return

    def _next_parcels(self) -> list[_Parcel]:
        parcels = [self._waiting.popleft()]
        count = len(parcels[0].deliveries)
        size = sum(len(d.raw) for d in parcels[0].deliveries)
        while self._waiting:
            following = self._waiting[0].deliveries
            count += len(following)
            size += sum(len(d.raw) for d in following)
            if count > LARGEST_BATCH or size > LARGEST_BATCH_BYTES:
                break
            parcels.append(self._waiting.popleft())
        return parcels

    async def _commit(self, batch: Sequence[Delivery]) -> list[Receipt | Exception]:
        """One transaction; if the engine fails on it, each delivery alone, so that one spoils no other."""
        try:
            return list(await self._transaction(batch))
        except UnavailableError as unavailable:
            return [unavailable] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                _log.exception("The engine failed on a message", digest=batch[0].digest.hex(), source=batch[0].source)
                return [UnforeseenError(f"{type(error).__name__}: {error}")]
        return [outcome for delivery in batch for outcome in await self._commit([delivery])]

    async def _transaction(self, batch: Sequence[Delivery]) -> list[Receipt]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._try(batch)
            except psycopg.errors.ProgramLimitExceeded:
                raise  # an OperationalError by its class, but about a message: trying again cannot help
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # A lost server, a failover, a deadlock: nothing was committed, or if it was and only the
                # answer got lost, the second attempt finds every message recorded already.
                _log.warning("Database did not answer; trying again", attempt=attempt, error=str(error).strip())
                await asyncio.sleep(0.1 * attempt)
        raise UnavailableError("the database cannot be reached")

    async def _try(self, batch: Sequence[Delivery]) -> list[Receipt]:
        if self._connection is None or self._connection.closed:
            self._connection = await self._database.connect_for_the_road()
        with metrics.COMMIT_SECONDS.time():
            async with pipelined_transaction(self._connection) as tx:
                receipts = await notification.record(tx, batch, self._clock())
        metrics.BATCH_SIZE.observe(len(batch))
        count(batch, receipts)
        self._committed()
        return receipts


def count(batch: Sequence[Delivery], receipts: Sequence[Receipt]) -> None:
    """Add committed receipts to this process's counters."""
    totals: dict[tuple[str, str], int] = {}
    checks = {"ok": 0, "mismatch": 0}
    for delivery, receipt in zip(batch, receipts, strict=True):
        key = (delivery.door.value, type(receipt).__name__)
        totals[key] = totals.get(key, 0) + 1
        if key[1] == "Recorded":
            for judgement in receipt.judgements:  # type: ignore[union-attr]
                checks["ok" if judgement.threshold_level == "Ok" else "mismatch"] += 1
    for (door, name), number in totals.items():
        metrics.MESSAGES.labels(door, name).inc(number)
    for status, number in checks.items():
        if number:
            metrics.CHECKS.labels("tier1", status).inc(number)
