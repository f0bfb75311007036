"""The JetStream door for token ledgers that are kept elsewhere: post their movements, acknowledge after the commit.

One message at a time, over all engines: what it moves may be what an earlier one brought. While one cannot be
taken, because the database is away or the engine fails on it, those after it wait.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

import psycopg
import psycopg_pool
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.nats.pull import ACK, NAK, REFUSED, Pull
from token_engine.entrypoints.nats.streams import LEDGER_CONSUMER, ensure_ledger_stream
from token_engine.storage.database import Database
from token_engine.telemetry.logs import logger
from token_engine.tiers import feed
from token_engine.tiers.once import Answer

_KEY_HEADERS: Final = ("Idempotency-Key", "Nats-Msg-Id")
_KEY: Final = re.compile("[!-~]{1,255}")
_log = logger()


class LedgerFeed(Pull):
    """Has the movements of other ledgers posted, each message in a transaction of its own."""

    def __init__(
        self, client: Client, stream: str, database: Database, clock: Callable[[], datetime],
        committed: Callable[[], None],
    ) -> None:  # fmt: skip
        """`committed` is called after each commit: there may be events to publish."""
        super().__init__(client, stream, LEDGER_CONSUMER, at_once=1, ahead=1)
        self._database = database
        self._clock = clock
        self._committed = committed

    async def ensure(self, js: JetStreamContext) -> None:
        """The stream that the movements come on, and its consumer."""
        await ensure_ledger_stream(js)

    async def take(self, taken: Sequence[Msg]) -> None:
        """Post the one message; its answer says whether the next may come."""
        for message in taken:
            try:
                answer = await self._post(message)
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
                reason = f"{type(error).__name__}: {error}".strip()
                _log.warning("Ledger movements wait for the database", reason=reason)
                await self.answer(message, NAK)
            except Exception:
                digest = sha256(message.data).hexdigest()
                _log.exception("The engine failed on ledger movements; those after them wait", digest=digest)
                await self.answer(message, NAK)
            else:
                self._committed()
                await self.answer(message, ACK if answer.status < 400 else REFUSED)

    async def _post(self, message: Msg) -> Answer:
        key, now = _key(message), self._clock()
        unfit = None
        if isinstance(key, Refusal):
            unfit, key = key, feed.name_of(message.data)
        try:
            async with self._database.transaction() as tx:
                return await feed.take(tx, message.data, key, now, unfit)
        except psycopg.DataError:
            unfit = Refusal("invalid_request", "a value holds NUL, or is too large for any row")
        async with self._database.transaction() as tx:
            return await feed.take(tx, message.data, key, now, unfit)


def _key(message: Msg) -> str | Refusal:
    """What its sender calls it, or the SHA-256 of its bytes."""
    headers = message.headers or {}
    for name in _KEY_HEADERS:
        if (key := headers.get(name)) is not None:
            text = f"{name}: 1 to 255 printable ASCII characters without blanks"
            return key if _KEY.fullmatch(key) else Refusal("invalid_idempotency_key", text, name)
    return sha256(message.data).hexdigest()
