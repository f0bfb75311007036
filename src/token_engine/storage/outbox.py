"""The outbox: events written with what they tell of, taken out once they are published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection

from token_engine.storage.columns import Column
from token_engine.storage.queries import load

_sql = load("outbox")
_LEADER_LOCK: Final = 0x6F7574626F78  # "outbox"


class OutboxEvent(NamedTuple):
    """An event that is not known to be published yet."""

    id: int
    event_id: str
    subject: str
    payload: str


async def lead(connection: AsyncConnection[Any]) -> bool:
    """Become the one relay of this database: two at once would publish an account's events out of order.

    The lock goes with the connection.
    """
    row = await (await connection.execute(_sql.lead, [_LEADER_LOCK])).fetchone()
    return bool(row and row[0])


async def oldest(connection: AsyncConnection[Any], limit: int) -> list[OutboxEvent]:
    """The next events to publish."""
    cursor = await connection.execute(_sql.oldest, [limit])
    return [OutboxEvent(*row) for row in await cursor.fetchall()]


async def delete(connection: AsyncConnection[Any], ids: Sequence[int]) -> None:
    """Forget published events. Dying before this publishes them again; their ids let JetStream drop them."""
    await connection.execute(_sql.delete, [Column(ids)])
