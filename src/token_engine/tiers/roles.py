"""What an account is for: only money on a safeguarding account counts as a resource (docs/adr/0017)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec

from token_engine.domain.person import check_actor, check_reason
from token_engine.domain.refusal import RefusedError
from token_engine.domain.safeguarding import Role
from token_engine.storage import report as stored
from token_engine.storage.database import Transaction
from token_engine.tiers.changes import Changes
from token_engine.tiers.orders import find_account

ASSIGNED: Final = "reconciliation.account.role_assigned"


class NewRole(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person says an account is for, from `since` on (default: today). A past day's role may be corrected so:
    it shows in every report of that day, and a signature of an earlier one no longer stands for it.
    """

    actor: str
    reason: str
    role: Role
    since: date | None = None
    currency: str | None = None


async def assign(tx: Transaction, name: str, wanted: NewRole, now: datetime) -> dict[str, Any]:
    """Keep an account's role from a day on. Raises RefusedError naming the field."""
    actor, reason = check_actor(wanted.actor), check_reason(wanted.reason)
    today = now.astimezone(UTC).date()
    since = wanted.since or today
    if since > today:
        raise RefusedError("invalid_since", f"since: {since} is yet to come", "since")
    key = await find_account(tx, name, wanted.currency)
    await stored.assign_role(tx, key, wanted.role, since, actor, reason, now)
    told = {"account_id": str(key), "role": wanted.role, "since": since.isoformat(), "reason": reason, "actor": actor}
    changes = Changes(now)
    changes.announce(ASSIGNED, f"role.{key}.{now.isoformat()}", None, told)
    changes.note("account_role_assigned", key, None, told, actor)
    await changes.write(tx)
    return told
