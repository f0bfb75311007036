"""Statements as people ask for them, and the story of their releases."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from token_engine.domain.closed_day import StatementState
from token_engine.domain.release import ReleaseStep, ReleaseTold
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("statement_story")
_LISTING: Final[bytes] = b"\n".join((_sql.shown, _sql.listing))
_ONE: Final[bytes] = b"\n".join((_sql.shown, _sql.one))


async def _rows(tx: Transaction, statement: bytes, parameters: Any) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def listing(
    tx: Transaction, *, account_id: UUID | None, state: StatementState | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Statements, newest first, with amounts in major units; `before` is the number of the last one seen."""
    return await _rows(
        tx, _LISTING, {"account_id": account_id, "state": state, "before": before, "limit": limit}
    )  # fmt: skip


async def one(tx: Transaction, number: int) -> dict[str, Any] | None:
    """One statement, with amounts in major units."""
    found = await _rows(tx, _ONE, {"id": number})
    return found[0] if found else None


async def state(tx: Transaction, number: int) -> tuple[UUID, StatementState] | None:
    """Whose a statement is, and what became of it: certain only under its account's lock."""
    row = await (await tx.execute(_sql.state, [number])).fetchone()
    return (row[0], StatementState(row[1])) if row else None


async def story(tx: Transaction, number: int) -> list[ReleaseTold]:
    """Who asked to release a statement and who approved, oldest first; certain only under its account's lock."""
    rows = await _rows(tx, _sql.story, [number])
    return [ReleaseTold(**row | {"act": ReleaseStep(row["act"])}) for row in rows]


async def request(
    tx: Transaction, number: int, actor: str, reason: str, at: datetime, expires_at: datetime
) -> None:  # fmt: skip
    """Keep that somebody asks for a release."""
    parameters = {"statement_id": number, "actor": actor, "reason": reason, "at": at, "expires_at": expires_at}
    await tx.execute(_sql.request, parameters)


async def approve(tx: Transaction, number: int, of: ReleaseTold, actor: str, reason: str, at: datetime) -> None:
    """Keep that somebody approves a request; the database refuses one's own, a late one and a second."""
    parameters = {
        "statement_id": number, "actor": actor, "reason": reason, "at": at, "expires_at": of.expires_at,
        "request_id": of.id, "requested_by": of.actor,
    }  # fmt: skip
    await tx.execute(_sql.approve, parameters)


async def day(tx: Transaction, day: date, *, after: tuple[str, str] | None, limit: int) -> list[dict[str, Any]]:
    """Open accounts in order of number and currency, each with how its day stands."""
    number, currency = after or (None, None)
    return await _rows(tx, _sql.day, {"day": day, "after": number, "after_currency": currency, "limit": limit})
