"""The openings of breakers, and what is known of each."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from token_engine.domain.period import Scope
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("incidents")
AUDIT_SHOWN: Final = 1_000


async def openings(
    tx: Transaction, scope: Scope, until: datetime, *, start: datetime | None = None, number: int | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """Openings up to `until` that were not over before `start`, oldest first; as known at `until`."""
    parameters = {
        "account_id": scope.account_id, "currency": None if scope.account_id else scope.currency, "until": until,
        "from": start, "id": number,
    }  # fmt: skip
    return await _rows(tx, _sql.openings, parameters)


async def judgement(tx: Transaction, account_id: UUID, at: datetime) -> dict[str, Any] | None:
    """The figures (major units) that the account's difference had at that time."""
    return await _row(tx, _sql.judgement, {"account_id": account_id, "at": at})


async def message(tx: Transaction, number: int) -> dict[str, Any] | None:
    """The bank message that was the evidence, without its bytes."""
    return await _row(tx, _sql.message, {"id": number})


async def audit(tx: Transaction, account_id: UUID, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """The audit log of the account from `start` to `end`: the first AUDIT_SHOWN rows and one more, if there is one."""
    parameters = {"account_id": account_id, "from": start, "to": end, "limit": AUDIT_SHOWN + 1}
    rows = await _rows(tx, _sql.audit, parameters)
    return [row | {"details": json.loads(row["details"], parse_float=Decimal)} for row in rows]


async def closings(tx: Transaction, account_id: UUID, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Closings asked for from `start` to `end`."""
    return await _rows(tx, _sql.closings, {"account_id": account_id, "from": start, "to": end})


async def overrides(tx: Transaction, account_id: UUID, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Overrides asked for from `start` to `end`."""
    return await _rows(tx, _sql.overrides, {"account_id": account_id, "from": start, "to": end})


async def refused_requests(tx: Transaction, start: datetime, end: datetime) -> int:
    """How many requests were refused from `start` to `end` because a breaker was open, whichever account's."""
    row = await _row(tx, _sql.refused_requests, {"from": start, "to": end})
    assert row is not None
    return int(row["count"])


async def waiting(tx: Transaction, subject: str, account_id: UUID) -> bool:
    """Whether an event of this subject about the account has yet to be handed to JetStream."""
    return bool(await _rows(tx, _sql.waiting, {"subject": subject, "needle": f"%{account_id}%"}))


async def _row(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> dict[str, Any] | None:
    rows = await _rows(tx, statement, parameters)
    return rows[0] if rows else None


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()
