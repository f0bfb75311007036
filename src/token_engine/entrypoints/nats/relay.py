"""The outbox relay: hand committed events to JetStream, then forget them.

One relay per database is active at a time, so that an account's events leave in order; the others wait
to take over. Dying between publishing and forgetting publishes an event again under the same
Nats-Msg-Id, which JetStream drops.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from psycopg import AsyncConnection

from token_engine.storage import outbox
from token_engine.storage.database import Database
from token_engine.telemetry import metrics
from token_engine.telemetry.logs import logger

_BATCH: Final = 500
_IDLE_SECONDS: Final = 1.0
"""How soon events of other processes, or of a relay that died, are looked for."""
_log = logger()


class Relay:
    """Publishes the outbox of one database."""

    def __init__(self, database: Database, js: JetStreamContext) -> None:
        self._database = database
        self._js = js
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox relay")

    def wake(self) -> None:
        """There may be something to publish."""
        self._wake.set()

    async def stop(self) -> None:
        """Publish what is there, then stop."""
        self._stopping = True
        self._wake.set()
        if self._task:
            await self._task

    async def _run(self) -> None:
        while True:
            try:
                async with self._database.connection_of_its_own() as connection:
                    if await outbox.lead(connection):
                        await self._relay(connection)
            except (psycopg.Error, NatsError, OSError) as error:
                _log.warning("Events wait in the outbox", reason=f"{type(error).__name__}: {error}".strip())
            if self._stopping:
                return
            await self._rest()

    async def _relay(self, connection: AsyncConnection[Any]) -> None:
        while True:
            events = await outbox.oldest(connection, _BATCH)
            if events:
                await self._publish(connection, events)
            elif self._stopping:
                return
            else:
                await self._rest()

    async def _publish(self, connection: AsyncConnection[Any], events: list[outbox.OutboxEvent]) -> None:
        await asyncio.gather(*(self._publish_one(e) for e in events))
        await outbox.delete(connection, [e.id for e in events])
        metrics.EVENTS.inc(len(events))

    async def _publish_one(self, event: outbox.OutboxEvent) -> None:
        await self._js.publish(
            event.subject, event.payload.encode(), timeout=10, headers={"Nats-Msg-Id": event.event_id}
        )

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
