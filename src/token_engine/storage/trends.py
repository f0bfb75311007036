"""The days that an account's trend is told by, what was last seen in them, and all of it recomputed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import class_row, dict_row

from token_engine.domain.drift import Direction
from token_engine.domain.trend import DAYS_KEPT, Day
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load as load_queries

_sql = load_queries("trends")


class SeenDay(NamedTuple):
    """The lowest and the highest of the differences of a day (UTC) that are taken in, in major units."""

    account_id: UUID
    day: date
    low: Decimal
    high: Decimal


class Known(NamedTuple):
    """The days of an account that are over, and which way it drifts where that was raised."""

    days: list[Day]
    drifting: Direction | None


class Looked(NamedTuple):
    """A row of account_trends; `slope` in major units a day, times with a zone."""

    account_id: UUID
    looked_to: date
    looked_at: datetime
    shape: str
    slope: Decimal
    since: date | None
    drifting: Direction | None
    crosses_at: datetime | None


class Folded(NamedTuple):
    """Of accounts: those whose trend must be looked at, and of all whether they were seen to drift when it was."""

    due: list[UUID]
    drifted: dict[UUID, bool]


async def fold(tx: Transaction, seen: Iterable[SeenDay], today: date) -> Folded:
    """Take days in, each account and day once, at least one. `today` is UTC's.

    Call under the accounts' locks. Folding the same in again changes nothing.
    """
    rows = list(seen)
    columns = [Column(column) for column in zip(*rows, strict=True)]
    accounts = Column(dict.fromkeys(row.account_id for row in rows))
    found = await (await tx.execute(_sql.fold, [*columns, today, today, accounts])).fetchall()
    return Folded([row[0] for row in found if row[2]], {row[0]: row[1] for row in found})


async def load(tx: Transaction, ids: Sequence[UUID], today: date) -> dict[UUID, Known]:
    """Days that are over, of the last DAYS_KEPT, and the drift that was raised, of each of these accounts."""
    cursor = await tx.execute(_sql.load, [Column(ids), today - timedelta(days=DAYS_KEPT), today])
    found = {}
    for account_id, drifting, *columns in await cursor.fetchall():
        days = [Day(*row) for row in zip(*columns, strict=True)] if columns[0] else []
        found[account_id] = Known(days, Direction(drifting) if drifting else None)
    return found


async def save(tx: Transaction, looked: Sequence[Looked]) -> None:
    """Keep what was seen."""
    await tx.execute(_sql.save, [Column(column) for column in zip(*looked, strict=True)])


async def days(tx: Transaction, account_id: UUID, since: date) -> list[Day]:
    """An account's days from `since` on, the one under way too."""
    cursor = tx.connection.cursor(row_factory=class_row(Day))
    await cursor.execute(_sql.days, {"account_id": account_id, "from": since})
    return await cursor.fetchall()


async def state(tx: Transaction, account_id: UUID) -> tuple[Direction | None, datetime | None]:
    """Which way an account drifts where that was raised, and when its trend was last looked at."""
    row = await (await tx.execute(_sql.state, [account_id])).fetchone()
    return (Direction(row[0]) if row[0] else None, row[1]) if row else (None, None)


async def last_observations(tx: Transaction, account_id: UUID, limit: int) -> list[dict[str, Any]]:
    """What the bank said last, newest first. Amounts in major units."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.last_observations, {"account_id": account_id, "limit": limit})
    return await cursor.fetchall()


async def observations(tx: Transaction, account_id: UUID, first: date, last: date) -> int:
    """How many observations there are of these days (UTC), both included."""
    midnights = [datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1))]
    parameters = {"account_id": account_id, "from": midnights[0], "until": midnights[1]}
    row = await (await tx.execute(_sql.observations, parameters)).fetchone()
    assert row is not None  # an aggregate always answers
    return int(row[0])


async def drifting(tx: Transaction) -> int:
    """How many accounts drift."""
    row = await (await tx.execute(_sql.drifting)).fetchone()
    assert row is not None  # an aggregate always answers
    return int(row[0])


_READ_ALL: Final = (_sql.room_for_the_fold, _sql.forget_fold, _sql.fold_all)


async def unlike(tx: Transaction) -> list[dict[str, Any]]:
    """Days that are not what the observations make: none, ever. Reads all observations."""
    for statement in _READ_ALL:
        await tx.execute(statement)
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.unlike)
    return await cursor.fetchall()


async def recompute(tx: Transaction) -> list[dict[str, Any]]:
    """Make every day what the observations make it; the days that were not. Observations that come meanwhile wait for
    the commit.
    """
    await tx.execute(_sql.no_fold_meanwhile)
    wrong = await unlike(tx)
    if wrong:
        await tx.execute(_sql.drop_wrong)
        await tx.execute(_sql.add_missing)
    return wrong
