"""What is found when a statement is checked: each check alone, and that figures made to fit always pass."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from domain.statements import ACCOUNT, DAY, balance, heading, statement
from token_engine.domain.money import in_currency
from token_engine.domain.notification import StatedBalance
from token_engine.domain.statement import Check, Identity, Outcome, Previous, Statement, identity
from token_engine.domain.statement_checks import check, failed, sequence_of

PASSED, FAILED, NOT_CHECKABLE = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_CHECKABLE
NAMES = [
    "account", "currency", "closing_stated", "entries_sum", "opening_is_previous_closing", "sequence", "stated_count",
    "stated_sum", "period",
]  # fmt: skip


def found(
    of: Statement, previous: Previous | None = None, *, latest: date = DAY, correction: bool = False
) -> dict[str, Check]:
    """All checks by name; opening and closing as the heading has them."""

    def stated(code: str) -> StatedBalance | None:
        return next((each for each in of.heading.balances if each.code == code), None)

    opening, closing = stated("OPBD"), stated("CLBD")
    checks = check(of, ACCOUNT, opening, closing, previous, latest=latest, correction=correction)
    assert [each.name for each in checks] == NAMES, "always all of them, in one order"
    for each in checks:
        assert each.text
        assert (each.expected is None) == (each.actual is None) == (each.outcome is NOT_CHECKABLE)
        assert each.outcome is not FAILED or each.expected != each.actual
    assert failed(checks) == tuple(each for each in checks if each.outcome is FAILED)
    return {each.name: each for each in checks}


def day_of(opening: str, closing: str, *signed: str, **more: Any) -> Statement:
    said = {name: more.pop(name) for name in ("sequence_number", "stated_entries", "stated_sum") if name in more}
    return statement(heading(balance("OPBD", opening), balance("CLBD", closing), **said), *signed, **more)


def test_the_example_of_the_specification_says_that_it_does_not_add_up() -> None:
    entries_sum = found(day_of("5000000.00", "5250000.00", "100000.00"))["entries_sum"]
    assert (entries_sum.outcome, entries_sum.expected, entries_sum.actual) == (FAILED, "5100000.00", "5250000.00")
    assert "150000.00 apart" in entries_sum.text


amounts = st.integers(-(10**12), 10**12).map(lambda cents: Decimal(cents).scaleb(-2))
some_amounts = st.lists(amounts, max_size=20)


@given(opening=amounts, entries=some_amounts, number=st.integers(1, 10**6), later=st.integers(1, 400))
def test_a_statement_made_to_fit_passes_every_check(
    opening: Decimal, entries: list[Decimal], number: int, later: int
) -> None:
    texts = [str(each) for each in entries]
    closing = opening + sum(entries, Decimal(0))
    whole = day_of(
        str(opening), str(closing), *texts, sequence_number=str(number + 1), stated_entries=len(entries),
        stated_sum=sum((abs(each) for each in entries), Decimal(0)),
    )  # fmt: skip
    previous = Previous(DAY - timedelta(days=later), opening, f"{number:05}")
    assert {each.outcome for each in found(whole, previous).values()} == {PASSED}


@given(opening=amounts, entries=some_amounts, wrong=amounts.filter(bool))
def test_a_cent_more_or_less_anywhere_fails_the_check_that_it_concerns_and_no_other(
    opening: Decimal, entries: list[Decimal], wrong: Decimal
) -> None:
    texts, total = [str(each) for each in entries], sum(entries, Decimal(0))
    before = Previous(DAY - timedelta(days=1), opening)
    closing_wrong = found(day_of(str(opening), str(opening + total + wrong), *texts), before)
    assert [name for name, each in closing_wrong.items() if each.outcome is FAILED] == ["entries_sum"]
    assert closing_wrong["entries_sum"].expected == in_currency(opening + total, "AED")
    assert closing_wrong["entries_sum"].actual == in_currency(opening + total + wrong, "AED")
    opening_wrong = found(day_of(str(opening + wrong), str(opening + wrong + total), *texts), before)
    assert [name for name, each in opening_wrong.items() if each.outcome is FAILED] == ["opening_is_previous_closing"]


@given(opening=amounts, now=some_amounts, later=some_amounts)
def test_a_closing_balance_may_leave_out_what_is_valued_later_and_the_reason_is_recorded(
    opening: Decimal, now: list[Decimal], later: list[Decimal]
) -> None:
    valued_later = sum(later, Decimal(0))
    closing = opening + sum(now, Decimal(0))
    texts = [str(each) for each in now + later]
    entries_sum = found(day_of(str(opening), str(closing), *texts, valued_later=valued_later))["entries_sum"]
    assert entries_sum.outcome is PASSED
    assert ("valued after" in entries_sum.text) is bool(valued_later)
    # Part of them is no reason.
    if valued_later:
        half = found(day_of(str(opening), str(closing), *texts, valued_later=valued_later / 2))["entries_sum"]
        assert half.outcome is FAILED


@pytest.mark.parametrize(
    ("balances", "closing_stated", "entries_sum"),
    [
        ([], FAILED, NOT_CHECKABLE),
        ([balance("OPBD", "10")], FAILED, NOT_CHECKABLE),
        ([balance("CLBD", "15")], PASSED, NOT_CHECKABLE),
        ([balance("OPBD", "10"), balance("CLBD", "15", credit_line=True)], FAILED, PASSED),
        ([balance("OPBD", "10"), balance("CLBD", "15", interim=True)], FAILED, PASSED),
        ([balance("OPBD", "-10"), balance("CLBD", "-5")], PASSED, PASSED),
    ],
)
def test_what_the_balances_lack(
    balances: list[StatedBalance], closing_stated: Outcome, entries_sum: Outcome
) -> None:  # fmt: skip
    checks = found(statement(heading(*balances), "5"))
    assert (checks["closing_stated"].outcome, checks["entries_sum"].outcome) == (closing_stated, entries_sum)


def test_it_must_be_of_the_account_and_in_its_currency() -> None:
    right = day_of("10", "15", "5")
    assert found(right)["account"].outcome is found(right)["currency"].outcome is PASSED
    by_our_id = structs.replace(right, heading=structs.replace(right.heading, account_number=str(ACCOUNT.id).upper()))
    assert found(by_our_id)["account"].outcome is PASSED
    other = structs.replace(right, heading=structs.replace(right.heading, account_number="AE99"))
    account = found(other)["account"]
    assert (account.outcome, account.expected, account.actual) == (FAILED, ACCOUNT.number, "AE99")


@pytest.mark.parametrize(
    ("of", "outcome", "actual"),
    [
        (statement(heading()), NOT_CHECKABLE, None),
        (statement(heading(currency="AED")), PASSED, "AED"),
        (statement(heading(currency="USD")), FAILED, "USD"),
        (statement(heading(balance("CLBD", "1", currency="EUR"))), FAILED, "EUR"),
        (statement(heading(), currencies=frozenset({"AED", "USD", "EUR"})), FAILED, "EUR, USD"),
    ],
)
def test_every_currency_that_it_names_counts(of: Statement, outcome: Outcome, actual: str | None) -> None:
    currency = found(of)["currency"]
    assert (currency.outcome, currency.actual) == (outcome, actual)


NEW_YEARS_EVE, NEW_YEAR = date(2025, 12, 31), date(2026, 1, 2)


@pytest.mark.parametrize(
    ("number", "before", "outcome"),
    [
        ("6", "5", PASSED), ("00006", "5/1", PASSED), ("6/00001", "00005", PASSED), ("236/1", "235/00001", PASSED),
        ("5", "5", FAILED), ("7", "5", FAILED), ("4", "5", FAILED), ("1", "5", FAILED),
        (None, "5", NOT_CHECKABLE), ("6", None, NOT_CHECKABLE), ("2025-11-18", "5", NOT_CHECKABLE),
        ("6", "NONREF", NOT_CHECKABLE), ("", "5", NOT_CHECKABLE), ("²", "1", NOT_CHECKABLE),
    ],
)  # fmt: skip
def test_numbers_go_up_by_one(number: str | None, before: str | None, outcome: Outcome) -> None:
    of = day_of("10", "10", sequence_number=number)
    # A weekend without a statement leaves no gap in the numbers.
    assert found(of, Previous(DAY - timedelta(days=3), Decimal(10), before))["sequence"].outcome is outcome


@pytest.mark.parametrize(
    ("day", "number", "before_day", "outcome"),
    [
        (NEW_YEAR, "1", NEW_YEARS_EVE, PASSED), (NEW_YEAR, "366", NEW_YEARS_EVE, PASSED),
        (NEW_YEAR, "2", NEW_YEARS_EVE, FAILED), (NEW_YEAR, "365", NEW_YEARS_EVE, FAILED),
        (NEW_YEARS_EVE, "1", date(2025, 12, 30), FAILED), (NEW_YEAR, "1", None, FAILED),
    ],
)  # fmt: skip
def test_a_new_year_may_begin_with_one(day: date, number: str, before_day: date | None, outcome: Outcome) -> None:
    of = statement(heading(balance("OPBD", "1"), balance("CLBD", "1", day), sequence_number=number))
    assert found(of, Previous(before_day, Decimal(1), "365"), latest=day)["sequence"].outcome is outcome


def test_a_gap_says_how_many_are_missing_and_the_same_number_again_that_it_is() -> None:
    before = Previous(DAY - timedelta(days=1), Decimal(10), "5")
    gap = found(day_of("10", "10", sequence_number="9"), before)["sequence"]
    assert (gap.expected, gap.actual) == ("6", "9")
    assert "3 missing" in gap.text
    assert "of the statement before" in found(day_of("10", "10", sequence_number="5"), before)["sequence"].text


def test_a_correction_may_have_a_number_of_its_own_and_any_day() -> None:
    before = Previous(DAY + timedelta(days=1), Decimal(10), "5")
    for number, outcome in (("6", PASSED), ("9", NOT_CHECKABLE)):
        checks = found(day_of("10", "10", sequence_number=number), before, correction=True)
        assert (checks["sequence"].outcome, checks["period"].outcome) == (outcome, PASSED)
    assert found(day_of("10", "10"), before)["period"].outcome is FAILED


@given(ahead=st.integers(-400, 400))
def test_no_day_that_has_not_begun_anywhere_is_closed(ahead: int) -> None:
    period = found(day_of("1", "1"), latest=DAY - timedelta(days=ahead))["period"]
    assert period.outcome is (FAILED if ahead > 0 else PASSED)


def test_a_closing_balance_without_a_date_cannot_be_placed() -> None:
    of = statement(heading(balance("OPBD", "1"), balance("CLBD", "1", None)))
    assert found(of)["period"].outcome is NOT_CHECKABLE


@pytest.mark.parametrize(
    ("stated", "total", "outcomes"),
    [
        (None, None, (NOT_CHECKABLE, NOT_CHECKABLE)), (2, "9.00", (PASSED, PASSED)), (3, "9.01", (FAILED, FAILED)),
        (2, "1", (PASSED, PASSED)), (2, "-1", (PASSED, PASSED)), (0, "0", (FAILED, FAILED)),
    ],
)  # fmt: skip
def test_what_it_counts_is_what_it_has(
    stated: int | None, total: str | None, outcomes: tuple[Outcome, Outcome]
) -> None:  # fmt: skip
    said = None if total is None else Decimal(total)
    checks = found(day_of("10", "11", "5", "-4", stated_entries=stated, stated_sum=said))
    assert (checks["stated_count"].outcome, checks["stated_sum"].outcome) == outcomes
    if total in ("1", "-1"):
        assert "difference of credits and debits" in checks["stated_sum"].text


@given(st.integers(0, 10**18 - 1), st.integers(0, 5))
def test_a_number_is_read_with_and_without_its_page(number: int, zeros: int) -> None:
    text = "0" * min(zeros, 18 - len(str(number))) + str(number)
    assert sequence_of(text) == sequence_of(f"{text}/00001") == number


def test_a_statement_is_known_by_account_name_and_day() -> None:
    whole = heading(balance("OPBD", "1", date(2025, 11, 17)), balance("CLBD", "2"), notification_id="S-1")
    known = Identity(ACCOUNT.number, "AED", "id S-1", DAY)
    assert identity(whole) == known
    # Sent again: under another message id, at another time, marked as a copy.
    assert identity(structs.replace(whole, message_id="M-2", copy=True)) == known
    # An MT has no id of its own, and one of a page closes nothing yet.
    mt = heading(balance("OPBD", "1"), balance("CLBD", "2", interim=True), type_="MT940", sequence_number="5")
    assert identity(mt) == Identity(ACCOUNT.number, "AED", "number 5", None)
    changed = [
        structs.replace(whole, account_number="AE99"), structs.replace(whole, notification_id="S-2"),
        structs.replace(whole, balances=(balance("CLBD", "2", date(2025, 11, 19)),)),
        structs.replace(whole, currency="USD"),
    ]  # fmt: skip
    assert len({identity(each) for each in (whole, *changed)}) == 5
    assert identity(heading()).name is None
