"""Which files of a bank's mailbox have gone down the road."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("bank_files")


async def known(tx: Transaction, connection: str, identities: Sequence[bytes]) -> set[bytes]:
    """Those of these files, by their digests, that were delivered."""
    cursor = await tx.execute(_sql.of_identities, (connection, list(identities)))
    return {bytes(row[0]) for row in await cursor.fetchall()}


async def keep(
    tx: Transaction, connection: str, identity: bytes, name: str, size: int, modified_at: datetime, now: datetime
) -> None:
    """Keep that a file was delivered; once, however many engines say so."""
    await tx.execute(_sql.keep, (connection, identity, name, size, modified_at, now))
