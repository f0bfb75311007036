"""Taking messages from a durable JetStream consumer, as many at a time as its taker wants.

nats-py's own `fetch` makes a request, a future and a timer for each batch; at the rates of a backlog
that costs more than recording. So this keeps one standing pull request and takes what arrives.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from token_engine.telemetry.logs import logger

ACK: Final = b"+ACK"
NAK: Final = b'-NAK {"delay": 2000000000}'
"""Send it again in two seconds."""
REFUSED: Final = b"+TERM kept as rejected"

_PULL_SECONDS: Final = 20
_LOST_AFTER_SECONDS: Final = _PULL_SECONDS + 5
_RAN_OUT: Final = ("404", "408")
_log = logger()


class Pull(ABC):
    """Feeds the messages of one consumer of a stream to `take`, in the order of their arrival."""

    def __init__(self, client: Client, stream: str, consumer: str, at_once: int, ahead: int) -> None:
        """At most `at_once` messages are taken together, and `ahead` asked for before they are."""
        self._client = client
        self._stream = stream
        self._name = consumer
        self._at_once = at_once
        self._ahead = ahead
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._arrived: list[Msg] = []
        self._wake = asyncio.Event()
        self._asked = 0
        self._heard_at = 0.0
        self._stopping = False
        self._gone = False
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def take(self, taken: Sequence[Msg]) -> None:
        """Do what the messages say and answer each. An exception ends the engine."""

    @abstractmethod
    async def ensure(self, js: JetStreamContext) -> None:
        """Make the stream and the consumer if they are missing."""

    async def start(self) -> asyncio.Task[None]:
        """The task, which ends only after `stop`."""
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._task = asyncio.create_task(self._run(), name=f"consumer {self._name}")
        return self._task

    async def stop(self) -> None:
        """Take in nothing more; what is being taken is still answered, the rest handed back."""
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

    async def answer(self, message: Msg, word: bytes) -> None:
        """Tell JetStream what became of it."""
        await self._client.publish(message.reply, word)

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
                taken, self._arrived = self._arrived[: self._at_once], self._arrived[self._at_once :]
                if self._arrived:
                    self._wake.set()
                await self._pull()
                await self.take(taken)

    async def _restore(self) -> None:
        """The server has no such consumer, or none just now: make sure of it, and do not ask in a circle."""
        self._gone = False
        try:
            await self.ensure(self._client.jetstream())
        except (NatsError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            _log.warning("Cannot consume", stream=self._stream, consumer=self._name, reason=reason)
        await asyncio.sleep(1)

    async def _pull(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._asked > 0 and now - self._heard_at > _LOST_AFTER_SECONDS:
            self._asked = 0
        if self._asked > self._ahead // 2 or len(self._arrived) >= self._ahead or not self._client.is_connected:
            return
        more = self._ahead - max(self._asked, 0)
        request = msgspec.json.encode({"batch": more, "expires": _PULL_SECONDS * 1_000_000_000})
        await self._client.publish(self._next_subject, request, reply=self._inbox)
        self._asked = more + max(self._asked, 0)
        self._heard_at = now
