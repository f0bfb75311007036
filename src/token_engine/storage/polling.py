"""Which accounts' banks are asked, when next, by whom, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from psycopg.rows import class_row, dict_row

from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("polling")


class ConnectionRow(NamedTuple):
    """An access to a bank; `settings` is JSON."""

    name: str
    kind: str
    settings: str
    set_by: str
    set_at: datetime


class DueRow(NamedTuple):
    """An account whose bank may be asked, under lock; `asked` are the times of the requests its budget counts."""

    account_id: UUID
    connection: str
    account_number: str
    currency: str
    resource: str | None
    every_minutes: int
    offset_seconds: int
    polls_a_day: int | None
    business_days_only: bool
    suspected: bool
    run_id: UUID | None
    asked: list[datetime]


class ClaimRow(NamedTuple):
    """A row of balance_polls as it is claimed; with a refusal, of a bank that was not asked."""

    account_id: UUID
    slot_at: datetime | None
    run_id: UUID | None
    claimed_at: datetime
    claimed_by: str
    answered_at: datetime | None = None
    requests: int = 1
    refusal_code: str | None = None
    refusal_text: str | None = None


class SettledRow(NamedTuple):
    """What came of a claim."""

    id: int
    answered_at: datetime
    requests: int
    refusal_code: str | None
    refusal_text: str | None


async def save_connection(
    tx: Transaction, name: str, kind: str, settings: str, actor: str, now: datetime
) -> None:  # fmt: skip
    """Set an access to a bank: `settings` is JSON without credentials."""
    parameters = {"name": name, "kind": kind, "settings": settings, "actor": actor, "now": now}
    await tx.execute(_sql.save_connection, parameters)


async def connections(tx: Transaction, name: str | None = None) -> list[ConnectionRow]:
    """All accesses to banks, or the one with this name."""
    cursor = tx.connection.cursor(row_factory=class_row(ConnectionRow))
    await cursor.execute(_sql.connections, {"name": name})
    return await cursor.fetchall()


async def save_polling(tx: Transaction, account_id: UUID, row: dict[str, Any], actor: str, now: datetime) -> None:
    """Set how an account's bank is asked."""
    await tx.execute(_sql.save_polling, {"account_id": account_id, "actor": actor, "now": now, **row})


async def end_polling(tx: Transaction, account_id: UUID) -> bool:
    """Ask no more; False if nobody asked."""
    return bool(await (await tx.execute(_sql.end_polling, [account_id])).fetchall())


async def polling(tx: Transaction, account_id: UUID, now: datetime) -> dict[str, Any] | None:
    """How an account's bank is asked, and how often it was in the last 24 hours."""
    found = await _dicts(tx, _sql.polling, {"account_id": account_id, "now": now})
    return found[0] if found else None


async def polls(tx: Transaction, account_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The latest times the bank was asked, newest first, with what it said (major units)."""
    return await _dicts(tx, _sql.polls, {"account_id": account_id, "limit": limit})


async def due(
    tx: Transaction, connection: str, now: datetime, limit: int, *, of_runs: bool = False
) -> list[DueRow]:  # fmt: skip
    """Accounts of a connection that are due and that no other engine is claiming, the longest due first; locked.
    `of_runs`: those only that a run waits for.
    """
    parameters = {"connection": connection, "now": now, "limit": limit, "of_runs": of_runs}
    return await _due_rows(tx, _sql.due, parameters)


async def named(tx: Transaction, ids: Iterable[UUID], now: datetime) -> list[DueRow]:
    """Those of these accounts whose bank can be asked, in the order of their ids; locked."""
    return await _due_rows(tx, _sql.named, {"ids": Column(ids), "now": now})


async def _due_rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[DueRow]:
    cursor = tx.connection.cursor(row_factory=class_row(DueRow))
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def clock(tx: Transaction) -> datetime:
    """The time by the database's clock, now and not when the transaction began."""
    [(now,)] = await (await tx.execute(_sql.clock)).fetchall()
    return cast(datetime, now)


async def far_ahead(
    tx: Transaction, connections: Sequence[str], beyond: datetime, told_ahead: datetime
) -> list[UUID]:  # fmt: skip
    """Open accounts of these connections whose next slot lies `beyond` any rhythm; of those that are asked on business
    days such only as were set or polled later than `told_ahead`.
    """
    cursor = await tx.execute(_sql.far_ahead, [Column(connections), beyond, told_ahead])
    return [key for (key,) in await cursor.fetchall()]


async def count_as_now(
    tx: Transaction, ids: Sequence[UUID], now: datetime, told_ahead: datetime
) -> tuple[int, datetime | None]:  # fmt: skip
    """Let polls of these accounts that lie ahead count as of `now`, and give back their slots later than `told_ahead`;
    how many they were, and how late the latest said it was.
    """
    parameters = {"ids": Column(ids), "now": now, "told_ahead": told_ahead}
    [(number, latest)] = await (await tx.execute(_sql.count_as_now, parameters)).fetchall()
    return number, latest


async def bring_forward(tx: Transaction, next_slots: Sequence[tuple[UUID, datetime]], beyond: datetime) -> int:
    """Say when those of these accounts are due next whose slot still lies `beyond`; how many."""
    if not next_slots:
        return 0
    columns = [Column(c) for c in zip(*next_slots, strict=True)]
    return len(await (await tx.execute(_sql.bring_forward, [*columns, beyond])).fetchall())


async def move_on(tx: Transaction, next_slots: Sequence[tuple[UUID, datetime]]) -> None:
    """Say when accounts are due next."""
    if next_slots:
        await tx.execute(_sql.move_on, [Column(c) for c in zip(*next_slots, strict=True)])


async def claim(tx: Transaction, claims: Sequence[ClaimRow]) -> dict[UUID, int]:
    """Write claims; the numbers of those that are ours, by account. One account once in a call."""
    if not claims:
        return {}
    cursor = await tx.execute(_sql.claim, [Column(c) for c in zip(*claims, strict=True)])
    return dict(await cursor.fetchall())


async def settle(tx: Transaction, settled: Sequence[SettledRow]) -> None:
    """Write what came of claims."""
    if settled:
        await tx.execute(_sql.settle, [Column(c) for c in zip(*settled, strict=True)])


async def polled(tx: Transaction) -> list[UUID]:
    """Open accounts whose bank can be asked, in the order of their ids."""
    return [key for (key,) in await (await tx.execute(_sql.polled)).fetchall()]


async def counts(tx: Transaction) -> tuple[int, int]:
    """How many accounts are open, and the banks of how many can be asked."""
    [(open_accounts, polled_accounts)] = await (await tx.execute(_sql.counts)).fetchall()
    return open_accounts, polled_accounts


async def start_run(tx: Transaction, key: UUID, actor: str, now: datetime) -> int:
    """Make every account due now whose bank can be asked; how many."""
    [(to_ask,)] = await (await tx.execute(_sql.start_run, {"id": key, "actor": actor, "now": now})).fetchall()
    return int(to_ask)


async def run_to_review(tx: Transaction) -> tuple[UUID, UUID | None] | None:
    """A run whose other accounts are to be judged again, locked, and how far that has come."""
    rows = await (await tx.execute(_sql.run_to_review)).fetchall()
    return rows[0] if rows else None


async def reviewed(tx: Transaction, key: UUID, to: UUID | None, number: int, *, ended: bool) -> None:
    """Say how far a run has come."""
    await tx.execute(_sql.reviewed, {"id": key, "to": to, "number": number, "ended": ended})


async def run(tx: Transaction, key: UUID) -> dict[str, Any] | None:
    """A run and its counts."""
    found = await _dicts(tx, _sql.run, [key])
    return found[0] if found else None


async def run_results(tx: Transaction, key: UUID, after: int, limit: int) -> list[dict[str, Any]]:
    """What came of a run, account by account, in the order in which they were asked (major units)."""
    return await _dicts(tx, _sql.run_results, {"id": key, "after": after, "limit": limit})


async def _dicts(tx: Transaction, statement: bytes, parameters: Any) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()
