"""Lines that share a name, with each other and with entries of earlier days: each is numbered, and quickly."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from road.bench import Bench, Road, came, road_on
from road.statement_writer import line, message, statement
from road.test_end_of_day import close
from road.test_statement_batches import engine
from token_engine.domain.receipt import Recorded

DAYS = ("2025-11-14", "2025-11-17", "2025-11-18")


def month(*days: list[str]) -> list[bytes]:
    """A statement for each day, of entries of 1.00 under these references of the bank."""
    held, raws = 1_000_000, []
    for day, references in zip(DAYS, days, strict=False):
        lines = [line("1", reference=reference, day=day) for reference in references]
        closing = held + len(references)
        raws.append(message(statement(*lines, opening=str(held), closing=str(closing), day=day), name=f"M-{day}"))
        held = closing
    return raws


@settings(deadline=None, max_examples=15)
@given(st.lists(st.lists(st.sampled_from("ABCDE")), min_size=1, max_size=3))
def test_entries_of_one_name_are_numbered_from_nought_over_all_days(bench: Bench, days: list[list[str]]) -> None:
    async def story(road: Road) -> None:
        await road.account()
        for raw in month(*days):
            [receipt] = await close(road, raw)
            assert isinstance(receipt, Recorded)
        rows = await road.rows("SELECT identity, occurrence FROM bank_entries ORDER BY id")
        told = [f"CRDT BOOK ref {reference}" for day in days for reference in day]
        assert [row["identity"] for row in rows] == told
        for name, count in Counter(told).items():
            assert [row["occurrence"] for row in rows if row["identity"] == name] == list(range(count))

    bench.void(story)


def test_a_bank_that_gives_the_same_references_every_day_is_not_waited_for(migrated: str) -> None:
    """Two sets of 20,000 names meet: compared each with each, that took quarter of a minute."""
    references = [f"R{n:05d}" for n in range(20_000)]

    async def story() -> None:
        async with road_on(migrated) as road:
            await road.account()
            async with engine(migrated) as batcher, asyncio.timeout(10):
                for raw in month(references, references):
                    [receipt] = await batcher.submit([came(raw)])
                    assert isinstance(receipt, Recorded)
            rows = await road.rows("SELECT occurrence, count(*) AS n FROM bank_entries GROUP BY 1 ORDER BY 1")
            assert [(row["occurrence"], row["n"]) for row in rows] == [(0, 20_000), (1, 20_000)]

    asyncio.run(story())
