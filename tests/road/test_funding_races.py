"""Two connections at once on one receipt or funding, forced into both orders: money is minted for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from road.bench import NOW, Road, note, road_on
from road.desk import allocate, announce, cancel, code, entry_of, faults, give_back, held, state_of, tell_debit, view
from road.test_ledger_races import _waits
from token_engine.domain.receipt import Recorded
from token_engine.storage import ledger as stored
from token_engine.storage.database import Database
from token_engine.tiers import fundings
from token_engine.tiers.once import Answer

Act = Callable[[Road], Awaitable[Any]]


class _LostError(Exception):
    """The first one's process dies before its commit."""


class Race:
    """What both were answered, and how the account stands afterwards."""

    def __init__(self, first: Any, second: Any, account: dict[str, Any], holders: dict[str, Any], receipt: str) -> None:
        self.first, self.second = first, second
        self.minted = account["ledger_balance"] - 1_000_000
        self.excess = account["bank_reported_balance"] - account["ledger_balance"]
        self.holders, self.receipt = holders, receipt


def race(
    url: str, first: Act, second: Act, *, before: Act | None = None, lost: bool = False, swapped: bool = False
) -> Race:
    """`first` has done its work and not committed when `second` comes, which must wait for it."""

    async def run() -> Race:
        async with road_on(url) as one, road_on(url) as two, road_on(url) as watcher:
            account = await watcher.account()
            if before is not None:
                await before(watcher)
            acts = (second, first) if swapped else (first, second)
            said: Any = None

            async def later() -> Any:
                async with two.connection.transaction():
                    return await acts[1](two)

            try:
                async with one.connection.transaction():
                    said = await acts[0](one)
                    waiting = asyncio.create_task(later())
                    await _waits(watcher)
                    if lost:
                        raise _LostError
            except _LostError:
                said = None
            answers = [said, await waiting]
            assert await stored.drift(watcher.tx) == []
            assert await faults(watcher) == []
            entries = await watcher.rows("SELECT id FROM bank_entries WHERE unexpected")
            receipt = await state_of(watcher, entries[0]["id"]) if entries else "none"
            of_first, of_second = reversed(answers) if swapped else answers
            return Race(of_first, of_second, await watcher.state(account), await held(watcher, account), receipt)

    return asyncio.run(run())


async def credit(road: Road) -> Any:
    return await road.take_one(note("C", "100", reference="R", tag="E1"))


async def expected(road: Road) -> Any:
    return await announce(road, actor="zoe", key="before")


async def both(road: Road) -> Any:
    """The credit under an id of its own, beside a funding that waits for another."""
    await announce(road, "E9", key="before")
    return await credit(road)


def to(holder: str) -> Act:
    async def act(road: Road) -> Answer:
        return await allocate(road, await entry_of(road, "C"), holder=holder)

    return act


async def own(road: Road) -> Answer:
    return await allocate(road, await entry_of(road, "C"), own_funds=True)


async def to_funding(road: Road) -> Answer:
    key = (await road.row("SELECT id FROM fundings ORDER BY announced_at LIMIT 1"))["id"]
    return await allocate(road, await entry_of(road, "C"), funding=str(key))


async def back(road: Road) -> Answer:
    return await give_back(road, await entry_of(road, "C"))


async def cancelled(road: Road) -> Answer:
    key = (await road.row("SELECT id FROM fundings ORDER BY announced_at LIMIT 1"))["id"]
    return await cancel(road, str(key))


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_people_who_allocate_one_receipt_the_first_does(migrated: str, *, swapped: bool) -> None:
    it = race(migrated, to("h1"), to("h2"), before=credit, swapped=swapped)
    assert [code(it.first), code(it.second)] == (["receipt_settled", None] if swapped else [None, "receipt_settled"])
    assert it.holders.get("h2" if swapped else "h1") == it.minted == 100
    assert (it.excess, it.receipt) == (0, "ALLOCATED")


def test_where_the_first_dies_before_its_commit_the_second_allocates(migrated: str) -> None:
    it = race(migrated, to("h1"), to("h2"), before=credit, lost=True)
    assert code(it.second) is None
    assert (it.holders.get("h1"), it.holders.get("h2"), it.minted) == (None, 100, 100)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("other", [to("h"), own, to_funding])
def test_a_receipt_is_returned_or_allocated_and_never_both(migrated: str, other: Act, *, swapped: bool) -> None:
    it = race(migrated, back, other, before=both, swapped=swapped)
    assert [code(it.first), code(it.second)] == (["receipt_settled", None] if swapped else [None, "receipt_settled"])
    assert it.receipt == ("ALLOCATED" if swapped else "RETURNED")
    assert it.minted == (100 if swapped and other is not own else 0)


def test_one_debit_is_told_of_one_return(migrated: str) -> None:
    """Two people see the same debit on the statement, each for the receipt that he sent back."""
    entries: dict[str, int] = {}

    async def before(road: Road) -> None:
        for name in ("C", "C2"):
            await road.take(note(name, "100", reference=name, tag=name))
            entries[name] = await entry_of(road, name)
            view(await give_back(road, entries[name]))
        await road.take(note("D", "100", reference="D", debit=True))
        entries["D"] = await entry_of(road, "D")

    def tell(name: str) -> Act:
        return lambda road: tell_debit(road, entries[name], entries["D"])

    it = race(migrated, tell("C"), tell("C2"), before=before)
    assert (code(it.first), code(it.second)) == (None, "unknown_debit")


@pytest.mark.parametrize("swapped", [False, True])
def test_an_announcement_and_an_allocation_mint_for_one_receipt_once(migrated: str, *, swapped: bool) -> None:
    """The announcement that comes second finds the receipt taken, and waits for another credit."""
    it = race(migrated, announce, to("h"), before=credit, swapped=swapped)
    announced = view(it.first)
    if swapped:
        assert (announced["state"], announced["minted"], announced["waiting"]) == ("EXPECTED", None, None)
    else:
        assert announced["state"] == "MET"
    assert code(it.second) == (None if swapped else "receipt_settled")
    assert it.holders["h" if swapped else "BANKAEAD"] == it.minted == 100


@pytest.mark.parametrize("swapped", [False, True])
def test_an_announcement_and_its_credit_at_once_mint_once(migrated: str, *, swapped: bool) -> None:
    it = race(migrated, announce, credit, swapped=swapped)
    assert view(it.first)["state"] == ("MET" if swapped else "EXPECTED"), "as it was when it was answered"
    assert isinstance(it.second, Recorded)
    assert it.holders["BANKAEAD"] == it.minted == 100
    assert it.excess == 0


def test_the_same_announcement_twice_at_once_is_one(migrated: str) -> None:
    async def once(road: Road) -> Answer:
        return await announce(road, key="k")

    it = race(migrated, once, once, before=credit)
    assert (it.first.again, it.second.again) == (False, True)
    assert it.first.content == it.second.content
    assert it.minted == 100


def test_of_two_announcements_under_one_end_to_end_id_the_first_is_expected(migrated: str) -> None:
    async def other(road: Road) -> Answer:
        return await announce(road, holder="other")

    it = race(migrated, announce, other)
    assert (code(it.first), code(it.second)) == (None, "funding_exists")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_funding_is_met_or_cancelled_and_never_both(migrated: str, *, swapped: bool) -> None:
    """Cancelled first, the credit is a receipt; met first, there is nothing to cancel."""
    it = race(migrated, cancelled, credit, before=expected, swapped=swapped)
    assert code(it.first) == ("funding_settled" if swapped else None)
    assert (it.minted, it.receipt) == ((100, "none") if swapped else (0, "UNALLOCATED"))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_funding_is_met_or_allocated_to_and_never_both(migrated: str, *, swapped: bool) -> None:
    """Its own credit comes while a person gives it another one: one of the two credits stays a receipt."""

    async def before(road: Road) -> None:
        await announce(road, "E9", key="before")
        await credit(road)

    async def its_own(road: Road) -> Any:
        return await road.take_one(note("D", "100", reference="D", tag="E9"))

    it = race(migrated, to_funding, its_own, before=before, swapped=swapped)
    assert code(it.first) == ("funding_settled" if swapped else None)
    assert (it.minted, it.excess) == (100, 100)


def test_two_sweeps_at_once_write_an_expiry_down_once(migrated: str) -> None:
    """Whoever waits for the other finds nothing left to do, and no database error."""

    async def run() -> list[dict[str, Any]]:
        database = Database(migrated)
        await database.open()
        try:
            async with road_on(migrated) as road:
                await road.account()
                await announce(road, minutes=1)
                late = NOW + timedelta(minutes=1)
                await asyncio.gather(*(fundings.expire(database, late) for _ in range(4)))
                assert await fundings.expire(database, late) == 0
                return await road.rows("SELECT actor FROM audit_log WHERE action = 'funding_expired'")
        finally:
            await database.close()

    assert asyncio.run(run()) == [{"actor": "engine"}]
