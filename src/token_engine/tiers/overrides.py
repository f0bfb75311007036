"""Break-glass: request an override, approve it as a second person, revoke it (DESIGN 3.5)."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from msgspec import structs

from token_engine.domain.breaker import TABLE, Event
from token_engine.domain.override import Override, OverrideState, expiry
from token_engine.domain.person import same_person
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage import breakers
from token_engine.storage.database import Transaction
from token_engine.tiers.breakers import Act, Denied, UnderLock, at_the_breaker

_OVER: Final = {
    OverrideState.IN_FORCE: "it was approved",
    OverrideState.EXPIRED: "its time is over; ask anew",
    OverrideState.REVOKED: "it was revoked",
    OverrideState.VOID: "the breaker was closed",
}


class NewOverride(Act, kw_only=True, forbid_unknown_fields=True):
    """A request for an override: until `expires_at` (with its zone), or for so many `minutes` from now."""

    expires_at: datetime | None = None
    minutes: int | None = None


async def request(tx: Transaction, name: str, wanted: NewOverride, now: datetime) -> Override | Denied:
    """Ask for an override of an account's open breaker."""
    try:
        act, expires_at = wanted.checked(), expiry(wanted.expires_at, wanted.minutes, now)
    except RefusedError as refused:
        return Denied(refused.refusal)
    request = partial(_request, expires_at=expires_at)
    return await at_the_breaker(tx, name, act, now, f"an override until {expires_at}", request)


async def _request(locked: UnderLock, act: Act, expires_at: datetime) -> Override | Denied:
    if locked.account.closed_at is not None:
        return Denied(Refusal("account_closed", f"account {locked.account.number} is closed", "account_id"))
    if (known := locked.override) is not None:
        if same_person(known.requested_by, act.actor) and (known.reason, known.expires_at) == (act.reason, expires_at):
            return known
        word = "waits for approval" if known.state is OverrideState.PENDING else "is in force"
        code = "override_pending" if known.state is OverrideState.PENDING else "override_in_force"
        return Denied(Refusal(code, f"override {known.id} of {known.requested_by} {word} until {known.expires_at}"))
    if (locked.phase, Event.OVERRIDE_GRANTED) not in TABLE:
        return Denied(Refusal("breaker_not_open", f"the breaker is {locked.account.breaker}: nothing to override"))
    new = Override(
        id=uuid4(), account_id=locked.account.id, state=OverrideState.PENDING, requested_by=act.actor,
        reason=act.reason, requested_at=locked.now, expires_at=expires_at,
    )  # fmt: skip
    await locked.keep_override(new, act.actor, act.reason)
    return new


async def approve(tx: Transaction, name: str, key: UUID, act: Act, now: datetime) -> Override | Denied:
    """Put an override in force, as the second person, for what is left of its time."""
    settle = partial(_settle, key=key, wanted=OverrideState.IN_FORCE)
    return await at_the_breaker(tx, name, act, now, f"approval of override {key}", settle)


async def revoke(tx: Transaction, name: str, key: UUID, act: Act, now: datetime) -> Override | Denied:
    """End an override, in force or still a request, at once: anybody may, for it only shuts what is open."""
    settle = partial(_settle, key=key, wanted=OverrideState.REVOKED)
    return await at_the_breaker(tx, name, act, now, f"revocation of override {key}", settle)


async def _settle(locked: UnderLock, act: Act, key: UUID, wanted: OverrideState) -> Override | Denied:
    known = await breakers.override(locked.tx, locked.account.id, key)
    if known is None:
        return Denied(Refusal("unknown_override", f"no override {key} of this account is known here", "override_id"))
    by = known.approved_by if wanted is OverrideState.IN_FORCE else known.ended_by
    if known.state is wanted and same_person(by or "", act.actor):
        return known  # the answer was lost on its way
    if wanted is OverrideState.REVOKED and known.state in (OverrideState.PENDING, OverrideState.IN_FORCE):
        return await locked.end_override(OverrideState.REVOKED, act.actor, act.reason)
    if known.state is not OverrideState.PENDING:
        return Denied(Refusal(f"override_{known.state.lower()}", f"override {key}: {_OVER[known.state]}"))
    if same_person(known.requested_by, act.actor):
        return Denied(Refusal("same_person", f"actor: {known.requested_by} asked; another person approves", "actor"))
    if locked.account.closed_at is not None:
        return Denied(Refusal("account_closed", f"account {locked.account.number} is closed", "account_id"))
    if (locked.phase, Event.OVERRIDE_GRANTED) not in TABLE:
        return Denied(Refusal("breaker_not_open", f"the breaker is {locked.account.breaker}: nothing to override"))
    granted = structs.replace(
        known, state=OverrideState.IN_FORCE, approved_by=act.actor, approved_reason=act.reason, approved_at=locked.now
    )
    locked.override = granted
    await locked.keep_override(granted, act.actor, act.reason)
    return granted
