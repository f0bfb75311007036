"""Which lines answer for which movements: every pass on rows of both sides, and what it must never do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from benchmarks.business import Detail, Line, Move

from road.bench import Bench, Road
from simulation.books import DAY, Books, both
from token_engine.storage.matching import Counts, match

LATER = datetime.combine(DAY + timedelta(days=1), time(2), UTC)


def told(bench: Bench, story: Callable[[Books, Road], Awaitable[None]]) -> None:
    async def run(road: Road) -> None:
        await story(Books(road.connection, await road.account()), road)

    bench.void(run)


def of(bench: Bench, lines: list[Line], moves: list[Move]) -> tuple[list[Any], dict[str, str], Counts]:
    """What one statement comes to: matches, what is left with its reason, and the counts."""
    found: list[Any] = []

    async def story(books: Books, road: Road) -> None:
        await books.move(moves)
        number = await books.state(lines)
        counts = await match(road.tx, [number], LATER)
        found.extend((await books.matched(), await books.waiting(), counts[number]))

    told(bench, story)
    return found[0], found[1], found[2]


def pair(rule: str, name: str = "a") -> tuple[str, frozenset[str], frozenset[str]]:
    return rule, frozenset({name}), frozenset({name})


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ("uetr", "uetr"),
        ("end_to_end", "end_to_end_id"),
        ("bank_reference", "bank_reference"),
        ("instruction", "instruction_id"),
        ("creditor_reference", "creditor_reference"),
        ("batch", "batch_reference"),
    ],
)
def test_a_key_and_an_amount_that_each_side_has_once(bench: Bench, rule: str, key: str) -> None:
    line, move = both("a", "100", **{key: "K"})
    assert of(bench, [line], [move]) == ([pair(rule)], {}, Counts(1, 0))
    named: dict[str, Any] = {key: "K"}
    other = Move("a", Decimal("100.01"), **named)
    assert of(bench, [line], [other])[1] == {"a": "amount_differs"}
    opposite = Move("a", Decimal("-100"), **named)
    assert of(bench, [line], [opposite])[0] == []


def test_the_transaction_id_is_an_instruction_too(bench: Bench) -> None:
    line = Line("a", Decimal(5), transaction_id="T")
    assert of(bench, [line], [Move("a", Decimal(5), instruction_id="T")])[0] == [pair("instruction")]


def test_the_reference_of_a_replenishment_is_the_banks(bench: Bench) -> None:
    line = Line("a", Decimal(5), bank_reference="R")
    assert of(bench, [line], [Move("a", Decimal(5), kind="replenishment", cause="R")])[0] == [pair("bank_reference")]


def test_a_stronger_key_that_tells_them_apart_is_not_overruled(bench: Bench) -> None:
    line = Line("a", Decimal(5), end_to_end_id="E1", creditor_reference="RF18", counterparty="X")
    move = Move("a", Decimal(5), end_to_end_id="E2", creditor_reference="RF18", counterparty="X")
    matches, waiting, counts = of(bench, [line], [move])
    assert (matches, counts) == ([], Counts(0, 1))
    assert set(waiting.values()) == {"ambiguous"}
    line, move = both("a", "5", counterparty="X", creditor_reference="RF18")
    assert of(bench, [line], [move])[0] == [pair("creditor_reference")]


@pytest.mark.parametrize(
    ("key", "apart"),
    [
        ("end_to_end_id", "uetr"),
        ("bank_reference", "uetr"),
        ("bank_reference", "end_to_end_id"),
        ("instruction_id", "bank_reference"),
        ("batch_reference", "end_to_end_id"),
    ],
)
def test_every_stronger_key_has_its_say(bench: Bench, key: str, apart: str) -> None:
    one: dict[str, Any] = {key: "K", apart: "x"}
    line, move = Line("a", Decimal(5), **one), Move("a", Decimal(5), **one | {apart: "y"})
    assert of(bench, [line], [move])[0] == []
    alike = of(bench, [line], [Move("a", Decimal(5), **{**one, apart: None})])[0]
    assert len(alike) == 1, "one that says nothing contradicts nothing"


def test_two_lines_and_one_movement_are_for_a_person(bench: Bench) -> None:
    lines = [Line(n, Decimal(5), end_to_end_id="E") for n in "ab"]
    matches, waiting, counts = of(bench, lines, [Move("m", Decimal(5), end_to_end_id="E")])
    assert (matches, counts) == ([], Counts(0, 2))
    assert waiting == {"a": "duplicate", "b": "duplicate", "m": "ambiguous"}


def test_a_weaker_key_tells_apart_what_a_stronger_one_cannot(bench: Bench) -> None:
    lines = [Line(n, Decimal(5), end_to_end_id="E", bank_reference=f"R{n}") for n in "ab"]
    moves = [Move(n, Decimal(5), end_to_end_id="E", bank_reference=f"R{n}") for n in "ab"]
    assert set(of(bench, lines, moves)[0]) == {pair("bank_reference", "a"), pair("bank_reference", "b")}


def test_as_many_alike_on_both_sides_are_one_match(bench: Bench) -> None:
    lines = [Line(n, Decimal(5), end_to_end_id="E") for n in "abc"]
    moves = [Move(n, Decimal(5), end_to_end_id="E") for n in "xyz"]
    assert of(bench, lines, moves) == (
        [("end_to_end", frozenset("abc"), frozenset("xyz"))], {}, Counts(3, 0),
    )  # fmt: skip


def test_a_payment_and_its_charge_under_one_reference(bench: Bench) -> None:
    lines = [
        Line("a", Decimal(-500), bank_reference="R"),
        Line("fee", Decimal("-2.50"), bank_reference="R", transaction_code="PMNT/ICDT/CHRG"),
    ]
    matches, waiting, _ = of(bench, lines, [Move("a", Decimal(-500), bank_reference="R")])
    assert (matches, waiting) == ([pair("bank_reference")], {"fee": "fee"})


def test_one_for_many_by_the_exact_sum_inside_a_batch(bench: Bench) -> None:
    line = Line("a", Decimal(-60), batch_reference="B", end_to_end_id="BATCH-E")
    moves = [Move(n, Decimal(-10 * i), batch_reference="B", end_to_end_id=n) for i, n in enumerate("xyz", 1)]
    assert of(bench, [line], moves)[0] == [("batch", frozenset("a"), frozenset("xyz"))]
    assert of(bench, [line], moves[:2])[0] == []
    assert of(bench, [line], moves[:2])[1]["a"] == "amount_differs"


def test_many_for_one_inside_a_reference(bench: Bench) -> None:
    lines = [Line(n, Decimal(a), end_to_end_id="E") for n, a in (("a", "40"), ("b", "60"))]
    assert of(bench, lines, [Move("m", Decimal(100), end_to_end_id="E")])[0] == [
        ("batch", frozenset("ab"), frozenset("m"))
    ]


def test_a_line_by_its_details(bench: Bench) -> None:
    details = (Detail(Decimal(-10), "E1"), Detail(Decimal(-10), "E1"), Detail(Decimal(-5), "E2", "U2"))
    line = Line("a", Decimal(-25), details=details)
    moves = [
        Move("x", Decimal(-10), end_to_end_id="E1"),
        Move("y", Decimal(-10), end_to_end_id="E1"),
        Move("z", Decimal(-5), uetr="U2"),
    ]
    assert of(bench, [line], moves) == ([("details", frozenset("a"), frozenset("xyz"))], {}, Counts(1, 0))
    assert of(bench, [line], moves[1:])[0] == [], "one of its payments has no movement"
    short = Line("a", Decimal(-26), details=details)
    assert of(bench, [short], moves)[0] == [], "the details do not sum to the line"
    other = [Line("b", Decimal(-10), end_to_end_id="OTHER", details=(Detail(Decimal(-10), "E1"),)), line]
    assert [m for m in of(bench, other, moves)[0] if m[0] == "details"] == [], "E1 is on two lines"


@pytest.mark.parametrize(
    ("apart", "line", "move", "matched"),
    [
        (0, {}, {}, True),
        (2, {}, {}, True),
        (3, {}, {}, False),
        (0, {"counterparty": "ACME Trading L.L.C."}, {"counterparty": "acme trading llc"}, True),
        (0, {"counterparty": "Other"}, {}, False),
        (0, {"counterparty": None}, {}, False),
        (0, {"end_to_end_id": "E1"}, {"end_to_end_id": "E2"}, False),
        (0, {"end_to_end_id": "E1"}, {}, True),
    ],
)
def test_amount_and_date_need_the_counterparty_and_no_contradiction(
    bench: Bench, apart: int, line: dict[str, Any], move: dict[str, Any], matched: bool
) -> None:
    one = Line("a", Decimal(7), **{"counterparty": "ACME TRADING LLC", **line})
    other = Move("a", Decimal(7), day=DAY - timedelta(days=apart), **{"counterparty": "ACME TRADING LLC", **move})
    assert of(bench, [one], [other])[0] == ([pair("amount_date")] if matched else [])


@pytest.mark.parametrize(
    "rival",
    [
        Line("b", Decimal(7), counterparty="ACME"),
        Line("b", Decimal(7), day=DAY - timedelta(days=2), counterparty="ACME"),
        Line("b", Decimal(7)),
        Move("b", Decimal(7), counterparty="ACME"),
        Move("b", Decimal(7), day=DAY + timedelta(days=2), counterparty="ACME"),
        Move("b", Decimal(7)),
    ],
)
def test_amount_and_date_are_no_guess(bench: Bench, rival: Line | Move) -> None:
    line, move = both("a", "7", counterparty="ACME")
    lines, moves = ([line, rival], [move]) if isinstance(rival, Line) else ([line], [move, rival])
    matches, waiting, _ = of(bench, lines, moves)
    assert matches == []
    assert waiting["a"] == "ambiguous"


@pytest.mark.parametrize(
    "other",
    [
        Line("b", Decimal(7), day=DAY - timedelta(days=3), counterparty="ACME"),
        Line("b", Decimal(7), counterparty="OTHER"),
        Line("b", Decimal(-7), counterparty="ACME"),
        Line("b", Decimal("7.00000001"), counterparty="ACME"),
    ],
)
def test_what_cannot_be_meant_is_no_rival(bench: Bench, other: Line) -> None:
    line, move = both("a", "7", counterparty="ACME")
    assert of(bench, [line, other], [move])[0] == [pair("amount_date")]


def test_what_shares_a_reference_is_not_guessed_by_its_amount(bench: Bench) -> None:
    """The line of 98 is the payment of 100 less a charge, and not the other customer movement of 98."""
    line = Line("a", Decimal(98), end_to_end_id="E", counterparty="X")
    moves = [Move("m", Decimal(100), end_to_end_id="E", counterparty="X"), Move("n", Decimal(98), counterparty="X")]
    matches, waiting, _ = of(bench, [line], moves)
    assert (matches, waiting["a"], waiting["m"]) == ([], "amount_differs", "amount_differs")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (Line("a", Decimal(-900), transaction_code="PMNT/ICDT/CHRG"), "fee"),
        (Line("a", Decimal(-900), remittance="Account service charge Q4"), "fee"),
        (Line("a", Decimal(-3)), "fee"),
        (Line("a", Decimal(3), remittance="FEES"), "timing"),
        (Line("a", Decimal(12), transaction_code="NINT"), "interest"),
        (Line("a", Decimal(12), remittance="Credit interest November"), "interest"),
        (Line("a", Decimal(900), transaction_code="PMNT/ICDT/RRTN"), "return"),
        (Line("a", Decimal(900), remittance="RETURNED: account closed"), "return"),
        (Line("a", Decimal(900)), "timing"),
        (Line("a", Decimal(900), day=DAY - timedelta(days=3)), "unknown"),
    ],
)
def test_the_reason_that_a_line_suggests(bench: Bench, line: Line, reason: str) -> None:
    assert of(bench, [line], [])[1] == {"a": reason}


def test_what_repeats_or_undoes_a_matched_line(bench: Bench) -> None:
    line, move = both("a", "-70", end_to_end_id="E", counterparty="ACME")
    again = Line("b", Decimal(-70), counterparty="acme")
    back = Line("c", Decimal(70), counterparty="ACME")
    assert of(bench, [line, again, back], [move])[1] == {"b": "duplicate", "c": "return"}


def test_days_follow_one_another_and_none_is_looked_at_twice(bench: Bench) -> None:
    async def story(books: Books, road: Road) -> None:
        late, early = both("late", "5", end_to_end_id="L"), both("early", "6", end_to_end_id="R")
        await books.move([early[1]])
        first = await books.state([late[0]])
        assert await match(road.tx, [first], LATER) == {first: Counts(0, 1)}
        assert await books.waiting() == {"late": "timing", "early": "timing"}
        await books.move([late[1]])
        second = await books.state([early[0]], DAY + timedelta(days=1))
        assert await match(road.tx, [second], LATER) == {second: Counts(1, 0)}
        assert set(await books.matched()) == {pair("end_to_end", "late"), pair("end_to_end", "early")}
        assert await books.waiting() == {}
        closed = await road.rows("SELECT closed_by FROM open_items WHERE closed_at IS NOT NULL")
        assert all(row["closed_by"].startswith("match ") for row in closed)
        made = {row["statement_id"] for row in await road.rows("SELECT DISTINCT statement_id FROM matches")}
        assert made == {second}

    told(bench, story)


def test_what_tier_1_met_is_matched_by_that_and_by_nothing_else(bench: Bench) -> None:
    async def story(books: Books, road: Road) -> None:
        line, other = Line("a", Decimal(5), end_to_end_id="E"), Move("b", Decimal(5), end_to_end_id="E")
        await books.notify([line])
        await books.move([Move("a", Decimal(5)), other])
        await books.meet("a", "a")
        number = await books.state([line])
        assert await match(road.tx, [number], LATER) == {number: Counts(1, 0)}
        assert await books.matched() == [pair("met")]
        assert await books.waiting() == {"b": "timing"}

    told(bench, story)


def test_a_movement_that_is_reversed_waits_for_nothing_and_its_match_ends(bench: Bench) -> None:
    async def story(books: Books, road: Road) -> None:
        line, move = both("a", "5", end_to_end_id="E")
        await books.move([move, Move("open", Decimal(9)), Move("at once", Decimal(8))])
        await reverse(books, road, "at once")
        first = await books.state([line])
        await match(road.tx, [first], LATER)
        assert await books.matched() == [pair("end_to_end")]
        assert await books.waiting() == {"open": "timing"}
        await reverse(books, road, "open")
        await reverse(books, road, "a")
        second = await books.state([], DAY + timedelta(days=1))
        await match(road.tx, [second], LATER)
        assert await books.matched() == []
        assert await books.waiting() == {"a": "unknown"}
        event = await road.row("SELECT * FROM match_events")
        assert (event["happening"], event["actor"], event["statement_id"]) == ("unmatched", "engine", first)
        again = Move("again", Decimal(5), end_to_end_id="E")
        await books.move([again])
        await match(road.tx, [await books.state([], DAY + timedelta(days=2))], LATER)
        assert await books.matched() == [("end_to_end", frozenset("a"), frozenset({"again"}))]

    told(bench, story)


async def reverse(books: Books, road: Road, name: str) -> None:
    await road.connection.execute(
        "INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor,"
        " reverses, at) SELECT account_id, 'reversal', amount, enters, leaves, to_holder, from_holder, 'r', 'tests',"
        " id, at FROM ledger_movements WHERE id = %s",
        [books.movements[name]],
    )


def test_what_was_notified_and_not_stated(bench: Bench) -> None:
    async def story(books: Books, road: Road) -> None:
        lost, before = Line("lost", Decimal(5)), Line("before", Decimal(4), day=DAY - timedelta(days=9))
        tomorrow = Line("tomorrow", Decimal(6), day=DAY + timedelta(days=1))
        listed, pending = Line("listed", Decimal(7)), Line("pending", Decimal(8), status="PDNG")
        await books.notify([lost, tomorrow, listed, before, pending])
        first = await books.state([listed], lists_from=DAY - timedelta(days=1))
        await match(road.tx, [first], LATER)
        assert await books.waiting() == {"lost": "missing_from_statement", "listed": "fee"} | {"listed": "timing"}
        second = await books.state([lost], DAY + timedelta(days=1))
        await match(road.tx, [second], LATER)
        assert await books.waiting() == {
            "listed": "unknown", "lost": "unknown", "tomorrow": "missing_from_statement",
        }  # fmt: skip

    told(bench, story)


def test_what_an_account_did_before_its_first_statement_is_in_the_opening_balance(bench: Bench) -> None:
    async def story(books: Books, road: Road) -> None:
        old, before, same = (DAY - timedelta(days=n) for n in (40, 1, 0))
        met = Line("met", Decimal(5), day=before)
        await books.notify([met])
        moves = [Move("met", Decimal(5), day=before), Move("old", Decimal(60), day=old)]
        moves += [Move("in transit", Decimal(70), day=before, end_to_end_id="T"), Move("new", Decimal(80), day=same)]
        await books.move(moves)
        await books.meet("met", "met")
        line = Line("in transit", Decimal(70), end_to_end_id="T")
        number = await books.state([line], lists_from=DAY)
        assert await match(road.tx, [number], LATER) == {number: Counts(1, 0)}
        assert await books.waiting() == {"new": "timing"}
        await books.move([Move("backdated", Decimal(90), day=old)])
        await match(road.tx, [await books.state([], DAY + timedelta(days=1))], LATER)
        assert await books.waiting() == {"new": "timing", "backdated": "unknown"}

    told(bench, story)


def test_a_corrected_statement_keeps_what_it_still_lists(bench: Bench) -> None:
    async def story(books: Books, road: Road) -> None:
        kept, move = both("kept", "5", end_to_end_id="E")
        gone, open_ = Line("gone", Decimal(60)), Line("open", Decimal(70))
        await books.move([move])
        first = await books.state([kept, gone, open_])
        assert await match(road.tx, [first], LATER) == {first: Counts(1, 2)}
        second = await books.state([kept, open_], corrects=first)
        assert await match(road.tx, [second], LATER) == {second: Counts(1, 1)}
        assert await books.waiting() == {"gone": "missing_from_statement", "open": "timing"}
        waits = await road.row("SELECT statement_id FROM open_items WHERE closed_at IS NULL AND kind = 'unmatched'")
        assert waits["statement_id"] == second

    told(bench, story)


def test_many_statements_at_once_keep_their_accounts_apart(bench: Bench) -> None:
    async def run(road: Road) -> None:
        books = [Books(road.connection, await road.account(f"N{n}")) for n in range(3)]
        numbers = []
        for number, b in enumerate(books):
            line, move = both("a", "5", end_to_end_id="E")
            await b.move([move] if number else [])
            numbers.append(await b.state([line]))
        counts = await match(road.tx, numbers, LATER)
        assert [counts[n] for n in numbers] == [Counts(0, 1), Counts(1, 0), Counts(1, 0)]
        assert [await b.matched() for b in books] == [[], [pair("end_to_end")], [pair("end_to_end")]]

    bench.void(run)


def test_the_plans_of_the_road_are_as_before(bench: Bench) -> None:
    async def story(books: Books, road: Road) -> None:
        await match(road.tx, [await books.state([])], LATER)
        for name, value in {
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "plan_cache_mode": "force_generic_plan",
        }.items():
            assert await road.row(f"SHOW {name}") == {name: value}
        left = await road.rows("SELECT relname FROM pg_class WHERE relpersistence = 't' AND relname LIKE 'matching%%'")
        assert left == []

    told(bench, story)
