"""Entries of the bank: which are known, and the new ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncCursor

from token_engine.domain.known import KnownMovements
from token_engine.domain.notification import MessageKind
from token_engine.domain.pairing import Movement, Sighting
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("entries")

IdentityKey = tuple[UUID, Decimal, str]
AmountKey = tuple[UUID, Decimal, date | None, date | None]
_IDENTITY_WIDTH, _AMOUNT_WIDTH = 3, 4


class EntryRow(NamedTuple):
    """A row of bank_entries. Amounts in major units; `position_change` is signed, 0 unless booked."""

    account_id: UUID
    message_id: int
    origin: str
    bank_message_id: str
    amount: Decimal
    credit_debit: str
    status: str
    reversal: bool
    position_change: Decimal
    booking_date: date | None
    value_date: date | None
    servicer_reference: str | None
    entry_reference: str | None
    end_to_end_id: str | None
    uetr: str | None
    instruction_id: str | None
    transaction_id: str | None
    identity: str
    occurrence: int


class SightingRow(NamedTuple):
    """A row of bank_entry_sightings: what a message told of a known movement that was not known of it."""

    account_id: UUID
    amount: Decimal
    identity: str
    entry_identity: str
    entry_occurrence: int
    message_id: int
    origin: str
    bank_message_id: str
    servicer_reference: str | None
    entry_reference: str | None
    booking_date: date | None
    value_date: date | None


async def ask_known(
    tx: Transaction,
    named: Collection[IdentityKey],
    notified: Collection[AmountKey],
    notified_bare: Collection[AmountKey],
    stated: Collection[AmountKey],
) -> list[AsyncCursor[Any]]:
    """Ask for all movements that entries to come might be; `known_from` reads the answer.

    `named` are the keys of all entries, `notified` of notifications' with the servicer's reference,
    `notified_bare` of those without, `stated` of reports'. Call under the accounts' locks.
    """
    cursors = []
    if named:  # in one statement, since nearly every batch asks both
        columns = [*_columns(named, _IDENTITY_WIDTH), *_columns(notified, _AMOUNT_WIDTH)]
        cursors.append(await tx.execute(_sql.known_by_name, columns))
    for statement, keys in ((_sql.known_stated, notified_bare), (_sql.known_of_amount, stated)):
        if keys:
            cursors.append(await tx.execute(statement, _columns(keys, _AMOUNT_WIDTH)))
    return cursors


def _columns(keys: Collection[tuple[Any, ...]], width: int) -> list[Column]:
    return [Column(c) for c in zip(*keys, strict=True)] if keys else [Column(())] * width


async def known_from(cursors: Iterable[AsyncCursor[Any]]) -> KnownMovements:
    """The movements, each with all its sightings; one that several questions found is known once."""
    found: dict[tuple[UUID, Decimal, str, int], Movement] = {}
    for cursor in cursors:
        fresh: dict[tuple[UUID, Decimal, str, int], Movement] = {}
        for row in await cursor.fetchall():
            key = row[:4]
            if key in found:
                continue
            movement = fresh.get(key)
            if movement is None:
                movement = fresh[key] = Movement(row[2], row[3], [Sighting(MessageKind(row[4]), *row[5:10])])
            if row[10] is not None:
                movement.sightings.append(Sighting(MessageKind(row[10]), *row[11:16]))
        found |= fresh
    known = KnownMovements()
    for (account, amount, _, _), movement in found.items():
        known.add(account, amount, movement)
    return known


async def insert_sightings(tx: Transaction, rows: Sequence[SightingRow]) -> None:
    """Record what messages told of movements that were known."""
    await tx.execute(_sql.insert_sightings, [Column(c) for c in zip(*rows, strict=True)])
