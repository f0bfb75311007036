"""A bank's days: where one ends and the next begins, also in the night when clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from token_engine.domain.calendar import NO_CALENDAR, StatementCalendar, check_calendar
from token_engine.domain.refusal import RefusedError

# Zones whose clocks change by an hour, by half of one (Lord Howe), at midnight itself (Havana, Beirut), and never.
ZONES = [
    "Asia/Dubai", "Asia/Kolkata", "Europe/Berlin", "America/New_York",
    "Australia/Lord_Howe", "America/Havana", "Asia/Beirut", "Africa/Casablanca", "UTC",
]  # fmt: skip
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@st.composite
def calendars(draw: st.DrawFn) -> StatementCalendar:
    ends_next_day = draw(st.booleans())
    cut_off = time(draw(st.integers(0, 23)), draw(st.sampled_from([0, 1, 30, 59])))
    if cut_off == time(0):
        ends_next_day = True
    return StatementCalendar(
        time_zone=draw(st.sampled_from(ZONES)), cut_off=cut_off, ends_next_day=ends_next_day,
        due_after=timedelta(minutes=draw(st.integers(0, 7 * 24 * 60))),
        weekend=draw(st.sampled_from([(), ("SA", "SU"), ("SU", "2SA", "4SA"), ("FR", "SA")])),
        holidays=draw(st.sampled_from([None, "AE", "IN", "IN-MH", "TARGET"])),
    )  # fmt: skip


# In one of the zones above clocks change on, or in the night after, each of these.
CHANGES = [
    date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5), date(2026, 10, 4), date(2026, 10, 25), date(2026, 11, 1),
    date(2025, 2, 23), date(2025, 4, 6),
]  # fmt: skip
days = st.builds(lambda day, n: day + n * DAY, st.sampled_from(CHANGES), st.integers(-2, 2)) | st.dates(
    date(2024, 1, 1), date(2027, 12, 31)
)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(calendars(), days)
def test_days_follow_one_another_without_gap_or_overlap(calendar: StatementCalendar, day: date) -> None:
    end, next_end = calendar.cut_off_of(day), calendar.cut_off_of(day + DAY)
    assert timedelta(hours=22) <= next_end - end <= timedelta(hours=26)
    assert calendar.day_of(end) == day, "the cut-off itself is the day's"
    assert calendar.day_of(end + timedelta(microseconds=1)) == calendar.day_of(next_end) == day + DAY


@given(calendars(), moments)
def test_every_moment_is_of_one_day(calendar: StatementCalendar, moment: datetime) -> None:
    day = calendar.day_of(moment)
    assert calendar.cut_off_of(day - DAY) < moment <= calendar.cut_off_of(day)
    assert calendar.day_of(moment.astimezone(ZoneInfo("Pacific/Auckland"))) == day, "a moment is one in every zone"


@given(calendars(), days)
def test_the_cut_off_is_what_the_bank_s_clock_shows_or_the_next_that_it_can_show(
    calendar: StatementCalendar, day: date
) -> None:
    zone, on = ZoneInfo(calendar.time_zone), day + DAY if calendar.ends_next_day else day
    wanted = datetime.combine(on, calendar.cut_off)
    shown = calendar.cut_off_of(day).astimezone(zone).replace(tzinfo=None)
    # A clock put forward skips it: then it is as long after the gap as it would have been into it.
    assert shown == wanted or timedelta() < shown - wanted <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "day", "cut_off", "ends_next_day", "utc"),
    [
        ("Asia/Dubai", date(2025, 11, 18), "17:00", False, "2025-11-18T13:00"),
        ("Asia/Dubai", date(2025, 11, 18), "00:00", True, "2025-11-18T20:00"),
        ("Asia/Kolkata", date(2025, 11, 18), "23:59", False, "2025-11-18T18:29"),
        ("Europe/Berlin", date(2026, 3, 28), "00:00", True, "2026-03-28T23:00"),
        ("Europe/Berlin", date(2026, 3, 29), "00:00", True, "2026-03-29T22:00"),
        ("Europe/Berlin", date(2026, 3, 29), "02:30", False, "2026-03-29T01:30"),  # there is no 02:30: 03:30
        ("Europe/Berlin", date(2026, 10, 25), "02:30", False, "2026-10-25T01:30"),  # the second of two
        ("America/Havana", date(2026, 3, 7), "00:00", True, "2026-03-08T05:00"),  # midnight itself is skipped
    ],
)
def test_cut_offs_by_hand(zone: str, day: date, cut_off: str, ends_next_day: bool, utc: str) -> None:
    calendar = StatementCalendar(time_zone=zone, cut_off=time.fromisoformat(cut_off), ends_next_day=ends_next_day)
    assert calendar.cut_off_of(day) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


DUBAI = StatementCalendar(time_zone="Asia/Dubai", cut_off=time(17), holidays="AE", due_after=timedelta(hours=6))
MUMBAI = StatementCalendar(
    time_zone="Asia/Kolkata", cut_off=time(23, 59), holidays="IN-MH", weekend=("SU", "2SA", "4SA")
)
FRANKFURT = StatementCalendar(time_zone="Europe/Berlin", cut_off=time(0), ends_next_day=True, holidays="TARGET")


@pytest.mark.parametrize(
    ("calendar", "day", "works"),
    [
        (DUBAI, date(2025, 11, 18), True), (DUBAI, date(2025, 11, 22), False), (DUBAI, date(2025, 11, 21), True),
        (DUBAI, date(2025, 12, 2), False), (DUBAI, date(2026, 1, 1), False),
        (MUMBAI, date(2026, 8, 1), True), (MUMBAI, date(2026, 8, 8), False), (MUMBAI, date(2026, 8, 22), False),
        (MUMBAI, date(2026, 3, 7), True), (MUMBAI, date(2026, 3, 14), False),
        (MUMBAI, date(2026, 8, 29), True), (MUMBAI, date(2026, 8, 2), False), (MUMBAI, date(2026, 1, 26), False),
        (FRANKFURT, date(2026, 4, 3), False), (FRANKFURT, date(2026, 10, 3), False),
        (FRANKFURT, date(2026, 10, 2), True),
        (FRANKFURT, date(2026, 5, 1), False), (FRANKFURT, date(2026, 6, 4), True),
    ],
)  # fmt: skip
def test_days_on_which_banks_work(calendar: StatementCalendar, day: date, works: bool) -> None:
    assert calendar.business_day(day) is works


def test_a_holiday_that_no_list_has_is_added_by_people() -> None:
    day = date(2026, 8, 11)
    assert DUBAI.business_day(day)
    assert not structs.replace(DUBAI, extra_holidays=(day,)).business_day(day)


@given(calendars(), days, st.integers(0, 30))
def test_what_is_due_is_every_business_day_whose_time_has_come(
    calendar: StatementCalendar, after: date, later: int
) -> None:
    now = calendar.cut_off_of(after) + timedelta(days=later, hours=3)
    due = calendar.due_days(after, now)
    wanted = [after + n * DAY for n in range(1, 40)]
    assert due == [day for day in wanted if calendar.business_day(day) and calendar.due_at(day) <= now]
    following = calendar.next_business_day(due[-1] if due else after)
    assert calendar.due_at(following) > now


def test_one_second_before_it_is_due_nothing_is_missing() -> None:
    day = date(2025, 11, 18)
    assert DUBAI.due_at(day) == datetime(2025, 11, 18, 19, tzinfo=UTC)
    assert DUBAI.due_days(day - DAY, DUBAI.due_at(day) - SECOND) == []
    assert DUBAI.due_days(day - DAY, DUBAI.due_at(day)) == [day]


@given(days)
def test_without_a_calendar_a_day_ends_at_midnight_utc(day: date) -> None:
    assert NO_CALENDAR.cut_off_of(day) == datetime.combine(day + DAY, time(0), UTC)
    assert NO_CALENDAR.business_day(day)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"time_zone": "Dubai"}, "time_zone"), ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"time_zone": "Asia"}, "time_zone"), ({"time_zone": "/etc/localtime"}, "time_zone"),
        ({"time_zone": "Asia/Dubai\0"}, "time_zone"),
        ({"cut_off": time(17, tzinfo=UTC)}, "cut_off"), ({"cut_off": time(17, 0, 1)}, "cut_off"),
        ({"cut_off": time(0)}, "cut_off"), ({"due_after": -timedelta(minutes=1)}, "due_after_minutes"),
        ({"due_after": timedelta(days=7, minutes=1)}, "due_after_minutes"),
        ({"weekend": ("Saturday",)}, "weekend"), ({"weekend": ("6SA",)}, "weekend"), ({"weekend": ("sa",)}, "weekend"),
        ({"weekend": ("MO", "TU", "WE", "TH", "FR", "SA", "SU")}, "weekend"),
        ({"holidays": "XX"}, "holidays"), ({"holidays": "IN-ZZ"}, "holidays"), ({"holidays": "ae"}, "holidays"),
        ({"extra_holidays": tuple(date(2020, 1, 1) + n * DAY for n in range(1001))}, "extra_holidays"),
    ],
)  # fmt: skip
def test_a_calendar_that_cannot_be(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_calendar(structs.replace(DUBAI, **wrong))
    assert (refused.value.refusal.code, refused.value.refusal.field) == ("invalid_calendar", field)


@given(calendars())
def test_a_calendar_that_is_good_stays_what_it_is(calendar: StatementCalendar) -> None:
    assert check_calendar(calendar) == calendar
