"""Two connections at one breaker, each order forced: whoever has the account's lock first is first, and what
comes second is judged by what the first one left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from road.bench import NOW, NUMBER, Road, note, road_on
from road.people import (
    act,
    after,
    approve_close,
    approve_override,
    ask_close,
    ask_override,
    bank_says,
    closing,
    override,
    payout_reasons,
    why,
)  # fmt: skip
from token_engine.domain.closing import Closing
from token_engine.domain.receipt import Receipt, Recorded
from token_engine.storage.database import Database
from token_engine.tiers import breakers, closings
from token_engine.tiers.breakers import Denied

Deed = Callable[[Road], Awaitable[Any]]
SHORT, BACK = note("SHORT", "1.00", debit=True), note("BACK", "1.00")


async def says(message: bytes, road: Road) -> list[Receipt]:
    return await bank_says(road, message)


async def withdraw_close(road: Road, key: UUID) -> Closing | Denied:
    return await closings.withdraw(road.tx, NUMBER, key, act("ann"), NOW)


async def stage(url: str, *messages: bytes) -> UUID:
    async with road_on(url) as road, road.connection.transaction():
        account = await road.account()
        for message in messages:
            await bank_says(road, message)
        return account


async def alone(url: str, deed: Deed) -> Any:
    async with road_on(url) as road, road.connection.transaction():
        return await deed(road)


async def in_order(url: str, first: Deed, second: Deed) -> tuple[Any, Any]:
    """Commit `first` only once `second` waits for its lock."""
    async with road_on(url) as one, road_on(url) as two, road_on(url) as watch:
        pid = (await two.row("SELECT pg_backend_pid() AS pid"))["pid"]

        async def follow() -> Any:
            async with two.connection.transaction():
                return await second(two)

        async with one.connection.transaction():
            outcome = await first(one)
            following = asyncio.create_task(follow())
            async with asyncio.timeout(20):
                while not (await watch.row("SELECT cardinality(pg_blocking_pids(%s)) AS n", pid))["n"]:
                    assert not following.done(), "it did not wait"
                    await asyncio.sleep(0.01)
        return outcome, await following


async def facts(url: str) -> tuple[str, list[str], list[str]]:
    """The breaker, its steps, the news of it."""
    async with road_on(url) as road:
        state = (await road.row("SELECT circuit_breaker FROM emi_accounts"))["circuit_breaker"]
        steps = await road.rows("SELECT to_state FROM circuit_breaker_steps ORDER BY id")
        news = await road.rows("SELECT subject FROM outbox WHERE subject LIKE '%%.circuit_breaker.%%' ORDER BY id")
    return state, [s["to_state"] for s in steps], [n["subject"].rpartition(".")[2] for n in news]


@pytest.mark.parametrize("approved_first", [True, False])
def test_an_approval_and_the_notification_that_breaks_it_again(migrated: str, approved_first: bool) -> None:
    async def story() -> None:
        await stage(migrated, SHORT, BACK)
        key = closing(await alone(migrated, ask_close)).id
        approval = partial(approve_close, key=key)
        bad = partial(says, note("AGAIN", "1.00", debit=True))
        if approved_first:
            done, [receipt] = await in_order(migrated, approval, bad)
            assert why(done) == "APPROVED"
            steps, news = ["open", "closed", "open"], ["closed", "activated"]
        else:
            [receipt], done = await in_order(migrated, bad, approval)
            assert why(done) == "closing_void"
            steps, news = ["open"], ["close_voided"]
        assert isinstance(receipt, Recorded)
        assert receipt.judgements[0].circuit_breaker == "open"
        assert await facts(migrated) == ("open", steps, ["activated", "close_requested", *news])

    asyncio.run(story())


@pytest.mark.parametrize("approved_first", [True, False])
def test_an_approval_and_the_notification_that_heals_it(migrated: str, approved_first: bool) -> None:
    async def story() -> None:
        await stage(migrated, SHORT)
        key = closing(await alone(migrated, ask_close)).id
        approval = partial(approve_close, key=key)
        good = partial(says, BACK)
        if approved_first:
            done, _ = await in_order(migrated, approval, good)
            assert (why(done), (await facts(migrated))[0]) == ("not_ok", "open")
            assert why(await alone(migrated, approval)) == "APPROVED"
        else:
            _, done = await in_order(migrated, good, approval)
            assert why(done) == "APPROVED"
        assert (await facts(migrated))[:2] == ("closed", ["open", "closed"])

    asyncio.run(story())


def test_two_approvals_at_once_close_it_once(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, SHORT, BACK)
        key = closing(await alone(migrated, ask_close)).id
        first, second = await in_order(
            migrated, lambda road: approve_close(road, key, "bob"), lambda road: approve_close(road, key, "carol")
        )
        assert (why(first), why(second)) == ("APPROVED", "closing_approved")
        assert await facts(migrated) == (
            "closed", ["open", "closed"], ["activated", "close_requested", "closed"]
        )  # fmt: skip

    asyncio.run(story())


@pytest.mark.parametrize("approved_first", [True, False])
def test_a_withdrawal_and_an_approval(migrated: str, approved_first: bool) -> None:
    async def story() -> None:
        await stage(migrated, SHORT, BACK)
        key = closing(await alone(migrated, ask_close)).id
        approval = partial(approve_close, key=key)
        withdrawal = partial(withdraw_close, key=key)
        if approved_first:
            first, second = await in_order(migrated, approval, withdrawal)
            assert (why(first), why(second)) == ("APPROVED", "closing_approved")
            expected = "closed"
        else:
            first, second = await in_order(migrated, withdrawal, approval)
            assert (why(first), why(second)) == ("WITHDRAWN", "closing_withdrawn")
            expected = "open"
        state, steps, news = await facts(migrated)
        assert (state, len(steps), len(news)) == (expected, 2 if approved_first else 1, 3)

    asyncio.run(story())


def test_two_requests_at_once_are_one_closing(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, SHORT)
        first, second = await in_order(migrated, ask_close, lambda road: ask_close(road, "bob"))
        assert (why(first), why(second)) == ("PENDING", "closing_pending")
        first, second = await in_order(migrated, ask_override, lambda road: ask_override(road, "bob"))
        assert (why(first), why(second)) == ("PENDING", "override_pending")

    asyncio.run(story())


async def expired(road: Road) -> None:
    """What the periodic pass does to an account, at the end of the override's hour."""
    account = (await road.row("SELECT id FROM emi_accounts"))["id"]
    locked = await breakers.lock_id(road.tx, account, after(hours=1))
    await locked.changes.write(road.tx)


@pytest.mark.parametrize("approved_first", [True, False])
def test_the_end_of_an_override_and_its_approval_in_the_last_minute(migrated: str, approved_first: bool) -> None:
    async def story() -> None:
        await stage(migrated, SHORT)
        key = override(await alone(migrated, ask_override)).id
        approval = partial(approve_override, key=key, at=after(minutes=59))
        if approved_first:
            done, _ = await in_order(migrated, approval, expired)
            assert why(done) == "IN_FORCE"
            news = ["override_granted", "override_expired"]
        else:
            _, done = await in_order(migrated, expired, approval)
            assert why(done) == "override_expired"
            news = ["override_request_expired"]
        assert await facts(migrated) == ("open", ["open"], ["activated", "override_requested", *news])
        async with road_on(migrated) as road:
            assert await payout_reasons(road, after(hours=1)) == ["open"]

    asyncio.run(story())


@pytest.mark.parametrize("closed_first", [True, False])
def test_an_override_approved_while_the_breaker_closes(migrated: str, closed_first: bool) -> None:
    async def story() -> None:
        await stage(migrated, SHORT, BACK)
        close = closing(await alone(migrated, ask_close)).id
        key = override(await alone(migrated, ask_override)).id
        approval = partial(approve_close, key=close)
        glass = partial(approve_override, key=key)
        if closed_first:
            closed, granted = await in_order(migrated, approval, glass)
            assert (why(closed), why(granted)) == ("APPROVED", "override_void")
        else:
            granted, closed = await in_order(migrated, glass, approval)
            assert (why(closed), why(granted)) == ("APPROVED", "IN_FORCE")
        async with road_on(migrated) as road:
            assert (await road.row("SELECT state FROM breaker_overrides"))["state"] == "VOID"
        assert (await facts(migrated))[0] == "closed"

    asyncio.run(story())


def test_several_engines_write_an_expiry_once(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, SHORT)
        key = override(await alone(migrated, ask_override)).id
        await alone(migrated, lambda road: approve_override(road, key))
        await alone(migrated, ask_close)
        engines = [Database(migrated, pool_size=2) for _ in range(3)]
        for engine in engines:
            await engine.open()
        try:
            assert await breakers.expire(engines[0], after(minutes=59)) == 0
            await asyncio.gather(*(breakers.expire(engine, after(hours=24)) for engine in engines))
            assert await breakers.expire(engines[0], after(hours=24)) == 0
        finally:
            for engine in engines:
                await engine.close()
        _, _, news = await facts(migrated)
        assert sorted(news[-2:]) == ["close_expired", "override_expired"]
        assert news[:-2] == ["activated", "override_requested", "override_granted", "close_requested"]
        async with road_on(migrated) as road:
            rows = await road.rows("SELECT action FROM audit_log WHERE actor = 'engine' AND action LIKE '%%expired'")
            assert sorted(r["action"] for r in rows) == ["breaker_close_expired", "breaker_override_expired"]

    asyncio.run(story())
