"""Tier 2: judge accounts again through the day on what the bank has said so far.

An account without a connector has no balance to poll, so the evidence is the position that its messages
made: judging it again notices a ledger that moved, a policy that changed, and evidence that went stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec import structs

from token_engine.domain.backing import policy_for
from token_engine.domain.standing import Evidence
from token_engine.storage import accounts, positions
from token_engine.storage.database import Database, Transaction
from token_engine.tiers.changes import Changes

PAGE: Final = 500
"""Accounts judged in one transaction: a review of many must not hold all their locks at once."""


async def review_all(database: Database, now: datetime) -> list[dict[str, Any]]:
    """Judge every open account that the bank has ever spoken of; results in the order of their ids."""
    results: list[dict[str, Any]] = []
    after: UUID | None = None
    while True:
        async with database.transaction() as tx:
            ids = await accounts.ids_to_review(tx, after, PAGE)
            results += await review(tx, ids, now)
        if len(ids) < PAGE:
            return results
        after = ids[-1]


async def review(tx: Transaction, ids: Sequence[UUID], now: datetime) -> list[dict[str, Any]]:
    """Judge these accounts again at `now` (with a time zone), in one transaction."""
    if not ids:
        return []
    changes = Changes(now)
    locked = await positions.lock_ids(tx, ids)
    open_breaks = await positions.open_discrepancies(tx, ids)
    policies = await positions.policies_of(tx, locked)
    results = []
    for account in locked:
        policy = policy_for(policies, account.id, account.currency)
        known = structs.replace(account, policy=policy, open_discrepancy=open_breaks.get(account.id))
        evidence = Evidence("tier2", "POSITION", f"review of {now:%Y-%m-%dT%H:%M:%SZ}", now, fresh=False)
        judgement, moved = changes.standing(known).take(Decimal(0), 0, evidence, uuid4)
        changes.judged(judgement, moved, evidence, f"review.{account.id}.{now:%Y%m%dT%H%M%S%f}", None)
        results.append({**structs.asdict(judgement), "source": "POSITION", "timestamp": now})
    await changes.write(tx)
    return results
