"""A good client, request by request, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from access.bank_in_time import ACCOUNT, FINE, Answer, BankInTime, guarded
from access.virtual_time import run
from token_engine.banks.asking import Asked, AskingPolicy
from token_engine.domain.connector_guard import GuardPolicy, GuardState
from token_engine.domain.observation import MAY_HELP_TO_ASK_AGAIN, NoObservation, Why


def no(why: Why, retry_after: float | None = None) -> NoObservation:
    pause = None if retry_after is None else timedelta(seconds=retry_after)
    return NoObservation(why=why, text="as the script says", retry_after=pause)


def in_turn(*answers: Answer, takes: float = 0.2) -> Callable[[float], tuple[float, Answer]]:
    """A script that says these one after the other, and the last one for ever."""
    left: Iterator[Answer] = iter(answers[:-1])
    return lambda _: (takes, next(left, answers[-1]))


def test_what_may_help_is_asked_again_and_what_may_not_is_not() -> None:
    async def requests(why: Why) -> Asked:
        bank = BankInTime(in_turn(no(why), FINE))
        asked = await guarded(bank, AskingPolicy()).ask(ACCOUNT)
        assert asked.requests == len(bank.asked_at)
        return asked

    for why in Why:
        again = why in MAY_HELP_TO_ASK_AGAIN
        expected = Asked(answer=FINE, requests=2) if again else Asked(answer=no(why), requests=1)
        assert run(requests(why)) == expected, why


@pytest.mark.parametrize(("most", "expected"), [(None, 4), (1, 1), (2, 2), (9, 4)])
def test_an_account_with_a_budget_is_asked_no_more_often_than_it_says(most: int | None, expected: int) -> None:
    async def asked() -> Asked:
        bank = BankInTime(in_turn(no(Why.SERVER_ERROR)))
        return await guarded(bank, AskingPolicy(most_requests=4)).ask(ACCOUNT, most)

    assert run(asked()) == Asked(answer=no(Why.SERVER_ERROR), requests=expected)


def test_waits_grow_and_are_not_the_same_for_two_accounts() -> None:
    async def waits(seed: int) -> list[float]:
        bank = BankInTime(in_turn(no(Why.UNREACHABLE), takes=0))
        policy = AskingPolicy(most_requests=6, guard=GuardPolicy(failures_to_open=99))
        await guarded(bank, policy, seed).ask(ACCOUNT)
        return [after - before for before, after in pairwise(bank.asked_at)]

    first, second = run(waits(1)), run(waits(2))
    assert first != second
    for wait, longest in zip(first, [1, 2, 4, 8, 15], strict=True):
        assert longest / 2 <= wait <= longest


def test_a_bank_that_never_answers_is_given_up_in_time_and_leaves_nothing_behind() -> None:
    async def asked() -> None:
        bank = BankInTime(lambda _: (10_000, FINE))
        client = guarded(bank, AskingPolicy(total_seconds=60))
        answer = await client.ask(ACCOUNT)
        assert isinstance(answer.answer, NoObservation)
        assert answer.answer.why is Why.TIMED_OUT
        assert (asyncio.get_running_loop().time(), answer.requests) == (60, 1)
        assert (bank.in_flight, client.standing().in_flight) == (0, 0)

    run(asked())


def test_a_short_pause_is_waited_for_by_all_and_a_long_one_by_nobody() -> None:
    async def asked(pause: float) -> tuple[list[float], list[Asked], float]:
        bank = BankInTime(lambda at: (0.0, no(Why.THROTTLED, pause) if at < 1 else FINE))
        client = guarded(bank, AskingPolicy(requests_a_minute=60))
        first = asyncio.create_task(client.ask(ACCOUNT))
        await asyncio.sleep(0.5)
        others = await asyncio.gather(client.ask(ACCOUNT), client.ask(ACCOUNT))
        return bank.asked_at, [await first, *others], client.standing().paused.total_seconds()

    asked_at, answers, _ = run(asked(20))
    assert asked_at == [0, 20, 21, 22]
    assert sorted((answer.answer == FINE, answer.requests) for answer in answers) == [(True, 1), (True, 1), (True, 2)]

    asked_at, answers, paused = run(asked(3600))
    assert asked_at == [0]
    assert [answer.requests for answer in answers] == [1, 0, 0]
    for answer, pause in zip(answers, (3600, 3599.5, 3599.5), strict=True):
        assert isinstance(answer.answer, NoObservation)
        assert answer.answer.why is Why.THROTTLED
        assert answer.answer.retry_after == timedelta(seconds=pause)
    assert paused == 3599.5


def test_a_short_pause_does_not_end_a_long_one() -> None:
    async def asked() -> list[float]:
        # The first request is answered last.
        bank = BankInTime(lambda at: (2, no(Why.THROTTLED, 1)) if at == 0 else (0.2, no(Why.THROTTLED, 600)))
        client = guarded(bank, AskingPolicy())
        await asyncio.gather(client.ask(ACCOUNT), client.ask(ACCOUNT))
        assert client.standing().paused.total_seconds() == pytest.approx(600 - 2 + 0.3)
        await client.ask(ACCOUNT)
        return bank.asked_at

    assert run(asked()) == [0, 0.1]


def test_who_waits_to_ask_again_says_what_the_bank_said_when_the_guard_opens_meanwhile() -> None:
    async def asked() -> None:
        bank = BankInTime(in_turn(no(Why.UNREACHABLE), no(Why.TIMED_OUT), no(Why.TIMED_OUT), takes=0.1))
        client = guarded(bank, AskingPolicy(requests_a_minute=6000, guard=GuardPolicy(failures_to_open=3)))
        first, *_ = await asyncio.gather(*(client.ask(ACCOUNT) for _ in range(3)))
        assert first == Asked(answer=no(Why.UNREACHABLE), requests=1)
        assert len(bank.asked_at) == 3

    run(asked())


def test_not_so_fast_without_saying_how_long_stops_the_others_for_a_moment_too() -> None:
    async def asked() -> list[float]:
        bank = BankInTime(in_turn(no(Why.THROTTLED), FINE, takes=0.0))
        client = guarded(bank, AskingPolicy(requests_a_minute=6000))
        await asyncio.gather(client.ask(ACCOUNT), client.ask(ACCOUNT))
        return bank.asked_at

    asked_at = run(asked())
    assert len(asked_at) == 3
    assert 0.5 <= asked_at[1] <= 1


def test_no_pause_is_longer_than_an_hour_for_other_accounts() -> None:
    async def asked() -> None:
        bank = BankInTime(in_turn(no(Why.THROTTLED, 86_400), FINE))
        client = guarded(bank, AskingPolicy())
        assert await client.ask(ACCOUNT) == Asked(answer=no(Why.THROTTLED, 86_400), requests=1)
        await asyncio.sleep(3600)
        assert await client.ask(ACCOUNT) == Asked(answer=FINE, requests=1)

    run(asked())


def test_the_guard_opens_answers_without_asking_and_closes_by_a_probe() -> None:
    async def asked() -> None:
        bank = BankInTime(lambda at: (0.1, no(Why.SERVER_ERROR) if at < 50 else FINE))
        policy = AskingPolicy(most_requests=9, guard=GuardPolicy(failures_to_open=3, first_pause_seconds=30))
        client = guarded(bank, policy)
        first = await client.ask(ACCOUNT)
        assert first == Asked(answer=no(Why.SERVER_ERROR), requests=3)  # and not what the guard says
        assert asyncio.get_running_loop().time() == bank.answered[-1][0]  # nor later than the bank's last word
        assert client.standing().guard is GuardState.OPEN
        second = await client.ask(ACCOUNT)
        assert isinstance(second.answer, NoObservation)
        assert (second.answer.why, second.requests, len(bank.asked_at)) == (Why.GUARD_OPEN, 0, 3)
        await asyncio.sleep(31)
        assert await client.ask(ACCOUNT) == Asked(answer=no(Why.SERVER_ERROR), requests=1)  # the probe, once
        await asyncio.sleep(61)
        probe = asyncio.create_task(client.ask(ACCOUNT))
        await asyncio.sleep(0.05)
        beside = await client.ask(ACCOUNT)
        assert isinstance(beside.answer, NoObservation)
        assert beside.answer.why is Why.GUARD_OPEN
        assert await probe == Asked(answer=FINE, requests=1)
        assert client.standing().guard is GuardState.CLOSED

    with capture_logs() as lines:
        run(asked())
    assert [line["event"] for line in lines] == ["connector guard open"] * 2 + ["connector guard closed"]
    assert lines[0]["connection"] == "bank-1"
    assert [line.get("pause_seconds") for line in lines] == [30, 60, None]


def test_a_probe_that_is_cancelled_leaves_the_next_request_as_the_probe() -> None:
    async def asked() -> None:
        bank = BankInTime(lambda at: (1, no(Why.UNREACHABLE) if at < 10 else FINE))
        client = guarded(bank, AskingPolicy(guard=GuardPolicy(failures_to_open=1)))
        await client.ask(ACCOUNT)
        await asyncio.sleep(30)
        probe = asyncio.create_task(client.ask(ACCOUNT))
        await asyncio.sleep(0.5)
        assert client.standing().guard is GuardState.PROBING
        probe.cancel()
        await asyncio.wait([probe])
        assert (client.standing().guard, client.standing().in_flight) == (GuardState.OPEN, 0)
        assert (await client.ask(ACCOUNT)).answer == FINE

    run(asked())


def test_it_closes_its_connector() -> None:
    async def closed() -> bool:
        bank = BankInTime(in_turn(FINE))
        await guarded(bank, AskingPolicy()).close()
        return bank.closed

    assert run(closed())
