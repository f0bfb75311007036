"""Threshold policies: who may set them is the access layer's; that a change is audited is ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import structs

from token_engine.domain.backing import Policy
from token_engine.domain.money import check_currency
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage import positions
from token_engine.storage.database import Transaction
from token_engine.tiers import accounts
from token_engine.tiers.changes import Changes


async def listing(tx: Transaction) -> dict[str, Policy]:
    """Every policy by scope: 'global', a currency, or an account's id."""
    return await positions.all_policies(tx)


async def save(tx: Transaction, scope: str, policy: Policy, actor: str, now: datetime) -> str | Refusal:
    """Set the policy of `scope` ('global', a currency, or an account's id or number); the scope as kept.

    It holds from the next judgement on.
    """
    if refusal := _unusable(policy):
        return refusal
    try:
        actor = check_actor(actor)
    except RefusedError as refused:
        return refused.refusal
    if scope != "global":
        view = await accounts.show(tx, scope, now)
        if view is not None:
            scope = view["id"]
        else:
            try:
                check_currency(scope, "scope")
            except RefusedError:
                text = f"scope: {scope!r} is not 'global', a currency or a known account"
                return Refusal("unknown_scope", text, "scope")
    before = (await positions.all_policies(tx)).get(scope)
    await positions.save_policy(tx, scope, policy)
    changes = Changes(now)
    changes.note("policy_set", None, None, {"scope": scope, "before": _plain(before), "after": _plain(policy)}, actor)
    await changes.write(tx)
    return scope


def _unusable(policy: Policy) -> Refusal | None:
    if not 0 <= policy.ok_percent <= policy.minor_percent <= policy.significant_percent:
        return Refusal("invalid_policy", "bounds must rise: 0 ≤ ok ≤ minor ≤ significant", "ok_percent")
    if policy.shortfall_tolerance < 0:
        return Refusal("invalid_policy", "shortfall_tolerance: must not be negative", "shortfall_tolerance")
    if policy.stale_after.total_seconds() <= 0:
        return Refusal("invalid_policy", "stale_after: must be more than nothing", "stale_after")
    return None


def _plain(policy: Policy | None) -> dict[str, Any] | None:
    return structs.asdict(policy) if policy else None
