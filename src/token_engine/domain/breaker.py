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


_C, _S, _O = Breaker.CLOSED, Breaker.SUSPENDED, Breaker.OPEN

# A level judged on evidence moves the breaker. Open is left by people only, never by a level.
ON_LEVEL: Final[dict[tuple[Breaker, Level], Breaker]] = {
    (_C, Level.OK): _C, (_C, Level.MINOR): _C, (_C, Level.SIGNIFICANT): _S, (_C, Level.CRITICAL): _O,
    (_S, Level.OK): _C, (_S, Level.MINOR): _C, (_S, Level.SIGNIFICANT): _S, (_S, Level.CRITICAL): _O,
    (_O, Level.OK): _O, (_O, Level.MINOR): _O, (_O, Level.SIGNIFICANT): _O, (_O, Level.CRITICAL): _O,
}  # fmt: skip


def step(breaker: Breaker, level: Level) -> Breaker:
    """The state after a judgement. Total: every pair of state and level is in the table."""
    return ON_LEVEL[breaker, level]
