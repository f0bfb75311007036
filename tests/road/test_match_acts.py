"""What people do with matches: by hand, apart again, and unequal sums by two; each once, whoever else is at it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest
from benchmarks.business import Line, Move

from road.bench import NOW, NUMBER, Bench, Road, road_on
from road.desk import code
from road.test_ledger_races import _waits
from road.test_matching import LATER, pair
from simulation.books import DAY, Books, both
from token_engine.domain.refusal import RefusedError
from token_engine.storage import matches as stored
from token_engine.storage.matching import match
from token_engine.tiers import ledger, match_acts, match_views, matching_policies
from token_engine.tiers.match_acts import MatchWord, NewMatch
from token_engine.tiers.matching_policies import NewMatchingPolicy
from token_engine.tiers.once import Answer, once

_keys = count(1)


def story(bench: Bench, tell: Callable[[Books, Road], Awaitable[None]]) -> None:
    async def run(road: Road) -> None:
        await tell(Books(road.connection, await road.account()), road)
        assert await stored.unequal(road.tx) == []

    bench.void(run)


async def hand(
    road: Road, books: Books, entries: str, movements: str, *, actor: str = "ann", key: str | None = None,
    act: Any = match_acts.make,
) -> Answer:  # fmt: skip
    """Names are letters."""
    wanted = NewMatch(
        entry_ids=[books.entries[e] for e in entries], movement_ids=[books.movements[m] for m in movements],
        actor=actor, reason="seen both",
    )  # fmt: skip
    key = key or f"match-{next(_keys)}"
    return await once(road.tx, key, act.__name__, wanted, NOW, lambda: act(road.tx, wanted, NOW))


async def word(road: Road, act: Any, number: int, actor: str = "bob") -> Answer:
    wanted = MatchWord(actor=actor, reason="because")
    key = f"word-{next(_keys)}"
    return await once(road.tx, key, act.__name__, wanted, NOW, lambda: act(road.tx, number, wanted, NOW))


def view(answer: Answer) -> dict[str, Any]:
    assert answer.status < 400, answer.content
    content: dict[str, Any] = msgspec.json.decode(answer.content)
    return content


async def stated(books: Books, road: Road, lines: list[Line], moves: list[Move]) -> int:
    await books.move(moves)
    number = await books.state(lines)
    await match(road.tx, [number], LATER)
    return number


async def subjects(road: Road) -> list[str]:
    rows = await road.rows("SELECT subject FROM outbox WHERE subject LIKE 'reconciliation.match.%%' ORDER BY id")
    return [row["subject"].rpartition(".")[2] for row in rows]


def test_a_person_matches_what_the_engine_would_not_guess(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        lines = [Line(n, Decimal(7), counterparty="ACME") for n in "ab"]
        await stated(books, road, lines, [Move("m", Decimal(7), counterparty="ACME")])
        items = await match_views.open_items(road.tx, LATER, account=NUMBER, side="bank")
        assert [item["reason"] for item in items] == ["ambiguous", "ambiguous"]
        assert items[0]["candidates"] == [
            {"pass": "amount_date", "entry_id": None, "movement_id": books.movements["m"]}
        ]
        made = view(await hand(road, books, "a", "m", key="k"))
        assert (made["pass"], made["confidence"], made["made_by"], made["difference"]) == (
            "manual", "person", "ann", "0.00",
        )  # fmt: skip
        assert made["agreed"] == {"counterparty": "ACME", "value_date": DAY.isoformat()}
        assert [other["entry_id"] for other in made["alternatives"]] == [books.entries["b"]]
        assert (await hand(road, books, "a", "m", key="k")).again
        assert code(await hand(road, books, "b", "m", key="k")) == "idempotency_conflict"
        assert code(await hand(road, books, "b", "m")) == "already_matched"
        assert await books.matched() == [("manual", frozenset("a"), frozenset("m"))]
        assert await books.waiting() == {"b": "ambiguous"}
        assert await subjects(road) == ["made"]
        audited = (await road.rows("SELECT * FROM audit_log ORDER BY id"))[-1]
        assert (audited["action"], audited["actor"], audited["details"]["reason"]) == ("match_made", "ann", "seen both")
        with pytest.raises(RefusedError, match="answers for an entry"):
            await ledger.reverse(road.tx, books.movements["m"], "r", "ann", "rev", NOW)

    story(bench, tell)


def test_what_was_taken_apart_is_for_people(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        line, move = both("a", "5", end_to_end_id="E")
        first = await stated(books, road, [line], [move])
        [row] = await match_views.listing(road.tx, account=NUMBER, statement_id=first, rule="end_to_end")
        undone = view(await word(road, match_acts.unmatch, row["match_id"]))
        assert (undone["state"], undone["pass"], undone["statement_id"]) == ("UNMATCHED", "end_to_end", first)
        assert [event["happening"] for event in undone["story"]] == ["unmatched"]
        assert code(await word(road, match_acts.unmatch, row["match_id"])) == "match_undone"
        assert set(await books.waiting()) == {"a"}
        await match(road.tx, [await books.state([], DAY + timedelta(days=1))], LATER)
        assert await books.matched() == [], "the engine does not say again what a person said is wrong"
        view(await hand(road, books, "a", "a"))
        assert (await books.waiting(), await subjects(road)) == ({}, ["unmatched", "made"])

    story(bench, tell)


def test_one_for_people_is_still_a_rival(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        line, move = both("a", "5", end_to_end_id="E")
        await stated(books, road, [line], [move])
        [row] = await match_views.listing(road.tx)
        await word(road, match_acts.unmatch, row["match_id"])
        await books.move([Move("b", Decimal(5), end_to_end_id="E")])
        await match(road.tx, [await books.state([], DAY + timedelta(days=1))], LATER)
        assert await books.matched() == []

    story(bench, tell)


@pytest.mark.parametrize("sides", [("a", ""), ("", "m"), ("aa", "m"), ("a", "mm")])
def test_too_little_or_twice(bench: Bench, sides: tuple[str, str]) -> None:
    async def tell(books: Books, road: Road) -> None:
        await stated(books, road, [Line("a", Decimal(60))], [Move("m", Decimal(70))])
        assert code(await hand(road, books, *sides)) == "invalid_request"

    story(bench, tell)


def test_a_payment_and_its_return_undo_each_other(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        await stated(books, road, [Line("a", Decimal(-600)), Line("b", Decimal(600))], [])
        assert view(await hand(road, books, "ab", ""))["agreed"] == {}
        assert await books.waiting() == {}

    story(bench, tell)


def test_what_cannot_be_matched(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        met, pending = Line("e", Decimal(5)), Line("p", Decimal(5), status="PDNG")
        await books.notify([met])
        await books.move([Move("m", Decimal(5)), Move("r", Decimal(5)), Move("t", Decimal(5))])
        await books.meet("e", "t")
        await books.state([met, pending, Line("x", Decimal(5))])
        await road.connection.execute(
            "INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason,"
            " actor, reverses, at) SELECT account_id, 'reversal', amount, enters, leaves, to_holder, from_holder, 'r',"
            " 'tests', id, at FROM ledger_movements WHERE id = %s",
            [books.movements["r"]],
        )
        assert code(await hand(road, books, "e", "m")) == "already_matched"
        assert code(await hand(road, books, "x", "t")) == "already_matched"
        assert code(await hand(road, books, "p", "m")) == "entry_not_booked"
        assert code(await hand(road, books, "x", "r")) == "movement_not_matchable"
        opening = await road.row("SELECT id FROM ledger_movements WHERE kind = 'opening'")
        books.movements |= {"o": opening["id"], "n": 99_999_999}
        books.entries["n"] = 99_999_999
        assert code(await hand(road, books, "x", "o")) == "movement_not_matchable"
        assert code(await hand(road, books, "x", "n")) == "unknown_movement"
        assert code(await hand(road, books, "n", "m")) == "unknown_entry"
        other = Books(road.connection, await road.account("OTHER"))
        await other.state([Line("y", Decimal(5))])
        books.entries |= other.entries
        assert code(await hand(road, books, "y", "m")) == "invalid_request"
        assert code(await hand(road, books, "x", "m", actor="engine")) == "invalid_actor"
        assert code(await hand(road, books, "x", "m")) is None

    story(bench, tell)


def test_what_tier_1_met_is_not_taken_apart(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        line = Line("a", Decimal(5))
        await books.notify([line])
        await books.move([Move("a", Decimal(5))])
        await books.meet("a", "a")
        await stated(books, road, [line], [])
        [row] = await match_views.listing(road.tx)
        assert (row["pass"], row["confidence"]) == ("met", "certain")
        assert code(await word(road, match_acts.unmatch, row["match_id"])) == "match_not_undone"

    story(bench, tell)


def test_unequal_sums_need_two(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        line, move = Line("a", Decimal(85), end_to_end_id="E"), Move("a", Decimal(100), end_to_end_id="E")
        await stated(books, road, [line], [move])
        assert await books.waiting() == {"a": "amount_differs"}
        assert code(await hand(road, books, "a", "a")) == "sums_differ"
        asked = view(await hand(road, books, "a", "a", act=match_acts.request))
        assert (asked["state"], asked["difference"]) == ("PENDING", "-15.00")
        assert await books.matched() == []
        assert code(await word(road, match_acts.approve, asked["id"], " ANN")) == "same_person"
        made = view(await word(road, match_acts.approve, asked["id"]))
        assert (made["pass"], made["difference"], made["agreed"]["end_to_end_id"]) == ("forced", "-15.00", "E")
        assert [event["request_id"] for event in made["story"]] == [asked["id"]]
        assert code(await word(road, match_acts.approve, asked["id"], "cid")) == "match_request_settled"
        assert code(await word(road, match_acts.withdraw, asked["id"])) == "match_request_settled"
        assert (await subjects(road), await books.waiting()) == (["force_requested", "forced"], {})
        assert code(await word(road, match_acts.approve, 99_999)) == "unknown_match_request"

    story(bench, tell)


def test_a_request_is_withdrawn_or_overtaken(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        await stated(books, road, [Line("a", Decimal(80))], [Move("m", Decimal(90)), Move("n", Decimal(80))])
        one = view(await hand(road, books, "a", "m", act=match_acts.request))
        two = view(await hand(road, books, "a", "m", act=match_acts.request))
        assert code(await hand(road, books, "a", "n", act=match_acts.request)) == "sums_equal"
        assert view(await word(road, match_acts.withdraw, one["id"], "ann"))["state"] == "WITHDRAWN"
        view(await hand(road, books, "a", "n"))
        assert code(await word(road, match_acts.approve, two["id"])) == "already_matched"
        pending = await match_views.requests(road.tx, account=NUMBER, pending=True, limit=9)
        assert [request["id"] for request in pending] == [two["id"]]

    story(bench, tell)


def test_a_policy_leaves_passes_out_and_widens_the_window(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        wanted = NewMatchingPolicy(actor="ann", passes=["amount_date"], window_days=5, counterparty_needed=False)  # type: ignore[list-item]
        wanted = msgspec.convert(msgspec.to_builtins(wanted), NewMatchingPolicy)
        said = await matching_policies.save(road.tx, NUMBER, wanted, NOW)
        assert (said["own"], said["passes"], said["window_days"]) == (True, ("amount_date",), 5)
        lines = [Line("a", Decimal(7)), Line("b", Decimal(8), end_to_end_id="E")]
        moves = [Move("a", Decimal(7), day=DAY - timedelta(days=5)), Move("b", Decimal(8), end_to_end_id="E")]
        await stated(books, road, lines, moves)
        assert await books.matched() == [pair("amount_date")], "what shares a reference is not guessed"
        for wrong in ({"window_days": 32}, {"window_days": -1}, {"passes": ["met"]}, {"passes": ["uetr", "uetr"]}):
            bad = msgspec.convert({"actor": "ann", **wrong}, NewMatchingPolicy)
            with pytest.raises(RefusedError):
                await matching_policies.save(road.tx, NUMBER, bad, NOW)
        audited = (await road.rows("SELECT * FROM audit_log ORDER BY id"))[-1]
        assert (audited["action"], audited["details"]["after"]["window_days"]) == ("matching_policy_set", 5)

    story(bench, tell)


def test_a_match_of_the_engine_is_explained(bench: Bench) -> None:
    async def tell(books: Books, road: Road) -> None:
        line, move = both("a", "5", end_to_end_id="E", counterparty="ACME LLC")
        number = await stated(books, road, [line, Line("b", Decimal(5))], [move])
        [row] = await match_views.listing(road.tx, account=NUMBER)
        told = await match_views.show(road.tx, row["match_id"])
        assert told is not None
        assert (told["pass"], told["confidence"], told["made_by"], told["statement_id"]) == (
            "end_to_end", "certain", "engine", number,
        )  # fmt: skip
        assert set(told["agreed"]) == {"end_to_end_id", "counterparty", "value_date"}
        assert (told["entries"][0]["line"], told["movements"][0]["holder"]) == (1, "h")
        assert [(o["entry_id"], o["shares"]) for o in told["alternatives"]] == [(books.entries["b"], ["amount"])]
        assert told["made_at"] is not None
        assert await match_views.show(road.tx, 99_999_999) is None

    story(bench, tell)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, ["fee", "m", "b"]),
        ({"side": "bank"}, ["fee", "b"]),
        ({"side": "ledger"}, ["m"]),
        ({"reason": "fee"}, ["fee"]),
        ({"older_than_days": 3}, ["fee"]),
        ({"limit": 1}, ["fee"]),
    ],
)
def test_open_items_by_age(bench: Bench, question: dict[str, Any], expected: list[str]) -> None:
    async def tell(books: Books, road: Road) -> None:
        old = DAY - timedelta(days=3)
        lines = [Line("b", Decimal(70)), Line("fee", Decimal(-2), day=old)]
        await stated(books, road, lines, [Move("m", Decimal(60), day=DAY - timedelta(days=1))])
        items = await match_views.open_items(road.tx, LATER, account=NUMBER, **question)
        names = {number: name for name, number in (books.entries | books.movements).items()}
        assert [names[item["entry_id"] or item["movement_id"]] for item in items] == expected
        assert items[0]["age_days"] == ((LATER.date() - old).days if expected[0] == "fee" else 2)
        rest = await match_views.open_items(road.tx, LATER, account=NUMBER, after=items[-1]["id"])
        assert not {item["id"] for item in rest} & {item["id"] for item in items}

    story(bench, tell)


@pytest.mark.parametrize("swapped", [False, True])
def test_two_people_at_one_item(migrated: str, swapped: bool) -> None:
    """The second waits for the first, and then sees what he did: one wins, the other is told."""

    async def run() -> None:
        async with road_on(migrated) as one, road_on(migrated) as two, road_on(migrated) as watcher:
            books = Books(watcher.connection, await watcher.account())
            await books.move([Move("m", Decimal(7)), Move("n", Decimal(7))])
            await books.state([Line("a", Decimal(7)), Line("b", Decimal(7))])
            mine, theirs = ("a", "m"), ("a", "n")
            if swapped:
                mine, theirs = ("a", "m"), ("b", "m")

            async def later() -> Answer:
                async with two.connection.transaction():
                    return await hand(two, books, *theirs, actor="bob")

            async with one.connection.transaction():
                assert code(await hand(one, books, *mine)) is None
                waiting = asyncio.create_task(later())
                await _waits(watcher)
            assert code(await waiting) == "already_matched"
            assert len(await books.matched()) == 1

    asyncio.run(run())
