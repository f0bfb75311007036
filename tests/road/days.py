"""Statements of days, as the road keeps them, for the tests of calendars and releases: the row and no more."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import UUID

from road.bench import Road
from token_engine.storage import positions
from token_engine.tiers import calendar
from token_engine.tiers.calendar import NewCalendar

_numbers = count(1)
# A bank in Dubai that closes its days at 17:00 (13:00 UTC) and sends the statement within six hours.
DUBAI = NewCalendar(actor="ann", time_zone="Asia/Dubai", cut_off="17:00", due_after_minutes=360, holidays="AE")
MONDAY = date(2025, 11, 17)
SET_AT = datetime(2025, 11, 17, 12, tzinfo=UTC)


def due(day: int, hour: int = 19, minute: int = 0) -> datetime:
    """A moment in November 2025, by default when the statement of that day is due."""
    return datetime(2025, 11, day, hour, minute, tzinfo=UTC)


async def statement(
    road: Road, account: UUID, day: date, state: str = "ACCEPTED", *, at: datetime = SET_AT, name: str = "STMT"
) -> int:
    """A statement of that day, kept as the road keeps one."""
    number = next(_numbers)
    message = await road.row(
        "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer, last_attempt_at)"
        " VALUES (sha256(%s::text::bytea), %s, 'HTTP', 's', '', 1, 'RECORDED', '{}', %s) RETURNING id",
        f"{account} {number}", at, at,
    )  # fmt: skip
    row = await road.row(
        "INSERT INTO statements (account_id, message_id, bank_message_id, statement_id, identity, content,"
        " statement_date, opening_balance, closing_balance, entries, booked_sum, cut_off, state, checks,"
        " ledger_balance, threshold_level, entries_matched, entries_unmatched, at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 5000000, 5250000, 1, 100000, %s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING id",
        account, message["id"], f"M-{number}", f"{name}-{number}", f"id {name}-{number}", b"", day, at, state,
        '[{"name": "entries_sum", "outcome": "failed", "text": "t", "expected": "5100000.00", "actual": "5250000.00"}]',
        1000000, "Ok", 0, 0, at,
    )  # fmt: skip
    return int(row["id"])


async def comes(road: Road, account: UUID, day: date, at: datetime, state: str = "ACCEPTED") -> Any:
    """The statement of a day comes, and the road says so; the account as it stands then."""
    [locked] = await positions.lock_ids(road.tx, [account])
    await statement(road, account, day, state, at=at)
    return await calendar.arrived(road.tx, locked, day, "STMT-7", at)
