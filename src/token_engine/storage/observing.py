"""What an observed balance is compared with, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from token_engine.domain.explaining import MOST_EXPECTED, SLACK, Change, Expected
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("observing")
_changes = msgspec.json.Decoder(list[tuple[Decimal, datetime]]).decode
_expected = msgspec.json.Decoder(list[tuple[UUID, Decimal]]).decode


class Facts(NamedTuple):
    """What is known of an account that was observed. Amounts in major units, times with a zone.

    `position` is what its messages add up to, `gap` what the last observation showed beyond that, `observed_at` the
    bank's time of that one. `unheard`: nothing was ever heard of it. `replaces`: it sends no messages, and what it
    says when asked is its position.
    """

    position: Decimal
    gap: Decimal
    observed_at: datetime | None
    last_critical_at: datetime | None
    unheard: bool
    replaces: bool
    recent: list[Change]
    expected: list[Expected]


class ObservationRow(NamedTuple):
    """A row of balance_observations."""

    account_id: UUID
    poll_id: int
    observed_at: datetime
    as_of: datetime
    balance: Decimal
    balance_type: str
    ledger_balance: Decimal
    position_balance: Decimal
    explained: Decimal
    difference: Decimal
    level: str


async def facts(tx: Transaction, observed: Iterable[tuple[UUID, datetime]], now: datetime) -> dict[UUID, Facts]:
    """What these accounts' observations of these reference times are compared with. Call under the accounts' locks."""
    ids, times = zip(*observed, strict=True)
    # One expectation more than is tried says that there are too many to tell "all of them" apart.
    parameters = [now, MOST_EXPECTED + 1, Column(ids), Column(at - SLACK for at in times)]
    rows = await (await tx.execute(_sql.facts, parameters)).fetchall()
    return {
        row[0]: Facts(
            row[1], row[2], row[3], row[4], row[5], row[6],
            [Change(*one) for one in _changes(row[7] or "[]")],
            [Expected(*one) for one in _expected(row[8] or "[]")],
        )
        for row in rows
    }  # fmt: skip


async def record(tx: Transaction, rows: Sequence[ObservationRow], newest: dict[UUID, datetime]) -> None:
    """Keep observations; `newest` is the bank's time of the latest one of each account that was judged on it."""
    stamps = [Column(newest), Column(newest.values())]
    await tx.execute(_sql.record, [*(Column(c) for c in zip(*rows, strict=True)), *stamps])


async def suspect(tx: Transaction, suspected: dict[UUID, bool]) -> None:
    """Say of which accounts the bank is to be asked again as soon as its budget allows."""
    await tx.execute(_sql.suspect, [Column(suspected), Column(suspected.values())])


async def reopen_position(tx: Transaction, account_id: UUID, balance: Decimal, change: Decimal, at: datetime) -> None:
    """Let a position begin with `balance` where it had no beginning, or begin `change` higher (major units)."""
    await tx.execute(_sql.reopen_position, [account_id, balance, at, change])
