"""Which of the balances that a bank reported is judged: rules that hold for whatever it reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.observation import (
    BOOKED,
    BankAccount,
    Freshness,
    Kind,
    NoObservation,
    Observation,
    ReportedBalance,
    Why,
    choose,
    shown,
)

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
ACCOUNT = BankAccount(number="AE070331234567890123456", currency="AED")

minutes = st.sampled_from([1, 1, 1, -500, -3, -2, -1, 0, 59, 60, 61, 600, 5000])
# Mostly what may be judged, so that several of an answer are.
balances = st.builds(
    ReportedBalance,
    place=st.sampled_from(["balances[0]", "balances[1]"]),
    type=st.sampled_from(["InterimBooked", "ClosingBooked", "Expected"]),
    kind=st.sampled_from([*[Kind.INTERIM] * 6, *Kind, None]),
    amount=st.integers(-1, 1).map(Decimal),
    currency=st.sampled_from([*["AED"] * 6, "USD"]),
    as_of=st.none() | minutes.map(lambda n: NOW - timedelta(minutes=n)),
    credit_line_included=st.sampled_from([False] * 6 + [True]),
    account=st.sampled_from([*[None] * 12, ACCOUNT.number, "ae07 0331234567890123456", "another"]),
)
rules = st.builds(Freshness, interim_minutes=st.integers(1, 700), closing_minutes=st.none() | st.integers(1, 700))


def may_be_judged(balance: ReportedBalance, freshness: Freshness) -> bool:
    """DESIGN 3.2, written once more in its own order."""
    if balance.kind is None or balance.currency != "AED" or balance.credit_line_included or balance.as_of is None:
        return False
    limit = freshness.interim_minutes if balance.kind is Kind.INTERIM else freshness.closing_minutes
    age = NOW - balance.as_of
    return limit is not None and timedelta(minutes=-2) <= age <= timedelta(minutes=limit)


@given(reported=st.lists(balances, max_size=6), freshness=rules)
def test_the_newest_that_may_be_judged(reported: list[ReportedBalance], freshness: Freshness) -> None:
    answer = choose(reported, ACCOUNT, freshness, NOW)
    fit = [b for b in reported if may_be_judged(b, freshness)]
    times = [b.as_of for b in fit if b.as_of is not None]
    newest = {b.amount for b in fit if b.as_of == max(times)}
    if any(b.account == "another" for b in reported):
        assert isinstance(answer, NoObservation)
        assert answer.why is Why.OTHER_ACCOUNT
    elif len(newest) == 1:
        assert isinstance(answer, Observation), answer
        assert answer.balance == newest.pop()
        assert answer.as_of == min(max(times), NOW)
    else:
        assert isinstance(answer, NoObservation), answer
        assert (answer.why is Why.CONTRADICTORY) == bool(fit)
        assert answer.text


@given(reported=st.lists(balances, max_size=5), freshness=rules, data=st.data())
def test_the_order_says_nothing(reported: list[ReportedBalance], freshness: Freshness, data: st.DataObject) -> None:
    one = choose(reported, ACCOUNT, freshness, NOW)
    other = choose(data.draw(st.permutations(reported)), ACCOUNT, freshness, NOW)
    if isinstance(one, Observation) and isinstance(other, Observation):
        assert (one.balance, one.as_of) == (other.balance, other.as_of)
    else:
        assert isinstance(one, NoObservation)
        assert isinstance(other, NoObservation)
        assert one.why is other.why


@given(reported=st.lists(balances, max_size=5), freshness=rules, more=balances)
def test_what_may_not_be_judged_changes_no_balance(
    reported: list[ReportedBalance], freshness: Freshness, more: ReportedBalance
) -> None:
    before = choose(reported, ACCOUNT, freshness, NOW)
    if isinstance(before, Observation) and not may_be_judged(more, freshness) and more.account != "another":
        assert choose([*reported, more], ACCOUNT, freshness, NOW) == before


def reported(**more: object) -> ReportedBalance:
    whole = ReportedBalance(
        place="balances[0]", type="InterimBooked", kind=Kind.INTERIM, amount=Decimal("7.2"), currency="AED", as_of=NOW
    )
    return msgspec.structs.replace(whole, **more)


@pytest.mark.parametrize(
    ("balance", "why", "text"),
    [
        (reported(kind=None, type="Expected"), Why.NO_BOOKED_BALANCE,
         "no booked balance among those reported ('Expected')"),
        (reported(currency="USD"), Why.OTHER_CURRENCY,
         "balances[0] ('InterimBooked', 7.20 USD as of 2026-11-23T10:30:00+00:00): the account is in AED"),
        (reported(credit_line_included=True), Why.CREDIT_LINE_INCLUDED,
         "balances[0] ('InterimBooked', 7.20 AED as of 2026-11-23T10:30:00+00:00) includes a credit line"),
        (reported(as_of=None), Why.TOO_OLD,
         "balances[0] ('InterimBooked', 7.20 AED): the bank does not say as of when"),
        (reported(as_of=NOW - timedelta(hours=2)), Why.TOO_OLD,
         "balances[0] ('InterimBooked', 7.20 AED as of 2026-11-23T08:30:00+00:00): older than 60 minutes at "
         "2026-11-23T10:30:00+00:00"),
        (reported(account="GB1"), Why.OTHER_ACCOUNT,
         "balances[0] is of account 'GB1', asked was 'AE070331234567890123456'"),
    ],
)  # fmt: skip
def test_the_text_names_the_field_and_the_figures(balance: ReportedBalance, why: Why, text: str) -> None:
    answer = choose([balance], ACCOUNT, Freshness(), NOW)
    assert isinstance(answer, NoObservation)
    assert (answer.why, answer.text) == (why, text)


def test_two_of_one_time_contradict_each_other_whatever_they_are_of() -> None:
    one, other = reported(), reported(kind=Kind.CLOSING, type="ClosingBooked", amount=Decimal("7.3"))
    day = Freshness(closing_minutes=60)
    for pair in ([one, other], [other, one]):
        answer = choose(pair, ACCOUNT, day, NOW)
        assert isinstance(answer, NoObservation)
        assert answer.why is Why.CONTRADICTORY
        assert "7.20 AED" in answer.text
        assert "7.30 AED" in answer.text
        # What may not be judged contradicts nothing.
        assert isinstance(choose(pair, ACCOUNT, Freshness(), NOW), Observation)
    assert isinstance(choose([one, reported(amount=Decimal("7.20"))], ACCOUNT, day, NOW), Observation)


@pytest.mark.parametrize(("seconds", "believed"), [(0, True), (120, True), (121, False), (600, False)])
def test_how_far_a_clock_may_be_ahead(seconds: int, believed: bool) -> None:
    answer = choose([reported(as_of=NOW + timedelta(seconds=seconds))], ACCOUNT, Freshness(), NOW)
    assert isinstance(answer, Observation) == believed
    assert isinstance(answer, Observation) or answer.why is Why.IN_THE_FUTURE


def test_available_and_expected_are_in_no_list_of_booked_words() -> None:
    for word in (
        "interimAvailable expected forwardAvailable nonInvoiced Information InterimCleared CLAV ITAV XPCD INFO".split()
    ):
        assert word not in BOOKED


def test_what_is_shown_is_whole_or_not_shown() -> None:
    assert shown("x" * 40) == repr("x" * 40)
    assert "x" not in shown("x" * 41).replace("text", "")
    assert shown("a\nb\x00\ud800") == "'a\\nb\\x00\\ud800'"


@pytest.mark.parametrize("bad", [{"interim_minutes": 0}, {"closing_minutes": 0}, {"interim_minutes": -5}])
def test_no_time_at_all_is_no_rule(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Freshness(**bad)
