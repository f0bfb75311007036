"""Bank messages as they came: what is known of them, and how each was settled."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("messages")


class Settled(NamedTuple):
    """A row of bank_messages: the message, and what became of it. Times carry a time zone."""

    id: int
    digest: bytes
    received_at: datetime
    door: str
    source: str
    raw: bytes
    raw_size: int
    state: str
    bank_message_id: str | None
    refusal_code: str | None
    refusal_message: str | None
    refusal_field: str | None
    answer: str | None
    last_attempt_at: datetime


class KnownMessage(NamedTuple):
    """What an earlier attempt left of the same bytes. `answer` is JSON, None when it was rejected."""

    id: int
    state: str
    answer: str | None


class MessageBook(NamedTuple):
    """What is kept of the messages asked for, and ids for those of which nothing is, by digest."""

    kept: dict[bytes, KnownMessage]
    fresh_ids: dict[bytes, int]


async def rejected(tx: Transaction, *, after: int, limit: int, ids: list[int] | None = None) -> list[dict[str, Any]]:
    """Whole rejected messages to try again, oldest first; ones cut for their size cannot be."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.rejected_for_replay, {"after": after, "limit": limit, "ids": ids})
    return await cursor.fetchall()


async def listing(tx: Transaction, *, state: str | None, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Messages without their raw bytes, newest first."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.listing, {"state": state, "before": before, "limit": limit})
    return await cursor.fetchall()


async def one(tx: Transaction, message_id: int) -> dict[str, Any] | None:
    """One message with its raw bytes."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.one, {"id": message_id})
    return await cursor.fetchone()
