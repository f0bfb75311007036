"""The engine beside a bank that knows the truth: whatever is booked there, told once, twice or not at all, each closed
day leaves the engine's position where the bank's balance is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from road.bench import NOW, NUMBER, Bench, Road, came
from token_engine.banks.simulated import camt
from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.words import Account, Order
from token_engine.domain.receipt import AlreadyRecorded, Recorded
from token_engine.tiers import end_of_day
from token_engine.tiers.notification import record

OPENING = Decimal(1_000_000)

amounts = st.integers(-500, 500).filter(bool).map(lambda minor: Decimal(minor).scaleb(-2))
# Few amounts and few references: many movements look alike.
orders = st.one_of(
    st.builds(
        Order, amount=amounts, notifications=st.sampled_from([1, 1, 0, 2]),
        reference=st.sampled_from([None, "R-1", "R-2"]), end_to_end=st.sampled_from([None, "E-1"]),
    ),
    # Without a usable reference a second message tells of a second movement (DESIGN 3.2): it is told once.
    st.builds(Order, amount=amounts, notifications=st.sampled_from([1, 0]), reference=st.just("NOTPROVIDED")),
)  # fmt: skip
days = st.lists(st.lists(st.lists(orders, min_size=1, max_size=2), max_size=4), min_size=1, max_size=3)


def bank() -> tuple[Books, Account]:
    books = Books(Path(":memory:"))
    books.open_accounts([(NUMBER, "AED", OPENING)], "Holder", NOW - timedelta(days=1))
    account = books.account(NUMBER)
    assert account is not None
    return books, account


async def take(road: Road, raw: bytes, now: datetime) -> None:
    """A notification or a report, by the road of Tier 1."""
    [receipt] = await record(road.tx, [came(raw)], now)
    assert isinstance(receipt, Recorded | AlreadyRecorded), receipt


async def tell(road: Road, books: Books, now: datetime) -> None:
    """All notifications that are due."""
    while notice := books.next_notice():
        await take(road, camt.notification(notice), now)
        books.told(notice, now)


async def close(road: Road, books: Books, account: Account, days_later: int) -> Any:
    """The bank closes its day, and the engine takes in the statement."""
    now = NOW + timedelta(days=days_later)
    raw = camt.statement(books.state(account, now.date(), now))
    [receipt] = await end_of_day.record(road.tx, [came(raw, "file")], now)
    assert isinstance(receipt, Recorded | AlreadyRecorded), receipt
    [day] = receipt.days
    return day


# A day takes the engine a tenth of a second: what fails is shown as found, and not made small.
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(days=days, reports=st.booleans())
def test_after_each_statement_the_position_is_the_banks_balance(
    bench: Bench, days: list[list[list[Order]]], reports: bool
) -> None:
    # One reference on two movements of one amount, sign and day is one movement told twice: a bank that means two by
    # it cannot be understood by anybody.
    async def story(road: Road) -> None:
        engine = await road.account()
        books, account = bank()
        used: set[tuple[str | None, Decimal]] = set()
        for later, groups in enumerate(days):
            now = NOW + timedelta(days=later)
            for group in groups:
                fresh = [order for order in group if (order.reference, order.amount) not in used]
                used |= {
                    (order.reference, order.amount) for order in fresh if order.reference not in (None, "NOTPROVIDED")
                }
                books.book(account, _apart(fresh), now)
            await tell(road, books, now)
            if reports:
                opening, entries = books.unstated(account)
                await take(road, camt.report(account, opening, books.balance(account, now), entries, now), now)
                assert await road.position(engine) == books.balance(account, now), "a report tells what was silent"
            day = await close(road, books, account, later)
            assert day.state == "ACCEPTED", day.checks
            assert not [check for check in day.checks if str(check.outcome) == "failed"]
            assert await road.position(engine) == books.balance(account, now)
        books.close()

    bench.void(story)


def _apart(group: list[Order]) -> list[Order]:
    """Without a second order of the same reference and amount."""
    seen: dict[tuple[str | None, Decimal, int], Order] = {}
    for at, order in enumerate(group):
        seen.setdefault((order.reference, order.amount, at if order.reference in (None, "NOTPROVIDED") else 0), order)
    return list(seen.values())


def test_an_entry_missing_from_a_statement_moves_nothing_and_is_said(bench: Bench) -> None:
    async def story(road: Road) -> None:
        engine = await road.account()
        books, account = bank()
        books.book(account, [Order(amount=Decimal(7)), Order(amount=Decimal(-3), notifications=0, listed=False)], NOW)
        await tell(road, books, NOW)
        day = await close(road, books, account, 0)
        assert day.state == "QUARANTINED"
        assert [check.name for check in day.checks if str(check.outcome) == "failed"] == ["entries_sum"]
        assert await road.position(engine) == OPENING + 7

    bench.void(story)


def test_a_silent_debit_is_found_by_the_statement(bench: Bench) -> None:
    async def story(road: Road) -> None:
        engine = await road.account()
        books, account = bank()
        [entry] = books.book(account, [Order(amount=Decimal(-900), notifications=0)], NOW)
        await tell(road, books, NOW)
        assert await road.position(engine) == OPENING
        day = await close(road, books, account, 0)
        assert (day.entries_recorded, day.difference) == (1, "-900.00")
        assert (await road.state(engine))["circuit_breaker"] == "open"
        recorded = await road.row("SELECT * FROM bank_entries")
        assert recorded["servicer_reference"] == entry.reference

    bench.void(story)
