"""The first answer to each idempotency key."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import AsyncCursor

from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("idempotency")


class FirstAnswer(NamedTuple):
    """What was asked under a key (SHA-256) and answered: HTTP status and JSON."""

    payload_digest: bytes
    status: int
    answer: str


class Kept(NamedTuple):
    """A row of idempotency_keys."""

    key: str
    payload_digest: bytes
    status: int
    answer: str
    at: datetime


async def ask_first_answers(tx: Transaction, keys: Collection[str]) -> AsyncCursor[Any]:
    """As `first_answer` for many, in one round trip; `first_answers_from` reads the answer."""
    column = Column(keys)
    await tx.execute(_sql.lock_all, [column])
    return await tx.execute(_sql.first_answers, [column])


async def first_answers_from(cursor: AsyncCursor[Any]) -> dict[str, FirstAnswer]:
    """The answers of the keys that have one."""
    return {row[0]: FirstAnswer(*row[1:]) for row in await cursor.fetchall()}


async def first_answer(tx: Transaction, key: str) -> FirstAnswer | None:
    """Lock the key until the transaction ends, and read its answer if it has one.

    Whoever comes second waits here for the first. Take it before any account's lock, as everybody does.
    """
    await tx.execute(_sql.lock, [key])
    # A statement of its own, to see what the lock waited for.
    row = await (await tx.execute(_sql.first_answer, [key])).fetchone()
    return row and FirstAnswer(*row)


async def keep(tx: Transaction, key: str, first: FirstAnswer, at: datetime) -> None:
    """Keep the answer, in the transaction of what it tells of."""
    await tx.execute(_sql.keep, [key, first.payload_digest, first.status, first.answer, at])
