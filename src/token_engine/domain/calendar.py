"""A bank's days: when one ends, on which days it works, and when the statement of a day is due (DESIGN 3.4).

All moments have a time zone. A cut-off is a time on the bank's clock, which is put forward and back in spring and
autumn: a day ends no earlier than either reading of it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from holidays import HolidayBase, country_holidays, financial_holidays

from token_engine.domain.refusal import RefusedError

TARGET: Final = "TARGET"
"""The days on which the euro's central banks settle nothing."""
LONGEST_DUE_AFTER: Final = timedelta(days=7)
MOST_EXTRA_HOLIDAYS: Final = 1000
_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKEND: Final = re.compile(rf"[1-5]?(?:{'|'.join(_WEEKDAYS)})", re.ASCII)
_COUNTRY: Final = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,3}))?", re.ASCII)


class StatementCalendar(msgspec.Struct, frozen=True, kw_only=True):
    """When an account's bank closes its days, and when it has sent the statement of one.

    `weekend` in the words of RFC 5545 (BYDAY): SA, SU; 2SA is the second Saturday of a month, as in India. `holidays`
    are the published ones of a country or a part of it (ISO 3166: AE, IN-MH), or TARGET; `extra_holidays` those that
    the list lacks. `ends_next_day`: the cut-off lies after midnight; 00:00 then closes the day before.
    """

    time_zone: str
    cut_off: time
    ends_next_day: bool = False
    due_after: timedelta = timedelta()
    weekend: tuple[str, ...] = ("SA", "SU")
    holidays: str | None = None
    extra_holidays: tuple[date, ...] = ()

    def business_day(self, day: date) -> bool:
        """Whether the bank works on `day`, and so sends a statement of it."""
        name = _WEEKDAYS[day.weekday()]
        if name in self.weekend or f"{(day.day + 6) // 7}{name}" in self.weekend:
            return False
        return day not in self.extra_holidays and not (self.holidays and day in _published(self.holidays))

    def cut_off_of(self, day: date) -> datetime:
        """When `day` ends (UTC): what is booked by then, that moment included, is of it."""
        clock = datetime.combine(day + _DAY if self.ends_next_day else day, self.cut_off, ZoneInfo(self.time_zone))
        # In the hour that comes twice the second reading is later; in the one that is left out, the first.
        return max(clock.replace(fold=fold).astimezone(UTC) for fold in (0, 1))

    def day_of(self, moment: datetime) -> date:
        """The day that `moment` is of: the first one whose cut-off does not lie before it."""
        day = moment.astimezone(ZoneInfo(self.time_zone)).date() - 2 * _DAY
        while self.cut_off_of(day) < moment:
            day += _DAY
        return day

    def due_at(self, day: date) -> datetime:
        """From when on (UTC) the statement of `day` is missing."""
        return self.cut_off_of(day) + self.due_after

    def next_business_day(self, after: date) -> date:
        """The first day after `after` on which the bank works."""
        day = after + _DAY
        while not self.business_day(day):
            day += _DAY
        return day

    def due_days(self, after: date, now: datetime) -> list[date]:
        """The business days after `after` whose statements are due at `now`, in order."""
        days, day = list[date](), self.next_business_day(after)
        while self.due_at(day) <= now:
            days.append(day)
            day = self.next_business_day(day)
        return days


NO_CALENDAR: Final = StatementCalendar(time_zone="UTC", cut_off=time(0), ends_next_day=True, weekend=())
"""Of an account without one: a day ends at 24:00 UTC, and nobody waits for its statement."""


def check_calendar(wanted: StatementCalendar) -> StatementCalendar:
    """The calendar, with its words in order. Raises RefusedError naming the field."""
    try:
        ZoneInfo(wanted.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _refused("time_zone", f"{wanted.time_zone[:60]!r} is no IANA time zone such as Asia/Dubai") from None
    if wanted.cut_off.tzinfo is not None or wanted.cut_off.second or wanted.cut_off.microsecond:
        raise _refused("cut_off", "a time on the bank's clock such as 17:00, to the minute, without a zone")
    if wanted.cut_off == time(0) and not wanted.ends_next_day:
        raise _refused("cut_off", "a day that ended at 00:00 would have no time; with ends_next_day it is midnight")
    if not timedelta() <= wanted.due_after <= LONGEST_DUE_AFTER:
        raise _refused("due_after_minutes", "between none and the minutes of 7 days")
    for word in wanted.weekend:
        if not _WEEKEND.fullmatch(word):
            raise _refused("weekend", f"{word[:10]!r} is no weekday such as SA, or 2SA for the second Saturday")
    if set(_WEEKDAYS) <= set(wanted.weekend):
        raise _refused("weekend", "a bank that never works sends no statement")
    if wanted.holidays is not None:
        _check_holidays(wanted.holidays)
    if len(wanted.extra_holidays) > MOST_EXTRA_HOLIDAYS:
        raise _refused("extra_holidays", f"{MOST_EXTRA_HOLIDAYS} at most")
    return msgspec.structs.replace(
        wanted, weekend=tuple(dict.fromkeys(wanted.weekend)), extra_holidays=tuple(sorted(set(wanted.extra_holidays)))
    )


def _check_holidays(code: str) -> None:
    try:
        _published(code)
    except (NotImplementedError, ValueError):
        text = f"{code[:20]!r} is no country with published holidays such as AE or IN-MH, nor {TARGET}"
        raise _refused("holidays", text) from None


@lru_cache(maxsize=64)
def _published(code: str) -> HolidayBase:
    """The published holidays of a place. Raises NotImplementedError or ValueError for one that has none."""
    if code == TARGET:
        return financial_holidays("XECB")
    found = _COUNTRY.fullmatch(code)
    if found is None:
        raise ValueError(code)
    return country_holidays(found[1], subdiv=found[2])


def _refused(field: str, text: str) -> RefusedError:
    return RefusedError("invalid_calendar", f"{field}: {text}", field)
