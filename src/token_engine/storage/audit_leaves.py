"""The audit log's leaves: each row's place in the tree, and the checkpoints of days."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from token_engine.domain.merkle import HASH_SIZE, Tree
from token_engine.storage.columns import BytesColumn, Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load
from token_engine.storage.streaming import plain_reading, stream

_sql = load("audit_leaves")
_ROWS: Final = 1000
_LEAVES: Final = 20_000


class KeptCheckpoint(NamedTuple):
    """The audit log as a day left it."""

    day: date
    size: int
    root: bytes
    peaks: bytes
    note: str

    def origin(self) -> str:
        """The log's name: the first line of its checkpoints."""
        return self.note.partition("\n")[0]

    def tree(self) -> Tree:
        """The tree to go on with."""
        return Tree(self.size, self.hashes())

    def hashes(self) -> list[bytes]:
        """The peaks, the largest first."""
        return [self.peaks[n : n + HASH_SIZE] for n in range(0, len(self.peaks), HASH_SIZE)]


class AuditLine(NamedTuple):
    """A row of the audit log as a line of JSON, and the leaf that it was sealed as; no line: the row is gone."""

    hash: bytes
    id: int | None
    line: str | None
    within: bool


async def checkpoint(tx: Transaction, day: date) -> KeptCheckpoint | None:
    return await _checkpoint(tx, _sql.checkpoint, {"day": day})


async def checkpoint_before(tx: Transaction, day: date) -> KeptCheckpoint | None:
    return await _checkpoint(tx, _sql.checkpoint_before, {"day": day})


async def last_checkpoint(tx: Transaction) -> KeptCheckpoint | None:
    return await _checkpoint(tx, _sql.last_checkpoint, {})


async def _checkpoint(tx: Transaction, statement: bytes, named: dict[str, Any]) -> KeptCheckpoint | None:
    cursor = tx.connection.cursor(row_factory=class_row(KeptCheckpoint))
    await cursor.execute(statement, named)
    return await cursor.fetchone()


async def keep_checkpoint(tx: Transaction, day: date, tree: Tree, note: str, at: datetime) -> None:
    """The log as `day` left it. Raises psycopg.errors.UniqueViolation if the day has one."""
    row = {"day": day, "size": tree.size, "root": tree.root(), "peaks": b"".join(tree.peaks), "note": note, "at": at}
    await tx.execute(_sql.keep_checkpoint, row)


async def unsealed(tx: Transaction, until: date) -> AsyncIterator[list[tuple[int, date, str]]]:
    """Rows of the audit log before the end of the day `until` (UTC) that have no place in the tree, in the order in
    which they get one: id, day and line, some at a time.
    """
    await plain_reading(tx)
    end = datetime.combine(until + timedelta(days=1), time(), UTC)
    async for rows in stream(tx, _sql.unsealed, {"until": end}, _ROWS):
        yield [tuple(row) for row in rows]


async def seal(tx: Transaction, first: int, ids: Sequence[int], hashes: Sequence[bytes]) -> None:
    """Give rows of the audit log their places from `first` on."""
    positions = range(first, first + len(ids))
    await tx.execute(
        _sql.seal, {"positions": Column(positions), "ids": Column(ids), "hashes": BytesColumn(hashes)}
    )  # fmt: skip


async def leaves(tx: Transaction, start: int, end: int) -> AsyncIterator[list[bytes]]:
    """The leaves of the log from place `start` up to `end`, some at a time."""
    async for rows in stream(tx, _sql.leaves, {"start": start, "end": end}, _LEAVES):
        yield [row[0] for row in rows]


async def lines(tx: Transaction, start: int, end: int, accounts: list[UUID] | None) -> AsyncIterator[list[AuditLine]]:
    """The rows of the log from place `start` up to `end`, some at a time, and which are of the accounts (None: all)."""
    named = {"start": start, "end": end, "accounts": accounts}
    async for rows in stream(tx, _sql.lines, named, _ROWS):
        yield [AuditLine(*row) for row in rows]
