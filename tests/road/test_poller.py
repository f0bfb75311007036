"""The poller on a real database, over banks of this file: claims, concurrency, answers, runs, stopping."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from token_engine.banks.asking import AskingPolicy
from token_engine.banks.guarded import Guarded
from token_engine.domain.observation import BankAccount, NoObservation, Observation, Why
from token_engine.entrypoints.batcher import Batcher
from token_engine.entrypoints.lanes import OBSERVATIONS
from token_engine.entrypoints.poller import Poller
from token_engine.storage.database import Database
from token_engine.storage.polling import ConnectionRow
from token_engine.tiers import polling, runs
from token_engine.tiers.accounts import NewAccount, create
from token_engine.tiers.observing import Observed
from token_engine.tiers.polling import NewPolling

CONNECTION = b"INSERT INTO bank_connections VALUES ('bank', 'json', '{}', 'tests', now())"
SLOTS_BEGAN_A_MINUTE_AGO = b"""
UPDATE account_polling p SET next_slot_at = began,
    offset_seconds = extract(epoch FROM began)::bigint % (p.every_minutes * 60)
FROM (SELECT date_trunc('second', now()) - interval '1 minute' AS began)
"""
"""Where an account's slots begin comes from its id, which is chance here: one would begin while a test looks."""

POLICY = AskingPolicy(at_once=4, requests_a_minute=600_000, most_requests=1)


class Bank:
    """Holds what its accounts hold, and says so after a moment."""

    def __init__(self) -> None:
        self.balances: dict[str, str | None] = {}
        self.asked: Counter[str] = Counter()
        self.most_at_once = 0
        self.closed = False
        self.held_back = asyncio.Event()
        self.held_back.set()
        self._now = 0

    async def booked_balance(self, account: BankAccount, now: datetime) -> Observation | NoObservation:
        self.asked[account.number] += 1
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await self.held_back.wait()
        await asyncio.sleep(0.001)
        self._now -= 1
        balance = self.balances.get(account.number, "1000")
        if balance is None:
            return NoObservation(why=Why.UNREACHABLE, text="nobody there")
        return Observation(balance=Decimal(balance), currency="AED", as_of=now, balance_type="interimBooked")

    async def close(self) -> None:
        self.closed = True


class Engine:
    def __init__(self, database: Database, poller: Poller) -> None:
        self.database = database
        self.poller = poller

    async def rows(self, statement: str) -> list[Any]:
        async with self.database.transaction() as tx:
            return list(await (await tx.execute(statement.encode())).fetchall())

    async def until(self, statement: str, wanted: Any) -> None:
        async with asyncio.timeout(20):
            while (await self.rows(statement))[0][0] != wanted:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def engine(
    url: str, bank: Bank, name: str = "one", ahead: timedelta = timedelta()
) -> AsyncIterator[Engine]:  # fmt: skip
    def now() -> datetime:
        return datetime.now(UTC) + ahead

    def connect(row: ConnectionRow) -> Guarded:
        return Guarded(bank, row.name, POLICY, now, Random(1))

    database = Database(url, pool_size=4)
    await database.open()
    observations = Batcher(database, now, lambda: None, OBSERVATIONS)
    observations.start()
    poller = Poller(database, now, observations, connect, name, lambda _: None)
    try:
        yield Engine(database, poller)
    finally:
        await poller.stop()
        await observations.stop()
        await database.close()


async def accounts(one: Engine, number: int, **how: Any) -> list[UUID]:
    now = datetime.now(UTC)
    made = []
    async with one.database.transaction() as tx:
        await tx.connection.execute(CONNECTION + b" ON CONFLICT DO NOTHING")
        for n in range(number):
            wanted = NewAccount(
                account_number=f"A{n}", currency="AED", bank="B", ledger_balance="1000", bank_balance="1000"
            )
            view = await create(tx, wanted, "tests", now)
            assert isinstance(view, dict)
            await polling.save(tx, view["id"], NewPolling(actor="a", connection="bank", **how), now)
            made.append(UUID(view["id"]))
        await tx.connection.execute(SLOTS_BEGAN_A_MINUTE_AGO)
    return made


def story(tell: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(tell())


def test_all_that_is_due_is_asked_and_judged_and_no_more_at_once_than_was_claimed(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        bank.balances |= {"A3": "999", "A4": None}
        async with engine(migrated, bank) as one:
            await accounts(one, 40)
            one.poller.start()
            await one.until("SELECT count(*) FROM balance_polls WHERE answered_at IS NOT NULL", 40)
            assert set(bank.asked.values()) == {1}
            assert bank.most_at_once <= POLICY.at_once
            assert await one.rows("SELECT level, count(*) FROM balance_observations GROUP BY 1 ORDER BY 1") == [
                ("Critical", 1), ("Ok", 38),
            ]  # fmt: skip
            assert await one.rows(
                "SELECT a.account_number FROM balance_polls q JOIN emi_accounts a ON a.id = q.account_id"
                " WHERE q.refusal_code = 'unreachable'"
            ) == [("A4",)]
        assert bank.closed

    story(tell)


def test_two_engines_never_poll_one_account_twice_in_a_slot(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        async with engine(migrated, bank, "one") as one, engine(migrated, bank, "two") as two:
            await accounts(one, 60, every_minutes=15)
            one.poller.start()
            two.poller.start()
            await one.until("SELECT count(*) FROM balance_polls WHERE answered_at IS NOT NULL", 60)
            await asyncio.sleep(0.1)
            assert set(bank.asked.values()) == {1}
            by_engine = dict(await one.rows("SELECT claimed_by, count(*) FROM balance_polls GROUP BY 1"))
            assert set(by_engine) == {"one", "two"}

    story(tell)


def test_a_person_asks_beside_the_schedule(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        async with engine(migrated, bank) as one:
            [account] = await accounts(one, 1, every_minutes=60)
            one.poller.start()
            await one.until("SELECT count(*) FROM balance_observations", 1)
            bank.balances["A0"] = "990"
            outcome = (await one.poller.ask_now([account]))[account]
            assert isinstance(outcome, Observed)
            assert outcome.explanation.gap == -10
            assert bank.asked["A0"] == 2

    story(tell)


def test_a_run_asks_all_and_says_when_it_is_through(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        bank.balances["A1"] = None
        async with engine(migrated, bank) as one:
            await accounts(one, 30, every_minutes=60)
            now = datetime.now(UTC)
            async with one.database.transaction() as tx:
                other = NewAccount(
                    account_number="B", currency="AED", bank="B", ledger_balance="1", bank_balance="1"
                )  # fmt: skip
                await create(tx, other, "tests", now)
                run = await runs.start(tx, "ann", now)
            assert (run["state"], run["accounts_to_ask"]) == ("RUNNING", 30)
            one.poller.start()
            async with asyncio.timeout(20):
                view: dict[str, Any] | None = run
                while view is None or view["state"] != "DONE":
                    await asyncio.sleep(0.01)
                    async with one.database.transaction() as tx:
                        view = await runs.show(tx, run["run_id"], datetime.now(UTC))
            assert (view["asked"], view["answered"], view["refused"], view["ok"]) == (30, 30, 1, 29)
            assert view["accounts_reviewed"] == 1
            async with one.database.transaction() as tx:
                results = await runs.results(tx, run["run_id"], 0, 100)
            assert len(results) == 30
            assert {r["account_number"] for r in results if "refusal" in r} == {"A1"}

    story(tell)


def test_an_engine_that_stops_writes_down_what_banks_still_say(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        bank.held_back.clear()
        async with engine(migrated, bank) as one:
            await accounts(one, 3)
            one.poller.start()
            async with asyncio.timeout(20):
                while sum(bank.asked.values()) < 3:
                    await asyncio.sleep(0.01)
            stopping = asyncio.create_task(one.poller.stop())
            await asyncio.sleep(0.05)
            bank.held_back.set()
            await stopping
            assert await one.rows("SELECT count(*) FROM balance_observations") == [(3,)]

    story(tell)


def test_accounts_of_a_bank_that_is_down_stay_due_until_it_is_up(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        bank.balances |= {f"A{n}": None for n in range(40)}
        async with engine(migrated, bank) as one:
            await accounts(one, 40)
            one.poller.start()
            await one.until("SELECT count(*) >= 5 FROM balance_polls WHERE refusal_code = 'unreachable'", True)
            await asyncio.sleep(1.5)  # time enough for another look
            # At one moment: what the guard kept from being asked is given back while others are claimed.
            [(asked, due)] = await one.rows("""SELECT (SELECT count(*) FROM balance_polls),
                (SELECT count(*) FROM account_polling WHERE next_slot_at <= now())""")
            assert asked < 20
            assert due == 40 - asked

    story(tell)


def test_a_claim_of_an_engine_that_died_is_nobodys_and_the_next_slot_is_asked(migrated: str) -> None:
    async def tell() -> None:
        bank = Bank()
        async with engine(migrated, bank) as one:
            await accounts(one, 1, every_minutes=15)
            now = datetime.now(UTC)
            async with one.database.transaction() as tx:
                assert len(await polling.claim_due(tx, "bank", 9, "killed", now)) == 1
            async with one.database.transaction() as tx:
                assert await polling.claim_due(tx, "bank", 9, "one", now) == []
                later = now + timedelta(minutes=15)
                assert len(await polling.claim_due(tx, "bank", 9, "one", later)) == 1

    story(tell)
