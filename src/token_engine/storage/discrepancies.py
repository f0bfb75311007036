"""Discrepancies as people work on them: list, show, and keep what was done. Opening, updating and resolving
them on what the bank says is the road's, in `positions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.rows import dict_row

from token_engine.domain.backing import Level
from token_engine.domain.discrepancy import Case, Happening, Status, Told
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("discrepancies")
NEWEST_FIRST: Final[bytes] = b"\n".join((_sql.shown, _sql.wanted, _sql.newest_first))
OLDEST_FIRST: Final[bytes] = b"\n".join((_sql.shown, _sql.wanted, _sql.oldest_first))
_ONE: Final[bytes] = b"\n".join((_sql.shown, _sql.one))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which discrepancies to list; None is all. `open_for`: at least so long, until now or its resolution."""

    statuses: Sequence[Status] | None = None
    account_id: UUID | None = None
    account_number: str | None = None
    type: str | None = None
    severity: Level | None = None
    assignee: str | None = None
    open_for: timedelta | None = None


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def listing(
    tx: Transaction, wanted: Wanted, now: datetime, *, oldest_first: bool, after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Discrepancies by when they opened, amounts in major units; `after` is (opened_at, id) of the last one seen."""
    after_at, after_id = after or (None, None)
    parameters = {
        "statuses": [s.value for s in wanted.statuses] if wanted.statuses is not None else None,
        "account_id": wanted.account_id, "account_number": wanted.account_number, "type": wanted.type,
        "severity": wanted.severity.value if wanted.severity else None, "assignee": wanted.assignee,
        "open_for": wanted.open_for, "now": now, "after_at": after_at, "after": after_id, "limit": limit,
    }  # fmt: skip
    return await _rows(tx, OLDEST_FIRST if oldest_first else NEWEST_FIRST, parameters)


async def one(tx: Transaction, key: UUID) -> dict[str, Any] | None:
    """One discrepancy, amounts in major units."""
    found = await _rows(tx, _ONE, {"id": key})
    return found[0] if found else None


async def case(tx: Transaction, key: UUID) -> Case | None:
    """One discrepancy as a person finds it. Call under its account's lock."""
    row = await one(tx, key)
    if row is None:
        return None
    return Case(
        id=key, account_id=row["account_id"], type=row["discrepancy_type"], status=Status(row["status"]),
        severity=Level(row["severity"]), ledger=row["expected_value"], bank=row["actual_value"],
        assignee=row["assignee"], resolved_by=row["resolved_by"], resolved_at=row["resolved_at"],
        resolution=row["resolution"],
    )  # fmt: skip


async def story(tx: Transaction, key: UUID) -> list[Told]:
    """All that ever happened to it, oldest first."""
    return [_told(key, row) for row in await _rows(tx, _sql.story, {"id": key})]


async def last_line(tx: Transaction, key: UUID) -> Told | None:
    """What happened to it last."""
    rows = await _rows(tx, _sql.last_line, {"id": key})
    return _told(key, rows[0]) if rows else None


def _told(key: UUID, row: dict[str, Any]) -> Told:
    return Told(
        discrepancy_id=key, happening=Happening(row["happening"]), at=row["at"], actor=row["actor"], text=row["text"],
        severity=Level(row["severity"]), ledger=row["expected_value"], bank=row["actual_value"],
        assignee=row["assignee"], message_id=row["message_id"],
    )  # fmt: skip


async def other_open(tx: Transaction, key: UUID) -> UUID | None:
    """The one that is open beside it, of the same account and type."""
    rows = await _rows(tx, _sql.other_open, {"id": key})
    return rows[0]["id"] if rows else None


async def assign(tx: Transaction, key: UUID, status: Status, assignee: str | None, now: datetime) -> None:
    """Say whose it is."""
    await tx.execute(_sql.assign, {"id": key, "status": status.value, "assignee": assignee, "now": now})


async def resolve(
    tx: Transaction, key: UUID, actor: str, reason: str, ledger: Decimal | None, bank: Decimal | None, now: datetime
) -> None:
    """Say that it is done, at these figures (major units)."""
    parameters = {"id": key, "actor": actor, "reason": reason, "ledger": ledger, "bank": bank, "now": now}
    await tx.execute(_sql.resolve, parameters)


async def reopen(
    tx: Transaction, key: UUID, status: Status, severity: Level, ledger: Decimal | None, bank: Decimal | None,
    gone_since: datetime | None, now: datetime,
) -> None:  # fmt: skip
    """Take it up again, at these figures (major units)."""
    parameters = {
        "id": key, "status": status.value, "severity": severity.value, "ledger": ledger, "bank": bank,
        "gone_since": gone_since, "now": now,
    }  # fmt: skip
    await tx.execute(_sql.reopen, parameters)


async def oldest_by_severity(tx: Transaction) -> dict[str, datetime]:
    """When the oldest one that is not resolved opened, by severity in small letters."""
    return dict(await (await tx.execute(_sql.oldest_by_severity)).fetchall())
