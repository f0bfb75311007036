"""Messages too large for one value, kept in compressed parts as they came."""

from __future__ import annotations

import zlib
from typing import BinaryIO, Final

from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("parts")
_READ: Final = 4 * 1024 * 1024
_LEVEL: Final = 1
"""XML of a bank shrinks to a tenth at the fastest level; more would cost more time than it saves space."""


async def keep(tx: Transaction, message_id: int, source: BinaryIO) -> None:
    """Keep the whole of `source` under a message that is there already."""
    squeeze = zlib.compressobj(_LEVEL)
    number = 0
    while data := source.read(_READ):
        if deflated := squeeze.compress(data):
            await tx.execute(_sql.keep, (message_id, number, deflated))
            number += 1
    await tx.execute(_sql.keep, (message_id, number, squeeze.flush()))


async def read(tx: Transaction, message_id: int, into: BinaryIO) -> None:
    """Write the whole message, as it came, into a file."""
    swell = zlib.decompressobj()
    async with tx.connection.cursor("parts_of_message") as cursor:
        await cursor.execute(_sql.of_message, (message_id,))
        cursor.itersize = 8
        async for (deflated,) in cursor:
            into.write(swell.decompress(deflated))
    into.write(swell.flush())
