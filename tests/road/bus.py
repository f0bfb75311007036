"""A sender of notifications and a reader of events, on a NATS connection of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

CONSUMER = "token-engine-tier1"
NOTIFICATIONS = "BANK_NOTIFICATIONS"
EVENTS = "TOKEN_ENGINE_EVENTS"
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

    async def send(self, content: bytes | dict[str, Any], subject: str = SUBJECT, **headers: str) -> int:
        """Publish until JetStream has it; the sequence number."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()} or None
        return (await self.js.publish(subject, raw, timeout=10, headers=named)).seq

    async def state(self, stream: str = NOTIFICATIONS) -> ConsumerInfo:
        return await self.js.consumer_info(stream, CONSUMER)

    async def settled(self, stream: str = NOTIFICATIONS, seconds: float = 30) -> ConsumerInfo:
        """Wait until every message of the stream is acknowledged or terminated."""

        async def idle() -> ConsumerInfo | None:
            state = await self.state(stream)
            return None if state.num_pending or state.num_ack_pending else state

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
