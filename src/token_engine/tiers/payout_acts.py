"""What becomes of a payout that is held, but for what the bank says: sent, cancelled, timed out.

Each act is under the account's lock, so that of two at once the second is judged by what the first one left.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from token_engine.domain.backing import Level, policy_for
from token_engine.domain.discrepancy import PAYOUT_OVERDUE
from token_engine.domain.gate import Cover, sending_gate, shut
from token_engine.domain.payout import Payout, PayoutEvent, PayoutState
from token_engine.domain.person import ENGINE, check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.domain.standing import Discrepancy
from token_engine.domain.text import REASON_LENGTH, check_text
from token_engine.storage import payouts as stored
from token_engine.storage import positions
from token_engine.storage.database import Database, Transaction
from token_engine.storage.payouts import Payer
from token_engine.tiers import events
from token_engine.tiers.changes import Changes
from token_engine.tiers.payouts import note

PAGE: Final = 500
"""Payouts of one account that one pass ends: its lock is held meanwhile, and the next pass comes soon."""


class Sending(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The order has gone to the bank, or goes as soon as this is answered."""

    actor: str


class Cancelling(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Release what is held. One that was sent is released only where the bank has rejected the order."""

    actor: str
    reason: str
    rejected_by_bank: bool = False


async def send(tx: Transaction, key: UUID, wanted: Sending, now: datetime) -> dict[str, Any]:
    """Say that a payout's order goes to the bank; the payout's view. From then on only the bank ends it.

    Raises RefusedError, as `cancel` does, and has then written nothing.
    """
    actor = check_actor(wanted.actor)
    payout, payer = await _locked(tx, key)
    sent = payout.moved(PayoutEvent.SENT_OUT, actor, "", now)
    gate = sending_gate(payer.facts, now)
    if not gate.allowed:
        cover = Cover(ledger=payer.ledger, reserved=payer.reserved)
        raise RefusedError.of(shut(gate, cover, payout.amount, payer.currency))
    return await _keep(tx, sent, payer, actor, now)


async def cancel(tx: Transaction, key: UUID, wanted: Cancelling, now: datetime) -> dict[str, Any]:
    """Release what a payout holds; its view. An open breaker or a closed account is no obstacle."""
    actor, reason = check_actor(wanted.actor), check_text(wanted.reason, "reason", REASON_LENGTH)
    payout, payer = await _locked(tx, key)
    event = PayoutEvent.REJECTED if wanted.rejected_by_bank else PayoutEvent.CANCELLED
    return await _keep(tx, payout.moved(event, actor, reason, now), payer, actor, now)


async def _locked(tx: Transaction, key: UUID) -> tuple[Payout, Payer]:
    found = await stored.one(tx, key)
    if found is None:
        raise RefusedError("unknown_payout", f"no payout {str(key)!r} is known here", "payout_id")
    await stored.lock(tx, found.account_id)
    # Again after the lock, to see what it waited for.
    [payout] = await stored.those(tx, [key])
    return payout, await stored.payer(tx, payout.account_id)


async def _keep(tx: Transaction, moved: Payout, payer: Payer, actor: str, now: datetime) -> dict[str, Any]:
    await stored.move(tx, [moved])
    changes, view = Changes(now), events.payout(moved, payer.number, payer.currency)
    note(changes, moved, view, actor)
    await changes.write(tx)
    return view


async def expire(database: Database, now: datetime) -> int:
    """Release holds that were not sent in time, raise sent payouts that the bank is late with, and resolve what was
    raised of those that it has dealt with since; how many.

    Each once, however many engines do it: under its account's lock, each sees what the other wrote. That a hold
    that is over cannot be sent does not rest on this.
    """
    async with database.transaction() as tx:
        due = await stored.timed_out(tx, now, PAGE) + await stored.overdue(tx, now, PAGE)
    done = 0
    for account_id, rows in groupby(sorted(due), key=lambda row: row[0]):
        async with database.transaction() as tx:
            done += await end(tx, account_id, [key for _, key in rows], now)
    async with database.transaction() as tx:
        gone = {row["account_id"] for row in await stored.overdue_gone(tx, None, PAGE)}
    for account_id in sorted(gone):
        async with database.transaction() as tx:
            done += await resolve_late(tx, account_id, now)
    return done


async def resolve_late(tx: Transaction, account_id: UUID, now: datetime) -> int:
    """Resolve what was raised of late payouts of one account that are not on their way any more; how many.

    A policy with `auto_resolve` off leaves it to a person.
    """
    [account] = await positions.lock_ids(tx, [account_id])
    policy = policy_for(await positions.policies_of(tx, [account]), account.id, account.currency)
    rows = await stored.overdue_gone(tx, account_id, PAGE) if policy.auto_resolve else []
    changes = Changes(now)
    for row in rows:
        found = Discrepancy(
            row["id"], account_id, row["expected_value"], row["actual_value"], Level(row["severity"]), "PAYOUT",
            row["source_reference"], now, None, type=PAYOUT_OVERDUE, subject=str(row["payout_id"]),
            resolution=f"{row['state']} by {row['settled_by']}: {row['settled_reason']}",
        )  # fmt: skip
        changes.resolved(found, account, row["assignee"], f"payout.{row['payout_id']}.late.over")
    await changes.write(tx)
    return len(rows)


async def end(tx: Transaction, account_id: UUID, ids: Iterable[UUID], now: datetime) -> int:
    """Do what `expire` does to these payouts of one account, if they still are what they were; how many are."""
    await stored.lock(tx, account_id)
    payouts = await stored.those(tx, ids)
    payer, changes = await stored.payer(tx, account_id), Changes(now)
    over = [
        p.moved(PayoutEvent.TIMED_OUT, ENGINE, "was not sent in time", now) for p in payouts if p.timed_out(now)
    ]  # fmt: skip
    if over:
        await stored.move(tx, over)
    for payout in over:
        note(changes, payout, events.payout(payout, payer.number, payer.currency), ENGINE)
    late = await _raise_late(tx, account_id, [p for p in payouts if p.state is PayoutState.SENT], changes, now)
    await changes.write(tx)
    return len(over) + late


async def _raise_late(
    tx: Transaction, account_id: UUID, sent: list[Payout], changes: Changes, now: datetime
) -> int:  # fmt: skip
    if not sent:
        return 0
    told = await stored.raised(tx, account_id, [p.id for p in sent])
    late = [p for p in sent if p.expires_at <= now and str(p.id) not in told]
    [account] = await positions.lock_ids(tx, [account_id])
    for payout in late:
        found = Discrepancy(
            uuid4(), account_id, payout.amount, Decimal(0), Level.SIGNIFICANT, "PAYOUT", payout.end_to_end_id[:100],
            now, None, type=PAYOUT_OVERDUE, subject=str(payout.id),
        )  # fmt: skip
        text = f"sent at {payout.sent_at:%Y-%m-%dT%H:%M:%SZ}, neither debited nor rejected by "
        text += f"{payout.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        changes.raised(found, account, text, f"payout.{payout.id}.overdue")
    return len(late)
