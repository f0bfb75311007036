"""Releasing a quarantined statement: one person asks and says why, another approves, within a day (DESIGN 3.4).

As for closing a breaker. A request that nobody approves in time is over by the clock; nothing is written of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from token_engine.domain.closed_day import StatementState
from token_engine.domain.person import same_person
from token_engine.domain.refusal import Refusal


class ReleaseStep(StrEnum):
    """A line of the story of a release."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"


class ReleaseTold(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked for a release, or approved one, and why. Times with a zone; `expires_at` is the request's."""

    id: int
    act: ReleaseStep
    actor: str
    reason: str
    at: datetime
    expires_at: datetime


def pending(story: Sequence[ReleaseTold], now: datetime) -> ReleaseTold | None:
    """The request that waits for its second person `now`, of a story in order."""
    last = story[-1] if story else None
    return last if last is not None and last.act is ReleaseStep.REQUESTED and now < last.expires_at else None


def why_not_request(
    state: StatementState, story: Sequence[ReleaseTold], actor: str, reason: str, now: datetime
) -> Refusal | None:
    """Why a release cannot be asked for; None where it can, or where this is the request that waits already."""
    if state is not StatementState.QUARANTINED:
        return _not_quarantined(state)
    waits = pending(story, now)
    if waits is None or repeats(waits, actor, reason):
        return None
    return Refusal("release_pending", f"the release that {waits.actor} asked for waits for a second person")


def why_not_approve(
    state: StatementState, story: Sequence[ReleaseTold], actor: str, now: datetime
) -> Refusal | None:  # fmt: skip
    """Why `actor` cannot approve; None where the statement is to be released now."""
    if state is not StatementState.QUARANTINED:
        return _not_quarantined(state)
    waits = pending(story, now)
    if waits is None:
        over = f"; the last request was over at {story[-1].expires_at:%Y-%m-%dT%H:%M:%SZ}" if story else ""
        return Refusal("no_release_pending", f"nobody has asked to release it{over}")
    if same_person(waits.actor, actor):
        return Refusal("same_person", f"actor: {waits.actor} asked; another person approves", "actor")
    return None


def repeats(told: ReleaseTold, actor: str, reason: str) -> bool:
    """Whether this is what was told: said again by somebody who did not get the answer."""
    return same_person(told.actor, actor) and told.reason == reason


def _not_quarantined(state: StatementState) -> Refusal:
    return Refusal("not_quarantined", f"the statement is {state}: there is nothing to release")
