"""The safeguarding report: from the lines of accounts and days to what a period comes to. Pure, exact, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.money import EXACT
from token_engine.domain.period import Period, Span
from token_engine.domain.safeguarding import Line, OnTheWay, Standing, Timeliness
from token_engine.domain.tally import Extent, Holding, Range, Tally, Total, holdings


class AccountMonth(msgspec.Struct, frozen=True, kw_only=True):
    """An account over the days of a month on which its bank was open, or sent a statement all the same.

    `resource` is over the days that have evidence; the others are in `days_without_evidence` and
    `days_not_reconciled`, never taken for good ones.
    """

    days: int
    days_reconciled: int
    days_not_reconciled: list[date]
    days_without_evidence: list[date]
    days_late: list[date]
    days_missed: list[date]
    days_in_shortfall: list[date]
    largest_shortfall: Decimal
    largest_shortfall_on: date | None
    requirement: Extent | None
    resource: Extent | None


class AccountPart(msgspec.Struct, frozen=True, kw_only=True):
    """An account in a report: its last line of the period, and its month where the report is of one.

    `confirmed_by` is the tier that confirmed its balance last, as far as the period tells: None if none did. `ended`:
    the account was closed before the day that the report is as of, and is no part of the sums at its close.
    """

    closing: Line
    ended: bool = False
    on_the_way: OnTheWay = OnTheWay()
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    month: AccountMonth | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look: something is short, unproven, not reconciled or not closed in time."""
        line, month = self.closing, self.month
        if line.standing in (Standing.NOT_RECONCILED, Standing.NO_EVIDENCE) or (line.excess or 0) < 0:
            return True
        if line.timeliness in (Timeliness.LATE, Timeliness.MISSED):
            return True
        if month is None:
            return False
        return bool(
            month.days_not_reconciled or month.days_without_evidence or month.days_late or month.days_missed
            or month.days_in_shortfall
        )  # fmt: skip


class CurrencyPart(msgspec.Struct, frozen=True, kw_only=True):
    """A currency in a report. Nothing is converted: each currency stands for itself.

    `closing` adds the accounts' last lines; `days` are the totals of each day on which a bank was open; the extents
    are over those days.
    """

    currency: str
    token: str
    closing: Total
    on_the_way: OnTheWay
    holdings: list[Holding]
    days: list[Total]
    requirement: Extent | None
    resource: Extent | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines come to. `lines`: each line of each day, where one account was asked for."""

    currencies: list[CurrencyPart]
    accounts: list[AccountPart]
    lines: list[Line]


class AtTheClose(msgspec.Struct, frozen=True):
    """What is known of accounts at the period's close besides their lines: what is on its way, and when the bank last
    told of an entry where no statement closed the last business day.
    """

    on_the_way: Mapping[UUID, OnTheWay]
    notified: Mapping[UUID, datetime]


def figures_of(lines: Iterable[Line], period: Period, close: AtTheClose, *, keep_lines: bool) -> Figures:
    """Fold the lines, which come by account (all of its days together, in their order).

    On a day when a bank was closed its accounts stand in the day's totals with the line before, if the period has one.
    """
    fold = Fold(period, close, keep_lines=keep_lines)
    for line in lines:
        fold.take(line)
    return fold.figures()


class Fold:
    """Takes line after line, and keeps what a report needs of them: its size does not grow with the days."""

    def __init__(self, period: Period, close: AtTheClose, *, keep_lines: bool) -> None:
        self._period = period
        self._close = close
        self._keep_lines = keep_lines
        self._lines: list[Line] = []
        self._tallies: dict[tuple[str, date], Tally] = {}
        self._open_days: set[tuple[str, date]] = set()
        self._accounts: list[AccountPart] = []
        self._key: UUID | None = None
        self._last: Line | None = None
        self._kept_to = period.first
        self._month = _Month()

    def take(self, line: Line) -> None:
        """The next line."""
        if line.account_id != self._key:
            self._end_account()
            self._key, self._last, self._month = line.account_id, None, _Month()
        self._kept_to = line.day
        if self._keep_lines:
            self._lines.append(line)
        day = line.currency, line.day
        tally = self._tallies.get(day)
        if tally is None:
            tally = self._tallies[day] = Tally(*day)
        if line.standing is Standing.NONE_DUE:
            if self._last is not None and self._last.standing is not Standing.NONE_DUE:
                tally.add(self._last, carried=True)
            elif self._last is None:
                self._last = line
            return
        self._open_days.add(day)
        tally.add(line)
        self._month.add(line)
        self._last = line

    def figures(self) -> Figures:
        """What all of them come to."""
        self._end_account()
        self._key = None
        closings: dict[str, list[AccountPart]] = {}
        for part in self._accounts:
            closings.setdefault(part.closing.currency, []).append(part)
        return Figures(
            currencies=[self._currency(currency, closings[currency]) for currency in sorted(closings)],
            accounts=self._accounts, lines=self._lines,
        )  # fmt: skip

    def _end_account(self) -> None:
        if self._key is None or self._last is None:
            return
        closing, notified = self._last, self._close.notified.get(self._key)
        by_statement = closing.statement_state is not None and closing.resource is not None
        self._accounts.append(
            AccountPart(
                closing=closing, ended=self._kept_to < self._period.as_of,
                on_the_way=self._close.on_the_way.get(self._key, OnTheWay()),
                confirmed_by="tier3" if by_statement else "tier1" if notified else None,
                confirmed_at=closing.done_at if by_statement else notified,
                month=self._month.month() if self._period.span is Span.MONTH else None,
            )
        )  # fmt: skip

    def _currency(self, currency: str, parts: list[AccountPart]) -> CurrencyPart:
        closing = Tally(currency, self._period.as_of)
        shown = [p.closing for p in parts if p.closing.standing is not Standing.NONE_DUE and not p.ended]
        for line in shown:
            closing.add(line)
        days = [self._tallies[key].total() for key in sorted(self._open_days) if key[0] == currency]
        requirement, resource = Range(), Range()
        for total in days:
            requirement.add(total.requirement, total.day)
            resource.add(total.resource, total.day)
        return CurrencyPart(
            currency=currency, token=f"x{currency}", closing=closing.total(), holdings=holdings(shown), days=days,
            on_the_way=_sum(part.on_the_way for part in parts),
            requirement=requirement.extent(), resource=resource.extent(),
        )  # fmt: skip


def _sum(of: Iterable[OnTheWay]) -> OnTheWay:
    held, sent, announced = Decimal(0), Decimal(0), Decimal(0)
    for way in of:
        held, sent = EXACT.add(held, way.held), EXACT.add(sent, way.sent)
        announced = EXACT.add(announced, way.announced)
    return OnTheWay(held, sent, announced)


class _Month:
    def __init__(self) -> None:
        self._days = self._reconciled = 0
        self._by_standing: dict[Standing, list[date]] = {}
        self._by_time: dict[Timeliness, list[date]] = {}
        self._short: list[date] = []
        self._worst: tuple[Decimal, date | None] = (Decimal(0), None)
        self._requirement, self._resource = Range(), Range()

    def add(self, line: Line) -> None:
        self._days += 1
        if line.standing is Standing.RECONCILED:
            self._reconciled += 1
        else:
            self._by_standing.setdefault(line.standing, []).append(line.day)
        if line.timeliness in (Timeliness.LATE, Timeliness.MISSED):
            self._by_time.setdefault(line.timeliness, []).append(line.day)
        self._requirement.add(line.requirement, line.day)
        if line.resource is not None and line.excess is not None:
            self._resource.add(line.resource, line.day)
            if line.excess < 0:
                self._short.append(line.day)
                self._worst = min(self._worst, (line.excess, line.day), key=lambda worst: worst[0])

    def month(self) -> AccountMonth:
        worst, worst_on = self._worst
        return AccountMonth(
            days=self._days, days_reconciled=self._reconciled,
            days_not_reconciled=self._by_standing.get(Standing.NOT_RECONCILED, []),
            days_without_evidence=self._by_standing.get(Standing.NO_EVIDENCE, []),
            days_late=self._by_time.get(Timeliness.LATE, []), days_missed=self._by_time.get(Timeliness.MISSED, []),
            days_in_shortfall=self._short, largest_shortfall=-worst, largest_shortfall_on=worst_on,
            requirement=self._requirement.extent(), resource=self._resource.extent(),
        )  # fmt: skip
