"""Whose bank is asked next, and by whom: one engine for a slot, within the bank's budget."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from road.bench import NOW, Bench, Road
from token_engine.domain.refusal import RefusedError
from token_engine.storage import polling as stored
from token_engine.storage.database import Database
from token_engine.tiers import calendar, polling
from token_engine.tiers.accounts import NewAccount, create
from token_engine.tiers.calendar import NewCalendar
from token_engine.tiers.polling import NewPolling

CONNECTION = "INSERT INTO bank_connections VALUES ('bank', 'json', '{}', 'tests', now()) ON CONFLICT DO NOTHING"


def after(**time: float) -> datetime:
    return NOW + timedelta(**time)


async def polled(road: Road, account: UUID, **how: object) -> None:
    await road.connection.execute(CONNECTION)
    await polling.save(road.tx, str(account), NewPolling(actor="ann", connection="bank", **how), NOW)  # type: ignore[arg-type]


async def claimed(road: Road, now: datetime, engine: str = "one") -> list[UUID]:
    return [c.account_id for c in await polling.claim_due(road.tx, "bank", 100, engine, now)]


def test_an_account_is_asked_at_once_and_then_in_each_of_its_slots(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await polled(road, account, every_minutes=15)
        assert await claimed(road, NOW) == [account]
        assert await claimed(road, NOW) == []
        assert await claimed(road, after(minutes=15)) == [account]
        # Set again in a slot that was polled: nobody is asked twice in it.
        await polling.save(
            road.tx, str(account), NewPolling(actor="ann", connection="bank", every_minutes=15), after(minutes=15)
        )
        assert await claimed(road, after(minutes=15)) == []
        assert await claimed(road, after(minutes=30)) == [account]

    bench.void(story)


def test_slots_that_were_missed_are_caught_up_once(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await polled(road, account, every_minutes=15)
        await claimed(road, NOW)
        assert await claimed(road, after(hours=9)) == [account]
        assert await claimed(road, after(hours=9)) == []
        assert (await road.row("SELECT count(*) AS n FROM balance_polls"))["n"] == 2

    bench.void(story)


def test_a_budget_is_spent_evenly_by_the_schedule_and_whole_by_a_person(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await polled(road, account, every_minutes=15, polls_a_day=4)
        await road.row("UPDATE account_polling SET offset_seconds = 450 RETURNING 1 AS x")
        assert [hour for hour in range(23) if await claimed(road, after(hours=hour))] == [0, 7, 14, 21]
        # The person finds it spent, and is told until when.
        claims, spent = await polling.claim_named(road.tx, [account], "one", after(hours=22))
        assert (claims, spent[0].again_at) == ([], after(hours=24))
        [claim], _ = await polling.claim_named(road.tx, [account], "one", after(hours=24))
        assert claim.most_requests == 1
        row = await road.row("SELECT * FROM balance_polls WHERE refusal_code IS NOT NULL")
        assert (row["refusal_code"], row["requests"]) == ("budget_spent", 0)

    bench.void(story)


def test_drift_spends_the_budget_sooner(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await polled(road, account, every_minutes=15, polls_a_day=4)
        assert await claimed(road, NOW) == [account]
        await road.row("UPDATE account_polling SET suspected = true, next_slot_at = %s RETURNING 1 AS x", NOW)
        assert await claimed(road, after(minutes=15)) == [account]
        assert await claimed(road, after(minutes=30)) == [account]
        assert await claimed(road, after(minutes=45)) == [account]
        assert await claimed(road, after(minutes=60)) == []

    bench.void(story)


def test_a_bank_that_rests_is_asked_on_its_next_day(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        with pytest.raises(RefusedError, match="no statement calendar"):
            await polled(road, account, business_days_only=True)
        days = NewCalendar(actor="ann", time_zone="UTC", cut_off="23:00", due_after_minutes=60, weekend=("WE", "TH"))
        await calendar.save(road.tx, str(account), days, NOW)
        await polled(road, account, business_days_only=True)
        assert await claimed(road, NOW) == [account]  # Tuesday noon
        how = await stored.polling(road.tx, account, NOW)
        assert how is not None
        for _ in range(24):
            assert await claimed(road, how["next_slot_at"]) == [account]
            how = await stored.polling(road.tx, account, NOW)
            assert how is not None
        assert how["next_slot_at"].date().isoformat() == "2025-11-21"

    bench.void(story)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"every_minutes": 5}, "every_minutes"),
        ({"polls_a_day": 0}, "polls_a_day"),
        ({"connection": "nobody"}, "connection"),
        ({"resource": ""}, "resource"),
        ({"actor": " "}, "actor"),
    ],
)
def test_what_is_not_sensible_is_refused_by_its_field(bench: Bench, wrong: dict[str, object], field: str) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.connection.execute(CONNECTION)
        wanted = {"actor": "ann", "connection": "bank", **wrong}
        with pytest.raises(RefusedError) as refused:
            await polling.save(road.tx, str(account), NewPolling(**wanted), NOW)  # type: ignore[arg-type]
        assert refused.value.refusal.field == field

    bench.void(story)


def test_a_closed_account_and_one_that_is_asked_no_more_are_not_due(bench: Bench) -> None:
    async def story(road: Road) -> None:
        first, second = await road.account(), await road.account("AE460261000000000000001")
        await polled(road, first)
        await polled(road, second)
        await road.row("UPDATE emi_accounts SET closed_at = %s WHERE id = %s RETURNING id", NOW, first)
        await polling.end(road.tx, str(second), "ann", NOW)
        assert await claimed(road, after(hours=1)) == []
        with pytest.raises(RefusedError, match="no bank is asked"):
            await polling.end(road.tx, str(second), "ann", NOW)

    bench.void(story)


def test_engines_that_look_at_the_same_moment_share_the_accounts_and_none_is_asked_twice(migrated: str) -> None:
    accounts, engines = 60, 4

    async def contest() -> Counter[tuple[UUID, datetime]]:
        databases = [Database(migrated, pool_size=2) for _ in range(engines)]
        for database in databases:
            await database.open()
        async with databases[0].transaction() as tx:
            await tx.connection.execute(CONNECTION.encode())
            for n in range(accounts):
                made = await create(tx, NewAccount(account_number=f"A{n}", currency="AED", bank="B"), "tests", NOW)
                assert isinstance(made, dict)
                await polling.save(tx, made["id"], NewPolling(actor="a", connection="bank", every_minutes=15), NOW)

        async def engine(number: int) -> int:
            taken = 0
            for slot in range(4):
                for _ in range(6):
                    async with databases[number].transaction() as tx:
                        found = await polling.claim_due(tx, "bank", 7, f"engine {number}", after(minutes=15 * slot))
                    taken += len(found)
                    await asyncio.sleep(0)
            return taken

        taken = await asyncio.gather(*(engine(n) for n in range(engines)))
        async with databases[0].transaction() as tx:
            rows = await (await tx.execute(b"SELECT account_id, slot_at FROM balance_polls")).fetchall()
        for database in databases:
            await database.close()
        assert sum(taken) == len(rows)
        assert all(taken)
        return Counter((account, slot) for account, slot in rows)

    found = asyncio.run(contest())
    assert set(found.values()) == {1}
    assert len({account for account, _ in found}) == accounts


def test_the_database_refuses_a_second_poll_of_a_slot(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        connection.execute("INSERT INTO banks (id, name) VALUES (gen_random_uuid(), 'b')")
        connection.execute(
            "INSERT INTO emi_accounts (id, bank_id, account_number, currency) SELECT gen_random_uuid(), id, 'A', 'AED'"
            " FROM banks"
        )
        insert = (
            "INSERT INTO balance_polls (account_id, slot_at, claimed_at, claimed_by)"
            " SELECT id, '2025-11-18Z', now(), 'x' FROM emi_accounts"
        )
        connection.execute(insert)
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(insert)
