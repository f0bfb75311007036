"""The connector guard: a bank that fails is left alone for a while, then asked once. One automaton, one table.

It stands between the engine and a bank's API. What stops mints and payouts is the circuit breaker (`breaker.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from token_engine.domain.observation import Why


class GuardState(StrEnum):
    """CLOSED: the bank is asked. OPEN: it is not. PROBING: one request is under way that decides."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Permit(StrEnum):
    """What a request was allowed as. It is given back with what came of it."""

    ORDINARY = "ordinary"
    PROBE = "probe"


class GuardEvent(StrEnum):
    """What moves the automaton. FAILED_TOO_OFTEN is the failure that fills the row."""

    ASKED = "asked"
    ANSWERED = "answered"
    FAILED = "failed"
    FAILED_TOO_OFTEN = "failed_too_often"
    PROBE_ANSWERED = "probe_answered"
    PROBE_FAILED = "probe_failed"
    PROBE_ABANDONED = "probe_abandoned"


_S, _E = GuardState, GuardEvent

# Answers to requests from before it opened change nothing any more: what decides is a request made after the pause.
TABLE: Final[dict[tuple[GuardState, GuardEvent], GuardState]] = {
    (_S.CLOSED, _E.ASKED): _S.CLOSED,
    (_S.CLOSED, _E.ANSWERED): _S.CLOSED,
    (_S.CLOSED, _E.FAILED): _S.CLOSED,
    (_S.CLOSED, _E.FAILED_TOO_OFTEN): _S.OPEN,
    (_S.OPEN, _E.ASKED): _S.PROBING,
    (_S.OPEN, _E.ANSWERED): _S.OPEN,
    (_S.OPEN, _E.FAILED): _S.OPEN,
    (_S.PROBING, _E.ANSWERED): _S.PROBING,
    (_S.PROBING, _E.FAILED): _S.PROBING,
    (_S.PROBING, _E.PROBE_ANSWERED): _S.CLOSED,
    (_S.PROBING, _E.PROBE_FAILED): _S.OPEN,
    (_S.PROBING, _E.PROBE_ABANDONED): _S.OPEN,
}
"""The automaton. A pair that is not in it is not lawful."""

BANK_FAILS: Final = frozenset({Why.UNREACHABLE, Why.TIMED_OUT, Why.SERVER_ERROR})
"""The whys that speak of the bank. A refusal of one account, an answer that may not be judged and "not so fast" (429)
come from a bank that works."""


class GuardPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """When a guard opens, and for how long."""

    failures_to_open: int = 5
    """In a row, of any accounts."""
    first_pause_seconds: int = 30
    longest_pause_seconds: int = 900
    """The pause doubles with each probe that fails, up to this: so long after a bank is well it may go unasked."""

    def __post_init__(self) -> None:
        if self.failures_to_open < 1 or not 1 <= self.first_pause_seconds <= self.longest_pause_seconds:
            raise ValueError("failures_to_open from 1, first_pause_seconds from 1 and not above longest_pause_seconds")


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """How the guard of one access to one bank stands."""

    state: GuardState = GuardState.CLOSED
    failures: int = 0
    """In a row, while closed."""
    pause: timedelta = timedelta(0)
    not_before: datetime | None = None
    """When the bank may be asked again; None unless open."""


def waits(guard: Guard, now: datetime) -> timedelta | None:
    """How long no request may be made; None when one may. Zero while a probe is under way: nobody knows."""
    match guard.state:
        case GuardState.CLOSED:
            return None
        case GuardState.PROBING:
            return timedelta(0)
        case GuardState.OPEN:
            assert guard.not_before is not None
            return guard.not_before - now if now < guard.not_before else None


def ask(guard: Guard, now: datetime) -> tuple[Guard, Permit | None]:
    """A request is to be made: the guard after it, and what it is allowed as, or None when it is not."""
    if waits(guard, now) is not None:
        return guard, None
    after = msgspec.structs.replace(guard, state=TABLE[guard.state, _E.ASKED], not_before=None)
    return after, Permit.PROBE if after.state is GuardState.PROBING else Permit.ORDINARY


def heard(guard: Guard, permit: Permit, why: Why | None, now: datetime, policy: GuardPolicy) -> Guard:
    """The guard after a request ended: with an observation (`why` None), or with why there is none."""
    failed = why in BANK_FAILS
    if permit is Permit.PROBE:
        state = TABLE[guard.state, _E.PROBE_FAILED if failed else _E.PROBE_ANSWERED]
        return _opened(guard, guard.pause * 2, now, policy) if state is GuardState.OPEN else Guard()
    if guard.state is not GuardState.CLOSED:
        return msgspec.structs.replace(guard, state=TABLE[guard.state, _E.FAILED if failed else _E.ANSWERED])
    if not failed:
        return Guard(state=TABLE[guard.state, _E.ANSWERED])
    failures = guard.failures + 1
    too_often = failures >= policy.failures_to_open
    if TABLE[guard.state, _E.FAILED_TOO_OFTEN if too_often else _E.FAILED] is GuardState.OPEN:
        return _opened(guard, timedelta(seconds=policy.first_pause_seconds), now, policy)
    return msgspec.structs.replace(guard, failures=failures)


def abandoned(guard: Guard, permit: Permit, now: datetime) -> Guard:
    """The guard after a request ended without an answer, since nobody waits for it any more: it tells nothing. After a
    probe the next request is the probe."""
    if permit is Permit.ORDINARY:
        return guard
    return msgspec.structs.replace(guard, state=TABLE[guard.state, _E.PROBE_ABANDONED], not_before=now)


def _opened(guard: Guard, pause: timedelta, now: datetime, policy: GuardPolicy) -> Guard:
    pause = min(pause, timedelta(seconds=policy.longest_pause_seconds))
    return Guard(state=GuardState.OPEN, failures=guard.failures, pause=pause, not_before=now + pause)
