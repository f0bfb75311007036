"""Reading much without holding it, all of it as the database was at one moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final

from token_engine.storage.database import Transaction

_numbers: Final = count()


async def read_as_of_now(tx: Transaction) -> None:
    """Let every question of this transaction see the database as it is at the first, and write nothing."""
    await tx.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    await plain_reading(tx)


async def plain_reading(tx: Transaction) -> None:
    """Let JSON be the same whatever the database's time zone is, and cursors be planned to be read to their end."""
    await tx.execute(b"SET LOCAL TIME ZONE 'UTC'")
    await tx.execute(b"SET LOCAL cursor_tuple_fraction = 1")


async def stream(tx: Transaction, statement: bytes, named: dict[str, Any], size: int) -> AsyncIterator[list[Any]]:
    """Rows through a cursor of the server: none of them is held longer than the next are asked for."""
    async with tx.connection.cursor(f"stream_{next(_numbers)}") as cursor:
        await cursor.execute(statement, named)
        while rows := await cursor.fetchmany(size):
            yield rows
