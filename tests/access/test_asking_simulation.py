"""Whatever a bank does and whoever gives up waiting: never more at once, never faster, never in a pause; a failing bank
is left alone, and is found again when it is well."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from access.bank_in_time import ACCOUNT, FINE, Answer, BankInTime, guarded
from access.virtual_time import run
from token_engine.banks.asking import AskingPolicy
from token_engine.banks.guarded import Guarded
from token_engine.domain.connector_guard import GuardPolicy
from token_engine.domain.observation import NoObservation, Observation, Why

EVERY = settings(max_examples=60, deadline=None)
policies = st.builds(
    AskingPolicy,
    at_once=st.integers(1, 6),
    requests_a_minute=st.sampled_from([7, 60, 600, 6000]),
    most_requests=st.integers(1, 4),
    total_seconds=st.integers(5, 60),
    guard=st.builds(GuardPolicy, failures_to_open=st.integers(2, 6)),
)


SAID: list[Observation | Why] = [
    FINE, FINE, Why.SERVER_ERROR, Why.UNREACHABLE, Why.THROTTLED, Why.ACCESS_REFUSED
]  # fmt: skip


def anything(chance: Random) -> tuple[float, Answer]:
    takes = chance.choice([0.01, 0.2, 3.0, 100.0])
    what = chance.choice(SAID)
    if not isinstance(what, Why):
        return takes, what
    pause = timedelta(seconds=chance.choice([1, 10, 600])) if what is Why.THROTTLED else None
    return takes, NoObservation(why=what, text="as the script says", retry_after=pause)


@EVERY
@given(policy=policies, seed=st.integers(0, 2**32), accounts=st.integers(1, 60))
def test_never_more_at_once_never_faster_never_in_a_pause_and_nothing_leaks(
    policy: AskingPolicy, seed: int, accounts: int
) -> None:
    chance = Random(seed)

    async def day() -> None:
        bank = BankInTime(lambda _: anything(chance))
        client = guarded(bank, policy, seed)

        async def somebody() -> None:
            await asyncio.sleep(chance.uniform(0, 300))
            patience = chance.uniform(0, 20) if chance.random() < 0.3 else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    assert (await client.ask(ACCOUNT)).requests <= policy.most_requests

        await asyncio.gather(*(somebody() for _ in range(accounts)))
        assert bank.most_in_flight <= policy.at_once
        for before, after in pairwise(bank.asked_at):
            assert after - before >= 60 / policy.requests_a_minute - 1e-5
        for said_at, answer in bank.answered:
            if isinstance(answer, NoObservation) and answer.retry_after is not None:
                end = said_at + answer.retry_after.total_seconds()
                assert not [at for at in bank.asked_at if said_at < at < end - 1e-5]
        assert (bank.in_flight, client.standing().in_flight, len(asyncio.all_tasks())) == (0, 0, 1)
        await all_places_are_free(bank, client, policy)

    run(day())


async def all_places_are_free(bank: BankInTime, client: Guarded, policy: AskingPolicy) -> None:
    await asyncio.sleep(3600)  # every pause is over
    bank.script = lambda _: (0.01, FINE)
    assert (await client.ask(ACCOUNT)).answer == FINE  # the probe, if the guard was open
    bank.script, bank.most_in_flight = (lambda _: (1000, FINE)), 0
    waiting = [asyncio.create_task(client.ask(ACCOUNT)) for _ in range(policy.at_once + 3)]
    await asyncio.sleep(0.01 + policy.at_once * 60 / policy.requests_a_minute)
    if policy.at_once * 60 / policy.requests_a_minute < policy.total_seconds:
        assert client.standing().in_flight == policy.at_once
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert (bank.in_flight, client.standing().in_flight, len(asyncio.all_tasks())) == (0, 0, 1)


@settings(EVERY, max_examples=25)
@given(
    policy=policies,
    seed=st.integers(0, 2**32),
    takes=st.sampled_from([0.0, 0.2, 100.0]),
    why=st.sampled_from([Why.SERVER_ERROR, Why.UNREACHABLE]),
)
def test_a_failing_bank_is_asked_a_few_times_an_hour_and_found_again_when_it_is_well(
    policy: AskingPolicy, seed: int, takes: float, why: Why
) -> None:
    hours = 5
    ill_for = hours * 3600.0
    # The row that opens the guard, those that were under way beside it, and the probes: 30 s, 60 s, ... 15 min apart.
    most = policy.guard.failures_to_open + policy.at_once + 5 + hours * 4

    async def day() -> None:
        bank = BankInTime(lambda at: (takes, NoObservation(why=why, text="ill")) if at < ill_for else (0.2, FINE))
        client = guarded(bank, policy, seed)

        async def account(number: int) -> None:
            await asyncio.sleep(number)
            while asyncio.get_running_loop().time() < ill_for + 2000:
                await client.ask(ACCOUNT)
                await asyncio.sleep(120)

        await asyncio.gather(*(account(number) for number in range(40)))
        assert len([at for at in bank.asked_at if at < ill_for]) <= most
        well = [at for at, answer in bank.answered if answer == FINE]
        # The ceiling of the pause, the next account to come, and a last probe that began while it was ill.
        assert min(well) <= ill_for + policy.guard.longest_pause_seconds + 120 + policy.total_seconds

    run(day())
