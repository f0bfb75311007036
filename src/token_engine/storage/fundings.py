"""Fundings at rest: announce, find, settle once, list."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import structs
from psycopg.rows import dict_row

from token_engine.domain.funding import Funding, FundingState
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("fundings")
_ONE: Final[bytes] = b"\n".join((_sql.shown, _sql.one))
_OF_ACCOUNT: Final[bytes] = b"\n".join((_sql.shown, _sql.of_account))


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def _found(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[Funding]:
    rows = await _rows(tx, statement, parameters)
    return [Funding(**row | {"state": FundingState(row["state"])}) for row in rows]


async def insert(tx: Transaction, funding: Funding) -> None:
    """Announce it. The unique index refuses a second one that is EXPECTED under its end-to-end id."""
    await tx.execute(_sql.insert, structs.asdict(funding))


async def of_id(tx: Transaction, key: UUID) -> Funding | None:
    """One funding. Its state is certain only under its account's lock."""
    found = await _found(tx, _sql.of_id, {"id": key})
    return found[0] if found else None


async def expected(tx: Transaction, account_id: UUID, end_to_end_id: str) -> Funding | None:
    """The one that is EXPECTED under an end-to-end id, also after its time. Call under the account's lock."""
    found = await _found(tx, _sql.expected, {"account_id": account_id, "end_to_end_id": end_to_end_id})
    return found[0] if found else None


async def is_of_payout(tx: Transaction, account_id: UUID, end_to_end_id: str) -> bool:
    """Whether a credit with this end-to-end id would be a payout that comes back. Call under the account's lock."""
    parameters = {"account_id": account_id, "end_to_end_id": end_to_end_id}
    row = await (await tx.execute(_sql.is_of_payout, parameters)).fetchone()
    assert row is not None
    return bool(row[0])


async def settle(tx: Transaction, key: UUID, state: FundingState, by: str, at: datetime, reason: str) -> None:
    """Settle one that is EXPECTED; the database refuses another. `at` has a time zone."""
    await tx.execute(_sql.settle, {"id": key, "state": state, "by": by, "at": at, "reason": reason})


async def accounts_due(tx: Transaction, now: datetime) -> list[UUID]:
    """Accounts that expect a funding whose time is over."""
    return [row[0] for row in await (await tx.execute(_sql.accounts_due, {"now": now})).fetchall()]


async def due(tx: Transaction, account_id: UUID, now: datetime) -> list[Funding]:
    """Those of an account whose time is over and that nobody has settled. Call under its lock."""
    return await _found(tx, _sql.due, {"account_id": account_id, "now": now})


async def show(tx: Transaction, key: UUID, now: datetime) -> dict[str, Any] | None:
    """One funding with what met it, amounts in major units; its state by the clock."""
    found = await _rows(tx, _ONE, {"id": key, "now": now})
    return found[0] if found else None


async def listing(
    tx: Transaction, account_id: UUID, now: datetime, *, state: FundingState | None, before: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """An account's fundings, newest first, each as `show`; `before` is the last one seen."""
    wanted = {"account_id": account_id, "now": now, "state": state, "before": before, "limit": limit}
    return await _rows(tx, _OF_ACCOUNT, wanted)
