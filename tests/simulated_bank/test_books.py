"""The simulated bank's books: balances are the fold of entries, and statements tile them without a gap."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.words import Account, Entry, Order
from token_engine.domain.refusal import RefusedError

START = datetime(2025, 11, 18, 9, 0, tzinfo=UTC)
OPENING = Decimal("1000.00")


def opened(books: Books, currency: str = "AED", opening: Decimal = OPENING) -> Account:
    books.open_accounts([("AE070331234567890123456", currency, opening)], "Holder", START)
    account = books.account("AE070331234567890123456")
    assert account is not None
    return account


@pytest.fixture
def books() -> Iterator[Books]:
    made = Books(Path(":memory:"))
    yield made
    made.close()


amounts = st.integers(-(10**9), 10**9).filter(bool).map(lambda minor: Decimal(minor).scaleb(-2))
# The clock may stand still or go back; some steps close the day that the bank's clock has come to.
steps = st.lists(
    st.tuples(st.integers(-4, 40), st.one_of(st.lists(amounts, min_size=1, max_size=3), st.just("close"))), max_size=30
)


@given(steps=steps, asked=st.lists(st.integers(0, 1200), max_size=5))
def test_a_balance_is_the_fold_of_what_was_booked_by_then(
    steps: list[tuple[int, list[Decimal] | str]], asked: list[int]
) -> None:
    books = Books(Path(":memory:"))
    account, now, booked, statements = opened(books), START, [], []
    for hours, act in steps:
        now += timedelta(hours=hours)
        if isinstance(act, str):
            try:
                statements.append(books.state(account, now.date(), now))
            except RefusedError:
                assert statements, "only a day that is closed, or before one"
        else:
            entries = books.book(account, [Order(amount=amount) for amount in act], now)
            assert [entry.amount for entry in entries] == act
            booked += entries
    assert books.entries(account) == booked
    assert books.balance(account, now + timedelta(days=9)) == OPENING + sum(entry.amount for entry in booked)
    for hours in asked:
        at = START + timedelta(hours=hours)
        fold = OPENING + sum(entry.amount for entry in booked if entry.booked_at <= at)
        assert books.balance(account, at) == fold
    running = OPENING
    for entry in booked:
        running += entry.amount
        assert entry.balance == running
    # Each entry stands in one statement or none yet, and each statement begins where the one before ended.
    closing = OPENING
    stated: list[Entry] = []
    numbers: list[int] = []
    for statement in dict.fromkeys(statement.day for statement in statements):
        again = books.state(account, statement, now)
        assert again.opening == closing
        assert again.closing == closing + sum(entry.amount for entry in again.entries)
        assert all(again.first_day <= entry.booking_date <= again.day for entry in again.entries)
        closing, stated, numbers = again.closing, [*stated, *again.entries], [*numbers, again.number]
    opening, rest = books.unstated(account)
    assert (opening, stated + rest) == (closing, booked)
    assert numbers == list(range(1, len(numbers) + 1))
    books.close()


def test_several_orders_are_booked_together_or_not_at_all(books: Books) -> None:
    account = opened(books)
    with pytest.raises(RefusedError, match=r"0\.001"):
        books.book(account, [Order(amount=Decimal(5)), Order(amount=Decimal("0.001"))], START)
    assert books.entries(account) == []
    assert books.next_notice() is None
    assert books.balance(account, START) == OPENING


@pytest.mark.parametrize("amount", ["0", "NaN", "Infinity", "1E+13", "0.005", "-9999999999999.99"])
def test_what_cannot_be_booked(books: Books, amount: str) -> None:
    account = opened(books, opening=Decimal("-1"))
    with pytest.raises(RefusedError):
        books.book(account, [Order(amount=Decimal(amount))], START)


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "5"), ("KWD", "0.005"), ("AED", "1E+3")])
def test_amounts_have_the_decimals_of_their_currency(books: Books, currency: str, amount: str) -> None:
    account = opened(books, currency, Decimal(0))
    [entry] = books.book(account, [Order(amount=Decimal(amount))], START)
    assert entry.amount == Decimal(amount)
    assert books.balance(account, START) == Decimal(amount)


def test_an_entry_is_never_changed_or_taken_back(books: Books) -> None:
    account = opened(books)
    books.book(account, [Order(amount=Decimal(5))], START)
    for statement in ("UPDATE entries SET amount = 6", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError):
            books._connection.execute(statement)


def test_what_is_silent_and_what_is_told_twice(books: Books) -> None:
    account = opened(books)
    silent, told, twice = books.book(
        account, [Order(amount=Decimal(n), notifications=n - 1) for n in (1, 2, 3)], START
    )  # fmt: skip
    seen = []
    while notice := books.next_notice():
        assert books.next_notice() == notice, "due until it was told"
        seen.append(notice.entry)
        books.told(notice, START)
    assert seen == [told, twice, twice]
    assert silent in books.entries(account)


def test_a_day_is_closed_once_and_in_order(books: Books) -> None:
    account = opened(books)
    books.book(account, [Order(amount=Decimal(5))], START)
    first = books.state(account, START.date(), START)
    [late] = books.book(account, [Order(amount=Decimal(7))], START + timedelta(hours=1))
    assert late.booking_date == START.date() + timedelta(days=1), "the day is closed"
    assert books.state(account, START.date(), START + timedelta(days=3)) == first
    for day in (-1, 1):
        with pytest.raises(RefusedError, match="next day to close is 2025-11-19"):
            books.state(account, START.date() + timedelta(days=day), START)
    after_a_weekend = books.state(account, START.date() + timedelta(days=3), START + timedelta(days=3))
    assert (after_a_weekend.number, after_a_weekend.entries) == (2, (late,))
    assert after_a_weekend.first_day == START.date() + timedelta(days=1)


def test_two_accounts_of_one_number_are_two(books: Books) -> None:
    books.open_accounts(
        [("N-1", "AED", Decimal(1)), ("N-1", "USD", Decimal(2)), ("N-1", "AED", Decimal(9))], "H", START
    )
    aed, usd = books.accounts()
    assert (aed.opening, usd.opening) == (Decimal(1), Decimal(2)), "the one that is there stays as it is"
    assert books.account("N-1") is None, "which one?"
    assert (books.account(aed.resource), books.account(usd.resource)) == (aed, usd)
