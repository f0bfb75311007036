"""What is known of a batch before it is decided, in one question."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg import AsyncCursor

from token_engine.domain.account import OpenDiscrepancy
from token_engine.domain.backing import Level
from token_engine.domain.meeting import Expectations, ExpectedFunding, OpenPayout
from token_engine.domain.payout import PayoutState
from token_engine.storage.columns import BytesColumn, Column
from token_engine.storage.database import Transaction
from token_engine.storage.entries import KnownRow, NameKey, key_columns
from token_engine.storage.messages import KnownMessage, MessageBook
from token_engine.storage.queries import load

_sql = load("recall")
_MessageRow = tuple[str, int, int | None, str | None, str | None]
_BreakRow = tuple[UUID, tuple[UUID, Level, str | None, datetime | None, bool]]
_FundingRow = tuple[UUID, str, UUID, Decimal, str, datetime, int]
_PayoutRow = tuple[UUID, str, UUID, Decimal, str, PayoutState, Decimal, int, int]
_decode = msgspec.json.Decoder(
    tuple[
        list[_MessageRow] | None, list[KnownRow] | None, list[_BreakRow] | None, list[_FundingRow] | None,
        list[_PayoutRow] | None,
    ]
).decode  # fmt: skip


class Recalled(NamedTuple):
    """Messages by digest, movements that entries to come might be, open breaks by account, and what is expected."""

    book: MessageBook
    movements: list[KnownRow]
    open_breaks: dict[UUID, OpenDiscrepancy]
    expectations: Expectations


async def ask(
    tx: Transaction,
    digests: Iterable[bytes],
    named: Collection[NameKey],
    numbers: Iterable[str],
    awaited: Collection[tuple[str, str]],
) -> AsyncCursor[Any]:
    """Ask; `answer_from` reads the answer. A statement after the accounts' lock, so that it sees what that
    waited for: what the locking statement itself joins is as old as its snapshot.

    `named` are the keys of all entries, `numbers` the accounts', `awaited` numbers with end-to-end ids.
    """
    expected = [Column(number for number, _ in awaited), Column(name for _, name in awaited)]
    return await tx.execute(
        _sql.recall, [BytesColumn(digests), *key_columns(NameKey, named), Column(numbers), *expected, *expected]
    )


async def answer_from(cursor: AsyncCursor[Any]) -> Recalled:
    """What `ask` asked for."""
    row = await cursor.fetchone()
    assert row is not None
    messages, movements, breaks, fundings, payouts = _decode(row[0])
    kept, fresh_ids = {}, {}
    for digest, fresh_id, kept_id, state, answer in messages or ():
        key = bytes.fromhex(digest)
        fresh_ids[key] = fresh_id
        if kept_id is not None and state is not None:
            kept[key] = KnownMessage(kept_id, state, answer)
    open_breaks = {account: OpenDiscrepancy(*found) for account, found in breaks or ()}
    expectations = Expectations(
        {(row[0], row[1]): ExpectedFunding(*row[2:]) for row in fundings or ()},
        {(row[0], row[1]): OpenPayout(*row[2:]) for row in payouts or ()},
    )
    return Recalled(MessageBook(kept, fresh_ids), movements or [], open_breaks, expectations)
