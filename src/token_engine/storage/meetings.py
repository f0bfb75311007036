"""What the bank's entries turned out to be: expectations that they met, and the row that says so once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from token_engine.domain.meeting import Meeting, Met
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("meetings")


class MeetingRow(NamedTuple):
    """A row of entry_meetings: the entry by its name, and what it was."""

    account_id: UUID
    amount: Decimal
    identity: str
    occurrence: int
    met: str
    funding_id: UUID | None
    payout_id: UUID | None
    movement_id: int | None
    actor: str
    reason: str
    at: datetime
    return_reference: str | None = None


async def write(tx: Transaction, meetings: Sequence[tuple[UUID, Meeting]], at: datetime) -> None:
    """Write what entries met, each with its account, which the caller has locked: expectations settled, legs posted,
    and the row that lets no entry meet a second time. After the entries themselves. `at` has a time zone.
    """
    await tx.execute(_sql.meet, _columns([_met(account, m, at) for account, m in meetings], 18))


async def keep(tx: Transaction, rows: Sequence[MeetingRow]) -> None:
    """Say what entries were. The unique key refuses an entry of which that is said already, and with it everything."""
    await tx.execute(_sql.keep, _columns(rows, len(MeetingRow._fields)))


def _met(account: UUID, m: Meeting, at: datetime) -> tuple[Any, ...]:
    funding, payout = (m.expectation, None) if m.met is Met.FUNDING else (None, m.expectation)
    new, movement, legs = m.entry, m.movement, m.legs
    return (
        account, new.entry.amount, new.identity, new.occurrence, m.met, funding, payout, m.number, movement.kind,
        movement.amount, legs.leaves, legs.enters, movement.from_holder, movement.to_holder, movement.reason,
        movement.actor, movement.cause, at,
    )  # fmt: skip


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Column]:
    return [Column(c) for c in (zip(*rows, strict=True) if rows else [()] * width)]
