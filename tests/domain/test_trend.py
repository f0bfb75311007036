"""The rules of a trend: medians and lines, the bounds of a verdict, what drifts and when it crosses a bound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from statistics import median as exact_median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from token_engine.domain.backing import DEFAULT_POLICY, Level, Policy, bounds, judge
from token_engine.domain.drift import HORIZON, Direction, drift_of, still_there, to_be_raised
from token_engine.domain.robust import Line, concordance, in_major, in_units, line_through, median
from token_engine.domain.trend import DAYS_KEPT, SHORTEST, Day, Shape, Trend, trend_of

FIRST = date(2026, 10, 1)
BANK = Decimal(1_000_000)
CENT = Decimal("0.01")
_UNITS = st.integers(-(10**20), 10**20)
_SOME = st.lists(_UNITS, min_size=2, max_size=35)
_AMOUNT = st.decimals(min_value=0, max_value=10**12, places=2)


def days(values: Sequence[Decimal | int], *, hump: int = 0) -> list[Day]:
    return [Day(FIRST + timedelta(days=n), Decimal(v), Decimal(v) + hump) for n, v in enumerate(values)]


def drifting(trend: Trend | None, *, bank: Decimal = BANK, policy: Policy = DEFAULT_POLICY) -> tuple[object, object]:
    assert trend is not None
    drift = drift_of(trend, bank, policy)
    assert drift is not None
    return drift.bound and (drift.bound.difference, drift.bound.beyond), drift.crosses_at


@given(st.lists(_UNITS, min_size=1, max_size=40))
def test_a_median_is_the_middle_to_half_a_unit(values: list[int]) -> None:
    assert 0 <= Fraction(exact_median(map(Fraction, values))) - median(values) < 1


@given(_SOME)
def test_a_line_has_the_median_of_all_slopes(ys: list[int]) -> None:
    xs = list(range(0, 3 * len(ys), 3))
    slopes = [Fraction(b - a, y - x) for (x, a), (y, b) in combinations(zip(xs, ys, strict=True), 2)]
    line = line_through(xs, ys)
    assert 0 <= exact_median(slopes) - line.slope < 2
    assert abs(line.start - exact_median([Fraction(y - line.slope * x) for x, y in zip(xs, ys, strict=True)])) < 1


@given(
    st.integers(-(10**18), 10**18), st.integers(-(10**15), 10**15),
    st.lists(st.tuples(st.integers(0, 29), _UNITS), max_size=7),
)  # fmt: skip
def test_a_line_is_found_exactly_whatever_a_fifth_of_the_days_say(
    start: int, slope: int, wild: list[tuple[int, int]]
) -> None:
    xs = list(range(30))
    ys = [start + slope * x for x in xs]
    for x, y in wild:
        ys[x] = y
    assert line_through(xs, ys) == Line(start, slope)


@given(_SOME)
def test_concordance_counts_pairs(ys: list[int]) -> None:
    assert concordance(ys) == [
        sum((b > a) - (b < a) for a, b in combinations(ys[n:], 2)) for n in range(len(ys))
    ]  # fmt: skip


@given(st.decimals(min_value=-(10**17), max_value=10**17, places=8))
def test_amounts_are_whole_units_and_back(amount: Decimal) -> None:
    assert in_major(in_units(amount)) == amount


@given(
    _AMOUNT.filter(bool), st.sampled_from([Decimal(0), Decimal(5), Decimal("0.02")]),
    st.lists(st.none() | _AMOUNT.filter(lambda a: a > 1), min_size=3, max_size=3),
)  # fmt: skip
def test_a_bound_is_where_the_verdict_turns(bank: Decimal, tolerance: Decimal, caps: list[Decimal | None]) -> None:
    """The bounds say what judging says, of differences all around them."""
    policy = Policy(shortfall_tolerance=tolerance, ok_cap=caps[0], minor_cap=caps[1], significant_cap=caps[2])
    found, order, least = bounds(bank, policy), list(Level), Decimal("1E-12")
    for bound in (*found.below, *found.above):
        for difference in (bound.difference - least, bound.difference, bound.difference + least):
            crossed = [b.beyond for b in found.below if difference < b.difference]
            crossed += [b.beyond for b in found.above if difference > b.difference]
            if difference != bank:  # the ledger is 0: Critical by a rule of its own
                said = judge(bank - difference, bank, policy)
                assert said is max(crossed, key=order.index, default=Level.OK), difference
    assert list(found.above) == sorted(found.above, key=lambda b: (b.difference, order.index(b.beyond)))


@pytest.mark.parametrize("bank", [Decimal(0), Decimal(-1)])
def test_where_every_difference_is_critical_there_are_no_bounds(bank: Decimal) -> None:
    assert bounds(bank) == ((), ())


def test_too_little_says_nothing() -> None:
    assert trend_of([]) is None
    for count in range(1, SHORTEST):
        found = trend_of(days([n * 10 for n in range(count)]))
        assert found is not None
        assert (found.shape, found.days) == (Shape.TOO_SHORT, count)
        assert drift_of(found, BANK, DEFAULT_POLICY) is None
    one = trend_of(days([5], hump=2))
    assert one is not None
    assert [one.level, one.lowest, one.highest, one.slope, one.consistency] == [5, 5, 7, 0, 0]


def test_an_account_at_rest_is_steady_whatever_its_days_look_like() -> None:
    for hump in (0, 50):
        found = trend_of(days([3] * 35, hump=hump))
        assert found is not None
        assert found.shape is Shape.STEADY
        assert [found.slope, found.level, found.highest] == [0, 3, 3 + hump]


@pytest.mark.parametrize("weekends", [True, False])
def test_a_rise_after_quiet_weeks_is_told_with_its_pace_its_beginning_and_when_it_crosses(weekends: bool) -> None:
    """5 a day from the 21st day on, 30 more at noon: at 100 (0.01 % of a million) the verdict turns."""
    told = days([max(0, n - 20) * 5 for n in range(31)], hump=30)
    if not weekends:
        told = [day for day in told if day.day.isoweekday() < 6]
    found = trend_of(told)
    assert found is not None
    assert found.shape is Shape.DRIFT
    assert [found.slope, found.consistency] == [5, 1]
    assert abs((found.since - FIRST).days - 20) <= 1
    last = told[-1].day
    assert (found.until, found.level, found.highest) == (last, told[-1].low, told[-1].high)
    left = (100 - found.highest) / 5
    crosses = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=float(left))
    assert drifting(found) == ((Decimal(100), Level.MINOR), crosses)


def test_a_fall_from_an_excess_heads_for_the_shortfall_and_not_for_the_next_level() -> None:
    found = trend_of(days([300 - n * 10 for n in range(15)]))
    falls = (Decimal(0), Level.CRITICAL), datetime(2026, 10, 31, tzinfo=UTC)
    assert drifting(found) == falls
    assert found is not None
    drift = drift_of(found, BANK, DEFAULT_POLICY)
    assert drift is not None
    assert drift.severity is Level.SIGNIFICANT, "one less than the Critical that it heads for"
    tolerant = structs.replace(DEFAULT_POLICY, shortfall_tolerance=Decimal(50))
    assert drifting(found, policy=tolerant) == ((-50, Level.CRITICAL), datetime(2026, 11, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("level", "bound", "severity"),
    [(0, (100, Level.MINOR), Level.MINOR), (200, (500, Level.SIGNIFICANT), Level.MINOR),
     (600, (5000, Level.CRITICAL), Level.SIGNIFICANT), (5000, None, Level.SIGNIFICANT)],
)  # fmt: skip
def test_a_rise_heads_for_the_next_bound_above(
    level: int, bound: tuple[int, Level] | None, severity: Level
) -> None:  # fmt: skip
    found = trend_of(days([level + n for n in range(15)]))
    assert found is not None
    drift = drift_of(found, BANK, DEFAULT_POLICY)
    assert drift is not None
    assert (drift.bound, drift.severity) == (bound, severity)
    if bound is None:  # nothing could be told before it happens
        assert not to_be_raised(drift, datetime(2027, 1, 1, tzinfo=UTC))


def test_it_is_raised_two_weeks_before_and_not_earlier() -> None:
    found = trend_of(days([n * 2 for n in range(15)]))
    assert found is not None
    drift = drift_of(found, BANK, DEFAULT_POLICY)
    assert drift is not None
    assert drift.crosses_at is not None
    first = drift.crosses_at - HORIZON
    assert not to_be_raised(drift, first - timedelta(seconds=1))
    assert to_be_raised(drift, first)
    assert still_there(drift, Direction.RISING)
    assert not still_there(drift, Direction.FALLING)
    assert not to_be_raised(None, first)


def test_so_slow_a_drift_that_it_takes_ten_years_has_no_time() -> None:
    found = trend_of(days([CENT * n for n in range(15)]))
    assert drifting(found) == ((100, Level.MINOR), None)


@given(
    st.decimals(min_value=1, max_value=10**17, places=8), st.decimals(min_value=0, max_value=99, places=6),
    st.integers(1, 10**8),
)  # fmt: skip
def test_a_time_is_told_for_any_bank_balance_and_any_percentage(bank: Decimal, percent: Decimal, units: int) -> None:
    """A bound may have more digits than an amount. The line is just short of it one second before, to the unit."""
    found = trend_of(days([Decimal(units * n).scaleb(-8) for n in range(15)]))
    assert found is not None
    drift = drift_of(found, bank, Policy(ok_percent=percent, minor_percent=percent, significant_percent=percent))
    assert drift is not None
    if drift.bound is not None and drift.crosses_at is not None:
        took = (drift.crosses_at - datetime(2026, 10, 15, tzinfo=UTC)) // timedelta(seconds=1)
        left = (Fraction(drift.bound.difference) - Fraction(found.highest)) / Fraction(found.slope) * 86400
        assert 0 <= left - took < 1 + Fraction(86400, units)


def test_an_excess_that_is_allocated_goes_back_to_where_it_was_and_is_no_drift() -> None:
    found = trend_of(days([0] * 15 + [0, 80, 70, 60, 50, 40, 30, 20, 10]))
    assert found is not None
    assert found.shape is not Shape.DRIFT


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("it jumped once", [11, 4, 0, 4, 4, 6, 8, 12, 12, 12, 13, 12, 37, 40, 42, 41, 41, 40, 42, 44]),
        ("six days are no week", [0] * 20 + [10 * n for n in range(1, 7)]),
        ("it rose and has rested for four days", [0] * 15 + [10 * n for n in range(1, 12)] + [110] * 4),
        ("too few pairs agree for so short a time", [0] * 20 + [10, 5, 30, 20, 25, 50, 40, 45]),
        ("a new account has two weeks to show what its weeks are like", [10 * n for n in range(13)]),
        ("it was as far up a month ago", [50] + [0] * 20 + [5 * n for n in range(1, 11)]),
    ],
)  # fmt: skip
def test_what_is_no_drift(why: str, told: list[int]) -> None:
    for sign in (1, -1):
        found = trend_of(days([sign * each for each in told]))
        assert found is not None
        assert found.shape is not Shape.DRIFT, why


def test_what_is_one_by_a_day_more() -> None:
    """The same, or a day less at rest, or without what spoke against it."""
    for told in (
        [0] * 20 + [1, 2, 3, 4, 5, 6, 7], [0] * 20 + [10 * n for n in range(1, 8)],
        [0] * 15 + [10 * n for n in range(1, 12)] + [110] * 3, [10 * n for n in range(14)],
        [0] * 21 + [5 * n for n in range(1, 11)],
    ):  # fmt: skip
        for sign in (1, -1):
            found = trend_of(days([sign * each for each in told]))
            assert found is not None
            assert found.shape is Shape.DRIFT, told


def test_a_fee_a_week_is_a_drift() -> None:
    found = trend_of(days([500 - 7 * (n // 7) for n in range(35)]))
    assert found is not None
    assert found.shape is Shape.DRIFT
    assert abs(found.slope + 1) < Decimal("0.2")


def test_one_wild_poll_a_week_changes_nothing() -> None:
    calm = days([max(0, n - 20) * 5 for n in range(31)])
    wild = [day._replace(low=day.low - 10_000) if n % 7 == 3 else day for n, day in enumerate(calm)]
    one, other = trend_of(calm), trend_of(wild)
    assert one is not None
    assert other is not None
    assert (one.shape, one.slope, one.since) == (other.shape, other.slope, other.since)


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 10**6)), min_size=1, max_size=50))
def test_upside_down_and_shifted_it_is_the_same_trend(seen: list[tuple[int, int]]) -> None:
    told = [Day(FIRST + timedelta(days=n), Decimal(low), Decimal(low + more)) for n, (low, more) in enumerate(seen)]
    found = trend_of(told)
    shifted = trend_of([Day(d.day, d.low + 7, d.high + 7) for d in told])
    assert found is not None
    assert shifted is not None
    assert (shifted.shape, shifted.since, shifted.slope) == (found.shape, found.since, found.slope)
    assert (shifted.level, shifted.lowest, shifted.highest) == (found.level + 7, found.lowest + 7, found.highest + 7)
    assert found.lowest <= found.level <= found.highest
    assert 0 <= found.consistency <= 1
    assert found.days <= min(len(told), DAYS_KEPT)
    assert found.until == told[-1].day
