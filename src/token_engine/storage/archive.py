"""What an archive of a day is made of, read as a stream, and what is kept of the archives made."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import class_row, namedtuple_row

from token_engine.domain.merkle import HASH_SIZE, Tree
from token_engine.storage.columns import BytesColumn, Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("archive")
_numbers = count()
_ROWS: Final = 1000
_LEAVES: Final = 20_000
_PIECE: Final = 1024 * 1024

TABLES: Final = {
    "statements.jsonl": _sql.statements,
    "statement-lines.jsonl": _sql.statement_lines,
    "statement-line-details.jsonl": _sql.statement_line_details,
    "entries.jsonl": _sql.entries,
    "matches.jsonl": _sql.matches,
    "movements.jsonl": _sql.movements,
    "snapshots.jsonl": _sql.snapshots,
    "snapshot-revisions.jsonl": _sql.snapshot_revisions,
}
"""The files of a bundle that are rows of tables, in their order, and what reads each."""


class Within(NamedTuple):
    """What an archive is about: a day, and ids of accounts (None: all)."""

    day: date
    accounts: list[UUID] | None


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


class KeptBundle(NamedTuple):
    """A bundle that was made. `manifest` is the SHA-256 of its manifest."""

    scope: str
    sequence: int
    day: date
    edition: int
    manifest: bytes
    engine: str


class Message(NamedTuple):
    """A message without its bytes; `about` is JSON. `kept` is how many of its bytes the row holds;
    `beginning_only`: it was refused for its size, and no more was kept.
    """

    id: int
    digest: bytes
    raw_size: int
    kept: int
    in_parts: bool
    beginning_only: bool
    about: str


class AuditLine(NamedTuple):
    """A row of the audit log as a line of JSON, and the leaf that it was sealed as; no line: the row is gone."""

    hash: bytes
    id: int | None
    line: str | None
    within: bool


class AccountRow(NamedTuple):
    """An account by name."""

    id: UUID
    account_number: str
    currency: str


async def lock(tx: Transaction) -> None:
    """Wait until no other engine archives; holds until the transaction ends."""
    await tx.execute(_sql.lock)


async def read_as_of_now(tx: Transaction) -> None:
    """Let every question of this transaction see the database as it is at the first, and write nothing."""
    await tx.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    await _plain_reading(tx)


async def _plain_reading(tx: Transaction) -> None:
    # JSON of a time follows the session's zone; a cursor is read to its end.
    await tx.execute(b"SET LOCAL TIME ZONE 'UTC'")
    await tx.execute(b"SET LOCAL cursor_tuple_fraction = 1")


async def accounts_named(tx: Transaction, names: Sequence[str]) -> list[AccountRow]:
    """Accounts by number or id; a number may be several, one of each currency."""
    cursor = tx.connection.cursor(row_factory=class_row(AccountRow))
    await cursor.execute(_sql.accounts_named, {"names": list(names)})
    return await cursor.fetchall()


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
    await _plain_reading(tx)
    end = datetime.combine(until + timedelta(days=1), time(), UTC)
    async for rows in _stream(tx, _sql.unsealed, {"until": end}, _ROWS):
        yield [tuple(row) for row in rows]


async def seal(tx: Transaction, first: int, ids: Sequence[int], hashes: Sequence[bytes]) -> None:
    """Give rows of the audit log their places from `first` on."""
    positions = range(first, first + len(ids))
    await tx.execute(
        _sql.seal, {"positions": Column(positions), "ids": Column(ids), "hashes": BytesColumn(hashes)}
    )  # fmt: skip


async def leaves(tx: Transaction, start: int, end: int) -> AsyncIterator[list[bytes]]:
    """The leaves of the log from place `start` up to `end`, some at a time."""
    async for rows in _stream(tx, _sql.leaves, {"start": start, "end": end}, _LEAVES):
        yield [row[0] for row in rows]


async def audit_lines(tx: Transaction, start: int, end: int, of: Within) -> AsyncIterator[list[AuditLine]]:
    """The rows of the log from place `start` up to `end`, some at a time."""
    named = {"start": start, "end": end, "accounts": of.accounts}
    async for rows in _stream(tx, _sql.audit_lines, named, _ROWS):
        yield [AuditLine(*row) for row in rows]


async def messages(tx: Transaction, of: Within) -> AsyncIterator[list[Message]]:
    """The day's messages, some at a time."""
    async for rows in _stream(tx, _sql.messages, of._asdict(), _ROWS):
        yield [Message(*row) for row in rows]


async def raw(tx: Transaction, ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """The bytes of some messages, in order of id."""
    cursor = await tx.execute(_sql.raw, {"ids": list(ids)})
    return [(number, bytes(content)) for number, content in await cursor.fetchall()]


async def raw_in_parts(tx: Transaction, message: Message) -> AsyncIterator[bytes]:
    """The bytes of a message that is kept in parts, piece by piece. Raises zlib.error if they are damaged."""
    inflate, part = zlib.decompressobj(), 0
    while True:
        cursor = await tx.execute(_sql.part, {"id": message.id, "part": part})
        row = await cursor.fetchone()
        if row is None:
            break
        deflated = bytes(row[0])
        while deflated:
            yield inflate.decompress(deflated, _PIECE)
            deflated = inflate.unconsumed_tail
        part += 1
    while piece := inflate.decompress(b"", _PIECE):
        yield piece


async def lines(tx: Transaction, statement: bytes, of: Within) -> AsyncIterator[list[str]]:
    """What one of `TABLES` reads: lines of JSON, some at a time."""
    async for rows in _stream(tx, statement, of._asdict(), _ROWS):
        yield [row[0] for row in rows]


async def last_bundle(tx: Transaction, scope: str) -> KeptBundle | None:
    """The newest bundle of these accounts."""
    return await _bundle(tx, _sql.last_bundle, {"scope": scope})


async def bundle_number(tx: Transaction, scope: str, sequence: int) -> KeptBundle | None:
    return await _bundle(tx, _sql.bundle_number, {"scope": scope, "sequence": sequence})


async def last_edition(tx: Transaction, scope: str, day: date) -> KeptBundle | None:
    """The newest edition of a day."""
    return await _bundle(tx, _sql.last_edition, {"scope": scope, "day": day})


async def edition(tx: Transaction, scope: str, day: date, number: int) -> KeptBundle | None:
    return await _bundle(tx, _sql.edition, {"scope": scope, "day": day, "edition": number})


async def _bundle(tx: Transaction, statement: bytes, named: dict[str, Any]) -> KeptBundle | None:
    cursor = tx.connection.cursor(row_factory=class_row(KeptBundle))
    await cursor.execute(statement, named)
    return await cursor.fetchone()


async def keep_bundle(tx: Transaction, made: KeptBundle, actor: str, at: datetime) -> None:
    """Raises psycopg.errors.UniqueViolation if there is such a bundle already."""
    await tx.execute(_sql.keep_bundle, {**made._asdict(), "actor": actor, "at": at})


async def _stream(tx: Transaction, statement: bytes, named: dict[str, Any], size: int) -> AsyncIterator[list[Any]]:
    """Rows through a cursor of the server: none of them is held longer than the next are asked for."""
    async with tx.connection.cursor(f"archive_{next(_numbers)}", row_factory=namedtuple_row) as cursor:
        await cursor.execute(statement, named)
        while rows := await cursor.fetchmany(size):
            yield rows
