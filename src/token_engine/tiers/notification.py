"""Tier 1: take in notifications (camt.054) and account reports (camt.052), a batch in one transaction.

    read (pure) → lock positions in sorted order and look up what is known → decide (pure, message by
    message) → write everything → the caller commits, then acknowledges.

A batch of n does exactly what n batches of one would do: each message sees what those before it did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import policy_for
from token_engine.domain.notification import MessageKind, Notification
from token_engine.domain.pairing import identity, sighting
from token_engine.domain.receipt import Receipt
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import read_message
from token_engine.storage import entries, positions, recall
from token_engine.storage.database import Transaction
from token_engine.storage.entries import AmountKey, NameKey
from token_engine.tiers.acceptance import Directory, as_account_id
from token_engine.tiers.decision import Decision
from token_engine.tiers.delivery import Delivery

_LARGE: Final = 256 * 1024
PART: Final = 250
"""Messages decided before they are sent: PostgreSQL writes one part while the next is decided."""
Reading = tuple[Notification, ...] | Refusal


async def record(tx: Transaction, batch: Sequence[Delivery], now: datetime) -> list[Receipt]:
    """Take in a batch; the receipt of each delivery is at its place. `now` has a time zone.

    Nothing is visible, and no receipt true, before the caller commits. Expected outcomes are receipts;
    an exception means that the whole batch was lost and may be tried again.
    """
    readings = [d.refused or await _read(d) for d in batch]
    decision = await _load(tx, batch, readings, now)
    receipts: list[Receipt] = []
    for delivery, reading in zip(batch, readings, strict=True):
        if decision.unwritten == PART:
            await decision.write_part(tx)
        receipts.append(decision.settle(delivery, reading))
    await decision.write(tx)
    return receipts


async def _read(delivery: Delivery) -> Reading:
    """Read the bytes; large ones beside the event loop, so that other doors are answered meanwhile."""
    if delivery.size < _LARGE:
        return read_message(delivery.raw)
    return await asyncio.to_thread(read_message, delivery.raw)


async def _load(tx: Transaction, batch: Sequence[Delivery], readings: Sequence[Reading], now: datetime) -> Decision:
    """Lock every account that the batch names, so that nothing known of them changes under us, and look up
    all that deciding needs: in one round trip, each look-up a statement after the lock, which sees what the
    lock waited for.
    """
    names = {n.heading.account_number for r in readings if not isinstance(r, Refusal) for n in r}
    ids = [key for name in names if (key := as_account_id(name)) is not None]
    numbers_of_ids = await positions.numbers_of(tx, ids) if ids else {}
    numbers = names | set(numbers_of_ids.values())
    keys = _Keys(readings, numbers_of_ids)
    lock = await positions.ask_lock(tx, numbers)
    asked = await recall.ask(tx, dict.fromkeys(d.digest for d in batch), keys.named, numbers, keys.awaited)
    bare = await entries.ask_known(tx, keys.notified_bare, keys.stated)

    locked = await positions.locked_from(lock)
    recalled = await recall.answer_from(asked)
    movements = entries.known_from(recalled.movements, *[await cursor.fetchall() for cursor in bare])
    # Most installations keep to the specification's bounds, and have none to ask for: an account's default.
    policy_of = await positions.policies_of(tx, locked.accounts) if locked.policies_exist else {}

    def complete(account: Account) -> Account:
        found = recalled.open_breaks.get(account.id)
        if not policy_of:
            return account if found is None else structs.replace(account, open_discrepancy=found)
        policy = policy_for(policy_of, account.id, account.currency)
        return structs.replace(account, policy=policy, open_discrepancy=found)

    directory = Directory([complete(a) for a in locked.accounts], numbers_of_ids)
    return Decision(directory, recalled.book, movements, recalled.expectations, now)


class _Keys:
    """What to ask the database for: the names and amounts of the entries to come, by account number, and the
    end-to-end ids under which something may be expected.
    """

    def __init__(self, readings: Sequence[Reading], numbers_of_ids: Mapping[UUID, str]) -> None:
        self.named: set[NameKey] = set()
        self.notified_bare: set[AmountKey] = set()
        self.stated: set[AmountKey] = set()
        self.awaited: set[tuple[str, str]] = set()
        for reading in readings:
            if isinstance(reading, Refusal):
                continue
            for notification in reading:
                name = notification.heading.account_number
                self._add(name, notification)
                if (key := as_account_id(name)) is not None and key in numbers_of_ids:
                    self._add(numbers_of_ids[key], notification)

    def _add(self, number: str, notification: Notification) -> None:
        heading = notification.heading
        for entry in notification.entries:
            seen = sighting(entry, heading.kind, heading.message_id)
            referenced = heading.kind is MessageKind.NOTIFICATION and bool(seen.servicer_reference)
            # By name in any case: a new entry is numbered among all that have its name, whatever their dates.
            name, booked, valued = identity(entry, seen), entry.booking_date, entry.value_date
            self.named.add(NameKey(number, entry.amount, name, booked, valued, referenced))
            if not referenced:
                unnamed = self.notified_bare if heading.kind is MessageKind.NOTIFICATION else self.stated
                unnamed.add(AmountKey(number, entry.amount, booked, valued))
            if entry.end_to_end_id is not None and entry.booked:
                self.awaited.add((number, entry.end_to_end_id))
