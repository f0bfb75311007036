"""Pages of one statement, in whatever order they come and however often."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from domain.statements import balance, heading, statement
from token_engine.domain.pages import Complete, Missing, arrange, joined
from token_engine.domain.statement import Outcome, Statement

amounts = st.lists(st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents).scaleb(-2)), min_size=1, max_size=6)


def mt(of: list[Decimal], start: Decimal = Decimal(100)) -> list[Statement]:
    """An MT940 with an entry on each page: :60F:…:62M:, :60M:…:62M:, :60M:…:62F:."""
    return _paged(of, start, "MT940", sequence_number="5")


def camt(of: list[Decimal], start: Decimal = Decimal(100)) -> list[Statement]:
    return _paged(of, start, "camt.053.001.08", notification_id="S-1")


def _paged(of: list[Decimal], start: Decimal, type_: str, **more: Any) -> list[Statement]:
    pages, opens = [], start
    for number, amount in enumerate(of, start=1):
        closes, last = opens + amount, number == len(of)
        head = heading(
            balance("OPBD", opens, interim=number > 1), balance("CLBD", closes, interim=not last), type_=type_,
            page_number=number, last_page=last, message_id=f"M-{number}", **more,
        )  # fmt: skip
        pages.append(statement(head, str(amount)))
        opens = closes
    return pages


@given(data=st.data(), of=amounts, paged=st.sampled_from([mt, camt]))
def test_in_any_order_and_twice_they_are_one_statement(data: st.DataObject, of: list[Decimal], paged: Any) -> None:
    pages = paged(of)
    came = data.draw(st.permutations(pages + data.draw(st.lists(st.sampled_from(pages)))))
    # What comes again comes in another message.
    came = [
        structs.replace(p, heading=structs.replace(
            p.heading, message_id=f"AGAIN-{n}", created_at=datetime(2025, 11, 18, n % 24, tzinfo=UTC), copy=n % 2 == 0,
        ))
        for n, p in enumerate(came)
    ]  # fmt: skip
    found = arrange(came)
    assert isinstance(found, Complete)
    assert [came[place].heading.page_number for place in found.order] == list(range(1, len(of) + 1))
    assert found.check.outcome is (Outcome.PASSED if len(of) > 1 else Outcome.NOT_CHECKABLE)
    whole = joined([came[place] for place in found.order])
    assert [(b.code, b.signed) for b in whole.heading.balances] == [
        ("OPBD", Decimal(100)), ("CLBD", Decimal(100) + sum(of)),
    ]  # fmt: skip
    assert (whole.lines, whole.booked_sum, whole.amount_sum) == (len(of), sum(of), sum(abs(each) for each in of))


@given(data=st.data(), of=amounts, paged=st.sampled_from([mt, camt]))
def test_what_is_missing_is_named_and_nothing_is_complete_before_it_came(
    data: st.DataObject, of: list[Decimal], paged: Any
) -> None:
    pages = paged(of)
    there = data.draw(st.permutations(data.draw(st.lists(st.sampled_from(pages), min_size=1))))
    found, numbers = arrange(there), {page.heading.page_number or 0 for page in there}
    if numbers == set(range(1, len(of) + 1)):
        assert isinstance(found, Complete)
        return
    assert isinstance(found, Missing)
    gaps = set(range(1, max(numbers))) - numbers
    assert set(found.numbers) == gaps | (set() if len(of) in numbers else {max(numbers) + 1})
    # Each that it names, once it is there, is named no more; and with all of them it ends.
    for _ in range(len(of)):
        if isinstance(found, Complete):
            break
        [*there] = [*there, *(page for page in pages if page.heading.page_number in found.numbers)]
        found = arrange(there)
    assert isinstance(found, Complete)


@given(of=amounts.filter(lambda of: len(of) > 1), wrong=st.integers(1, 10**6), data=st.data())
def test_a_page_that_does_not_open_where_the_one_before_closed_fails(
    of: list[Decimal], wrong: int, data: st.DataObject
) -> None:
    pages = mt(of)
    at = data.draw(st.integers(1, len(pages) - 1))
    head = pages[at].heading
    opens = balance("OPBD", head.balances[0].signed + wrong, interim=True)
    pages[at] = structs.replace(pages[at], heading=structs.replace(head, balances=(opens, head.balances[1])))
    found = arrange(pages)
    assert isinstance(found, Complete)
    assert found.check.outcome is Outcome.FAILED
    assert found.check.text.startswith(f"page {at} closes with ")
    assert found.check.expected != found.check.actual


def test_two_contents_of_one_page_are_for_people() -> None:
    one, two = mt([Decimal(5), Decimal(6)])
    found = arrange([one, two, statement(two.heading, "7")])
    assert isinstance(found, Complete)
    assert (found.check.outcome, found.check.text) == (Outcome.FAILED, "page 2 came twice, and differs")


def test_a_page_behind_the_last_is_for_people() -> None:
    pages = camt([Decimal(5), Decimal(6), Decimal(7)])
    early = structs.replace(pages[1], heading=structs.replace(pages[1].heading, last_page=True))
    found = arrange([pages[0], early, pages[2]])
    assert isinstance(found, Complete)
    assert found.check.outcome is Outcome.FAILED
    assert "says that it is the last" in found.check.text


OPENS, CLOSES = balance("OPBD", "100"), balance("CLBD", "105")
PAGE_CLOSES, PAGE_OPENS = balance("CLBD", "105", interim=True), balance("OPBD", "100", interim=True)


@pytest.mark.parametrize(
    ("balances", "type_", "said", "numbers"),
    [
        ((OPENS, CLOSES), "camt.053", {"notification_id": "S"}, None),
        ((OPENS, CLOSES), "camt.053", {"notification_id": "S", "page_number": 1, "last_page": True}, None),
        # MsgPgntn 2 of a message whose parts are whole statements; an MT that counts days where the page belongs.
        ((OPENS, CLOSES), "camt.053", {"notification_id": "S", "page_number": 2, "last_page": True}, None),
        ((OPENS, CLOSES), "MT940", {"sequence_number": "9", "page_number": 37, "last_page": True}, None),
        # :28C:0/32: a bank that counts no statements counts no pages of them.
        ((PAGE_OPENS, CLOSES), "MT940", {"page_number": 32, "last_page": True}, None),
        ((OPENS, balance("CLBD", "106")), "camt.053",
         {"notification_id": "S", "page_number": 2, "last_page": True}, (1,)),
        ((OPENS, PAGE_CLOSES), "camt.053", {"notification_id": "S", "page_number": 1, "last_page": False}, (2,)),
        ((OPENS, PAGE_CLOSES), "camt.053", {"notification_id": "S", "page_number": 1}, (2,)),
        ((OPENS, PAGE_CLOSES), "MT940", {"sequence_number": "9", "last_page": False}, (2,)),
        ((PAGE_OPENS, CLOSES), "MT940", {"sequence_number": "9", "page_number": 3, "last_page": True}, (1, 2)),
    ],
)  # fmt: skip
def test_a_page_that_is_alone(
    balances: tuple[Any, ...], type_: str, said: dict[str, Any], numbers: tuple[int, ...] | None
) -> None:
    page = statement(heading(*balances, type_=type_, **said), "5")
    found = arrange([page])
    if numbers is None:
        assert isinstance(found, Complete)
        assert joined([page]) is page
    else:
        assert found == Missing(numbers)


def test_interim_balances_by_their_own_code_join_pages_too() -> None:
    """Two ITBD in the middle, opening and closing; one at either end."""

    def page(number: int, *balances: Any) -> Statement:
        return statement(
            heading(*balances, notification_id="S", page_number=number, last_page=number == 3), "1"
        )  # fmt: skip

    def itbd(amount: str) -> Any:
        return balance("ITBD", amount)

    first, last = page(1, OPENS, itbd("101")), page(3, itbd("102"), balance("CLBD", "103"))
    for opens, outcome in (("101", Outcome.PASSED), ("101.01", Outcome.FAILED)):
        found = arrange([last, page(2, itbd(opens), itbd("102")), first])
        assert isinstance(found, Complete)
        assert found.check.outcome is outcome
    found = arrange([first, page(2, itbd("101")), last])
    assert isinstance(found, Complete)
    assert found.check.outcome is Outcome.NOT_CHECKABLE, "which of the two it is, nobody says"
    whole = joined([first, page(2, itbd("101"), itbd("102")), last])
    assert [b.code for b in whole.heading.balances] == ["OPBD", "CLBD"]


@pytest.mark.parametrize(
    ("stated", "whole"),
    [
        ([(1, "5"), (2, "7")], (3, Decimal(12))), ([(3, "12"), (3, "12")], (3, Decimal(12))),
        ([(1, None), (2, "7")], (3, None)), ([(None, None), (None, None)], (None, None)),
    ],
)  # fmt: skip
def test_counts_of_pages_are_added_up_unless_each_states_the_whole(
    stated: list[tuple[int | None, str | None]], whole: tuple[int | None, Decimal | None]
) -> None:
    pages = [
        structs.replace(page, heading=structs.replace(
            page.heading, stated_entries=count, stated_sum=None if total is None else Decimal(total)
        ))
        for page, (count, total) in zip(mt([Decimal(5), Decimal(6)]), stated, strict=True)
    ]  # fmt: skip
    head = joined(pages).heading
    assert (head.stated_entries, head.stated_sum) == whole


def test_pages_that_follow_one_another_are_what_the_tests_say() -> None:
    """The pages above are what an MT's are: else nothing here is tested."""
    pages = mt([Decimal(1), Decimal(2), Decimal(3)])
    for one, two in pairwise(pages):
        assert one.heading.balances[1].signed == two.heading.balances[0].signed
