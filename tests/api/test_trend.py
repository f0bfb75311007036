"""A drift as people see it: over HTTP, at the command line and in the metrics of a running engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from engine import V1, Engine
from token_engine.storage import positions
from token_engine.storage.database import Database
from token_engine.tiers.changes import Changes
from token_engine.tiers.trend import Observed, extend


def observed(engine: Engine, account: UUID, differences: list[int]) -> None:
    """One observation a day, at noon UTC, up to yesterday: kept, and not taken into any trend yet."""
    noon = datetime.combine(datetime.now(UTC).date(), time(12), UTC)
    with psycopg.connect(engine.database_url) as connection:
        for age, difference in enumerate(reversed(differences), 1):
            at = noon - timedelta(days=age)
            connection.execute(
                "WITH poll AS (INSERT INTO balance_polls (account_id, claimed_at, claimed_by, answered_at)"
                " VALUES (%(a)s, %(at)s, 'tests', %(at)s) RETURNING id)"
                " INSERT INTO balance_observations (account_id, poll_id, observed_at, as_of, balance, balance_type,"
                " ledger_balance, position_balance, explained, difference, level)"
                " SELECT %(a)s, id, %(at)s, %(at)s, 1000000 + %(d)s, 'ITBD', 1000000, 1000000, 0, %(d)s, 'Ok'"
                " FROM poll",
                {"a": account, "at": at, "d": difference},
            )


async def look(url: str, account: UUID) -> None:
    """The next observation of the account, by a door of its own."""
    database, now = Database(url, pool_size=1), datetime.now(UTC)
    await database.open()
    try:
        async with database.transaction() as tx:
            locked = await positions.lock_ids(tx, [account])
            changes = Changes(now)
            await extend(tx, changes, [Observed(locked[0], now, Decimal(1_000_080), Decimal(80))], now)
            await changes.write(tx)
    finally:
        await database.close()


@pytest.fixture
def drifting(engine: Engine, account: Callable[..., str]) -> str:
    """An account that rises 5 a day since two weeks, and rested for two weeks before."""
    number = account()
    observed(engine, UUID(engine.account(number)["id"]), [0] * 14 + [5 * n for n in range(1, 16)])
    return number


def test_days_are_recomputed_checked_and_shown(engine: Engine, drifting: str) -> None:
    checked = engine.cli("check")
    assert checked.returncode == 1
    assert f"{drifting} AED: trend of " in checked.stderr.decode()
    assert b"29 days were not" in engine.cli("recompute-trends").stdout
    assert engine.cli("check").returncode == 0
    view = engine.get(f"{V1}/accounts/{drifting}/trend")
    assert (view["trend"]["shape"], view["trend"]["slope_per_day"], view["direction"]) == ("drift", "5.00", "rising")
    assert (view["difference"], view["observations"], len(view["days"])) == ("75.00", 29, 29)
    # 75 yesterday, 5 a day: 0.01 % of the 1,000,075 at the bank five days after that day began.
    yesterday = datetime.combine(datetime.now(UTC).date() - timedelta(days=1), time(), UTC)
    assert view["next_bound"] == "100.0075"
    assert datetime.fromisoformat(view["crosses_at"]) == yesterday + timedelta(days=5, seconds=129)
    assert engine.get(f"{V1}/accounts/{engine.account(drifting)['id']}/trend") == view
    assert engine.http.get(f"{V1}/accounts/NONE/trend").status_code == 404


def test_the_command_line_says_the_same(engine: Engine, drifting: str) -> None:
    engine.cli("recompute-trends")
    told = engine.cli("trend", drifting).stdout.decode()
    assert f"{drifting} AED: drift, 5.00 a day since " in told
    assert "the difference is 75.00" in told
    assert "5000.375" in told
    said = json.loads(engine.cli("trend", drifting, "--json").stdout)
    assert said == engine.get(f"{V1}/accounts/{drifting}/trend")
    unknown = engine.cli("trend", "NONE")
    assert (unknown.returncode, b"unknown_account" in unknown.stderr) == (1, True)


def test_one_that_was_raised_is_counted_and_on_the_list(engine: Engine, drifting: str) -> None:
    def counted() -> str:
        [line] = [s for s in engine.http.get("/metrics").text.splitlines() if s.startswith("token_engine_accounts_dri")]
        return line

    engine.cli("recompute-trends")
    assert counted() == "token_engine_accounts_drifting 0"
    asyncio.run(look(engine.database_url, UUID(engine.account(drifting)["id"])))
    assert counted() == "token_engine_accounts_drifting 1"
    [listed] = engine.get(f"{V1}/discrepancies?account_id={drifting}&type=drift")["discrepancies"]
    assert (listed["discrepancy_type"], listed["severity"]) == ("DRIFT", "Minor")
    assert engine.get(f"{V1}/accounts/{drifting}/trend")["drift_raised"] is True
    assert "raised as DRIFT." in engine.cli("trend", drifting).stdout.decode()
