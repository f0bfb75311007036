"""When a bank is asked: each account in slots of its own, within the bank's budget."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.calendar import StatementCalendar
from token_engine.domain.polling import DAY, INTERVALS, Schedule, offset_of

NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)
everies = st.sampled_from(INTERVALS).map(lambda minutes: timedelta(minutes=minutes))
moments = st.integers(0, 6 * 366 * 86400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@st.composite
def schedules(draw: st.DrawFn, budget: st.SearchStrategy[int] | None = None) -> Schedule:
    every = draw(everies)
    offset = offset_of(draw(st.uuids()), every)
    return Schedule(every=every, offset=offset, polls_a_day=draw(budget) if budget is not None else None)


@given(schedules(), moments)
def test_a_moment_is_in_one_slot_and_the_next_begins_where_it_ends(schedule: Schedule, moment: datetime) -> None:
    slot = schedule.slot_of(moment)
    assert slot <= moment < slot + schedule.every
    assert schedule.next_slot(moment) == slot + schedule.every
    assert schedule.slot_of(slot) == slot
    assert schedule.due_again([moment], moment, suspected=False) == slot + schedule.every


def test_thousands_of_accounts_are_spread_over_the_interval() -> None:
    every = timedelta(minutes=15)
    buckets = [0] * 15
    for n in range(3000):
        buckets[int(offset_of(UUID(int=n), every).total_seconds()) // 60] += 1
    assert min(buckets) > 140
    assert max(buckets) < 270


@given(schedules(st.integers(1, 12)), moments, st.booleans(), st.lists(st.integers(0, 600), max_size=300))
def test_no_24_hours_ever_hold_more_requests_than_the_budget(
    schedule: Schedule, start: datetime, suspected: bool, late: list[int]
) -> None:
    asked: list[datetime] = []
    now = start
    assert schedule.polls_a_day is not None
    for seconds in late:
        # The engine looks, however late, and asks only if the budget allows it then.
        now = schedule.due_again(asked, now, suspected=suspected) + timedelta(seconds=seconds)
        if schedule.earliest(asked, now, suspected=suspected) <= now:
            asked.append(now)
    for n, at in enumerate(asked):
        assert sum(at - DAY < other <= at for other in asked[: n + 1]) <= schedule.polls_a_day


def test_four_a_day_are_spent_evenly_and_sooner_where_drift_is_suspected() -> None:
    schedule = Schedule(every=timedelta(minutes=15), offset=timedelta(minutes=5), polls_a_day=4)
    asked: list[datetime] = []
    now = NOON
    for _ in range(8):
        asked.append(now)
        now = schedule.due_again(asked, now, suspected=False)
    assert {b - a for a, b in pairwise(asked[1:])} == {timedelta(hours=6)}
    soon = schedule.due_again([NOON], NOON, suspected=True)
    assert soon == NOON + timedelta(minutes=5)
    spent = [NOON - timedelta(hours=h) for h in (3, 2, 1, 0)]
    again = schedule.due_again(spent, NOON, suspected=True)
    assert again == NOON - timedelta(hours=3) + DAY + timedelta(minutes=5)


def test_a_bank_that_rests_is_asked_on_its_next_day() -> None:
    calendar = StatementCalendar(time_zone="Asia/Dubai", cut_off=time(18), weekend=("SA", "SU"))
    schedule = Schedule(every=timedelta(minutes=60), offset=timedelta(minutes=30), calendar=calendar)
    friday = datetime(2025, 11, 21, 19, 45, tzinfo=UTC)  # 23:45 in Dubai
    assert schedule.next_slot(friday) == datetime(2025, 11, 23, 20, 30, tzinfo=UTC)  # Monday, half past midnight there


def test_an_offset_is_the_same_on_every_engine() -> None:
    key = uuid4()
    assert offset_of(key, timedelta(minutes=30)) == offset_of(UUID(str(key)), timedelta(minutes=30))
