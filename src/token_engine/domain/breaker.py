"""The circuit breaker of an account: one automaton, one table (DESIGN 3.5).

The guard around calls to a bank's API is the connector guard, never "the breaker".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from token_engine.domain.backing import Level


class Breaker(StrEnum):
    """CLOSED: all may flow. SUSPENDED: no new holds. OPEN: no holds, mints or unsent payouts."""

    CLOSED = "closed"
    SUSPENDED = "suspended"
    OPEN = "open"


class Phase(StrEnum):
    """The breaker's state together with what people are about: a closing that waits for its second
    person, an override in force.
    """

    CLOSED = "closed"
    SUSPENDED = "suspended"
    OPEN = "open"
    CLOSING = "closing"
    OVERRIDDEN = "overridden"
    OVERRIDDEN_CLOSING = "overridden_closing"


class Event(StrEnum):
    """What moves the automaton: judgements, and what people and the clock do."""

    JUDGED_OK = "judged_ok"
    JUDGED_MINOR = "judged_minor"
    JUDGED_SIGNIFICANT = "judged_significant"
    JUDGED_CRITICAL = "judged_critical"
    CLOSE_REQUESTED = "close_requested"
    CLOSE_APPROVED = "close_approved"
    CLOSE_WITHDRAWN = "close_withdrawn"
    CLOSE_EXPIRED = "close_expired"
    OVERRIDE_GRANTED = "override_granted"
    OVERRIDE_REVOKED = "override_revoked"
    OVERRIDE_EXPIRED = "override_expired"


_E, _P = Event, Phase

# A level moves a breaker that is closed or suspended, both ways; open is left by two people only. While
# open, a Critical takes a closing that waits with it (the evidence it rests on is overtaken), but not an
# override: that was granted knowing of the break, and each further message would judge the same.
_JUDGED_SHUT: Final = {
    _E.JUDGED_OK: _P.CLOSED, _E.JUDGED_MINOR: _P.CLOSED, _E.JUDGED_SIGNIFICANT: _P.SUSPENDED,
    _E.JUDGED_CRITICAL: _P.OPEN,
}  # fmt: skip
_ROWS: Final[dict[Phase, dict[Event, Phase]]] = {
    _P.CLOSED: _JUDGED_SHUT,
    _P.SUSPENDED: _JUDGED_SHUT,
    _P.OPEN: {
        _E.JUDGED_OK: _P.OPEN, _E.JUDGED_MINOR: _P.OPEN, _E.JUDGED_SIGNIFICANT: _P.OPEN, _E.JUDGED_CRITICAL: _P.OPEN,
        _E.CLOSE_REQUESTED: _P.CLOSING,
        _E.OVERRIDE_GRANTED: _P.OVERRIDDEN,
    },
    _P.CLOSING: {
        _E.JUDGED_OK: _P.CLOSING, _E.JUDGED_MINOR: _P.CLOSING, _E.JUDGED_SIGNIFICANT: _P.CLOSING,
        _E.JUDGED_CRITICAL: _P.OPEN,
        _E.CLOSE_APPROVED: _P.CLOSED, _E.CLOSE_WITHDRAWN: _P.OPEN, _E.CLOSE_EXPIRED: _P.OPEN,
        _E.OVERRIDE_GRANTED: _P.OVERRIDDEN_CLOSING,
    },
    _P.OVERRIDDEN: {
        _E.JUDGED_OK: _P.OVERRIDDEN, _E.JUDGED_MINOR: _P.OVERRIDDEN, _E.JUDGED_SIGNIFICANT: _P.OVERRIDDEN,
        _E.JUDGED_CRITICAL: _P.OVERRIDDEN,
        _E.CLOSE_REQUESTED: _P.OVERRIDDEN_CLOSING,
        _E.OVERRIDE_REVOKED: _P.OPEN, _E.OVERRIDE_EXPIRED: _P.OPEN,
    },
    _P.OVERRIDDEN_CLOSING: {
        _E.JUDGED_OK: _P.OVERRIDDEN_CLOSING, _E.JUDGED_MINOR: _P.OVERRIDDEN_CLOSING,
        _E.JUDGED_SIGNIFICANT: _P.OVERRIDDEN_CLOSING, _E.JUDGED_CRITICAL: _P.OVERRIDDEN,
        _E.CLOSE_APPROVED: _P.CLOSED, _E.CLOSE_WITHDRAWN: _P.OVERRIDDEN, _E.CLOSE_EXPIRED: _P.OVERRIDDEN,
        _E.OVERRIDE_REVOKED: _P.CLOSING, _E.OVERRIDE_EXPIRED: _P.CLOSING,
    },
}  # fmt: skip
TABLE: Final[dict[tuple[Phase, Event], Phase]] = {
    (phase, event): after for phase, row in _ROWS.items() for event, after in row.items()
}
"""The automaton. A pair that is not in it is not lawful."""

SHOWN: Final[dict[Phase, Breaker]] = {
    _P.CLOSED: Breaker.CLOSED, _P.SUSPENDED: Breaker.SUSPENDED, _P.OPEN: Breaker.OPEN, _P.CLOSING: Breaker.OPEN,
    _P.OVERRIDDEN: Breaker.OPEN, _P.OVERRIDDEN_CLOSING: Breaker.OPEN,
}  # fmt: skip
"""The breaker of each phase: what is stored and announced."""

JUDGED: Final[dict[Level, Event]] = {
    Level.OK: _E.JUDGED_OK, Level.MINOR: _E.JUDGED_MINOR, Level.SIGNIFICANT: _E.JUDGED_SIGNIFICANT,
    Level.CRITICAL: _E.JUDGED_CRITICAL,
}  # fmt: skip


def phase_of(breaker: Breaker, *, closing: bool, overridden: bool) -> Phase:
    """The phase of a breaker with a closing that waits, and an override that is in force, or without."""
    if breaker is not Breaker.OPEN:
        return Phase(breaker.value)
    if overridden:
        return Phase.OVERRIDDEN_CLOSING if closing else Phase.OVERRIDDEN
    return Phase.CLOSING if closing else Phase.OPEN


def step(breaker: Breaker, level: Level) -> Breaker:
    """The breaker after a judgement, whatever people are about. Total: every level is lawful everywhere."""
    return SHOWN[TABLE[Phase(breaker), JUDGED[level]]]
