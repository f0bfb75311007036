"""Matches at rest, one at a time: what people ask of them and do with them. Whole statements: matching.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from token_engine.domain.matching import MatchingPolicy, Pass
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("matches")
_items = load("open_items")


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def entries(tx: Transaction, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Entries in order of number, amounts signed in major units, each with what it is claimed by."""
    return await _rows(tx, _sql.entries, {"ids": list(ids)})


async def movements(tx: Transaction, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Movements in order of number, amounts signed as the bank has them, each with what it is claimed by."""
    return await _rows(tx, _sql.movements, {"ids": list(ids)})


async def make(
    tx: Transaction, account_id: UUID, rule: Pass, entry_ids: Sequence[int], movement_ids: Sequence[int], at: datetime
) -> int:
    """Claim both sides and close their open items; the match's number. Call under the account's lock: the unique keys
    refuse a side that is claimed, and with it the transaction.
    """
    row = await (await tx.execute(_sql.number)).fetchone()
    assert row is not None
    sides = {
        "match_id": row[0], "account_id": account_id, "pass": rule, "entry_ids": list(entry_ids),
        "movement_ids": list(movement_ids), "at": at,
    }  # fmt: skip
    await tx.execute(_sql.make, sides)
    await tx.execute(_sql.close_items, sides)
    return int(row[0])


async def undo(
    tx: Transaction, match_id: int, entry_ids: Sequence[int], movement_ids: Sequence[int], at: datetime
) -> None:
    """Give both sides back: they are open again, and for people only. Call under the account's lock."""
    await tx.execute(_sql.undo, {"match_id": match_id})
    sides = {"entry_ids": list(entry_ids), "movement_ids": list(movement_ids), "at": at}
    await tx.execute(_sql.reopen_items, sides)


async def tell(tx: Transaction, **event: Any) -> None:
    """Append to the story of a match: the columns of match_events."""
    await tx.execute(_sql.tell, event)


async def rows(tx: Transaction, match_id: int) -> list[dict[str, Any]]:
    """The rows of a match; none where it was taken apart."""
    return await _rows(tx, _sql.rows, {"match_id": match_id})


async def story(tx: Transaction, match_id: int) -> list[dict[str, Any]]:
    """What people and reversals did with it, in order."""
    return await _rows(tx, _sql.story, {"match_id": match_id})


async def listing(
    tx: Transaction, *, account_id: UUID | None, statement_id: int | None, rule: str | None, before: int | None,
    limit: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Matches, newest first."""
    asked = {
        "account_id": account_id, "statement_id": statement_id, "pass": rule, "before": before, "limit": limit,
    }  # fmt: skip
    return await _rows(tx, _sql.listing, asked)


async def alternatives(
    tx: Transaction, account_id: UUID, *, entry_ids: Sequence[int], movement_ids: Sequence[int],
    amounts: Sequence[Decimal], references: Sequence[str], since: date, until: date,
) -> list[dict[str, Any]]:  # fmt: skip
    """Open items that might be meant as well, those with a reference in common first."""
    asked = {
        "account_id": account_id, "entry_ids": list(entry_ids), "movement_ids": list(movement_ids),
        "amounts": list(amounts), "references": list(references), "since": since, "until": until,
    }  # fmt: skip
    return await _rows(tx, _sql.alternatives, asked)


async def request(
    tx: Transaction, account_id: UUID, entry_ids: Sequence[int], movement_ids: Sequence[int], difference: Decimal,
    actor: str, reason: str, at: datetime,
) -> int:  # fmt: skip
    """Keep that somebody wants unequal sums matched; the request's number."""
    asked = {
        "account_id": account_id, "entry_ids": list(entry_ids), "movement_ids": list(movement_ids),
        "difference": difference, "actor": actor, "reason": reason, "at": at,
    }  # fmt: skip
    row = await (await tx.execute(_sql.request, asked)).fetchone()
    assert row is not None
    return int(row[0])


async def requests(
    tx: Transaction, *, number: int | None = None, account_id: UUID | None = None, pending: bool = False,
    limit: int = 100,
) -> list[dict[str, Any]]:  # fmt: skip
    """Requests to match unequal sums, newest first."""
    asked = {"id": number, "account_id": account_id, "pending": pending, "limit": limit}
    return await _rows(tx, _sql.requests, asked)


async def settle_request(
    tx: Transaction, number: int, state: str, actor: str, reason: str, at: datetime, match_id: int | None
) -> None:
    """End a request, once."""
    said = {"id": number, "state": state, "actor": actor, "reason": reason, "at": at, "match_id": match_id}
    await tx.execute(_sql.settle_request, said)


async def policy(tx: Transaction, account_id: UUID) -> MatchingPolicy | None:
    """How an account's lines are matched, where that was said."""
    row = await (await tx.execute(_sql.policy, {"account_id": account_id})).fetchone()
    return row and MatchingPolicy(passes=tuple(map(Pass, row[0])), window_days=row[1], counterparty_needed=row[2])


async def save_policy(tx: Transaction, account_id: UUID, said: MatchingPolicy) -> None:
    """Say it; it holds from the next run on."""
    asked = {
        "account_id": account_id, "passes": [p.value for p in said.passes], "window_days": said.window_days,
        "counterparty_needed": said.counterparty_needed,
    }  # fmt: skip
    await tx.execute(_sql.save_policy, asked)


async def open_items(tx: Transaction, **question: Any) -> list[dict[str, Any]]:
    """What nothing answers for, oldest first, with its age, suggested reason and candidates: see open_items.sql."""
    return await _rows(tx, _items.listing, question)


async def unequal(tx: Transaction) -> list[dict[str, Any]]:
    """Matches whose sides do not sum to the same although nobody forced them: none, ever."""
    return await _rows(tx, _sql.unequal, {})
