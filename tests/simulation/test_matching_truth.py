"""A month of business whose truth is known, day by day: no match is wrong, and hardly a decidable one is missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta

import pytest
from benchmarks.business import FIRST, Event, Line, Move, month

from road.bench import Bench, Road
from simulation.books import Books
from token_engine.domain.matching import RULES, Confidence, Pass
from token_engine.storage.matching import Counts, match

Match = tuple[frozenset[str], frozenset[str]]


async def _live(books: Books, road: Road, events: list[Event]) -> tuple[Counter[str], Counter[str]]:
    """Each day's movements, then its statement, then matching; and the sum of what it said it matched."""
    lines: dict[date, list[Line]] = defaultdict(list)
    moves: dict[date, list[Move]] = defaultdict(list)
    for event in events:
        for line in event.lines:
            lines[line.booked or line.day].append(line)
        for move in event.moves:
            moves[move.day].append(move)
    said: Counter[str] = Counter()
    for day in sorted(lines.keys() | moves.keys()):
        await books.move(moves[day])
        number = await books.state(lines[day], day)
        at = datetime.combine(day + timedelta(days=1), time(2), UTC)
        counts = (await match(road.tx, [number], at))[number]
        assert counts == Counts(counts.matched, len(lines[day]) - counts.matched)
        said["matched"] += counts.matched
    passes = Counter(p for p, _, _ in await books.matched())
    return passes, said


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_match_is_wrong_and_hardly_one_is_missing(bench: Bench, seed: int) -> None:
    events = month(seed, 1500)

    async def run(road: Road) -> None:
        account = await road.account(ledger="1000000000000", bank="1000000000000")
        books = Books(road.connection, account)
        passes, _ = await _live(books, road, events)
        found = await books.matched()
        truth = {match for event in events for match in event.truth() if event.decidable}
        made: set[Match] = {(entries, movements) for _, entries, movements in found}
        assert made - truth == set(), "a wrong match"
        recall = len(made & truth) / len(truth)
        assert recall >= 0.99, (recall, sorted(map(str, truth - made))[:5])
        every = {p.value for p in RULES if RULES[p].confidence is not Confidence.PERSON and p is not Pass.MET}
        assert set(passes) == every, "a pass that nothing exercises"
        await _check_waiting(books, events, made)

    bench.void(run)


async def _check_waiting(books: Books, events: list[Event], made: set[Match]) -> None:
    """What is not matched waits, all of it and nothing else; and mostly for the reason that it has."""
    taken = {
        name for entries, movements in made for name in (*(f"e{n}" for n in entries), *(f"m{n}" for n in movements))
    }
    everything = {f"e{line.name}" for e in events for line in e.lines} | {f"m{m.name}" for e in events for m in e.moves}
    cursor = await books.connection.execute(
        "SELECT entry_id, movement_id, reason FROM open_items WHERE closed_at IS NULL AND account_id = %s",
        [books.account],
    )
    entry = {number: name for name, number in books.entries.items()}
    movement = {number: name for name, number in books.movements.items()}
    waiting = {f"e{entry[e]}" if e else f"m{movement[m]}": why for e, m, why in await cursor.fetchall()}
    assert set(waiting) == everything - taken
    asked = [(f"e{line.name}", event.reason) for event in events if event.reason for line in event.lines]
    right = sum(waiting[name] == reason for name, reason in asked if name in waiting)
    assert right >= 0.95 * len(asked), Counter((waiting.get(n), r) for n, r in asked if waiting.get(n) != r)


def test_the_first_day_is_the_first(bench: Bench) -> None:
    """The generator keeps to its month and its seed."""
    days = [side.booked or side.day if isinstance(side, Line) else side.day for e in month(9, 300) for side in e.lines]
    assert min(days) >= FIRST
    assert max(days) < FIRST + timedelta(days=37)
    assert month(9, 300) == month(9, 300) != month(8, 300)
