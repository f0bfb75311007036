"""Days of differences whose truth is known: ordinary business of many kinds, and drifts laid over it.

Amounts are whole cents. A day is told by what is seen of it at each poll; the fold to its lowest and highest is the
engine's own work, done here in plain words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final, NamedTuple

from token_engine.domain.backing import DEFAULT_POLICY
from token_engine.domain.drift import Direction, drift_of, still_there, to_be_raised
from token_engine.domain.trend import Day, Trend, trend_of

START: Final = date(2026, 9, 28)
"""A Monday."""
BANK: Final = Decimal(100_000_000)
OK_BOUND: Final = Decimal(10_000)
"""0.01 % of it."""
_BOUND: Final = 1_000_000  # in cents

KINDS: Final = (
    "empty",
    "receipts",
    "growing",
    "overnight",
    "weekends",
    "debits",
    "excess",
    "one_step",
    "salary",
    "noisy",
)


class Seen(NamedTuple):
    """What one poll showed."""

    as_of: datetime
    difference: Decimal


def business(
    seed: int, days: int, *, kind: str | None = None, polls: int = 24, busiest: float = 0.6
) -> list[list[int]]:
    """Differences at each poll of each day, in cents, of an account whose difference goes nowhere.

    `receipts` come from 5 to 14 o'clock UTC and are allocated by 20; on weekends and holidays nothing happens. They
    make up to about `busiest` of the bound of Ok on an ordinary day.
    """
    rng = Random(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    scale = _BOUND * busiest * rng.uniform(0.1, 1)
    rest = round(scale * rng.uniform(0.2, 0.6)) if kind == "excess" else 0
    jump, jump_on = round(scale * rng.uniform(0.3, 0.8) * rng.choice((1, -1))), rng.randrange(3, max(4, days - 3))
    waiting: list[tuple[int, int]] = []
    feast = rng.randrange(5, max(6, days - 5)) if kind == "holidays" else days
    weekend = 0
    found = []
    for n in range(days):
        weekday = n % 7
        quiet = weekday >= 5 or rng.random() < 0.03
        busy = 0.0 if quiet else rng.triangular(0.3, 1, 0.6)
        if kind == "growing":
            busy *= 0.3 + 0.02 * n
        if kind == "salary":
            busy *= 1 if n % 30 < 3 else 0.3
        waiting = [(amount, left - 1) for amount, left in waiting if left > 1]
        if kind == "overnight" and not quiet and rng.random() < 0.5:
            waiting.append((round(scale * rng.uniform(0.02, 0.3)), rng.choice((1, 1, 2, 3))))
        weekend = weekend + round(scale * 0.2 * rng.uniform(0.7, 1.3)) if kind == "weekends" and weekday >= 4 else 0
        # Five days on which money comes and nobody is there to allocate it.
        weekend = round(scale * 0.2 * (n - feast + 1)) if feast <= n < feast + 5 else weekend
        base = rest + weekend + sum(amount for amount, _ in waiting)
        if kind == "noisy":
            base += round(rng.gauss(0, 0.05) * scale)
        if kind == "one_step" and n >= jump_on:
            base += jump
        sign = -1 if kind == "debits" else 1
        top = 0 if kind == "empty" else sign * scale * busy
        found.append([base + round(top * _shape(24 * p / polls)) + rng.choice((0, 0, 1, -1)) for p in range(polls)])
    return found


def _shape(hour: float) -> float:
    """How much of a day's receipts waits at this hour."""
    if hour < 5 or hour >= 20:
        return 0.0
    return (hour - 5) / 9 if hour < 14 else (20 - hour) / 6


def drifting(
    days: Sequence[Sequence[int]], cents_a_day: float, since: int, *, from_: int = 0, every_day: bool = True
) -> list[list[int]]:
    """The same with a drift laid over it from day `since` on, evenly through each day (or through each business day,
    seven days' worth in five), and `from_` cents all along.
    """
    found, gone = [], 0.0
    for n, day in enumerate(days):
        pace = 0.0 if n < since else cents_a_day if every_day else cents_a_day * 7 / 5 * (n % 7 < 5)
        found.append([seen + from_ + round(gone + pace * p / len(day)) for p, seen in enumerate(day)])
        gone += pace
    return found


def folded(days: Sequence[Sequence[int]]) -> list[Day]:
    """Each day's lowest and highest; days of which nothing was seen are left out."""
    return [
        Day(START + timedelta(days=n), Decimal(min(seen)).scaleb(-2), Decimal(max(seen)).scaleb(-2))
        for n, seen in enumerate(days)
        if seen
    ]


def polled(days: Sequence[Sequence[int]]) -> list[Seen]:
    """Every poll with its time."""
    midnight = datetime(START.year, START.month, START.day, tzinfo=UTC)
    return [
        Seen(midnight + timedelta(days=n, seconds=86400 * p // len(day)), Decimal(seen).scaleb(-2))
        for n, day in enumerate(days)
        for p, seen in enumerate(day)
    ]


class Alarms(NamedTuple):
    """On which day (the first is 0) a drift was raised and was over, morning by morning."""

    raised: list[int]
    over: list[int]
    trend: Trend | None
    """At the first alarm, or at the end where there was none."""


def mornings(days: Sequence[Day], until: int, *, bank: Decimal = BANK) -> Alarms:
    """What the engine says each morning on the days that are over, up to the morning of day `until`."""
    raised: list[int] = []
    over: list[int] = []
    lasting: Direction | None = None
    at_alarm = trend = None
    for n in range(1, until + 1):
        today = START + timedelta(days=n)
        now = datetime(today.year, today.month, today.day, 0, 15, tzinfo=UTC)
        known = [day for day in days if today - timedelta(days=35) <= day.day < today]
        trend = trend_of(known, lasting=lasting is not None)
        drift = None if trend is None else drift_of(trend, bank, DEFAULT_POLICY)
        if lasting is not None and not still_there(drift, lasting):
            over.append(n)
            lasting = None
        if lasting is None and drift is not None and to_be_raised(drift, now):
            raised.append(n)
            lasting, at_alarm = drift.direction, at_alarm or trend
    return Alarms(raised, over, at_alarm or trend)
