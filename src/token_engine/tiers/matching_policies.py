"""How an account's lines are matched: asked and set, audited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from token_engine.domain.matching import DEFAULT_POLICY, MatchingPolicy, Pass, unusable
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.storage import matches, positions
from token_engine.storage.database import Transaction
from token_engine.tiers.changes import Changes
from token_engine.tiers.match_views import account_named


class NewMatchingPolicy(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A policy whole; what is not named is as everywhere. `passes` are run in their own order, not in this one."""

    actor: str
    passes: list[Pass] = msgspec.field(default_factory=lambda: list(DEFAULT_POLICY.passes))
    window_days: int = DEFAULT_POLICY.window_days
    counterparty_needed: bool = DEFAULT_POLICY.counterparty_needed


async def show(tx: Transaction, name: str) -> dict[str, Any]:
    """The policy that holds for an account, and whether it is the account's own. Raises RefusedError."""
    account_id = await account_named(tx, name)
    assert account_id is not None  # a name is given
    own = await matches.policy(tx, account_id)
    return {"account_id": str(account_id), "own": own is not None, **structs.asdict(own or DEFAULT_POLICY)}


async def save(tx: Transaction, name: str, wanted: NewMatchingPolicy, now: datetime) -> dict[str, Any]:
    """Set an account's policy; it holds from the next statement on. Raises RefusedError."""
    actor = check_actor(wanted.actor)
    policy = MatchingPolicy(
        passes=tuple(wanted.passes), window_days=wanted.window_days, counterparty_needed=wanted.counterparty_needed
    )
    if refusal := unusable(policy):
        raise RefusedError.of(refusal)
    account_id = await account_named(tx, name)
    assert account_id is not None  # a name is given
    await positions.lock_ids(tx, [account_id])
    before = await matches.policy(tx, account_id)
    await matches.save_policy(tx, account_id, policy)
    changes = Changes(now)
    details = {"before": structs.asdict(before) if before else None, "after": structs.asdict(policy)}
    changes.note("matching_policy_set", account_id, None, details, actor)
    await changes.write(tx)
    return await show(tx, name)
