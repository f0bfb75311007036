"""The JetStream door for bank messages: have them recorded, acknowledge after the commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from token_engine.domain.receipt import Receipt, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.batcher import LARGEST_BATCH, Batcher, UnavailableError, UnforeseenError
from token_engine.entrypoints.nats.pull import ACK, NAK, REFUSED, Pull
from token_engine.entrypoints.nats.streams import CONSUMER, ensure_notification_streams
from token_engine.tiers.delivery import Delivery, Door
from token_engine.tiers.intake import deliveries

_AHEAD: Final = 2 * LARGEST_BATCH
_GIVE_UP_AFTER: Final = 5
"""A message that the engine itself failed on this often is kept as rejected, with that as its reason.

Counted here and not by JetStream, which also counts what an outage or a restart sent again.
"""


class Consumer(Pull):
    """Feeds one stream's notifications to the batcher."""

    def __init__(
        self, client: Client, stream: str, batcher: Batcher[Delivery, Receipt], clock: Callable[[], datetime]
    ) -> None:
        super().__init__(client, stream, CONSUMER, LARGEST_BATCH, _AHEAD)
        self._batcher = batcher
        self._clock = clock
        self._failures: Counter[bytes] = Counter()

    async def ensure(self, js: JetStreamContext) -> None:
        """The streams that the notifications come on, and their consumers."""
        await ensure_notification_streams(js)

    async def take(self, taken: Sequence[Msg]) -> None:
        """Have them recorded, and answer each."""
        now = self._clock()
        parcels = [self._deliveries(m, now) for m in taken]
        flat = [d for parcel in parcels for d in parcel]
        outcomes = await self._batcher.submit(flat)
        while any(isinstance(o, UnavailableError) for o in outcomes) and not self._stopping:
            # No redelivery would help while the database is away: keep the messages ours and wait.
            await asyncio.sleep(1)
            if self._client.is_connected:  # else they would pile up until nats-py takes no more
                for message in taken:
                    await message.in_progress()
            outcomes = await self._batcher.submit(flat)
        rest = iter(outcomes)
        for message, parcel in zip(taken, parcels, strict=True):
            answers = [next(rest) for _ in parcel]
            for delivery, answer in zip(parcel, answers, strict=True):
                if isinstance(answer, UnforeseenError):
                    self._failures[delivery.digest] += 1
            await self.answer(message, _word(answers))

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
