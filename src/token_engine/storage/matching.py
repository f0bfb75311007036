"""Which lines answer for which movements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("matching")


class Counts(NamedTuple):
    """Lines that answer for movements, and lines that do not."""

    matched: int
    unmatched: int


async def match(tx: Transaction, statement_ids: Sequence[int]) -> dict[int, Counts]:
    """Match the lines of these statements."""
    cursor = await tx.execute(_sql.counts, [Column(statement_ids)])
    return {row[0]: Counts(*row[1:]) for row in await cursor.fetchall()}
