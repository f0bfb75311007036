"""The trend on the road: observations are folded into days in any order; a drift is raised once, kept up to date and
resolved when it is over, with its event and its line in the audit log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from road.bench import NUMBER, Bench, Road, road_on
from token_engine.domain.account import Account
from token_engine.domain.backing import DEFAULT_POLICY, Policy
from token_engine.domain.observation import Observation
from token_engine.domain.refusal import Refusal
from token_engine.storage import positions, trends
from token_engine.tiers import discrepancies, trend_view
from token_engine.tiers.changes import Changes
from token_engine.tiers.discrepancies import Reopening, Resolution
from token_engine.tiers.observing import Answered, observe
from token_engine.tiers.observing import Observed as Judged
from token_engine.tiers.trend import Extended, Observed, extend

FIRST = datetime(2026, 10, 1, 12, tzinfo=UTC)
BANK = Decimal(1_000_000)
DAY = timedelta(days=1)


async def stored(road: Road, account: UUID, as_of: datetime, difference: Decimal) -> None:
    """An observation at rest, as the judging of it leaves it."""
    poll = await road.row(
        "INSERT INTO balance_polls (account_id, claimed_at, claimed_by, answered_at) VALUES (%s, %s, 'tests', %s)"
        " RETURNING id",
        account, as_of, as_of,
    )  # fmt: skip
    await road.connection.execute(
        b"INSERT INTO balance_observations (account_id, poll_id, observed_at, as_of, balance, balance_type,"
        b" ledger_balance, position_balance, explained, difference, level)"
        b" VALUES (%s, %s, %s, %s, %s, 'ITBD', %s, %s, 0, %s, 'Ok')",
        [account, poll["id"], as_of, as_of, BANK, BANK - difference, BANK, difference],
    )


async def taken(
    road: Road, account: UUID, seen: Sequence[tuple[datetime, Decimal]], now: datetime, policy: Policy = DEFAULT_POLICY
) -> Extended:
    """Observations stored and taken into the trend, as the road does in one transaction."""
    [locked] = await positions.lock_ids(road.tx, [account])
    of: Account = structs.replace(locked, policy=policy)
    for as_of, difference in seen:
        await stored(road, account, as_of, difference)
    changes = Changes(now)
    extended = await extend(road.tx, changes, [Observed(of, as_of, BANK, d) for as_of, d in seen], now)
    await changes.write(road.tx)
    return extended


async def days_pass(
    road: Road, account: UUID, differences: Sequence[int], *, first: int = 0, policy: Policy = DEFAULT_POLICY
) -> Extended:
    """One observation a day, at noon; what the last came to."""
    for n, difference in enumerate(differences, first):
        at = FIRST + n * DAY
        last = await taken(road, account, [(at, Decimal(difference))], at, policy)
    return last


async def drifts(road: Road) -> list[dict[str, Any]]:
    return await road.rows(
        "SELECT * FROM reconciliation_discrepancies WHERE discrepancy_type = 'DRIFT' ORDER BY opened_at"
    )


async def story(road: Road, key: UUID) -> list[str]:
    told = await road.rows("SELECT happening FROM discrepancy_events WHERE discrepancy_id = %s ORDER BY id", key)
    return [row["happening"] for row in told]


RISING = [0] * 15 + [4 * n for n in range(1, 21)]
"""On the day with number 39 it comes to 100, which is 0.01 % of a million: it is raised 14 days before."""
RAISED = 25

_SEEN = st.lists(
    st.tuples(st.integers(0, 4 * 96), st.decimals(min_value=-1000, max_value=1000, places=2)), min_size=1, max_size=25
)  # fmt: skip


@given(seen=_SEEN, order=st.randoms(), batches=st.integers(1, 5), again=st.integers(0, 24))
@settings(max_examples=30, deadline=None)
def test_in_any_order_in_any_batches_and_again_the_days_are_the_fold_of_the_observations(
    bench: Bench, seen: list[tuple[int, Decimal]], order: Any, batches: int, again: int
) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        times = [(FIRST + n * timedelta(minutes=15), difference) for n, difference in seen]
        order.shuffle(times)
        now = FIRST + 10 * DAY
        for start in range(0, len(times), batches):
            await taken(road, account, times[start : start + batches], now)
        before = await trends.days(road.tx, account, FIRST.date())
        [locked] = await positions.lock_ids(road.tx, [account])
        repeated = [Observed(locked, at, BANK, difference) for at, difference in times[: again + 1]]
        assert await extend(road.tx, Changes(now), repeated, now) == ({account: False}, []), "nothing is new"
        assert await trends.days(road.tx, account, FIRST.date()) == before
        by_day = {at.date(): [d for a, d in times if a.date() == at.date()] for at, _ in times}
        assert before == [(day, min(told), max(told)) for day, told in sorted(by_day.items())]
        assert await trends.unlike(road.tx) == []

    bench.void(told)


def test_what_is_wrong_with_days_is_found_and_recomputed(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        await days_pass(road, account, range(6))
        right = await trends.days(road.tx, account, FIRST.date())
        for damage in (
            b"UPDATE trend_days SET high = 99 WHERE day = '2026-10-03'",
            b"DELETE FROM trend_days WHERE day = '2026-10-02'",
            b"INSERT INTO trend_days SELECT account_id, day + 100, low, high FROM trend_days WHERE day = '2026-10-01'",
        ):
            await road.connection.execute(damage)
        wrong = await trends.unlike(road.tx)
        assert [(str(row["day"]), row["stored_high"], row["high"]) for row in wrong] == [
            ("2026-10-02", None, 1), ("2026-10-03", 99, 2), ("2027-01-09", 0, None),
        ]  # fmt: skip
        assert await trends.recompute(road.tx) == wrong
        assert await trends.days(road.tx, account, FIRST.date()) == right
        assert await trends.recompute(road.tx) == []

    bench.void(told)


def test_what_is_folded_while_days_are_recomputed_is_in_them(migrated: str) -> None:
    """Engines go on taking observations in, each in its transaction; recomputing meanwhile loses none of them."""

    async def engine(url: str, account: UUID, number: int) -> None:
        async with road_on(url) as road:
            for n in range(12):
                async with road.connection.transaction():
                    at = FIRST + (n % 4) * DAY + number * timedelta(minutes=15)
                    await taken(road, account, [(at, Decimal(n * (-1) ** number))], FIRST + 9 * DAY)

    async def repair(url: str) -> None:
        async with road_on(url) as road:
            for _ in range(6):
                async with road.connection.transaction():
                    await trends.recompute(road.tx)

    async def race() -> None:
        async with road_on(migrated) as road:
            keys = [await road.account(f"N{n}") for n in range(2)]
            await asyncio.gather(*(engine(migrated, keys[n % 2], n) for n in range(4)), repair(migrated))
            assert (await road.row("SELECT count(*) FROM balance_observations"))["count"] == 48
            async with road.connection.transaction():
                assert await trends.unlike(road.tx) == []

    asyncio.run(race())


def test_a_drift_is_raised_once_and_kept_at_its_latest_figures(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        assert (await days_pass(road, account, RISING[:20])) == ({account: False}, [])
        assert (await days_pass(road, account, RISING[20:RAISED], first=20)) == ({account: True}, [])
        assert await drifts(road) == []
        extended = await days_pass(road, account, RISING[RAISED : RAISED + 1], first=RAISED)
        assert extended.suspected == {account: True}
        [alarm] = extended.alarms
        assert {name: alarm[name] for name in ("direction", "slope_per_day", "difference", "bound", "beyond")} == {
            "direction": "rising", "slope_per_day": "4.00", "difference": "44.00", "bound": "100.00",
            "beyond": "Minor",
        }  # fmt: skip
        assert alarm["crosses_at"] == datetime(2026, 11, 9, tzinfo=UTC)
        [row] = await drifts(road)
        assert (row["severity"], row["status"], row["subject"]) == ("Minor", "OPEN", "rising")
        assert (row["expected_value"], row["actual_value"]) == (BANK - 44, BANK)
        [event] = await road.rows("SELECT payload FROM outbox WHERE subject = 'reconciliation.tier2.drift'")
        data = json.loads(event["payload"])["data"]
        assert (data["discrepancy_id"], data["crosses_at"]) == (str(row["id"]), "2026-11-09T00:00:00Z")
        audited = await road.rows("SELECT details FROM audit_log WHERE action = 'discrepancy_opened'")
        assert audited[-1]["details"]["discrepancy"] == str(row["id"])
        assert "rising 4.00 AED a day since 2026-10-1" in audited[-1]["details"]["text"]
        again = await taken(road, account, [(FIRST + RAISED * DAY, Decimal(44))], FIRST + RAISED * DAY)
        assert again == ({account: True}, []), "suspected by every observation, and raised by one"
        # It goes on: the same discrepancy with the figures of the day, and nothing announced again.
        assert (await days_pass(road, account, RISING[RAISED + 1 :], first=RAISED + 1)).alarms == []
        [later] = await drifts(road)
        assert (later["id"], later["actual_value"] - later["expected_value"]) == (row["id"], 80)
        assert await story(road, row["id"]) == ["opened"]
        assert len(await road.rows("SELECT 1 FROM outbox WHERE subject = 'reconciliation.tier2.drift'")) == 1
        assert await trends.drifting(road.tx) == 1

    bench.void(told)


def test_who_judges_answers_of_banks_is_told_of_a_drift_once_for_the_log(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        raised = []
        for n, difference in enumerate(RISING):
            at = FIRST + n * DAY
            poll = await road.row(
                "INSERT INTO balance_polls (account_id, claimed_at, claimed_by) VALUES (%s, %s, 'tests') RETURNING id",
                account, at,
            )  # fmt: skip
            answer = Observation(balance=BANK + difference, currency="AED", as_of=at, balance_type="ITBD")
            answered = Answered(
                poll_id=poll["id"], account_id=account, connection="bank", answer=answer, requests=1, at=at
            )
            [outcome] = await observe(road.tx, [answered], at)
            assert isinstance(outcome, Judged)
            if outcome.drift is not None:
                raised.append((n, outcome.drift["direction"], outcome.drift["account_number"]))
        assert raised == [(RAISED, "rising", NUMBER)]
        assert len(await drifts(road)) == 1
        assert await trends.unlike(road.tx) == []

    bench.void(told)


async def until_over(road: Road, account: UUID, *, policy: Policy = DEFAULT_POLICY, first: int = 35) -> None:
    """The excess is allocated, and it rests for ten days."""
    await days_pass(road, account, [0] * 10, first=first, policy=policy)
    assert await trends.drifting(road.tx) == 0


def test_it_is_resolved_when_it_is_over_and_another_is_another(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        await days_pass(road, account, RISING)
        await until_over(road, account)
        [row] = await drifts(road)
        assert (row["status"], row["resolved_by"]) == ("RESOLVED", "engine")
        assert row["resolution"] == "it does not drift any more; the difference is 0.00"
        assert await story(road, row["id"]) == ["opened", "resolved"]
        resolved = "SELECT 1 FROM outbox WHERE subject = 'reconciliation.discrepancy.resolved'"
        assert len(await road.rows(resolved)) == 1
        # Long after, it falls from an excess towards a shortfall, which is Critical: Significant now.
        await days_pass(road, account, [90] * 40 + [90 - 6 * n for n in range(1, 12)], first=45)
        _, other = await drifts(road)
        assert (other["subject"], other["severity"], other["status"]) == ("falling", "Significant", "OPEN")

    bench.void(told)


def test_what_a_person_resolved_is_not_raised_again_while_it_lasts(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        await days_pass(road, account, RISING[: RAISED + 1])
        [row] = await drifts(road)
        done = await discrepancies.do(
            road.tx, str(row["id"]), Resolution(actor="ann", reason="interest, to be minted monthly"), FIRST + 26 * DAY
        )
        assert not isinstance(done, Refusal)
        extended = await days_pass(road, account, RISING[26:], first=26)
        assert extended == ({account: True}, [])
        assert len(await drifts(road)) == 1
        assert await trends.drifting(road.tx) == 1
        await until_over(road, account)
        assert len(await drifts(road)) == 1

    bench.void(told)


@pytest.mark.parametrize("how", ["policy", "reopened"])
def test_that_it_is_over_may_be_left_to_a_person(bench: Bench, how: str) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        policy = Policy(auto_resolve=how != "policy")
        await days_pass(road, account, RISING, policy=policy)
        [row] = await drifts(road)
        if how == "reopened":
            for act in (Resolution(actor="ann", reason="r"), Reopening(actor="bob", reason="s")):
                assert not isinstance(await discrepancies.do(road.tx, str(row["id"]), act, FIRST + 35 * DAY), Refusal)
        await until_over(road, account, policy=policy)
        [row] = await drifts(road)
        assert row["status"] == "OPEN"
        assert row["difference_gone_since"] is not None
        # It drifts again: the same discrepancy, for nobody resolved it.
        rising = [0] * 30 + [4 * n for n in range(1, 12)]
        extended = await days_pass(road, account, rising, first=45, policy=policy)
        assert extended.suspected == {account: True}
        [again] = await drifts(road)
        assert (again["id"], again["difference_gone_since"]) == (row["id"], None)
        assert (await story(road, row["id"]))[-2:] == ["difference_gone", "difference_returned"]
        assert len(await road.rows("SELECT 1 FROM outbox WHERE subject = 'reconciliation.tier2.drift'")) == 2

    bench.void(told)


def test_an_observation_that_comes_late_for_a_day_that_is_over_is_looked_at(bench: Bench) -> None:
    """A day was told by its noon; its evening comes the next day. The first of a day looks, the second need not."""

    async def told(road: Road) -> None:
        account = await road.account()
        await days_pass(road, account, [0] * 5)
        at = FIRST + 5 * DAY

        async def looked_at(difference: int, *, age: int = 0, hour: int) -> bool:
            now = at + timedelta(hours=hour)
            await taken(road, account, [(at - age * DAY, Decimal(difference))], now)
            return (await trends.state(road.tx, account))[1] == now

        assert await looked_at(0, hour=0)
        assert not await looked_at(9, hour=1), "it was today"
        assert not await looked_at(0, age=1, hour=2), "it changed nothing"
        assert await looked_at(7, age=1, hour=3)
        assert [day.high for day in (await trends.days(road.tx, account, FIRST.date()))[4:]] == [7, 9]
        assert await taken(road, account, [], at) == ({}, [])

    bench.void(told)


def test_many_accounts_at_once_each_by_its_own_days_and_policy(bench: Bench) -> None:
    async def told(road: Road) -> None:
        keys = [await road.account(f"N{n}") for n in range(40)]
        locked = await positions.lock_ids(road.tx, keys)
        assert [a.id for a in locked] == sorted(keys)
        for n, rise in enumerate(RISING[: RAISED + 2]):
            at = FIRST + n * DAY
            observed = [
                Observed(structs.replace(a, policy=Policy(ok_percent=Decimal(1 + (i == 1)) / 100)), at, BANK,
                         Decimal(rise if i < 2 else 0))
                for i, a in enumerate(locked)
            ]  # fmt: skip
            changes = Changes(at)
            extended = await extend(road.tx, changes, observed, at)
            await changes.write(road.tx)
            if n == RAISED:
                # The one with the wider bound drifts as fast, and is too far from it.
                assert [a["account_id"] for a in extended.alarms] == [locked[0].id]
                assert {key for key, seen in extended.suspected.items() if seen} == {locked[0].id, locked[1].id}
        assert len(await drifts(road)) == 1

    bench.void(told)


def test_the_view_tells_the_trend_its_bounds_and_what_it_rests_on(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account = await road.account()
        now = FIRST + RAISED * DAY
        assert await trend_view.view(road.tx, "NONE", now) is None
        empty = await trend_view.view(road.tx, NUMBER, now)
        assert empty is not None
        assert (empty["trend"], empty["difference"], empty["days"], empty["drift_raised"]) == (None, None, [], False)
        await days_pass(road, account, RISING[: RAISED + 1])
        view = await trend_view.view(road.tx, NUMBER, now)
        assert view is not None
        assert (view["trend"]["shape"], view["trend"]["slope_per_day"], view["direction"]) == (
            "drift",
            "4.00",
            "rising",
        )
        assert (view["difference"], view["as_of"], view["observations"]) == ("44.00", now, RAISED + 1)
        crossings = {bound["difference"]: bound["crosses_at"] for bound in view["bounds"]}
        assert list(crossings) == ["0.00", "100.00", "500.00", "5000.00"]
        assert crossings["0.00"] is None
        assert view["crosses_at"] == crossings["100.00"] == datetime(2026, 11, 9, tzinfo=UTC)
        assert crossings["500.00"] == datetime(2027, 2, 17, tzinfo=UTC)
        assert view["days"][-1] == {"day": now.date(), "low": "44.00", "high": "44.00"}
        assert len(view["days"]) == RAISED + 1
        assert view["last_observations"][0]["difference"] == "44.00"
        assert view["drift_raised"] is True

    bench.void(told)
