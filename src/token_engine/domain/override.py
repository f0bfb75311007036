"""Break-glass: holds and payouts in spite of an open breaker, for a time that two persons agreed on (DESIGN 3.5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from token_engine.domain.refusal import RefusedError

LONGEST: Final = timedelta(hours=24)
"""Whoever needs glass broken for longer than a day has a decision to take, not an emergency."""


class OverrideState(StrEnum):
    """PENDING until approved; IN_FORCE until it ends, once. VOID: the breaker closed, and a later break is
    another one, which nobody agreed to.
    """

    PENDING = "PENDING"
    IN_FORCE = "IN_FORCE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    VOID = "VOID"


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an override, its approval and its end. Times with a zone.

    `expires_at` is fixed by the request: who approves sees until when, and late approval adds nothing.
    """

    id: UUID
    account_id: UUID
    state: OverrideState
    requested_by: str
    reason: str
    requested_at: datetime
    expires_at: datetime
    approved_by: str | None = None
    approved_reason: str | None = None
    approved_at: datetime | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    ended_at: datetime | None = None


def state_as_of(override: Override, now: datetime) -> OverrideState:
    """The state that is true `now`, also before anybody has written the expiry down."""
    if override.state in (OverrideState.PENDING, OverrideState.IN_FORCE) and override.expires_at <= now:
        return OverrideState.EXPIRED
    return override.state


def expiry(expires_at: datetime | None, minutes: int | None, now: datetime) -> datetime:
    """The end of an override asked for `now`. Raises RefusedError: none or both given, not ahead, too far."""
    if (expires_at is None) == (minutes is None):
        raise RefusedError("invalid_expires_at", "expires_at: give it, or minutes, and not both", "expires_at")
    if minutes is not None:
        if not 1 <= minutes <= LONGEST // timedelta(minutes=1):
            most = LONGEST // timedelta(minutes=1)
            raise RefusedError("invalid_minutes", f"minutes: 1 to {most}", "minutes")
        return now + timedelta(minutes=minutes)
    assert expires_at is not None
    if expires_at.tzinfo is None:
        raise RefusedError("invalid_expires_at", "expires_at: a time with its zone", "expires_at")
    if not now < expires_at <= now + LONGEST:
        raise RefusedError("invalid_expires_at", "expires_at: ahead, and by 24 hours at most", "expires_at")
    return expires_at
