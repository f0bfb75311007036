"""Two connections at one payout, or at the tokens of one account, each order forced: whoever has the lock first is
first, and what comes second is judged by what the first one left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from road.bench import NOW, NUMBER, Road, note, road_on
from road.payers import HOLDER, asked, cancelled, codes, held, held_one, reserved, sent, why
from token_engine.domain.receipt import Recorded
from token_engine.storage import ledger as stored_ledger
from token_engine.storage import payouts as stored
from token_engine.storage.database import Database
from token_engine.tiers import orders, payout_acts
from token_engine.tiers.once import once
from token_engine.tiers.payouts import Hold

Deed = Callable[[Road], Awaitable[Any]]
LATER = NOW + timedelta(hours=24)


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
        answer = await following
        assert await stored.drift(watch.tx) == []
        assert await stored_ledger.drift(watch.tx) == []
        return outcome, answer


def holding(*requests: Hold) -> Deed:
    return lambda road: held(road, *requests)


async def facts(url: str, account: UUID) -> tuple[str, list[str], list[str]]:
    """What is reserved, the states of payouts, the news of them."""
    async with road_on(url) as road:
        states = await road.rows("SELECT state FROM payouts ORDER BY id")
        news = await road.rows("SELECT subject FROM outbox WHERE subject LIKE '%%.payout.%%' ORDER BY id")
        return (
            await reserved(road, account),
            [s["state"] for s in states],
            [n["subject"].rpartition(".")[2] for n in news],
        )


@pytest.mark.parametrize("held_first", [True, False])
def test_a_hold_and_the_notification_that_opens_the_breaker(migrated: str, held_first: bool) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        bad: Deed = lambda road: road.take_one(note("SHORT", "1.00", debit=True))  # noqa: E731
        if held_first:
            [answer], receipt = await in_order(migrated, holding(asked()), bad)
            assert answer.status == 201
            payout = UUID(int=0)
            async with road_on(migrated) as road:
                payout = (await road.row("SELECT id FROM payouts"))["id"]
            # Held, and it stays here: what is not sent is halted.
            assert why(await alone(migrated, lambda road: sent(road, payout))) == ("breaker_open", ["open"])
            expected = ("10", ["HELD"], ["held"])
        else:
            receipt, [answer] = await in_order(migrated, bad, holding(asked()))
            assert why(answer) == ("breaker_open", ["open"])
            expected = ("0", [], [])
        assert isinstance(receipt, Recorded)
        assert receipt.judgements[0].circuit_breaker == "open"
        assert await facts(migrated, account) == expected

    asyncio.run(story())


@pytest.mark.parametrize("sent_first", [True, False])
def test_a_sending_and_the_notification_that_opens_the_breaker(migrated: str, sent_first: bool) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        payout = await alone(migrated, held_one)
        bad: Deed = lambda road: road.take_one(note("SHORT", "1.00", debit=True))  # noqa: E731
        go: Deed = lambda road: sent(road, payout)  # noqa: E731
        if sent_first:
            answer, _ = await in_order(migrated, go, bad)
            assert answer.status == 200
        else:
            _, answer = await in_order(migrated, bad, go)
            assert why(answer) == ("breaker_open", ["open"])
        state = "SENT" if sent_first else "HELD"
        assert (await facts(migrated, account))[:2] == ("10", [state])

    asyncio.run(story())


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_holds_for_the_last_token_one_is_refused(migrated: str, swapped: bool) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        deeds = [holding(asked("1000000")), holding(asked("0.01"))]
        [first], [second] = await in_order(migrated, *(deeds[::-1] if swapped else deeds))
        assert first.status == 201
        assert why(second) == ("insufficient_available", ["insufficient"])
        assert (await facts(migrated, account))[1:] == (["HELD"], ["held"])

    asyncio.run(story())


@pytest.mark.parametrize("sent_first", [True, False])
def test_a_sending_and_a_cancellation(migrated: str, sent_first: bool) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        payout = await alone(migrated, held_one)
        go: Deed = lambda road: sent(road, payout)  # noqa: E731
        stop: Deed = lambda road: cancelled(road, payout)  # noqa: E731
        if sent_first:
            first, second = await in_order(migrated, go, stop)
            assert codes([first, second]) == ["SENT", "payout_not_rejected"]
            expected = ("10", ["SENT"], ["held", "sent"])
        else:
            first, second = await in_order(migrated, stop, go)
            assert codes([first, second]) == ["CANCELLED", "payout_cancelled"]
            expected = ("0", ["CANCELLED"], ["held", "cancelled"])
        assert await facts(migrated, account) == expected

    asyncio.run(story())


def debit(reference: str = "E") -> Deed:
    """The bank has paid the payout of this end-to-end id."""
    return lambda road: road.take_one(note("D", "10.00", debit=True, reference="D", tag=reference))


@pytest.mark.parametrize("sent_before", [True, False])
@pytest.mark.parametrize("settled_first", [True, False])
def test_a_settlement_and_a_cancellation(migrated: str, settled_first: bool, sent_before: bool) -> None:
    """Whoever cancels first has said that the bank will not pay: if it does, that is money gone without tokens."""

    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        payout = await alone(migrated, lambda road: held_one(road, asked(end_to_end_id="E")))
        if sent_before:
            await alone(migrated, lambda road: sent(road, payout))
        stop: Deed = lambda road: cancelled(road, payout, rejected=sent_before)  # noqa: E731
        if settled_first:
            receipt, answer = await in_order(migrated, debit(), stop)
            assert codes([answer]) == ["payout_settled"]
            expected = ("Ok", 999_990, "SETTLED")
        else:
            answer, receipt = await in_order(migrated, stop, debit())
            assert codes([answer]) == ["CANCELLED"]
            expected = ("Critical", 1_000_000, "CANCELLED")
        assert isinstance(receipt, Recorded)
        async with road_on(migrated) as road:
            state = await road.state(account)
            assert (receipt.judgements[0].threshold_level, state["ledger_balance"], state["reserved_balance"]) == (
                *expected[:2], 0,
            )  # fmt: skip
            assert (await road.row("SELECT state FROM payouts"))["state"] == expected[2]

    asyncio.run(story())


@pytest.mark.parametrize("settled_first", [True, False])
def test_a_settlement_and_the_word_that_it_was_sent(migrated: str, settled_first: bool) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        payout = await alone(migrated, lambda road: held_one(road, asked(end_to_end_id="E")))
        go: Deed = lambda road: sent(road, payout)  # noqa: E731
        if settled_first:
            _, answer = await in_order(migrated, debit(), go)
        else:
            answer, _ = await in_order(migrated, go, debit())
        assert codes([answer]) == ["payout_settled" if settled_first else "SENT"]
        left, states, _ = await facts(migrated, account)
        assert (left, states) == ("0", ["SETTLED"])

    asyncio.run(story())


@pytest.mark.parametrize("settled_first", [True, False])
def test_a_settlement_and_the_expiry(migrated: str, settled_first: bool) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        payout = await alone(migrated, lambda road: held_one(road, asked(end_to_end_id="E")))
        over: Deed = lambda road: payout_acts.end(road.tx, account, [payout], LATER)  # noqa: E731
        if settled_first:
            _, ended = await in_order(migrated, debit(), over)
        else:
            ended, _ = await in_order(migrated, over, debit())
        assert ended == (0 if settled_first else 1)
        left, states, _ = await facts(migrated, account)
        assert (left, states) == ("0", ["SETTLED" if settled_first else "EXPIRED"])

    asyncio.run(story())


@pytest.mark.parametrize("settled_first", [True, False])
def test_a_settlement_and_a_hold_of_what_it_frees(migrated: str, settled_first: bool) -> None:
    """The bank takes less than was held: what is left is free for the next only once the bank has spoken."""

    async def story() -> None:
        account = await alone(migrated, lambda road: road.account(ledger="10", bank="10"))
        await alone(migrated, lambda road: held_one(road, asked("10", end_to_end_id="E")))
        less: Deed = lambda road: road.take_one(note("D", "6.00", debit=True, reference="D", tag="E"))  # noqa: E731
        if settled_first:
            _, [answer] = await in_order(migrated, less, holding(asked("4")))
            assert answer.status == 201
        else:
            [answer], _ = await in_order(migrated, holding(asked("4")), less)
            assert why(answer)[0] == "insufficient_available"
        assert (await facts(migrated, account))[0] == ("4" if settled_first else "0")

    asyncio.run(story())


def test_two_cancellations_release_once(migrated: str) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        payout = await alone(migrated, held_one)
        other = await alone(migrated, held_one)
        assert other != payout
        stop: Deed = lambda road: cancelled(road, payout)  # noqa: E731
        first, second = await in_order(migrated, stop, stop)
        assert codes([first, second]) == ["CANCELLED", "payout_cancelled"]
        assert (await facts(migrated, account))[0] == "10"

    asyncio.run(story())


@pytest.mark.parametrize("sent_first", [True, False])
def test_a_sending_in_the_last_minute_and_the_expiry(migrated: str, sent_first: bool) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        payout = await alone(migrated, held_one)
        go: Deed = lambda road: sent(road, payout, LATER - timedelta(minutes=1))  # noqa: E731
        over: Deed = lambda road: payout_acts.end(road.tx, account, [payout], LATER)  # noqa: E731
        if sent_first:
            answer, ended = await in_order(migrated, go, over)
            # What went out in time holds on; by the same clock the bank is late with it.
            assert (codes([answer]), ended) == (["SENT"], 1)
            expected = ("10", ["SENT"], ["held", "sent"])
        else:
            ended, answer = await in_order(migrated, over, go)
            assert (codes([answer]), ended) == (["payout_expired"], 1)
            expected = ("0", ["EXPIRED"], ["held", "expired"])
        assert await facts(migrated, account) == expected

    asyncio.run(story())


def test_the_same_key_at_the_same_time_is_held_once_and_answered_twice(migrated: str) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        mine, yours = asked("10", key="k"), asked("10.00", key="k")
        # Both batches have more keys, in other orders: they must not wait in a circle.
        [_, first], [second, _] = await in_order(
            migrated, holding(asked(key="a"), mine), holding(yours, asked(key="z"))
        )
        assert (first.status, first.again) == (201, False)
        assert (second.status, second.content, second.again) == (201, first.content, True)
        assert (await facts(migrated, account))[0] == "30"

    asyncio.run(story())


def test_another_request_under_the_same_key_waits_and_is_refused(migrated: str) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        [first], [second] = await in_order(migrated, holding(asked("10", key="k")), holding(asked("20", key="k")))
        assert codes([first, second]) == ["HELD", "idempotency_conflict"]
        assert (await facts(migrated, account))[0] == "10"

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["transfer", "burn"])
@pytest.mark.parametrize("held_first", [True, False])
def test_a_hold_and_a_movement_of_the_same_tokens(migrated: str, held_first: bool, kind: str) -> None:
    transfer = orders.Transfer(
        account_id=NUMBER, from_holder=HOLDER, to_holder="h", amount="600000", actor="ann"
    )  # fmt: skip
    burn = orders.Burn(account_id=NUMBER, holder=HOLDER, amount="600000", reason="r", actor="ann")

    async def moving(road: Road) -> Any:
        if kind == "transfer":
            return await once(
                road.tx, "t", "transfer", transfer, NOW, lambda: orders.transfer(road.tx, transfer, "t", NOW)
            )
        return await once(road.tx, "b", "burn", burn, NOW, lambda: orders.burn(road.tx, burn, "b", NOW))

    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        take = holding(asked("600000"))
        if held_first:
            [answer], moved = await in_order(migrated, take, moving)
            assert answer.status == 201
            assert why(moved)[0] == "insufficient_available"
        else:
            moved, [answer] = await in_order(migrated, moving, take)
            assert moved.status == 201
            # Of a burn the account has been judged again: 600,000 more at the bank than there are tokens.
            assert why(answer)[0] == ("insufficient_holder_balance" if kind == "transfer" else "breaker_open")
            assert "insufficient" in why(answer)[1]
        assert (await facts(migrated, account))[0] == ("600000" if held_first else "0")

    asyncio.run(story())


def test_several_engines_release_and_raise_once(migrated: str) -> None:
    async def story() -> None:
        account = await alone(migrated, lambda road: road.account())
        for _ in range(3):
            await alone(migrated, held_one)
        under_way = await alone(migrated, held_one)
        await alone(migrated, lambda road: sent(road, under_way))
        engines = [Database(migrated, pool_size=2) for _ in range(3)]
        for engine in engines:
            await engine.open()
        try:
            assert await payout_acts.expire(engines[0], LATER - timedelta(seconds=1)) == 0
            done = await asyncio.gather(*(payout_acts.expire(engine, LATER) for engine in engines))
            assert sum(done) == 4
            assert await payout_acts.expire(engines[0], LATER) == 0
        finally:
            for engine in engines:
                await engine.close()
        left, states, news = await facts(migrated, account)
        assert (left, sorted(states)) == ("10", ["EXPIRED"] * 3 + ["SENT"])
        assert news.count("expired") == 3
        async with road_on(migrated) as road:
            raised = await road.row("SELECT * FROM reconciliation_discrepancies")
            assert (raised["discrepancy_type"], raised["subject"]) == ("PAYOUT_OVERDUE", str(under_way))

    asyncio.run(story())
