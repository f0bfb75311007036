"""Does an account drift? What the days of its differences (bank - explained - ledger) say, each day told by its lowest
and highest difference.

Ordinary business comes and goes within the day: receipts wait, and are allocated by evening. A drift moves every moment
of the day. So a day counts as its low or its high, whichever business leaves more at rest, and only days that are over.
Reasons and limits of the rules: docs/adr/0023.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from token_engine.domain.robust import Line, concordance, in_major, in_units, line_through, median
from token_engine.domain.step import jump_in, left_by_a_jump

DAYS_KEPT: Final = 35
"""Days that are looked at: five whole weeks, so that each weekday weighs alike, and more than any month."""
SHORTEST: Final = 7
"""Days that a drift must have lasted: each weekday is among them once."""
SHORTEST_UNKNOWN: Final = 14
"""The same where nothing is known of the days before: what comes back each week has come back once."""
_PAIRS_AGREE: Final = 70
"""Percent by which pairs of days that agree must outnumber those that do not (Kendall's tau): 85 of 100 agree."""
_PAIRS_AGREE_SHORT: Final = 85
"""The same for a drift of less than 14 days, which by chance is had sooner."""
_PAIRS_AGREE_STILL: Final = 50
"""The same for a drift that was seen before, so that one noisy day does not end it."""
_STOPPED: Final = (5, 7, 14)
"""Days at the end, of which each is tried as rest after a drift: a weekend with a holiday is shorter."""


class Day(NamedTuple):
    """The lowest and the highest difference of a day (UTC), in major units."""

    day: date
    low: Decimal
    high: Decimal


class Shape(StrEnum):
    """TOO_SHORT: fewer than 7 days are known. STEADY: it goes nowhere. STEP: it jumped, and rests where it is.
    DRIFT: it moves day by day, and has not stopped.
    """

    TOO_SHORT = "too_short"
    STEADY = "steady"
    STEP = "step"
    DRIFT = "drift"


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """What the days say. Amounts in major units.

    `slope` is per day since `since`, of a drift, or over all days; `consistency` the share of pairs of days that agree
    with its direction less the share of those that do not (Kendall's tau, 0 to 1, two decimals). `level` is where its
    line stands on the last day, and `lowest` and `highest` are what a busy day (one in ten) makes of that. Of a step,
    `changed_on` is the first day after it and `changed_by` how far it went.
    """

    shape: Shape
    since: date
    until: date
    days: int
    slope: Decimal
    consistency: Decimal
    level: Decimal
    lowest: Decimal
    highest: Decimal
    changed_on: date | None = None
    changed_by: Decimal | None = None


def trend_of(days: Sequence[Day], *, lasting: bool = False) -> Trend | None:
    """The trend of days in order, all of them over; None if there is none. `lasting`: a drift was seen before."""
    days = days[-DAYS_KEPT:]
    if not days:
        return None
    lows, highs = ([in_units(each) for each in side] for side in zip(*((d.low, d.high) for d in days), strict=True))
    xs, ys = [d.day.toordinal() for d in days], _at_rest(lows, highs)
    agreeing = concordance(ys)
    start = _start_of_drift(xs, ys, agreeing, lasting=lasting)
    shape = Shape.STEADY if len(days) >= SHORTEST else Shape.TOO_SHORT
    step = None
    if start is not None:
        shape = Shape.DRIFT
    else:
        start, step = 0, jump_in(ys) if len(ys) >= SHORTEST else None
        if step is not None:
            shape = Shape.STEP
    since = start if step is None else step
    line = line_through(xs[since:], ys[since:]) if len(ys) - since > 1 else Line(ys[-1], 0)
    level = line.at(xs[-1]) if line.slope else line.start
    if shape is not Shape.DRIFT:
        level = median(ys[max(since, len(ys) - SHORTEST) :])
    count = len(ys) - since
    tau = abs(agreeing[since]) * 100 * 2 // (count * (count - 1)) if count > 1 else 0
    return Trend(
        shape=shape, since=days[since].day, until=days[-1].day, days=count, slope=in_major(line.slope),
        consistency=Decimal(tau).scaleb(-2), level=in_major(level),
        lowest=in_major(level - _on_a_busy_day([y - low for y, low in zip(ys[since:], lows[since:], strict=True)])),
        highest=in_major(level + _on_a_busy_day([high - y for y, high in zip(ys[since:], highs[since:], strict=True)])),
        changed_on=None if step is None else days[step].day,
        changed_by=None if step is None else in_major(median(ys[step:]) - median(ys[:step])),
    )  # fmt: skip


def _at_rest(lows: list[int], highs: list[int]) -> list[int]:
    """The lows or the highs: those that change less from one day to the next."""

    def unrest(values: list[int]) -> tuple[int, int]:
        changes = [abs(b - a) for a, b in pairwise(values)]
        return (median(changes), sum(changes)) if changes else (0, 0)

    return highs if unrest(highs) < unrest(lows) else lows


def _on_a_busy_day(amounts: Sequence[int]) -> int:
    """What nine days in ten do not exceed."""
    return sorted(amounts)[-1 - len(amounts) // 10]


def _start_of_drift(xs: list[int], ys: list[int], agreeing: list[int], *, lasting: bool) -> int | None:
    """Where a drift begins that lasts until the last day; None if there is none."""
    longest = next(
        (n for n in range(len(ys) - SHORTEST + 1) if _agree(agreeing[n], len(ys) - n, len(ys), lasting)), None
    )  # fmt: skip
    if longest is None:
        return None
    start = longest
    for _ in range(2):  # the first line still has days before it in it
        start = _bend(xs, ys, line_through(xs[start:], ys[start:]))
        if len(ys) - start < SHORTEST:
            return None
    if not _agree(agreeing[start], len(ys) - start, len(ys), lasting):
        return None
    line = line_through(xs[start:], ys[start:])
    before, misses = ys[:start], _misses(xs[start:], ys[start:], line)
    if len(before) < SHORTEST_UNKNOWN and len(ys) - start < SHORTEST_UNKNOWN:
        return None
    if before and not _beyond(before, line, xs[start], xs[-1]):
        return None
    if left_by_a_jump(ys[start:]) <= sum(misses) or _stopped(xs[start:], ys[start:], agreeing[start:], sum(misses)):
        return None
    return start


def _beyond(before: Sequence[int], line: Line, first: int, last: int) -> bool:
    """Whether the line has come to where no day before it was, by half of its rise: not back to where they were."""
    sign = 1 if line.slope > 0 else -1
    rise = abs(line.slope) * (last - first)
    return 2 * (sign * line.at(last) - max(sign * y for y in before)) >= rise


def _agree(score: int, count: int, known: int, lasting: bool) -> bool:
    short = count < SHORTEST_UNKNOWN or known < 2 * SHORTEST_UNKNOWN
    percent = _PAIRS_AGREE_STILL if lasting else _PAIRS_AGREE_SHORT if short else _PAIRS_AGREE
    return abs(score) * 200 >= percent * count * (count - 1)


def _bend(xs: list[int], ys: list[int], line: Line) -> int:
    """The place from which on the line holds, where days before it rest at their median: what leaves least over."""
    after = _misses(xs, ys, line)
    best, least, left = 0, sum(after), sum(after)
    for n in range(1, len(ys) - 1):
        left -= after[n - 1]
        rest = median(ys[:n])
        over = left + sum([abs(y - rest) for y in ys[:n]])
        if over < least:
            best, least = n, over
    return best


def _misses(xs: Sequence[int], ys: Sequence[int], line: Line) -> list[int]:
    return [abs(y - line.start - line.slope * x) for x, y in zip(xs, ys, strict=True)]


def _stopped(xs: Sequence[int], ys: Sequence[int], agreeing: Sequence[int], left: int) -> bool:
    """Whether it moved, and has come to rest since: that leaves much less over than a line to the last day."""
    for days in _STOPPED:
        end = len(ys) - days
        if end < 2 or agreeing[0] * agreeing[end] > 0:  # it goes on in these days
            continue
        rest, line = median(ys[end:]), line_through(xs[:end], ys[:end])
        over = sum(_misses(xs[:end], ys[:end], line)) + sum([abs(y - rest) for y in ys[end:]])
        if over * 10 < left * 7:
            return True
    return False
