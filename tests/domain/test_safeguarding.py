"""The lines of a safeguarding report, and what a period comes to, against an oracle that adds fractions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from token_engine.domain.calendar import StatementCalendar
from token_engine.domain.period import WEEKDAYS, Period, Span, day_ends, period_of
from token_engine.domain.refusal import RefusedError
from token_engine.domain.report import AtTheClose, figures_of
from token_engine.domain.safeguarding import (
    AccountDay,
    Closed,
    Line,
    OnTheWay,
    Role,
    Standing,
    Timeliness,
    line_of,
)

FIRST = date(2025, 11, 3)  # a Monday
NOW = datetime(2025, 12, 1, tzinfo=UTC)
MONTH = Period(span=Span.MONTH, first=FIRST, last=FIRST + timedelta(days=6))
NOBODY = AtTheClose({}, {})
amounts = st.decimals(
    min_value=Decimal("-1e17"), max_value=Decimal("1e17"), places=8, allow_nan=False, allow_infinity=False
)


def all_of(*values: object) -> tuple[object, ...]:
    """Values to compare at once, amounts among them with whole numbers."""
    return values


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def closed(ledger: str | Decimal = "100", bank: str | Decimal = "100", **more: Any) -> Closed:
    said: dict[str, Any] = {
        "snapshot_id": UUID(int=1), "revision": 0, "ledger": Decimal(ledger), "bank": Decimal(bank), "reconciled": True,
        "statement_state": "ACCEPTED", "done_at": midnight(FIRST) + timedelta(hours=30),
    }  # fmt: skip
    return Closed(**said | more)


def account_day(day: date = FIRST, number: int = 1, **more: Any) -> AccountDay:
    said: dict[str, Any] = {
        "account_id": UUID(int=number), "account_number": f"N{number}", "currency": "AED", "bank_name": "Bank",
        "role": Role.SAFEGUARDING, "day": day, "due": WEEKDAYS.business_day(day),
        "cut_off": midnight(day + timedelta(days=1)), "books": Decimal(0),
        "due_by": midnight(WEEKDAYS.next_business_day(day) + timedelta(days=1)),
    }  # fmt: skip
    return AccountDay(**said | more)


def line(day: date = FIRST, number: int = 1, **more: Any) -> Line:
    return line_of(account_day(day, number, **more), NOW)


def test_what_must_be_safeguarded_is_what_is_outstanding_uncredited_and_unpaid() -> None:
    told = line(closed=closed("100", "118"), uncredited=Decimal("7"), unpaid=Decimal("11"), unreceived=Decimal("5"))
    assert all_of(told.requirement, told.resource, told.excess) == (118, 118, 0)


@pytest.mark.parametrize(
    ("of", "resource", "standing"),
    [
        ({"closed": closed()}, Decimal(100), Standing.RECONCILED),
        ({"closed": closed(reconciled=False)}, Decimal(100), Standing.NOT_RECONCILED),
        ({"closed": closed(reconciled=False, statement_state="RELEASED")}, Decimal(100), Standing.NOT_RECONCILED),
        ({"closed": closed(reconciled=False, statement_state="QUARANTINED")}, None, Standing.NOT_RECONCILED),
        ({"closed": closed(reconciled=False, statement_state=None)}, None, Standing.NOT_RECONCILED),
        ({"closed": closed(statement_state=None)}, Decimal(100), Standing.RECONCILED),
        ({"books": Decimal(100)}, None, Standing.NO_EVIDENCE),
        ({"closed": closed(), "role": Role.OWN_FUNDS}, Decimal(0), Standing.RECONCILED),
        ({"closed": closed(), "role": Role.SETTLEMENT}, Decimal(0), Standing.RECONCILED),
    ],
)
def test_only_evidence_makes_a_resource(of: dict[str, Any], resource: Decimal | None, standing: Standing) -> None:
    told = line(**of)
    assert (told.resource, told.standing) == (resource, standing)
    assert told.requirement == 100, "what is owed is known without a bank"
    assert told.excess == (None if resource is None else resource - 100)


def test_a_day_that_no_bank_was_open_is_neither_good_nor_bad() -> None:
    sunday = FIRST - timedelta(days=1)
    told = line(sunday)
    assert (told.standing, told.timeliness, told.resource) == (Standing.NONE_DUE, Timeliness.NONE_DUE, None)
    assert line(sunday, closed=closed()).standing is Standing.RECONCILED, "a bank that sends one all the same"


def test_the_day_is_closed_by_the_end_of_the_next_business_day() -> None:
    friday = FIRST + timedelta(days=4)
    end = midnight(friday + timedelta(days=4))  # Monday's
    assert account_day(friday).due_by == end
    soon, late = closed(done_at=end), closed(done_at=end + timedelta(microseconds=1))
    assert line(friday, closed=soon).timeliness is Timeliness.MET
    assert line(friday, closed=late).timeliness is Timeliness.LATE
    for now, found in ((end, Timeliness.WAITING), (end + timedelta(microseconds=1), Timeliness.MISSED)):
        assert line_of(account_day(friday), now).timeliness is found
        unknown = account_day(friday, closed=closed(done_at=None))
        assert line_of(unknown, now).timeliness is found, "a snapshot that nobody dates shows nothing"


def test_a_bank_has_its_own_days() -> None:
    friday = FIRST + timedelta(days=4)
    bank = StatementCalendar(
        time_zone="Asia/Dubai", cut_off=time(17), weekend=("FR", "SA"), extra_holidays=(friday + timedelta(days=2),)
    )  # fmt: skip
    ends = day_ends(bank, friday)
    assert not ends.due
    assert ends.cut_off == midnight(friday) + timedelta(hours=13)
    # Friday and Saturday are its weekend, and it does not work on this Sunday: Monday ends at 20:00 UTC.
    assert ends.due_by == midnight(friday + timedelta(days=3)) + timedelta(hours=20)
    assert day_ends(bank, friday - timedelta(days=1)).due_by == ends.due_by
    plain = day_ends(WEEKDAYS, friday)
    assert plain == (True, midnight(friday + timedelta(days=1)), midnight(friday + timedelta(days=4)))


# A week of several accounts, against sums of fractions -----------------------------------------------------


@st.composite
def account_days(draw: st.DrawFn) -> list[AccountDay]:
    days = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        role = draw(st.sampled_from(Role))
        for offset in range(7):
            shut = st.none() if draw(st.booleans()) else st.builds(
                closed, amounts, amounts, reconciled=st.booleans(),
                statement_state=st.sampled_from(["ACCEPTED", "RELEASED", "QUARANTINED", None]),
            )  # fmt: skip
            days.append(
                account_day(
                    FIRST + timedelta(days=offset), number, role=role, currency=draw(st.sampled_from(["AED"])),
                    closed=draw(shut), books=draw(amounts), uncredited=draw(amounts), unpaid=draw(amounts),
                )
            )  # fmt: skip
    return days


def sums(of: Sequence[AccountDay]) -> tuple[Fraction, Fraction, Fraction]:
    """Requirement, resource and what is unproven, the slow way."""
    requirement = resource = unproven = Fraction(0)
    for day in of:
        shut = day.closed
        owed = Fraction(shut.ledger if shut else day.books) + Fraction(day.uncredited) + Fraction(day.unpaid)
        requirement += owed
        if day.role is not Role.SAFEGUARDING:
            continue
        if shut and (shut.reconciled or shut.statement_state in ("ACCEPTED", "RELEASED")):
            resource += Fraction(shut.bank)
        else:
            unproven += owed
    return requirement, resource, unproven


def stands_on(days: Sequence[AccountDay], wanted: date) -> list[AccountDay]:
    """The day of each account that its totals take: its own, or the last one before on which its bank was open."""
    found: dict[UUID, AccountDay] = {}
    for day in days:
        if day.day <= wanted and (day.closed is not None or day.due):
            found[day.account_id] = day
    return list(found.values())


@given(days=account_days())
def test_a_period_comes_to_what_its_days_add_up_to(days: list[AccountDay]) -> None:
    figures = figures_of([line_of(day, NOW) for day in days], MONTH, NOBODY, keep_lines=False)
    [part] = figures.currencies
    open_days = sorted({day.day for day in days if day.closed is not None or day.due})
    assert [total.day for total in part.days] == open_days
    expected = [sums(stands_on(days, day)) for day in open_days]
    for total, (requirement, resource, unproven) in zip(part.days, expected, strict=True):
        assert all_of(total.requirement, total.resource, total.unproven) == (requirement, resource, unproven)
        assert total.excess == resource - requirement
    for extent, place in ((part.requirement, 0), (part.resource, 1)):
        found = [Fraction(each[place]) for each in expected]
        assert extent is not None
        assert all_of(extent.highest, extent.lowest, extent.days) == (max(found), min(found), len(found))
        assert extent.highest_on == open_days[found.index(max(found))]
        assert extent.lowest_on == open_days[found.index(min(found))]
        mean = sum(found, Fraction(0)) / len(found)
        assert abs(Fraction(extent.average) - mean) <= Fraction(1, 2 * 10**8)
    assert part.closing.requirement == expected[-1][0]
    assert [account.closing.day for account in figures.accounts] == [d.day for d in stands_on(days, MONTH.last)]


@given(days=account_days())
def test_an_account_in_a_month_names_each_day_that_was_not_good(days: list[AccountDay]) -> None:
    figures = figures_of([line_of(day, NOW) for day in days], MONTH, NOBODY, keep_lines=True)
    assert figures.lines == [line_of(day, NOW) for day in days]
    for part in figures.accounts:
        own = [d for d in days if d.account_id == part.closing.account_id and (d.closed is not None or d.due)]
        month = part.month
        assert month is not None
        good = [d.day for d in own if d.closed is not None and d.closed.reconciled]
        named = sorted(month.days_not_reconciled + month.days_without_evidence)
        assert sorted(good + named) == [d.day for d in own]
        assert (month.days, month.days_reconciled) == (len(own), len(good))
        short = [(line_of(d, NOW).excess or Decimal(0), d.day) for d in own]
        assert month.days_in_shortfall == [day for excess, day in short if excess < 0]
        assert month.largest_shortfall == max([Decimal(0), *(-excess for excess, _ in short)])
        if month.days_in_shortfall or named:
            assert part.needs_attention


def test_a_good_month_needs_no_attention() -> None:
    lines = [line(FIRST + timedelta(days=n), closed=closed(done_at=midnight(FIRST))) for n in range(5)]
    [part] = figures_of(lines, MONTH, NOBODY, keep_lines=False).accounts
    assert not part.needs_attention
    late = structs.replace(lines[2], timeliness=Timeliness.LATE)
    [part] = figures_of([*lines[:2], late, *lines[3:]], MONTH, NOBODY, keep_lines=False).accounts
    assert part.needs_attention


def test_an_account_that_was_closed_is_no_part_of_the_close() -> None:
    days = [FIRST + timedelta(days=n) for n in range(7)]
    stays = [line(day, 1, closed=closed() if WEEKDAYS.business_day(day) else None) for day in days]
    gone = [line(day, 2, closed=closed("7", "7")) for day in days[:2]]
    figures = figures_of([*stays, *gone], MONTH, NOBODY, keep_lines=False)
    [part] = figures.currencies
    assert (part.closing.accounts, part.closing.requirement) == (1, Decimal(100))
    assert [total.accounts for total in part.days] == [2, 2, 1, 1, 1]
    assert [(account.closing.day, account.ended) for account in figures.accounts] == [
        (days[4], False), (days[1], True),
    ]  # fmt: skip


def test_what_is_on_its_way_is_shown_and_never_counted() -> None:
    way = OnTheWay(Decimal(1), Decimal(2), Decimal(4))
    lines = [line(number=n, closed=closed()) for n in (1, 2)]
    close = AtTheClose({UUID(int=1): way, UUID(int=2): way}, {})
    today = Period(span=Span.DAY, first=FIRST, last=FIRST)
    [part] = figures_of(lines, today, close, keep_lines=False).currencies
    assert part.on_the_way == OnTheWay(Decimal(2), Decimal(4), Decimal(8))
    assert all_of(part.closing.requirement, part.closing.resource) == (200, 200)


def test_who_confirmed_a_balance_last() -> None:
    at = midnight(FIRST)
    told = AtTheClose({}, {UUID(int=2): at, UUID(int=3): at})
    lines = [
        line(number=1, closed=closed()),
        line(number=2),
        line(number=3, closed=closed(reconciled=False, statement_state="QUARANTINED")),
        line(number=4),
    ]
    parts = figures_of(lines, MONTH, told, keep_lines=False).accounts
    assert [(part.confirmed_by, part.confirmed_at) for part in parts] == [
        ("tier3", closed().done_at), ("tier1", at), ("tier1", at), (None, None),
    ]  # fmt: skip


# Which days a report is about -----------------------------------------------------------------------------


@given(today=st.dates(date(2000, 1, 1), date(2100, 1, 1)), month=st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_month_is_its_days_that_are_over(today: date, month: date) -> None:
    over = [
        day for n in range(31)
        if (day := month.replace(day=1) + timedelta(days=n)).month == month.month and day < today
    ]  # fmt: skip
    if not over:
        with pytest.raises(RefusedError, match=r"date: .*(yet to come|is over yet)"):
            period_of(Span.MONTH, f"{month:%Y-%m}", today)
        return
    period = period_of(Span.MONTH, f"{month:%Y-%m}", today)
    assert list(period.days()) == over
    assert period.whole == ((over[-1] + timedelta(days=1)).month != month.month)
    assert period.as_of == next((day for day in reversed(over) if day.weekday() < 5), over[-1])


@pytest.mark.parametrize(
    ("span", "text"),
    [(Span.DAY, "2025-11"), (Span.DAY, "2025-02-30"), (Span.DAY, "20251118"), (Span.DAY, "2025-11-19"),
     (Span.DAY, "٢٠٢٥-11-18"), (Span.MONTH, "2025-11-18"), (Span.MONTH, "2025-13"), (Span.MONTH, ""),
     (Span.MONTH, "2025-12"), (Span.DAY, "0000-01-01")],
)  # fmt: skip
def test_what_is_no_day_or_month_names_the_field(span: Span, text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        period_of(span, text, date(2025, 11, 18))
    assert (refused.value.refusal.code, refused.value.refusal.field) == ("invalid_date", "date")
