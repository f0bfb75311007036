"""A clock that ran days ahead and is right again: banks are asked in the next slot, within the true day's budget."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from road.bench import NOW, NUMBER, Bench, Road
from road.test_poller import Bank, accounts, engine, story
from token_engine.domain.observation import NoObservation, Why
from token_engine.domain.polling import DAY, Schedule
from token_engine.tiers import calendar, polling, runs
from token_engine.tiers.calendar import NewCalendar
from token_engine.tiers.polling import NewPolling
from token_engine.tiers.slots_ahead import compute_anew

AHEAD = timedelta(days=3)
CONNECTION = "INSERT INTO bank_connections VALUES ('bank', 'json', '{}', 'tests', now()) ON CONFLICT DO NOTHING"


def after(**time: float) -> datetime:
    return NOW + timedelta(**time)


async def polled(road: Road, number: str = NUMBER, **how: object) -> UUID:
    await road.connection.execute(CONNECTION)
    account = await road.account(number)
    if how.get("business_days_only"):
        days = NewCalendar(actor="ann", time_zone="UTC", cut_off="23:00", due_after_minutes=60)
        await calendar.save(road.tx, str(account), days, NOW)
    await polling.save(road.tx, str(account), NewPolling(actor="ann", connection="bank", **how), NOW)  # type: ignore[arg-type]
    return account


async def claimed(road: Road, now: datetime, engine: str = "one") -> list[UUID]:
    return [c.account_id for c in await polling.claim_due(road.tx, "bank", 100, engine, now)]


async def next_slot(road: Road, account: UUID) -> datetime:
    at: datetime = (await road.row("SELECT next_slot_at FROM account_polling WHERE account_id = %s", account))[
        "next_slot_at"
    ]
    return at


def minutes(start: datetime, step: int = 5) -> Iterator[datetime]:
    return (start + timedelta(minutes=step) * n for n in count())


def test_it_is_asked_in_the_next_slot_and_in_those_that_were_claimed_ahead(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        account = await polled(road, every_minutes=15)
        for moment, _ in zip(minutes(NOW), range(12), strict=False):  # an hour, four slots
            await claimed(road, moment + AHEAD)
        right = after(minutes=60)
        assert (await road.row("SELECT count(*) AS n FROM balance_polls"))["n"] in (4, 5)
        assert await next_slot(road, account) > right + AHEAD - timedelta(minutes=15)
        assert await claimed(road, right) == []

        assert await compute_anew(road.tx, ["bank"], right) == 1
        slot = await next_slot(road, account)
        assert right < slot <= right + timedelta(minutes=15)
        assert await claimed(road, right) == [], "it may have been asked in the slot that is under way"
        assert await claimed(road, slot) == [account]
        assert await claimed(road, slot) == []
        assert await compute_anew(road.tx, ["bank"], slot) == 0

        asked = [moment for moment in (slot + timedelta(minutes=15) * n for n in range(1, 4 * 24 * 4))
                 if not await claimed(road, moment)]  # fmt: skip
        assert asked == [], "three days later, no slot is left out that was claimed when the clock was wrong"

    bench.void(tell)


@pytest.mark.parametrize("hours_ahead", [7, 13, 25, 60])
def test_the_budget_of_the_true_day_is_kept_and_used(bench: Bench, hours_ahead: int) -> None:
    async def tell(road: Road) -> None:
        account = await polled(road, every_minutes=30, polls_a_day=4)
        asked: list[datetime] = []  # true times
        for moment in minutes(NOW, 10):
            if moment >= after(hours=hours_ahead + 96):
                break
            wrong = after(hours=1) <= moment < after(hours=hours_ahead)
            shown = moment + AHEAD if wrong else moment
            if not wrong:
                await compute_anew(road.tx, ["bank"], shown)
            if await claimed(road, shown):
                asked.append(moment)
            if moment == after(hours=hours_ahead):  # a person, the moment it is right again
                claims, _ = await polling.claim_named(road.tx, [account], "one", shown)
                asked += [moment for _ in claims]
        for n, at in enumerate(asked):
            # What was asked with the wrong clock has no true time; 24 hours of it count from when it is right again.
            within = [other for other in asked[: n + 1] if at - DAY < other]
            assert len(within) <= 4 or at < after(hours=hours_ahead), (at, within)
        assert any(at <= after(hours=hours_ahead + 24.5) for at in asked if at > after(hours=hours_ahead))
        last = [at for at in asked if at > after(hours=hours_ahead + 48)]
        assert len(last) in (7, 8), "two days of a budget of four"

    bench.void(tell)


def test_business_days_come_again_and_a_long_rest_is_left_alone(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        account = await polled(road, every_minutes=60, business_days_only=True)
        # Tuesday; the clock says Friday evening and then Saturday: next is Monday, six days from now.
        for moment, _ in zip(minutes(after(hours=3), 30), range(24), strict=False):
            await claimed(road, moment + AHEAD)
        right = after(hours=16)  # Wednesday
        assert (await next_slot(road, account)).date() == date(2025, 11, 24)
        assert await compute_anew(road.tx, ["bank"], right) == 1
        slot = await next_slot(road, account)
        assert right < slot <= right + timedelta(minutes=60)
        # Friday evening, by a clock that is right: three days until Monday, and no reason to do anything.
        while slot.date() < date(2025, 11, 24):
            evening = slot
            assert await claimed(road, evening) == [account]
            assert await compute_anew(road.tx, ["bank"], evening) == 0
            slot = await next_slot(road, account)
        assert slot - evening > timedelta(hours=48)

    bench.void(tell)


def test_what_was_set_by_a_clock_ahead_is_asked_too_and_a_rest_is_a_rest_by_any_clock(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        account = await polled(road, business_days_only=True)
        how = NewPolling(actor="ann", connection="bank", business_days_only=True)
        await polling.save(road.tx, str(account), how, NOW + timedelta(days=13))
        assert await compute_anew(road.tx, ["bank"], NOW) == 1
        assert NOW < await next_slot(road, account) <= after(minutes=30)
        await road.row("UPDATE account_polling SET offset_seconds = 0 RETURNING 1 AS x")
        # Friday night, and the time at which it was set has not come yet.
        friday = datetime(2025, 11, 21, 23, 45, tzinfo=UTC)
        assert await claimed(road, friday) == [account]
        assert (await next_slot(road, account)).date() == date(2025, 11, 24)
        assert await compute_anew(road.tx, ["bank"], friday) == 0

    bench.void(tell)


def test_what_a_right_clock_wrote_is_left_alone(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        await polled(road, every_minutes=60, polls_a_day=1)
        assert await claimed(road, NOW)
        before = await road.row("SELECT next_slot_at, (SELECT max(claimed_at) FROM balance_polls) FROM account_polling")
        for now in (NOW, after(minutes=-9), after(hours=3), after(hours=23)):
            assert await compute_anew(road.tx, ["bank"], now) == 0
        after_it = await road.row(
            "SELECT next_slot_at, (SELECT max(claimed_at) FROM balance_polls) FROM account_polling"
        )
        assert after_it == before

    bench.void(tell)


def test_a_run_is_still_waited_for_and_other_connections_are_left_alone(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        account = await polled(road, every_minutes=15)
        await claimed(road, NOW + AHEAD)
        assert await compute_anew(road.tx, ["another"], NOW) == 0
        run = await runs.start(road.tx, "ann", NOW)
        await compute_anew(road.tx, ["bank"], NOW)
        assert str((await road.row("SELECT run_id FROM account_polling"))["run_id"]) == str(run["run_id"])
        assert await claimed(road, NOW) == [account]

    bench.void(tell)


def test_the_audit_log_tells_of_claims_whose_time_was_put_right(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        await polled(road, every_minutes=15)
        await claimed(road, NOW + AHEAD)
        await claimed(road, NOW + AHEAD + timedelta(minutes=15))
        await compute_anew(road.tx, ["bank"], NOW)
        row = await road.row("SELECT details::text FROM audit_log WHERE action = 'slots_computed_anew'")
        assert '"accounts": 1' in row["details"]
        assert '"polls": 2' in row["details"]
        assert (NOW + AHEAD).strftime("%Y-%m-%dT") in row["details"]

    bench.void(tell)


def test_of_two_engines_the_one_whose_clock_is_ahead_asks_nobody(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        with capture_logs() as said:
            await two_engines(bank)
        [warning] = [line for line in said if line["log_level"] == "warning"]
        assert warning["accounts"] == 3
        [error] = [line for line in said if line["log_level"] == "error"]
        assert "clock" in error["reason"]

    async def two_engines(bank: Bank) -> None:
        async with engine(migrated, bank, "right") as right, engine(migrated, bank, "ahead", AHEAD) as ahead:
            keys = await accounts(right, 3, every_minutes=15)
            now = datetime.now(UTC)
            for slot in range(3):
                async with right.database.transaction() as tx:
                    shown = now + AHEAD + slot * timedelta(minutes=15)
                    assert len(await polling.claim_due(tx, "bank", 9, "ahead", shown)) == 3
            soon = datetime.now(UTC) + timedelta(seconds=4)
            offset = int(
                (soon - Schedule(every=timedelta(minutes=15), offset=timedelta()).slot_of(soon)).total_seconds()
            )
            await right.rows(f"UPDATE account_polling SET offset_seconds = {offset} RETURNING 1")
            ahead.poller.start()
            right.poller.start()
            await right.until("SELECT count(*) FROM balance_observations", 3)
            refused = await ahead.poller.ask_now(keys)
            assert {one.why for one in refused.values() if isinstance(one, NoObservation)} == {Why.CLOCKS_APART}
            assert len(refused) == 3
            await asyncio.sleep(2.5)
            assert set(bank.asked.values()) == {1}
            found = await right.rows(
                "SELECT claimed_by, count(*) FROM balance_polls WHERE answered_at IS NOT NULL GROUP BY 1"
            )
            assert found == [("right", 3)]

    story(tell)
