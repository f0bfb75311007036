"""A balance that the bank was asked for is explained by what is on its way, and by nothing else (DESIGN 3.4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.explaining import SLACK, Change, Expected, explain

NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)
POSITION = Decimal(1000)
amounts = st.integers(-500, 500).filter(bool).map(Decimal)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def expected(*amounts: int) -> list[Expected]:
    return [Expected(UUID(int=n), Decimal(amount)) for n, amount in enumerate(amounts, 1)]


def test_the_position_itself_needs_no_explanation() -> None:
    found = explain(POSITION, NOON, POSITION, [], [])
    assert (found.explained, found.gap, found.expected, found.not_yet) == (Decimal(0), Decimal(0), (), 0)


def test_a_silent_debit_is_a_gap() -> None:
    found = explain(Decimal(900), NOON, POSITION, [], expected(50, -30))
    assert (found.explained, found.gap) == (Decimal(0), Decimal(-100))


def test_a_payout_that_the_bank_has_booked_and_not_notified_explains_it() -> None:
    found = explain(Decimal(970), NOON, POSITION, [], expected(50, -30))
    assert (found.explained, found.gap, found.expected) == (Decimal(-30), Decimal(0), (UUID(int=2),))


def test_two_expectations_together_and_all_of_them() -> None:
    assert explain(Decimal(1020), NOON, POSITION, [], expected(50, -30)).gap == 0
    assert explain(Decimal(1111), NOON, POSITION, [], expected(1, 10, 100)).gap == 0
    # Three of four are none of these: more would explain anything.
    assert explain(Decimal(1111), NOON, POSITION, [], expected(1, 10, 100, 1000)).gap == 111


def test_what_was_notified_after_the_banks_moment_is_not_in_its_balance() -> None:
    recent = [Change(Decimal(70), NOON + minutes(2)), Change(Decimal(30), NOON + minutes(1))]
    found = explain(Decimal(900), NOON, POSITION, recent, [])
    assert (found.explained, found.gap, found.not_yet) == (Decimal(-100), Decimal(0), 2)


def test_a_balance_that_lags_a_little_behind_its_notifications_is_explained_and_one_that_lags_long_is_not() -> None:
    recent = [Change(Decimal(70), NOON - SLACK + minutes(1))]
    assert explain(Decimal(930), NOON, POSITION, recent, []).gap == 0
    recent = [Change(Decimal(70), NOON - SLACK)]
    assert explain(Decimal(930), NOON, POSITION, recent, []).gap == -70


def test_an_unexplained_balance_is_compared_with_the_position_of_its_moment() -> None:
    recent = [Change(Decimal(70), NOON + minutes(2)), Change(Decimal(30), NOON - minutes(1))]
    found = explain(Decimal(920), NOON, POSITION, recent, [])
    assert (found.explained, found.gap, found.not_yet) == (Decimal(-70), Decimal(-10), 1)


changes = st.lists(st.tuples(amounts, st.integers(-20, 20)), max_size=8)


@given(changes, st.lists(amounts, max_size=5), st.integers(0, 8), st.data())
def test_any_moment_since_then_with_up_to_two_expectations_is_explained(
    told: list[tuple[Decimal, int]], awaited: list[Decimal], back: int, data: st.DataObject
) -> None:
    ordered = sorted((NOON + minutes(at), amount) for amount, at in told)
    recent = [Change(amount, at) for at, amount in reversed(ordered)]
    sees = [change for change in recent if change.at > NOON - SLACK]
    lacking = sees[: min(back, len(sees))]
    booked = data.draw(st.lists(st.sampled_from(range(len(awaited))), max_size=2, unique=True)) if awaited else []
    balance = POSITION - sum(c.amount for c in lacking) + sum(awaited[n] for n in booked)
    found = explain(balance, NOON, POSITION, recent, [Expected(UUID(int=n), a) for n, a in enumerate(awaited)])
    assert found.gap == 0
    assert found.explained == balance - POSITION


@given(changes, st.lists(amounts, max_size=5), st.integers(-3000, 3000).map(Decimal))
def test_explained_and_gap_always_add_up_to_the_difference(
    told: list[tuple[Decimal, int]], awaited: list[Decimal], balance: Decimal
) -> None:
    recent = [Change(amount, NOON + minutes(at)) for amount, at in sorted(told, key=lambda t: -t[1])]
    found = explain(balance, NOON, POSITION, recent, [Expected(UUID(int=n), a) for n, a in enumerate(awaited)])
    assert found.explained + found.gap == balance - POSITION
    if found.gap:
        assert found.explained == -sum(c.amount for c in recent if c.at > NOON)
