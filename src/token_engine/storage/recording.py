"""What every batch writes: messages, the entries that they brought, events, and the accounts as they stand now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from token_engine.domain.standing import Standing
from token_engine.storage.columns import BytesColumn, Column, JsonColumn
from token_engine.storage.database import Transaction
from token_engine.storage.entries import EntryRow
from token_engine.storage.messages import Settled
from token_engine.storage.positions import EventRow
from token_engine.storage.queries import load

_sql = load("recording")
_KINDS: Final = {"digest": BytesColumn, "raw": BytesColumn, "answer": JsonColumn, "payload": JsonColumn}


class _StandingRow(NamedTuple):
    """What a judgement writes to emi_accounts. `at` is None where the bank said nothing new."""

    id: UUID
    bank: Decimal
    observed_gap: Decimal
    difference: Decimal
    status: str
    source: str
    at: datetime | None
    criticals: int
    critical_at: datetime | None
    spoke_since_break: bool | None


async def record(
    tx: Transaction, settled: Sequence[Settled], entries: Sequence[EntryRow], events: Sequence[EventRow],
    standings: Sequence[Standing] = (),
) -> None:  # fmt: skip
    """Write messages with what became of them, new entries, events into the outbox, and judged accounts.

    A message that is recorded already stays as it is. The unique key refuses an entry that is there
    already, and with it the batch.
    """
    judged = [
        _StandingRow(
            s.account.id, s.bank, s.observed_gap, s.held - s.account.ledger, s.level.value.upper(),
            s.evidence.source_system, s.evidence.at if s.evidence.fresh else None, s.criticals, s.critical_at,
            s.spoke_since_break,
        )
        for s in standings
        if s.level is not None and s.evidence is not None
    ]  # fmt: skip
    tables: tuple[tuple[tuple[str, ...], Sequence[tuple[Any, ...]]], ...] = (
        (Settled._fields, settled),
        (EventRow._fields, events),
        (_StandingRow._fields, judged),
        (EntryRow._fields, entries),
    )
    await tx.execute(_sql.record, [column for names, rows in tables for column in _columns(names, rows)])


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[Column]:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return [_KINDS.get(name, Column)(values) for name, values in zip(names, columns, strict=True)]
