"""What an archive of a day is made of, read as a stream, and what is kept of the archives made."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from token_engine.storage.database import Transaction
from token_engine.storage.queries import load
from token_engine.storage.streaming import stream

_sql = load("archive")
_ROWS: Final = 1000
_PIECE: Final = 1024 * 1024

TABLES: Final = {
    "statements.jsonl": _sql.statements,
    "statement-lines.jsonl": _sql.statement_lines,
    "statement-line-details.jsonl": _sql.statement_line_details,
    "statement-releases.jsonl": _sql.statement_releases,
    "entries.jsonl": _sql.entries,
    "matches.jsonl": _sql.matches,
    "match-events.jsonl": _sql.match_events,
    "match-requests.jsonl": _sql.match_requests,
    "open-items.jsonl": _sql.open_items,
    "movements.jsonl": _sql.movements,
    "snapshots.jsonl": _sql.snapshots,
    "snapshot-revisions.jsonl": _sql.snapshot_revisions,
}
"""The files of a bundle that are rows of tables, in their order, and what reads each."""


class Within(NamedTuple):
    """What an archive is about: a day, and ids of accounts (None: all)."""

    day: date
    accounts: list[UUID] | None


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


class AccountRow(NamedTuple):
    """An account by name."""

    id: UUID
    account_number: str
    currency: str


async def lock(tx: Transaction) -> None:
    """Wait until no other engine archives; holds until the transaction ends."""
    await tx.execute(_sql.lock)


async def accounts_named(tx: Transaction, names: Sequence[str]) -> list[AccountRow]:
    """Accounts by number or id; a number may be several, one of each currency."""
    cursor = tx.connection.cursor(row_factory=class_row(AccountRow))
    await cursor.execute(_sql.accounts_named, {"names": list(names)})
    return await cursor.fetchall()


async def messages(tx: Transaction, of: Within) -> AsyncIterator[list[Message]]:
    """The day's messages, some at a time."""
    async for rows in stream(tx, _sql.messages, of._asdict(), _ROWS):
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
    async for rows in stream(tx, statement, of._asdict(), _ROWS):
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
