"""When an account's bank is asked for its balance: in slots of its own, spread over the interval, within a budget.

All times have a time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from token_engine.domain.calendar import StatementCalendar

INTERVALS: Final = (15, 30, 60)
"""Minutes between slots (specification, "Tier 2")."""
DAY: Final = timedelta(hours=24)
LONGEST_WAIT: Final = DAY + timedelta(minutes=max(INTERVALS))
"""How far ahead the budget of a day, which waits for a slot then, may put the next question to a bank."""
CLOCKS_APART: Final = timedelta(minutes=5)
"""By how much the clock of an engine that asks banks may differ from the database's, which all engines share."""
_MIDNIGHT: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """How often an account's bank is asked.

    `polls_a_day`: requests that the bank allows in any 24 hours; None: as many as there are slots. PSD2 allows four
    without the user (Commission Delegated Regulation (EU) 2018/389, article 36(5)(b)). `calendar`: the bank's days,
    where it is asked on those only.
    """

    every: timedelta
    offset: timedelta
    polls_a_day: int | None = None
    calendar: StatementCalendar | None = None

    def slot_of(self, moment: datetime) -> datetime:
        """The slot that `moment` is in: its beginning (UTC)."""
        since = moment - _MIDNIGHT - self.offset
        return _MIDNIGHT + self.offset + since // self.every * self.every

    def next_slot(self, after: datetime) -> datetime:
        """The first slot that begins later than `after`, on a day on which the bank works (UTC)."""
        slot = self.slot_of(after) + self.every
        if self.calendar is None:
            return slot
        zone = ZoneInfo(self.calendar.time_zone)
        while not self.calendar.business_day(slot.astimezone(zone).date()):
            slot += self.every
        return slot

    def earliest(self, asked: Sequence[datetime], now: datetime, *, suspected: bool) -> datetime:
        """From when on the budget allows one more request; `asked` are the times of those in the last 24 hours, in
        order, each as often as the bank was asked.

        It is spent evenly; where drift is suspected as soon as it is allowed at all, for to know sooner is worth more
        than to know at night.
        """
        if self.polls_a_day is None or not asked:
            return now
        within = [at for at in asked if at > now - DAY]
        allowed = within[-self.polls_a_day] + DAY if len(within) >= self.polls_a_day else now
        return allowed if suspected else max(allowed, asked[-1] + DAY / self.polls_a_day)

    def due_again(self, asked: Sequence[datetime], now: datetime, *, suspected: bool) -> datetime:
        """When the account is next due after what happens now: at the first slot that the budget allows."""
        earliest = self.earliest(asked, now, suspected=suspected)
        slot = self.next_slot(now)
        return slot if slot >= earliest else self.next_slot(earliest - timedelta(microseconds=1))


def offset_of(account_id: UUID, every: timedelta) -> timedelta:
    """Where in the interval an account's slots begin: its own place in whole seconds, the same on every engine, so that
    thousands of accounts are spread over it.
    """
    number = int.from_bytes(sha256(account_id.bytes).digest()[:8])
    return timedelta(seconds=number % int(every.total_seconds()))
