"""Where a drift leads, when it will be there, and whether somebody must be told."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from token_engine.domain.backing import Bound, Level, Policy, bounds
from token_engine.domain.money import EXACT
from token_engine.domain.robust import in_units, in_whole_units
from token_engine.domain.trend import Shape, Trend

HORIZON: Final = timedelta(days=14)
"""How long before a bound is crossed a drift is raised: a person finds its cause with the bank in two weeks, also where
a long holiday lies between."""
_FARTHEST: Final = timedelta(days=3653)
"""Ten years: beyond it no time is told."""


class Direction(StrEnum):
    """RISING: the bank gains on the ledger. FALLING: the ledger on the bank, towards a shortfall."""

    RISING = "rising"
    FALLING = "falling"


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A drift, and the bound that its account comes to next; None where it is beyond all of them, or no time can be
    told. `crosses_at` has a time zone.
    """

    direction: Direction
    trend: Trend
    bound: Bound | None = None
    crosses_at: datetime | None = None

    @property
    def severity(self) -> Level:
        """One less than what it comes to, and Minor at least: it has not come to it."""
        critical = self.bound is None or self.bound.beyond is Level.CRITICAL
        return Level.SIGNIFICANT if critical else Level.MINOR


def direction_of(trend: Trend) -> Direction | None:
    """Which way it goes; None if it goes nowhere."""
    if trend.shape is not Shape.DRIFT or not trend.slope:
        return None
    return Direction.RISING if trend.slope > 0 else Direction.FALLING


def next_bound(trend: Trend, bank: Decimal, policy: Policy) -> Bound | None:
    """The bound that a drift comes to next, of an account that holds `bank` (major units): the worst moment of a
    busy day comes to it first.
    """
    there = bounds(bank, policy)
    match direction_of(trend):
        case Direction.RISING:
            return next((b for b in there.above if b.difference > trend.highest), None)
        case Direction.FALLING:
            return next((b for b in there.below if b.difference < trend.lowest), None)
        case None:
            return None


def crossing(trend: Trend, bound: Bound) -> datetime | None:
    """When a busy day of this trend crosses the bound (UTC), exact to the second; None if never, or not in ten
    years. A day stands for its beginning: it is told up to a day early rather than late.
    """
    edge = trend.highest if trend.slope > 0 else trend.lowest
    way, pace = in_whole_units(EXACT.subtract(bound.difference, edge)), in_units(trend.slope)
    if not pace or way * pace < 0:
        return None
    seconds = abs(way) * 86400 // abs(pace)
    if seconds > _FARTHEST.total_seconds():
        return None
    return datetime.combine(trend.until, time(), UTC) + timedelta(seconds=seconds)


def drift_of(trend: Trend, bank: Decimal, policy: Policy) -> Drift | None:
    """The drift that a trend is, if it is one."""
    direction = direction_of(trend)
    if direction is None:
        return None
    bound = next_bound(trend, bank, policy)
    return Drift(direction=direction, trend=trend, bound=bound, crosses_at=bound and crossing(trend, bound))


def to_be_raised(drift: Drift | None, now: datetime) -> bool:
    """Whether a drift must be told: it comes to a bound in two weeks. One that is beyond all is told by the verdict."""
    return drift is not None and drift.crosses_at is not None and drift.crosses_at <= now + HORIZON


def still_there(drift: Drift | None, before: Direction) -> bool:
    """Whether one that was raised lasts: it goes the same way, however far the next bound is by now."""
    return drift is not None and drift.direction is before
