"""Closing a day by its bank's calendar: when it ended, which statement was missing, and one that two people release."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from road.bench import NUMBER, Bench, Road, came, mint, note, road_on
from road.days import DUBAI, MONDAY, SET_AT, due
from road.statement_writer import line, message, statement
from token_engine.domain.receipt import Recorded
from token_engine.storage import calendars
from token_engine.tiers import calendar, end_of_day, releases
from token_engine.tiers.releases import RELEASING, ReleaseAct

LATE = due(18) + timedelta(hours=6)
"""The statement of Monday the 17th is missing for more than a day, that of the 18th for less."""


def monday(*lines: str, closing: str = "1000000", opening: str = "1000000", name: str = "STMT-17") -> str:
    return statement(*lines, opening=opening, closing=closing, day="2025-11-17", name=name)


async def close(road: Road, raw: bytes, at: datetime) -> tuple[Any, ...]:
    [receipt] = await end_of_day.record(road.tx, [came(raw, "file")], at)
    assert isinstance(receipt, Recorded), receipt
    return receipt.days


async def ledger(road: Road, account: Any) -> int:
    return int((await road.state(account))["ledger_balance"])


async def statuses(road: Road) -> dict[str, str]:
    rows = await road.rows(
        "SELECT subject, status FROM reconciliation_discrepancies WHERE discrepancy_type = 'STATEMENT_MISSING'"
    )
    return {row["subject"]: row["status"] for row in rows}


def test_the_statement_that_was_missing_resolves_it_and_mints_what_it_tells_of(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.expect(account, "E1")
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, account, due(17))
        at = due(19, 1)
        stated = monday(line("10", end_to_end="E1", day="2025-11-17"), closing="1000010")
        [day] = await close(road, message(stated), at)
        assert (day.state, day.entries_matched) == ("ACCEPTED", 1)
        assert await ledger(road, account) == 1_000_010
        assert await statuses(road) == {"2025-11-17": "RESOLVED"}
        assert await calendars.drift(road.tx) == []

    bench.void(story)


def test_while_an_older_one_is_missing_too_long_nothing_is_minted(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.expect(account, "E1")
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, account, LATE)
        stated = statement(line("10", end_to_end="E1"), opening="1000000", closing="1000010")
        await close(road, message(stated), LATE)
        assert await ledger(road, account) == 1_000_000
        assert await statuses(road) == {"2025-11-17": "OPEN", "2025-11-18": "RESOLVED"}
        assert (await road.state(account))["statement_missing_since"] == due(17)

    bench.void(story)


def test_both_that_were_missing_come_in_one_message(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.expect(account, "E1")
        await road.expect(account, "E2")
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, account, LATE)
        tuesday = statement(line("10", end_to_end="E2"), opening="1000010", closing="1000020")
        first = monday(line("10", end_to_end="E1", day="2025-11-17"), closing="1000010")
        # And a correction of the first, which finds nothing left to resolve.
        again = monday(line("10", end_to_end="E1", day="2025-11-17"), closing="1000010", name="STMT-17-B")
        await close(road, message(tuesday, first, again), LATE)
        # Monday is told first, while Tuesday's is missing for less than a day; then nothing is missing any more.
        assert await ledger(road, account) == 1_000_020
        assert set((await statuses(road)).values()) == {"RESOLVED"}
        assert await calendars.drift(road.tx) == []
        told = await road.rows("SELECT 1 FROM discrepancy_events WHERE happening = 'resolved'")
        assert len(told) == 2

    bench.void(story)


def test_one_that_fails_its_checks_is_there_all_the_same(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, account, due(17))
        [day] = await close(road, message(monday(closing="1000001")), due(17, 20))
        assert day.state == "QUARANTINED"
        assert await statuses(road) == {"2025-11-17": "RESOLVED"}

    bench.void(story)


def test_a_day_ends_when_its_bank_s_calendar_says(bench: Bench) -> None:
    """17:00 in Dubai is 13:00 UTC: what was minted a minute later is of the next day."""

    async def story(road: Road) -> None:
        account = await road.account(bank="1000000", ledger="1000000")
        other = await road.account("OTHER")
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        end = datetime(2025, 11, 17, 13, 0, tzinfo=UTC)
        for key, number in ((account, NUMBER), (other, "OTHER")):
            await road.take_one(note(f"N-{number}", "20", number=number, booked="2025-11-18", reference="R1"))
            await mint(road, key, "5", "one", at=end)
            await mint(road, key, "15", "other", at=end + timedelta(minutes=1))
        whole = [
            statement(opening="1000000", closing="1000000", day="2025-11-17", account=number, name=number)
            for number in (NUMBER, "OTHER")
        ]
        days = await close(road, message(*whole), due(18, 20))
        assert {d.account_number: d.ledger_balance for d in days} == {NUMBER: "1000005.00", "OTHER": "1000020.00"}
        row = await road.row("SELECT cut_off FROM statements WHERE account_id = %s", account)
        assert row["cut_off"] == end

    bench.void(story)


def test_two_people_release_a_statement_on_the_road_itself(migrated: str) -> None:
    async def story() -> None:
        async with road_on(migrated) as road:
            account = await road.account()
            await road.expect(account, "E1")
            async with road.connection.transaction():
                stated = monday(line("10", end_to_end="E1", day="2025-11-17"), closing="1000025")
                [day] = await close(road, message(stated), due(17))
            assert (day.state, day.statement_date) == ("QUARANTINED", MONDAY)
            ann, bob = (ReleaseAct(actor=actor, reason=f"seen by {actor}") for actor in ("ann", "bob"))
            async with road.connection.transaction():
                await releases.request(road.tx, day.statement, ann, due(17))
            assert await road.position(account) == 1_000_000
            async with road.connection.transaction():
                done = await releases.approve(road.tx, day.statement, bob, due(18, 18), RELEASING)
            assert isinstance(done, dict)
            assert (done["state"], done["ledger_balance"], done["closing_balance"]) == (
                "RELEASED", "1000010.00", "1000025.00",
            )  # fmt: skip
            assert await road.position(account) == 1_000_025
            assert await ledger(road, account) == 1_000_010
            revision = await road.row("SELECT actor, reason FROM snapshot_revisions")
            assert revision["actor"] == "bob"
            assert "ann" in revision["reason"]
            assert "seen by ann" in revision["reason"]

    asyncio.run(story())
