"""The JetStream doors for bank messages: have them recorded, acknowledge after the commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from token_engine.domain.receipt import Receipt, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.batcher import LARGEST_BATCH, UnavailableError, UnforeseenError
from token_engine.entrypoints.nats.pull import ACK, NAK, REFUSED, Pull
from token_engine.entrypoints.nats.streams import (
    ACK_WAIT_SECONDS,
    CONSUMER,
    STATEMENTS_CONSUMER,
    ensure_notification_streams,
    ensure_statement_streams,
)
from token_engine.entrypoints.road import Road
from token_engine.tiers.delivery import Delivery, Door
from token_engine.tiers.intake import deliveries

_GIVE_UP_AFTER: Final = 5
"""A message that the engine itself failed on this often is kept as rejected, with that as its reason.

Counted here and not by JetStream, which also counts what an outage or a restart sent again.
"""


class Feed(NamedTuple):
    """A kind of bank messages: the durable consumer that they come by, how it is made, how many are taken at once and
    how many asked for ahead.
    """

    consumer: str
    ensure: Callable[[JetStreamContext], Awaitable[object]]
    at_once: int
    ahead: int


NOTIFICATIONS: Final = Feed(CONSUMER, ensure_notification_streams, LARGEST_BATCH, 2 * LARGEST_BATCH)
STATEMENTS_FEED: Final = Feed(STATEMENTS_CONSUMER, ensure_statement_streams, 100, 200)


class Consumer(Pull):
    """Feeds one stream's bank messages to the road."""

    def __init__(self, client: Client, stream: str, feed: Feed, road: Road, clock: Callable[[], datetime]) -> None:
        super().__init__(client, stream, feed.consumer, feed.at_once, feed.ahead)
        self._ensure = feed.ensure
        self._road = road
        self._clock = clock
        self._failures: Counter[bytes] = Counter()

    async def ensure(self, js: JetStreamContext) -> None:
        """The streams that the messages come on, and their consumers."""
        await self._ensure(js)

    async def take(self, taken: Sequence[Msg]) -> None:
        """Have them recorded, and answer each."""
        now = self._clock()
        parcels = [self._deliveries(m, now) for m in taken]
        flat = [d for parcel in parcels for d in parcel]
        outcomes = await self._submit(flat, taken)
        while any(isinstance(o, UnavailableError) for o in outcomes) and not self._stopping:
            # No redelivery would help while the database is away: keep the messages ours and wait.
            await asyncio.sleep(1)
            if self._client.is_connected:  # else they would pile up until nats-py takes no more
                for message in taken:
                    await message.in_progress()
            outcomes = await self._submit(flat, taken)
        rest = iter(outcomes)
        for message, parcel in zip(taken, parcels, strict=True):
            answers = [next(rest) for _ in parcel]
            for delivery, answer in zip(parcel, answers, strict=True):
                if isinstance(answer, UnforeseenError):
                    self._failures[delivery.digest] += 1
            await self.answer(message, _word(answers))

    async def _submit(self, flat: Sequence[Delivery], taken: Sequence[Msg]) -> list[Receipt | Exception]:
        """Have them recorded; a large statement takes its time, and must not be sent again meanwhile."""
        work = asyncio.ensure_future(self._road.submit(flat))
        while True:
            done, _ = await asyncio.wait([work], timeout=ACK_WAIT_SECONDS / 3)
            if done:
                return work.result()
            if self._client.is_connected:
                for message in taken:
                    await message.in_progress()

    def _deliveries(self, message: Msg, now: datetime) -> list[Delivery]:
        found = deliveries(message.data, Door.NATS, message.subject, now)
        if not self._failures:
            return found
        why = Refusal("engine_failed", f"the engine failed on this message {_GIVE_UP_AFTER} times; see its log")
        return [
            msgspec.structs.replace(d, refused=why) if self._failures[d.digest] >= _GIVE_UP_AFTER else d for d in found
        ]


def _word(outcomes: Sequence[Receipt | Exception]) -> bytes:
    if any(isinstance(o, Exception) for o in outcomes):
        return NAK
    return REFUSED if any(isinstance(o, Rejected) for o in outcomes) else ACK
