"""When statements are due, how far that has been looked at, and what was raised of those that did not come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import structs
from psycopg.rows import class_row, dict_row

from token_engine.domain.calendar import StatementCalendar
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("calendars")


class Kept(NamedTuple):
    """An account's calendar at rest. `looked_to` is the last day that was looked at, `next_due_at` when the statement
    of the next one is due (with a time zone).
    """

    calendar: StatementCalendar
    looked_to: date
    next_due_at: datetime
    set_by: str
    set_at: datetime


class Missing(NamedTuple):
    """A discrepancy, not resolved, of a day whose statement did not come: `subject` is the day; `there` where it has
    come since. Amounts in major units.
    """

    id: UUID
    subject: str
    severity: str
    ledger: Decimal
    bank: Decimal
    source_system: str
    source_reference: str
    assignee: str | None
    opened_at: datetime
    reopened: bool
    gone_since: datetime | None
    there: bool


async def of_accounts(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, Kept]:
    """The calendars of those of these accounts that have one; certain only under their locks."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.of_accounts, [Column(ids)])
    return {row.pop("account_id"): _kept(row) for row in await cursor.fetchall()}


async def of_account(tx: Transaction, account_id: UUID) -> Kept | None:
    """The calendar of one account."""
    return (await of_accounts(tx, [account_id])).get(account_id)


def _kept(row: dict[str, Any]) -> Kept:
    rest = [row.pop(name) for name in Kept._fields[1:]]
    lists = {name: tuple(row[name]) for name in ("weekend", "extra_holidays")}
    return Kept(StatementCalendar(**row | lists), *rest)


async def save(tx: Transaction, account_id: UUID, kept: Kept) -> None:
    """Set an account's calendar."""
    calendar = structs.asdict(kept.calendar)
    lists = {name: list(calendar[name]) for name in ("weekend", "extra_holidays")}
    rest = kept._asdict()
    del rest["calendar"]
    await tx.execute(_sql.save, {"account_id": account_id, **calendar, **lists, **rest})


async def due(tx: Transaction, now: datetime, limit: int) -> list[UUID]:
    """Open accounts with a day to look at `now`."""
    return [row[0] for row in await (await tx.execute(_sql.due, {"now": now, "limit": limit})).fetchall()]


async def looked(tx: Transaction, account_id: UUID, day: date, next_due_at: datetime) -> None:
    """Keep that all days up to `day` have been looked at."""
    await tx.execute(_sql.looked, {"account_id": account_id, "day": day, "next_due_at": next_due_at})


async def stated(tx: Transaction, account_id: UUID, days: list[date]) -> set[date]:
    """Of which of these days there is a statement, accepted or not; certain only under the account's lock."""
    cursor = await tx.execute(_sql.stated, {"account_id": account_id, "days": days})
    return {row[0] for row in await cursor.fetchall()}


async def missing(tx: Transaction, account_id: UUID) -> list[Missing]:
    """What was raised of an account's missing statements and is not resolved; certain only under its lock."""
    cursor = tx.connection.cursor(row_factory=class_row(Missing))
    await cursor.execute(_sql.missing, [account_id])
    return await cursor.fetchall()


async def drift(tx: Transaction) -> list[dict[str, Any]]:
    """Accounts that say otherwise since when a statement is missing than what is kept of them: none, ever."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.drift)
    return await cursor.fetchall()
