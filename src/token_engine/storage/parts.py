"""Messages too large for one value, kept in compressed parts as they came."""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import BinaryIO, Final

from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("parts")
_READ: Final = 4 * 1024 * 1024
_PART: Final = 1024 * 1024
_LEVEL: Final = 1
"""XML of a bank shrinks to a tenth at the fastest level; more would cost more time than it saves space."""


def squeeze(source: BinaryIO, into: BinaryIO) -> bytes:
    """Write all of `source` compressed; its SHA-256. Takes a core for itself, and no lock that others want."""
    squeezing, digest = zlib.compressobj(_LEVEL), sha256()
    while data := source.read(_READ):
        digest.update(data)
        into.write(squeezing.compress(data))
    into.write(squeezing.flush())
    into.seek(0)
    return digest.digest()


async def keep(tx: Transaction, message_id: int, squeezed: BinaryIO) -> None:
    """Keep what `squeeze` wrote under a message that is there already."""
    number = 0
    while deflated := squeezed.read(_PART):
        await tx.execute(_sql.keep, (message_id, number, deflated))
        number += 1


async def read(tx: Transaction, message_id: int, into: BinaryIO) -> None:
    """Write the whole message, as it came, into a file."""
    swell = zlib.decompressobj()
    async with tx.connection.cursor("parts_of_message") as cursor:
        await cursor.execute(_sql.of_message, (message_id,))
        cursor.itersize = 8
        async for (deflated,) in cursor:
            into.write(swell.decompress(deflated))
    into.write(swell.flush())
