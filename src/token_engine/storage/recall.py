"""What is known of a batch before it is decided, in one question."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg import AsyncCursor

from token_engine.domain.account import OpenDiscrepancy
from token_engine.domain.backing import Level
from token_engine.storage.columns import BytesColumn, Column
from token_engine.storage.database import Transaction
from token_engine.storage.entries import KnownRow, NameKey, key_columns
from token_engine.storage.messages import KnownMessage, MessageBook
from token_engine.storage.queries import load

_sql = load("recall")
_MessageRow = tuple[str, int, int | None, str | None, str | None]
_BreakRow = tuple[UUID, tuple[UUID, Level, str | None, datetime | None, bool]]
_decode = msgspec.json.Decoder(tuple[list[_MessageRow] | None, list[KnownRow] | None, list[_BreakRow] | None]).decode


class Recalled(NamedTuple):
    """Messages by digest, movements that entries to come might be, and open breaks by account."""

    book: MessageBook
    movements: list[KnownRow]
    open_breaks: dict[UUID, OpenDiscrepancy]


async def ask(
    tx: Transaction,
    digests: Iterable[bytes],
    named: Collection[NameKey],
    numbers: Iterable[str],
) -> AsyncCursor[Any]:
    """Ask; `answer_from` reads the answer. A statement after the accounts' lock, so that it sees what that
    waited for: what the locking statement itself joins is as old as its snapshot.

    `named` are the keys of all entries, `numbers` the accounts'.
    """
    return await tx.execute(_sql.recall, [BytesColumn(digests), *key_columns(NameKey, named), Column(numbers)])


async def answer_from(cursor: AsyncCursor[Any]) -> Recalled:
    """What `ask` asked for."""
    row = await cursor.fetchone()
    assert row is not None
    messages, movements, breaks = _decode(row[0])
    kept, fresh_ids = {}, {}
    for digest, fresh_id, kept_id, state, answer in messages or ():
        key = bytes.fromhex(digest)
        fresh_ids[key] = fresh_id
        if kept_id is not None and state is not None:
            kept[key] = KnownMessage(kept_id, state, answer)
    open_breaks = {account: OpenDiscrepancy(*found) for account, found in breaks or ()}
    return Recalled(MessageBook(kept, fresh_ids), movements or [], open_breaks)
