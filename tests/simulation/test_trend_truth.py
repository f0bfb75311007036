"""Business that goes nowhere raises nothing; a drift laid over it is raised before it crosses a bound, morning by
morning, as an engine would have seen it.
"""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.differences import BANK, KINDS, OK_BOUND, START, business, drifting, folded, mornings
from token_engine.domain.trend import DAYS_KEPT, Shape

ACCOUNTS = 1_000
QUIET_DAYS = 30
BOUND = int(OK_BOUND * 100)


def test_a_thousand_accounts_in_thirty_quiet_days_raise_nothing() -> None:
    raised = [seed for seed in range(ACCOUNTS) if mornings(folded(business(seed, QUIET_DAYS)), QUIET_DAYS).raised]
    assert len(raised) == 0, f"{len(raised)} false alarms: {raised}"


@given(
    st.integers(10**6, 10**9), st.sampled_from(KINDS), st.sampled_from([4, 24, 48]),
    st.lists(st.integers(0, 44), max_size=12),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_nor_does_any_other_account_polled_often_or_seldom_and_with_gaps(
    seed: int, kind: str, polls: int, missing: list[int]
) -> None:
    days = business(seed, 45, kind=kind, polls=polls)
    seen = [[] if n in missing else day for n, day in enumerate(days)]
    assert mornings(folded(seen), 45).raised == []


def crossed(days: list[list[int]], direction: int) -> int:
    """The first day on which a poll would be judged worse."""
    over = [n for n, day in enumerate(days) if (max(day) > BOUND if direction > 0 else min(day) < 0)]
    return over[0] if over else len(days)


@pytest.mark.parametrize("polls", [4, 96])
@pytest.mark.parametrize(("takes", "in_time"), [(10, 1), (20, 10), (40, 12), (80, 12)])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_drift_is_raised_before_its_bound_is_crossed(direction: int, takes: int, in_time: int, polls: int) -> None:
    """From the 28th day on, so fast that the busiest day comes to the bound after `takes` days: upwards from nothing,
    downwards from an excess; `in_time` days before in the median. Over every kind of
    business that may stand before the bound at all.
    """
    since, leads = 28, []
    kinds = [kind for kind in KINDS if kind != "one_step" and (direction > 0 or kind not in ("debits", "noisy"))]
    for seed in range(2):
        for kind in kinds:
            quiet = business(seed, since + takes + 3, kind=kind, polls=polls, busiest=0.2)
            room = BOUND - max(max(day) for day in quiet) if direction > 0 else BOUND
            days = drifting(quiet, direction * room / takes, since, from_=0 if direction > 0 else BOUND)
            end = crossed(days, direction)
            told = mornings(folded(days), min(end + 1, len(days)))
            assert told.raised, (kind, seed)
            assert since < told.raised[0] <= end, (kind, seed, told.raised, end)
            assert told.trend is not None
            assert (told.trend.slope > 0) == (direction > 0)
            known_from = max(since, told.raised[0] - DAYS_KEPT)
            assert abs((told.trend.since - START).days - known_from) <= 7
            leads.append(end - told.raised[0])
    assert median(leads) >= in_time, leads


def test_a_drift_from_the_first_day_on_is_raised_after_two_weeks() -> None:
    days = drifting(business(1, 30, kind="receipts", busiest=0.2), BOUND / 30, 0)
    told = mornings(folded(days), 30)
    assert told.raised
    assert 14 <= told.raised[0] < crossed(days, 1)


@pytest.mark.parametrize("by", [-0.4, 0.4])
@pytest.mark.parametrize("kind", ["empty", "receipts", "overnight", "noisy"])
def test_a_step_is_a_step_and_raises_nothing(kind: str, by: float) -> None:
    quiet = business(7, 40, kind=kind, busiest=0.3)
    days = [[seen + round(by * BOUND) * (n >= 21) for seen in day] for n, day in enumerate(quiet)]
    told = mornings(folded(days), 40)
    assert told.raised == []
    assert told.trend is not None
    assert told.trend.shape is Shape.STEP
    assert told.trend.changed_on is not None
    assert abs((told.trend.changed_on - START).days - 21) <= 2
    assert told.trend.changed_by is not None
    assert abs(float(told.trend.changed_by) * 100 / (by * BOUND) - 1) < 0.25


def test_a_drift_that_stops_is_over_within_days_and_one_that_is_put_right_too() -> None:
    quiet = business(2, 60, kind="receipts", busiest=0.2)
    for right_again, within in ((False, 5), (True, 4)):
        moving = drifting(quiet, BOUND / 20, 20)
        stopped = drifting(quiet, BOUND / 20, 20)[32]
        level = 0 if right_again else min(stopped)
        days = moving[:32] + [[seen + level for seen in day] for day in quiet[32:]]
        told = mornings(folded(days), 60)
        assert len(told.raised) == len(told.over) == 1
        assert 32 < told.over[0] <= 32 + within


@pytest.mark.parametrize("every_day", [True, False])
@pytest.mark.parametrize("kind", ["empty", "receipts", "overnight"])
def test_the_drift_goes_on_and_is_raised_once(kind: str, every_day: bool) -> None:
    """Also where it rests on weekends, as fees do."""
    days = drifting(business(4, 75, kind=kind, busiest=0.2), BOUND / 30, 25, every_day=every_day)
    told = mornings(folded(days), 75)
    assert told.raised[0] < crossed(days, 1) - 7
    assert (len(told.raised), told.over) == (1, [])


def test_business_alone_does_not_come_near_what_these_tests_call_a_bound() -> None:
    """Else nothing would be shown by their silence."""
    tops = [max(max(day) for day in business(seed, 30)) for seed in range(200)]
    assert median(tops) > BOUND / 10
    assert max(tops) < BOUND * 1.1
    assert BANK / 10_000 == OK_BOUND
