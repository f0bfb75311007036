"""Receipts at rest: credits that met nothing when they came, and what each turned out to be."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import class_row, dict_row

from token_engine.domain.unallocated import Credit
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("receipts")
_ONE: Final[bytes] = b"\n".join((_sql.shown, _sql.one))
_WANTED: Final[bytes] = b"\n".join((_sql.shown, _sql.wanted))


class Meeting(NamedTuple):
    """What a credit turned out to be, and who said so when (with a time zone)."""

    met: str
    actor: str
    at: datetime


async def _credits(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[Credit]:
    cursor = tx.connection.cursor(row_factory=class_row(Credit))
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def credit(tx: Transaction, entry_id: int) -> Credit | None:
    """The receipt with this entry's number, whatever became of it."""
    found = await _credits(tx, _sql.credit, {"entry_id": entry_id})
    return found[0] if found else None


async def oldest_unallocated(tx: Transaction, account_id: UUID, end_to_end_id: str) -> Credit | None:
    """The first receipt with this end-to-end id that waits. Call under the account's lock."""
    found = await _credits(tx, _sql.oldest_unallocated, {"account_id": account_id, "end_to_end_id": end_to_end_id})
    return found[0] if found else None


async def meeting_of(tx: Transaction, of: Credit) -> Meeting | None:
    """What became of it. Call under its account's lock."""
    parameters = {
        "account_id": of.account_id, "amount": of.amount, "identity": of.identity, "occurrence": of.occurrence,
    }  # fmt: skip
    row = await (await tx.execute(_sql.meeting, parameters)).fetchone()
    return row and Meeting(*row)


async def return_taken(tx: Transaction, account_id: UUID, reference: str) -> bool:
    """Whether a debit with this end-to-end id would be another return's, or a payout's."""
    row = await (await tx.execute(_sql.return_taken, {"account_id": account_id, "reference": reference})).fetchone()
    assert row is not None
    return bool(row[0])


async def returning(tx: Transaction, account_id: UUID) -> Decimal:
    """What was returned and not debited yet (major units). Call under the account's lock."""
    row = await (await tx.execute(_sql.returning, {"account_id": account_id})).fetchone()
    assert row is not None
    return Decimal(row[0])


async def return_of(tx: Transaction, entry_id: int) -> tuple[str, int | None] | None:
    """How a receipt goes back: under which end-to-end id, and the entry of the debit that took it if one has."""
    row = await (await tx.execute(_sql.return_of, {"entry_id": entry_id})).fetchone()
    return row and (row[0], row[1])


async def debit(tx: Transaction, account_id: UUID, entry_id: int) -> Credit | None:
    """A booked debit of an account that nothing has met; its `booked` is below zero. Call under the account's lock."""
    found = await _credits(tx, _sql.debit, {"account_id": account_id, "entry_id": entry_id})
    return found[0] if found else None


async def show(tx: Transaction, entry_id: int, now: datetime) -> dict[str, Any] | None:
    """One receipt, amounts in major units, with what became of it or the funding that it may be for."""
    found = await _rows(tx, _ONE, {"entry_id": entry_id, "now": now})
    return found[0] if found else None


async def listing(
    tx: Transaction, now: datetime, *, account_id: UUID | None, state: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Receipts, newest first, each as `show`; `state`: UNALLOCATED, ALLOCATED, RETURNED, or None for all."""
    wanted = {"now": now, "account_id": account_id, "state": state, "before": before, "limit": limit}
    return await _rows(tx, _WANTED, wanted)


async def unlike_their_movements(tx: Transaction) -> list[dict[str, Any]]:
    """Meetings whose movement is not what their entry brought: none, ever."""
    return await _rows(tx, _sql.unlike_their_movements, {})


async def met_without_meeting(tx: Transaction) -> list[dict[str, Any]]:
    """Fundings that are MET by nothing, or met and not MET: none, ever."""
    return await _rows(tx, _sql.met_without_meeting, {})


async def mints_without_meeting(tx: Transaction) -> list[dict[str, Any]]:
    """Mints of ours that no entry of the bank answers for: none, ever."""
    return await _rows(tx, _sql.mints_without_meeting, {})
