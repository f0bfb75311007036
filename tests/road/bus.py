"""A nats-server of a test's own, a sender of notifications and a reader of events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from token_engine.servers import EmbeddedNats

CONSUMER = "token-engine-tier1"
NOTIFICATIONS = "BANK_NOTIFICATIONS"
EVENTS = "TOKEN_ENGINE_EVENTS"
LEDGER, MOVEMENTS = "LEDGER_MOVEMENTS", "token_engine.ledger.movements"
_CONSUMERS = {LEDGER: "token-engine-ledger"}
SUBJECT = "iso20022.camt.054"
_T = TypeVar("_T")


class Event:
    """One message of the events stream."""

    def __init__(self, subject: str, raw: bytes, header: str | None) -> None:
        self.subject = subject
        self.header = header
        self.content: dict[str, Any] = json.loads(raw)

    @property
    def id(self) -> str:
        return str(self.content["event_id"])


class Bus:
    """JetStream as a bank's gateway and an event's consumer see it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.js: JetStreamContext = client.jetstream()
        self._sent: dict[str, int] = {}  # the last of each stream

    async def send(
        self, content: bytes | dict[str, Any], subject: str = SUBJECT, seconds: float = 10, **headers: str
    ) -> int:
        """Publish; JetStream has it under the sequence number that comes back."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()} or None
        answer = await self.js.publish(subject, raw, timeout=seconds, headers=named)
        self._sent[answer.stream] = max(answer.seq, self._sent.get(answer.stream, 0))
        return answer.seq

    async def state(self, stream: str = NOTIFICATIONS) -> ConsumerInfo:
        state: ConsumerInfo = await self.js.consumer_info(stream, _CONSUMERS.get(stream, CONSUMER))
        return state

    async def settled(self, stream: str = NOTIFICATIONS, seconds: float = 30) -> ConsumerInfo:
        """Wait until every message sent from here is acknowledged or terminated.

        A consumer's counts lag behind the stream, so that none pending says nothing by itself.
        """

        async def idle() -> ConsumerInfo | None:
            state = await self.state(stream)
            delivered = state.delivered.stream_seq if state.delivered else 0
            arrived = delivered >= self._sent.get(stream, 0)
            return state if arrived and not (state.num_pending or state.num_ack_pending) else None

        return await until(idle, seconds)

    async def hurry(self, stream: str = NOTIFICATIONS) -> None:
        """Send again now what a dead process pulled, not when its minute to acknowledge is over."""
        config = (await self.state(stream)).config
        config.ack_wait = 1
        await self.js.add_consumer(stream, config)

    async def events(self) -> list[Event]:
        """All events there are, oldest first."""
        held = (await self.js.stream_info(EVENTS)).state.messages
        subscription = await self.js.subscribe("reconciliation.>", ordered_consumer=True)
        found: list[Event] = []
        while len(found) < held:
            message = await subscription.next_msg(timeout=10)
            header = (message.headers or {}).get("Nats-Msg-Id")
            found.append(Event(message.subject, message.data, header))
        await subscription.unsubscribe()
        return found

    async def events_about(self, *message_ids: str, count: int, seconds: float = 15) -> list[Event]:
        """Events that concern these bank messages, once there are so many; then no more come."""

        async def enough() -> list[Event] | None:
            found = [e for e in await self.events() if e.content["message_id"] in message_ids]
            return found if len(found) >= count else None

        return await until(enough, seconds)


@contextlib.contextmanager
def nats_server(home: Path) -> Iterator[EmbeddedNats]:
    """Never on 4222, where somebody else's clients may come by. Killed, `start` brings it back on its port."""
    server = EmbeddedNats(home, preferred_port=None)
    server.start(print)
    try:
        yield server
    finally:
        server.stop()


async def until(what: Callable[[], Awaitable[_T | None]], seconds: float = 30) -> _T:
    """The first truthy answer of a coroutine function."""
    async with asyncio.timeout(seconds):
        while not (answer := await what()):
            await asyncio.sleep(0.1)
    return answer


async def _quiet(_: Exception) -> None:
    """The servers are killed on purpose."""


@contextlib.asynccontextmanager
async def bus(url: str) -> AsyncIterator[Bus]:
    """Reconnects for ever, as a gateway does."""
    client = await nats.connect(url, error_cb=_quiet, max_reconnect_attempts=-1, reconnect_time_wait=0.2)
    try:
        yield Bus(client)
    finally:
        await client.close()
