"""Two connections at once on the token ledger, forced into both orders: each race has one lawful outcome."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from road.bench import NOW, NUMBER, Road, mint, note, road_on
from token_engine.domain.receipt import Recorded
from token_engine.storage import ledger as stored
from token_engine.tiers import orders
from token_engine.tiers.once import Answer, once

Act = Callable[[Road], Awaitable[Any]]
OPENING = 1
"""The number of the first movement: what the account was taken on with."""


def burn(key: str, amount: str = "1000000", *, reason: str = "redeemed") -> Act:
    wanted = orders.Burn(account_id=NUMBER, holder="unattributed", amount=amount, reason=reason, actor="ann")

    async def act(road: Road) -> Answer:
        return await once(road.tx, key, "burn", wanted, NOW, lambda: orders.burn(road.tx, wanted, key, NOW))

    return act


def reversal(key: str) -> Act:
    wanted = orders.Reversal(reason="a mistake", actor="ann")

    async def act(road: Road) -> Answer:
        return await once(
            road.tx, key, f"reversal of {OPENING}", wanted, NOW, lambda: orders.undo(road.tx, OPENING, wanted, key, NOW)
        )

    return act


def mint_for(entry: str) -> Act:
    async def act(road: Road) -> dict[str, Any]:
        return await mint(road, await orders.find_account(road.tx, NUMBER), "10", entry)

    return act


def credit(name: str, amount: str = "10.00", *, debit: bool = False) -> Act:
    return lambda road: road.take_one(note(name, amount, reference=name, debit=debit))


async def _waits(road: Road) -> None:
    """Until somebody waits for a lock."""
    for _ in range(500):
        found = await road.rows(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        if found:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waited")


class _LostError(Exception):
    """The first one's process dies before its commit."""


def race(url: str, first: Act, second: Act, *, lost: bool = False) -> tuple[Any, Any, dict[str, Any]]:
    """`first` has done its work and not committed when `second` comes, which must wait for it. Both answers, and
    the account afterwards, whose balances must be what its movements make.
    """

    async def run() -> tuple[Any, Any, dict[str, Any]]:
        async with road_on(url) as one, road_on(url) as two, road_on(url) as watcher:
            account = await watcher.account()
            said: Any = None

            async def later() -> Any:
                async with two.connection.transaction():
                    return await second(two)

            try:
                async with one.connection.transaction():
                    said = await first(one)
                    waiting = asyncio.create_task(later())
                    await _waits(watcher)
                    if lost:
                        raise _LostError
            except _LostError:
                said = None
            answer = await waiting
            assert await stored.drift(watcher.tx) == []
            return said, answer, await watcher.state(account)

    return asyncio.run(run())


def code(answer: Answer) -> str | None:
    content = json.loads(answer.content)
    return None if answer.status < 400 else content["code"]


def test_the_same_request_twice_at_once_is_done_once_and_answered_twice(migrated: str) -> None:
    first, second, account = race(migrated, burn("k", "10"), burn("k", "10.00"))
    assert (first.status, first.again) == (201, False)
    assert second == Answer(first.status, first.content, again=True)
    assert account["ledger_balance"] == 999_990


def test_where_the_first_dies_before_its_commit_the_second_does_it(migrated: str) -> None:
    _, second, account = race(migrated, burn("k", "10"), burn("k", "10"), lost=True)
    assert (second.status, second.again) == (201, False)
    assert account["ledger_balance"] == 999_990


@pytest.mark.parametrize("lost", [False, True])
def test_another_request_under_the_same_key_waits_and_is_refused_if_the_first_was_done(
    migrated: str, *, lost: bool
) -> None:
    _, second, account = race(migrated, burn("k", "10"), burn("k", "20"), lost=lost)
    assert code(second) == (None if lost else "idempotency_conflict")
    assert account["ledger_balance"] == 1_000_000 - (20 if lost else 10)


def test_a_refusal_is_an_answer_too(migrated: str) -> None:
    first, second, account = race(migrated, burn("k", "2000000"), burn("k", "2000000"))
    assert code(first) == code(second) == "insufficient_holder_balance"
    assert second.again
    assert account["ledger_balance"] == 1_000_000


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_burns_for_the_last_token_one_is_refused(migrated: str, *, swapped: bool) -> None:
    acts = [burn("k1"), burn("k2", "0.01")]
    first, second, account = race(migrated, *(acts[::-1] if swapped else acts))
    assert code(first) is None
    assert code(second) == "insufficient_holder_balance"
    assert account["ledger_balance"] == (Decimal("999999.99") if swapped else 0)


def test_a_movement_is_reversed_by_one_of_two(migrated: str) -> None:
    first, second, account = race(migrated, reversal("k1"), reversal("k2"))
    assert (code(first), code(second)) == (None, "already_reversed")
    assert account["ledger_balance"] == 0


@pytest.mark.parametrize("swapped", [False, True])
def test_of_a_burn_and_a_reversal_of_the_same_tokens_the_first_wins(migrated: str, *, swapped: bool) -> None:
    acts = [reversal("k1"), burn("k2")]
    first, second, account = race(migrated, *(acts[::-1] if swapped else acts))
    assert (code(first), code(second)) == (None, "insufficient_holder_balance")
    assert account["ledger_balance"] == 0


@pytest.mark.parametrize("swapped", [False, True])
def test_a_notification_and_a_burn_judge_what_both_have_left(migrated: str, *, swapped: bool) -> None:
    """A debit of 10 before the burn of 10 opens the breaker, and the burn is done all the same; after it the debit
    finds tokens that are gone.
    """
    acts = [credit("D", debit=True), burn("k", "10")]
    first, second, account = race(migrated, *(acts[::-1] if swapped else acts))
    notified, burnt = (second, first) if swapped else (first, second)
    assert isinstance(notified, Recorded)
    assert code(burnt) is None
    assert account["ledger_balance"] == account["bank_reported_balance"] == 999_990
    assert account["reconciliation_status"] == "OK"
    assert account["circuit_breaker"] == ("closed" if swapped else "open")


def test_a_credit_mints_once_however_many_find_it(migrated: str) -> None:
    async def credited(road: Road) -> Any:
        await credit("C")(road)
        return await mint_for("C")(road)

    first, second, account = race(migrated, credited, mint_for("C"))
    assert (first["receipt"], second["receipt"]) == ("Recorded", "AlreadyRecorded")
    assert first["id"] == second["id"]
    assert account["ledger_balance"] == 1_000_010
