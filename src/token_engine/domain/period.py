"""What a report is about: a day or a month, and an account, a token or the firm."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from token_engine.domain.calendar import StatementCalendar
from token_engine.domain.refusal import RefusedError

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}", re.ASCII)
WEEKDAYS: Final = StatementCalendar(time_zone="UTC", cut_off=time(0), ends_next_day=True)
"""What holds where nobody has said which days an account's bank works: Monday to Friday, each until 24:00 UTC."""


class Span(StrEnum):
    """A day's report, or a month's."""

    DAY = "day"
    MONTH = "month"


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """The days of a report, both ends included. `whole`: the month is over; else `last` is its last day that is."""

    span: Span
    first: date
    last: date
    whole: bool = True

    @property
    def name(self) -> str:
        """As people write it: 2025-11-18, or 2025-11."""
        return f"{self.first:%Y-%m-%d}" if self.span is Span.DAY else f"{self.first:%Y-%m}"

    @property
    def as_of(self) -> date:
        """The day whose close the report's balances are of: the last business day, or the day itself."""
        if self.span is Span.DAY:
            return self.last
        return next((day for day in reversed(list(self.days())) if WEEKDAYS.business_day(day)), self.last)

    def days(self) -> Iterator[date]:
        """Each of them."""
        for number in range((self.last - self.first).days + 1):
            yield self.first + timedelta(days=number)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose money: an account's, all accounts' of a currency, or the firm's (neither said)."""

    account_id: UUID | None = None
    account_number: str | None = None
    currency: str | None = None

    @property
    def name(self) -> str:
        """The part of a report's id."""
        if self.account_id is not None:
            return f"account-{self.account_id}"
        return f"token-x{self.currency}" if self.currency is not None else "firm"


def report_id(period: Period, scope: Scope) -> str:
    """A report's name: what it is about, and nothing of when it was made."""
    return f"{period.span}.{period.name}.{scope.name}"


def period_of(span: Span, text: str, today: date) -> Period:
    """The period that `text` names: 2025-11-18, or 2025-11. Raises RefusedError naming the field `date`.

    A month that is not over goes to yesterday: today is not closed yet.
    """
    form, example = (_DAY, "2025-11-18") if span is Span.DAY else (_MONTH, "2025-11")
    try:
        if not form.fullmatch(text):
            raise ValueError
        first = date.fromisoformat(text if span is Span.DAY else f"{text}-01")
    except ValueError:
        raise RefusedError("invalid_date", f"date: {text[:20]!r} is not a {span} such as {example}", "date") from None
    if first > today:
        raise RefusedError("invalid_date", f"date: {text} is yet to come", "date")
    if span is Span.DAY:
        return Period(span=span, first=first, last=first)
    end = first.replace(day=monthrange(first.year, first.month)[1])
    if end < today:
        return Period(span=span, first=first, last=end)
    if first == today:
        raise RefusedError("invalid_date", f"date: no day of {text} is over yet", "date")
    return Period(span=span, first=first, last=today - timedelta(days=1), whole=False)


class DayEnds(NamedTuple):
    """How a bank has a day: whether it works, when the day ends, and until when it was to be closed (D+1)."""

    due: bool
    cut_off: datetime
    due_by: datetime


def day_ends(calendar: StatementCalendar, day: date) -> DayEnds:
    """The day by a bank's calendar. It is to be closed by the end, on the bank's clock, of the next business day."""
    after = calendar.next_business_day(day) + timedelta(days=1)
    due_by = datetime.combine(after, time(), ZoneInfo(calendar.time_zone)).astimezone(UTC)
    return DayEnds(calendar.business_day(day), calendar.cut_off_of(day), due_by)
