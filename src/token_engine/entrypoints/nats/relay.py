"""The outbox relay: hand committed events to JetStream, then forget them.

One relay per database is active at a time, so that an account's events leave in order; the others wait
to take over. Dying between publishing and forgetting publishes an event again under the same
Nats-Msg-Id, which JetStream drops.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final
from uuid import uuid4

import msgspec
import psycopg
from nats.aio.client import Client
from nats.errors import Error as NatsError
from psycopg import AsyncConnection

from token_engine.storage import outbox
from token_engine.storage.database import Database
from token_engine.telemetry import metrics
from token_engine.telemetry.logs import logger

_BATCH: Final = 500
_ANSWER_SECONDS: Final = 10
_PAUSE_SECONDS: Final = 0.05
"""Between rounds that emptied the outbox: under load a round after each commit slows the commits down."""
_IDLE_SECONDS: Final = 1.0
"""How soon events of other processes, or of a relay that died, are looked for."""
_log = logger()


class _BatchAck(msgspec.Struct):
    """The PubAck of a batch; one of a single message has no count, and an error has neither."""

    count: int


def _headers(event: outbox.OutboxEvent, batch: str, sequence: int) -> dict[str, str]:
    return {"Nats-Msg-Id": event.event_id, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(sequence)}


class Relay:
    """Publishes the outbox of one database."""

    def __init__(self, database: Database, client: Client) -> None:
        self._database = database
        self._client = client
        self._js = client.jetstream()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """The task, which ends only after `stop`."""
        self._task = asyncio.create_task(self._run(), name="outbox relay")
        return self._task

    def wake(self) -> None:
        """There may be something to publish."""
        self._wake.set()

    async def stop(self) -> None:
        """Publish what is there, then stop; while NATS is away, what is there stays in the outbox."""
        self._stopping = True
        self._wake.set()
        if self._task:
            if not self._client.is_connected:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while not self._stopping:
            try:
                async with self._database.connection_for_the_relay() as connection:
                    if await self._become_leader(connection):
                        await self._relay(connection)
            except (psycopg.Error, NatsError, OSError) as error:
                _log.warning("Events wait in the outbox", reason=f"{type(error).__name__}: {error}".strip())
                await asyncio.sleep(_IDLE_SECONDS)

    async def _become_leader(self, connection: AsyncConnection[Any]) -> bool:
        """Wait for the leader of now to go; False if this engine goes first.

        Asking again beats waiting inside PostgreSQL, where a waiting statement holds back vacuum.
        """
        while not await outbox.lead(connection):
            if self._stopping:
                return False
            await asyncio.sleep(_IDLE_SECONDS)
        return True

    async def _relay(self, connection: AsyncConnection[Any]) -> None:
        while True:
            events = await outbox.oldest(connection, _BATCH)
            if events:
                await self._publish(connection, events)
                if len(events) < _BATCH and not self._stopping:
                    await asyncio.sleep(_PAUSE_SECONDS)
            elif self._stopping:
                return
            else:
                await self._rest()

    async def _publish(self, connection: AsyncConnection[Any], events: list[outbox.OutboxEvent]) -> None:
        if not await self._publish_at_once(events):
            await asyncio.gather(*(self._publish_one(e) for e in events))
        await outbox.delete(connection, [e.id for e in events])
        metrics.EVENTS.inc(len(events))

    async def _publish_at_once(self, events: list[outbox.OutboxEvent]) -> bool:
        """One atomic batch (NATS 2.12, ADR-50): one acknowledgement and one fsync for all of it.

        False where it was not taken: by an older server, or because a relay that died had published some
        of the events already. Then each is published by itself, and JetStream drops the second copies.
        """
        batch = uuid4().hex
        *most, last = events
        for sequence, event in enumerate(most, 1):
            await self._client.publish(event.subject, event.payload.encode(), headers=_headers(event, batch, sequence))
        reply = await self._client.request(
            last.subject, last.payload.encode(), timeout=_ANSWER_SECONDS,
            headers=_headers(last, batch, len(events)) | {"Nats-Batch-Commit": "1"},
        )  # fmt: skip
        try:
            return msgspec.json.decode(reply.data, type=_BatchAck).count == len(events)
        except msgspec.MsgspecError:
            return False

    async def _publish_one(self, event: outbox.OutboxEvent) -> None:
        await self._js.publish(
            event.subject, event.payload.encode(), timeout=_ANSWER_SECONDS, headers={"Nats-Msg-Id": event.event_id}
        )

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
