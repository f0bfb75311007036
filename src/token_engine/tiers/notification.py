"""Tier 1: take in notifications (camt.054) and account reports (camt.052), a batch in one transaction.

    read (pure) → lock positions in sorted order → look up what is known → decide (pure, message by
    message) → write everything → the caller commits, then acknowledges.

A batch of n does exactly what n batches of one would do: each message sees what those before it did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import DEFAULT_POLICY
from token_engine.domain.known import KnownMovements
from token_engine.domain.notification import MessageKind, Notification
from token_engine.domain.pairing import identity, sighting
from token_engine.domain.receipt import Receipt
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import read_message
from token_engine.storage import entries, messages, positions
from token_engine.storage.database import Transaction
from token_engine.storage.entries import AmountKey, IdentityKey
from token_engine.tiers.acceptance import Directory, as_account_id
from token_engine.tiers.decision import Decision
from token_engine.tiers.delivery import Delivery

_LARGE: Final = 256 * 1024
Reading = tuple[Notification, ...] | Refusal


async def record(tx: Transaction, batch: Sequence[Delivery], now: datetime) -> list[Receipt]:
    """Take in a batch; the receipt of each delivery is at its place. `now` has a time zone.

    Nothing is visible, and no receipt true, before the caller commits. Expected outcomes are receipts;
    an exception means that the whole batch was lost and may be tried again.
    """
    readings = [d.refused or await _read(d) for d in batch]
    directory, policies_exist = await _lock(tx, readings)
    decision = await _load(tx, batch, readings, directory, policies_exist, now)
    receipts = [decision.settle(d, reading) for d, reading in zip(batch, readings, strict=True)]
    await decision.write(tx)
    return receipts


async def _read(delivery: Delivery) -> Reading:
    """Read the bytes; large ones beside the event loop, so that other doors are answered meanwhile."""
    if delivery.size < _LARGE:
        return read_message(delivery.raw)
    return await asyncio.to_thread(read_message, delivery.raw)


async def _lock(tx: Transaction, readings: Sequence[Reading]) -> tuple[Directory, bool]:
    """Lock every account that the batch names, so that nothing known of them changes under us.

    Also whether there are policies to ask for: most installations keep to the specification's bounds.
    """
    names = {n.heading.account_number for r in readings if not isinstance(r, Refusal) for n in r}
    if not names:
        return Directory([], {}), False
    ids = [key for name in names if (key := as_account_id(name)) is not None]
    numbers_of_ids = await positions.numbers_of(tx, ids) if ids else {}
    locked = await positions.lock_numbers(tx, names | set(numbers_of_ids.values()))
    return Directory(locked.accounts, numbers_of_ids), locked.policies_exist


async def _load(
    tx: Transaction,
    batch: Sequence[Delivery],
    readings: Sequence[Reading],
    directory: Directory,
    policies_exist: bool,
    now: datetime,
) -> Decision:
    """Look up, in one round trip and under the locks, all that deciding needs."""
    keys = _Keys(readings, directory)
    async with tx.pipeline():
        kept = await messages.ask_known(tx, dict.fromkeys(d.digest for d in batch))
        movements = await entries.ask_known(tx, keys.named, keys.notified, keys.notified_bare, keys.stated)
        breaks = await positions.ask_open_discrepancies(tx, [a.id for a in directory.accounts])
        policies = await positions.ask_policies(tx, directory.accounts) if policies_exist else None
        book = await messages.known_from(kept)
        known_movements = await entries.known_from(movements) if movements else KnownMovements()
        open_breaks = await positions.open_discrepancies_from(breaks)
        policy_of = await positions.policies_from(policies) if policies else {}
    fallback = policy_of.get("global", DEFAULT_POLICY)

    def complete(account: Account) -> Account:
        policy = policy_of.get(str(account.id)) or policy_of.get(account.currency) or fallback
        return structs.replace(account, policy=policy, open_discrepancy=open_breaks.get(account.id))

    return Decision(directory.map(complete), book, known_movements, now)


class _Keys:
    """What to ask the database for: the names and amounts of the entries to come."""

    def __init__(self, readings: Sequence[Reading], directory: Directory) -> None:
        self.named: set[IdentityKey] = set()
        self.notified: set[AmountKey] = set()
        self.notified_bare: set[AmountKey] = set()
        self.stated: set[AmountKey] = set()
        for reading in readings:
            if isinstance(reading, Refusal):
                continue
            for notification in reading:
                for account in directory.candidates(notification.heading):
                    self._add(account, notification)

    def _add(self, account: Account, notification: Notification) -> None:
        heading = notification.heading
        for entry in notification.entries:
            amount = (account.id, entry.amount, entry.booking_date, entry.value_date)
            # By name in any case: a new entry is numbered among all that have its name, whatever their dates.
            seen = sighting(entry, heading.kind, heading.message_id)
            self.named.add((account.id, entry.amount, identity(entry, seen)))
            if heading.kind is not MessageKind.NOTIFICATION:
                self.stated.add(amount)
            elif seen.servicer_reference:
                self.notified.add(amount)
            else:
                self.notified_bare.add(amount)
