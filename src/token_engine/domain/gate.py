"""May this account pay out, may it mint? Whatever says no says why, in words a program can act on (DESIGN 3.5)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

import msgspec

from token_engine.domain.backing import Level, Policy, Verdict, verdict_as_of
from token_engine.domain.breaker import Breaker, step


class Reason(StrEnum):
    """Why a gate is shut."""

    ACCOUNT_CLOSED = "account_closed"
    OPEN = "open"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"
    STALE = "stale"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate looks at. `level` and `evidence_at` are None until the bank has spoken; `override_until`
    is the end of an override that was approved, whether or not it is over. Times with a zone.
    """

    breaker: Breaker
    level: Level | None
    evidence_at: datetime | None
    policy: Policy
    override_until: datetime | None = None
    closed_at: datetime | None = None


class Gate(msgspec.Struct, frozen=True):
    """Open if there is no reason against it."""

    reasons: tuple[Reason, ...]

    @property
    def allowed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


_WORSE: Final = {Breaker.CLOSED: 0, Breaker.SUSPENDED: 1, Breaker.OPEN: 2}


def payout_gate(facts: Facts, now: datetime) -> Gate:
    """Whether a payout may be held or sent `now`, its amount aside.

    An override in force lets it through an open breaker, and through nothing else: no evidence, or old
    evidence, is no break that somebody could have looked at and accepted.
    """
    reasons = _of_account(facts)
    match _breaker(facts):
        case Breaker.OPEN:
            if facts.breaker is not Breaker.OPEN or not overridden(facts, now):
                reasons.append(Reason.OPEN)
        case Breaker.SUSPENDED:
            reasons.append(Reason.SUSPENDED)
        case Breaker.CLOSED:
            pass
        case other:
            assert_never(other)
    return Gate((*reasons, *_of_evidence(facts, now)))


def mint_gate(facts: Facts, now: datetime) -> Gate:
    """Whether tokens may be minted `now`. No override opens it: a token without its money is what all this
    is there to prevent. Suspended does not shut it: that stops money from leaving.
    """
    reasons = _of_account(facts)
    if _breaker(facts) is Breaker.OPEN:
        reasons.append(Reason.OPEN)
    return Gate((*reasons, *_of_evidence(facts, now)))


def overridden(facts: Facts, now: datetime) -> bool:
    """Whether an override is in force: told by the clock, so that none outlives a timer that did not run."""
    return facts.override_until is not None and now < facts.override_until


def _breaker(facts: Facts) -> Breaker:
    """The breaker, or what the level alone would make of a closed one if that is worse."""
    by_level = step(Breaker.CLOSED, facts.level) if facts.level is not None else Breaker.CLOSED
    return max(facts.breaker, by_level, key=lambda breaker: _WORSE[breaker])


def _of_account(facts: Facts) -> list[Reason]:
    return [Reason.ACCOUNT_CLOSED] if facts.closed_at is not None else []


def _of_evidence(facts: Facts, now: datetime) -> list[Reason]:
    match verdict_as_of(facts.level, facts.evidence_at, now, facts.policy):
        case Verdict.UNKNOWN:
            return [Reason.UNKNOWN]
        case Verdict.STALE:
            return [Reason.STALE]
        case Verdict.OK | Verdict.MINOR | Verdict.SIGNIFICANT | Verdict.CRITICAL:
            return []
        case other:
            assert_never(other)
