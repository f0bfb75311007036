"""What holds of matching whatever the two sides are: small worlds in which keys and amounts collide on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from benchmarks.business import Detail, Line, Move, Side
from hypothesis import example, given, settings
from hypothesis import strategies as st

from road.bench import Bench, Road
from simulation.books import DAY, Books
from token_engine.domain.matching import DEFAULT_POLICY, Pass
from token_engine.storage.matching import Counts, match

NOW: Final = datetime(2025, 11, 19, 2, tzinfo=UTC)
STRONGEST: Final = ("uetr", "end_to_end_id", "bank_reference")
ONE_TO_ONE: Final = {
    Pass.UETR: "uetr", Pass.END_TO_END: "end_to_end_id", Pass.BANK_REFERENCE: "bank_reference",
    Pass.INSTRUCTION: "instruction_id", Pass.CREDITOR_REFERENCE: "creditor_reference",
}  # fmt: skip


def one_of(*words: str) -> st.SearchStrategy[str | None]:
    return st.sampled_from([None, None, *words])


facts = st.fixed_dictionaries(
    {
        "amount": st.sampled_from([Decimal(a) for a in (10, 10, 20, 30, -10)]),
        "day": st.sampled_from([DAY - timedelta(days=n) for n in (0, 0, 1, 3, 6)]),
        "uetr": one_of("u1", "u2"),
        "end_to_end_id": one_of("e1", "e2"),
        "bank_reference": one_of("b1", "b2"),
        "creditor_reference": one_of("r1"),
        "batch_reference": one_of("f1"),
        "counterparty": one_of("ACME", "BOLT"),
    }
)
details = st.lists(st.builds(Detail, st.just(Decimal(10)), one_of("e1", "e2", "e3")), max_size=3).map(tuple)
worlds = st.tuples(
    st.lists(st.tuples(facts, details), max_size=6), st.lists(facts, max_size=6), st.randoms(use_true_random=False)
)
Match = tuple[str, frozenset[str], frozenset[str]]


def lived(bench: Bench, lines: Sequence[Line], moves: Sequence[Move]) -> tuple[set[Match], set[str], Counts]:
    found: list[Any] = []

    async def story(road: Road) -> None:
        books = Books(road.connection, await road.account())
        await books.move(moves)
        number = await books.state(lines)
        counts = (await match(road.tx, [number], NOW))[number]
        found.extend((set(await books.matched()), set(await books.waiting()), counts))

    bench.void(story)
    return found[0], found[1], found[2]


def fact(amount: int, **words: str) -> dict[str, Any]:
    named = dict.fromkeys(
        ("uetr", "end_to_end_id", "bank_reference", "creditor_reference", "batch_reference", "counterparty")
    )
    return {"amount": Decimal(amount), "day": DAY, **named, **words}


TAKEN_BY_A_SUM: Final = (
    [(fact(10), ()), (fact(10, creditor_reference="r1"), ()), (fact(10, end_to_end_id="e1"), ())],
    [
        fact(10), fact(10, creditor_reference="r1"), fact(10, end_to_end_id="e1"),
        fact(10, end_to_end_id="e1", creditor_reference="r1"), fact(-10, end_to_end_id="e1"),
    ],
    Random(0),
)  # fmt: skip
"""What a sum takes leaves one line and one movement under `r1`."""


@example(TAKEN_BY_A_SUM)
@given(worlds)
@settings(max_examples=50, deadline=None)
def test_whatever_the_sides_are(bench: Bench, world: Any) -> None:
    said_lines, said_moves, random = world
    lines = [Line(f"e{n}", **said, details=parts) for n, (said, parts) in enumerate(said_lines)]
    moves = [Move(f"m{n}", **said) for n, said in enumerate(said_moves)]
    matches, waiting, counts = lived(bench, lines, moves)
    of: dict[str, Line | Move] = {line.name: line for line in lines}
    of |= {move.name: move for move in moves}

    claimed = [name for _, entries, movements in matches for name in (*entries, *movements)]
    assert len(claimed) == len(set(claimed)), "a side is claimed once"
    assert waiting == of.keys() - set(claimed), "what is not matched waits, and nothing else"
    assert counts == Counts(len(lines) - counts.unmatched, sum(name in waiting for name in (x.name for x in lines)))
    for rule, entries, movements in matches:
        sides = [of[name] for name in entries], [of[name] for name in movements]
        assert sum(e.amount for e in sides[0]) == sum(m.amount for m in sides[1]), "sums are equal"
        _check(Pass(rule), *sides)
    _check_complete([of[name] for name in waiting])

    random.shuffle(lines)
    random.shuffle(moves)
    assert lived(bench, lines, moves)[0] == matches, "the order of rows tells nothing"


def _check(rule: Pass, entries: Sequence[Side], movements: Sequence[Side]) -> None:
    sides = (*entries, *movements)
    if rule in ONE_TO_ONE:
        key = ONE_TO_ONE[rule]
        assert len(entries) == len(movements)
        assert len({(getattr(side, key), side.amount) for side in sides}) == 1
        assert getattr(sides[0], key) is not None
    if rule in ONE_TO_ONE or rule is Pass.AMOUNT_DATE:
        stronger = STRONGEST[: STRONGEST.index(ONE_TO_ONE[rule])] if ONE_TO_ONE.get(rule) in STRONGEST else STRONGEST
        for key in stronger:
            theirs, ours = ({getattr(s, key) for s in side} - {None} for side in (entries, movements))
            assert not theirs or not ours or theirs == ours, f"{key} tells them apart"
    if rule is Pass.AMOUNT_DATE:
        [entry], [movement] = entries, movements
        assert entry.counterparty == movement.counterparty is not None
        assert abs(entry.day - movement.day) <= timedelta(days=DEFAULT_POLICY.window_days)
    if rule is Pass.BATCH:
        assert min(len(entries), len(movements)) == 1
        shared: list[Callable[[Side], str | None]] = [
            lambda s: s.batch_reference, lambda s: s.end_to_end_id, lambda s: s.bank_reference,
        ]  # fmt: skip
        assert any(len({read(s) for s in sides}) == 1 and read(sides[0]) for read in shared)


def _check_complete(waiting: Sequence[Line | Move]) -> None:
    """No key still names one entry and one movement of one amount, and nothing else."""
    for key in ONE_TO_ONE.values():
        for word in {getattr(side, key) for side in waiting} - {None}:
            for amount in {side.amount for side in waiting}:
                named = [s for s in waiting if getattr(s, key) == word and s.amount == amount]
                if len(named) == 2 and isinstance(named[0], Line) is not isinstance(named[1], Line):
                    stronger = STRONGEST[: STRONGEST.index(key)] if key in STRONGEST else STRONGEST
                    assert any(None not in (w := {getattr(s, k) for s in named}) and len(w) == 2 for k in stronger)
