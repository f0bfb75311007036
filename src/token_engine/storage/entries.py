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


class NameKey(NamedTuple):
    """An entry by its name, on whatever accounts have this number. `referenced`: one of a notification with the
    servicer's reference, which is also what a report told of without.
    """

    account_number: str
    amount: Decimal
    identity: str
    booking_date: date | None
    value_date: date | None
    referenced: bool


class AmountKey(NamedTuple):
    """An entry by amount and dates, on whatever accounts have this number."""

    account_number: str
    amount: Decimal
    booking_date: date | None
    value_date: date | None


# A known movement (account, amount, identity, occurrence) as its first message told of it and, from the
# second kind on, as another message did: each kind, message id, two references, two dates.
KnownRow = tuple[
    UUID, Decimal, str, int,
    str, str, str | None, str | None, date | None, date | None,
    str | None, str | None, str | None, str | None, date | None, date | None,
]  # fmt: skip


class EntryRow(NamedTuple):
    """A row of bank_entries. Amounts in major units; `position_change` is signed, 0 unless booked. `unexpected`: a
    booked credit that met nothing, for a person to allocate or return.
    """

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
    unexpected: bool


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


def key_columns(kind: type[NamedTuple], keys: Collection[tuple[Any, ...]]) -> list[Column]:
    """Keys of entries as the columns that statements take them in."""
    return [Column(c) for c in zip(*keys, strict=True)] if keys else [Column(())] * len(kind._fields)


async def ask_known(
    tx: Transaction, notified_bare: Collection[AmountKey], stated: Collection[AmountKey]
) -> list[AsyncCursor[Any]]:
    """Ask for all movements that entries without a name to look them up by might be: `notified_bare` of
    notifications without the servicer's reference, `stated` of reports. Call under the accounts' locks.
    """
    return [
        await tx.execute(statement, key_columns(AmountKey, keys))
        for statement, keys in ((_sql.known_stated, notified_bare), (_sql.known_of_amount, stated))
        if keys
    ]


def known_from(*answers: Iterable[KnownRow]) -> KnownMovements:
    """The movements, each with all its sightings; one that several questions found is known once."""
    known = KnownMovements()
    for account, amount, movement in known_movements(*answers):
        known.add(account, amount, movement)
    return known


def known_movements(*answers: Iterable[KnownRow]) -> list[tuple[UUID, Decimal, Movement]]:
    """The same as a list, each with its account and amount."""
    found: dict[tuple[UUID, Decimal, str, int], Movement] = {}
    for rows in answers:
        fresh: dict[tuple[UUID, Decimal, str, int], Movement] = {}
        for row in rows:
            key = row[:4]
            if key in found:
                continue
            movement = fresh.get(key)
            if movement is None:
                movement = fresh[key] = Movement(row[2], row[3], [Sighting(MessageKind(row[4]), *row[5:10])])
            if row[10] is not None and row[11] is not None:
                movement.sightings.append(Sighting(MessageKind(row[10]), row[11], *row[12:16]))
        found |= fresh
    return [(account, amount, movement) for (account, amount, _, _), movement in found.items()]


async def insert_sightings(tx: Transaction, rows: Sequence[SightingRow]) -> None:
    """Record what messages told of movements that were known."""
    await tx.execute(_sql.insert_sightings, [Column(c) for c in zip(*rows, strict=True)])
