"""The JetStream door: pull notifications, have them recorded, acknowledge after the commit.

nats-py's own `fetch` makes a request, a future and a timer for each batch; at the rates of a backlog
that costs more than recording. So this keeps one standing pull request and takes what arrives.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from token_engine.domain.receipt import Receipt, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.batcher import LARGEST_BATCH, Batcher, UnavailableError, UnforeseenError
from token_engine.entrypoints.nats.streams import CONSUMER, ensure_notification_streams
from token_engine.telemetry.logs import logger
from token_engine.tiers.delivery import Delivery, Door
from token_engine.tiers.intake import deliveries

PULL: Final = 2 * LARGEST_BATCH
_PULL_SECONDS: Final = 20
_LOST_AFTER_SECONDS: Final = _PULL_SECONDS + 5
_GIVE_UP_AFTER: Final = 5
"""A message that the engine itself failed on this often is kept as rejected, with that as its reason.

Counted here and not by JetStream, which also counts what an outage or a restart sent again.
"""
_RETRY_NANOSECONDS: Final = 2_000_000_000
_RAN_OUT: Final = ("404", "408")
_log = logger()


class Consumer:
    """Feeds one stream's messages to the batcher."""

    def __init__(
        self, client: Client, stream: str, batcher: Batcher[Delivery, Receipt], clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._batcher = batcher
        self._clock = clock
        self._stream = stream
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}"
        self._arrived: list[Msg] = []
        self._wake = asyncio.Event()
        self._asked = 0
        self._heard_at = 0.0
        self._stopping = False
        self._gone = False
        self._failures: Counter[bytes] = Counter()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> asyncio.Task[None]:
        """The task, which ends only after `stop`."""
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._task = asyncio.create_task(self._run(), name="consumer")
        return self._task

    async def stop(self) -> None:
        """Take in nothing more; what is being recorded is still acknowledged, the rest handed back."""
        self._stopping = True
        self._wake.set()
        if self._task:
            await self._task
        if not self._client.is_closed:
            await self._subscription.unsubscribe()
            for message in self._arrived:  # else it would wait for its time to be acknowledged to run out
                await self._client.publish(message.reply, b"-NAK")

    def reconnected(self) -> None:
        """A pull request does not outlive its connection: ask again."""
        self._asked = 0
        self._wake.set()

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if message.reply:
            self._asked -= 1
            self._arrived.append(message)
        else:  # a status: the request ran out (404, 408), or the consumer or server went away (409, 503)
            self._asked = 0
            self._gone = (message.headers or {}).get("Status") not in _RAN_OUT
        self._wake.set()

    async def _run(self) -> None:
        while not self._stopping:
            if self._gone:
                await self._restore()
            await self._pull()
            try:
                async with asyncio.timeout(1):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()
            if self._arrived:
                taken, self._arrived = self._arrived[:LARGEST_BATCH], self._arrived[LARGEST_BATCH:]
                if self._arrived:
                    self._wake.set()
                await self._pull()
                await self._record(taken)

    async def _restore(self) -> None:
        """The server has no such consumer, or none just now: make sure of it, and do not ask in a circle."""
        self._gone = False
        try:
            await ensure_notification_streams(self._client.jetstream())
        except (NatsError, OSError) as error:
            _log.warning("Cannot consume notifications", stream=self._stream, reason=f"{type(error).__name__}: {error}")
        await asyncio.sleep(1)

    async def _pull(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._asked > 0 and now - self._heard_at > _LOST_AFTER_SECONDS:
            self._asked = 0
        if self._asked > PULL // 2 or len(self._arrived) >= PULL or not self._client.is_connected:
            return
        more = PULL - max(self._asked, 0)
        request = msgspec.json.encode({"batch": more, "expires": _PULL_SECONDS * 1_000_000_000})
        await self._client.publish(self._next_subject, request, reply=self._inbox)
        self._asked = more + max(self._asked, 0)
        self._heard_at = now

    async def _record(self, taken: Sequence[Msg]) -> None:
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
            await self._answer(message, answers)

    def _deliveries(self, message: Msg, now: datetime) -> list[Delivery]:
        found = deliveries(message.data, Door.NATS, message.subject, now)
        if not self._failures:
            return found
        why = Refusal("engine_failed", f"the engine failed on this message {_GIVE_UP_AFTER} times; see its log")
        return [
            msgspec.structs.replace(d, refused=why) if self._failures[d.digest] >= _GIVE_UP_AFTER else d for d in found
        ]

    async def _answer(self, message: Msg, outcomes: Sequence[Receipt | Exception]) -> None:
        if any(isinstance(o, Exception) for o in outcomes):
            answer = b'-NAK {"delay": %d}' % _RETRY_NANOSECONDS
        elif any(isinstance(o, Rejected) for o in outcomes):
            answer = b"+TERM kept as rejected"
        else:
            answer = b"+ACK"
        await self._client.publish(message.reply, answer)
