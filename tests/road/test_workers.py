"""Several workers at once, and the batcher in front of them: nothing lost, nothing twice, nobody spoiled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

import psycopg
import pytest

from road.bench import NOW, Road, came, camt, line, note, report, road_on, section, words
from token_engine.domain.notification import Notification
from token_engine.domain.receipt import AlreadyRecorded, Receipt, Recorded, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.batcher import Batcher, UnavailableError, UnforeseenError
from token_engine.entrypoints.lanes import MESSAGES
from token_engine.iso20022.reader import read_message
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import notification
from token_engine.tiers.decision import Decision
from token_engine.tiers.delivery import Delivery

NUMBERS = [f"ACC-{n}" for n in range(6)]
Story = Coroutine[Any, Any, None]


async def stage(url: str, numbers: list[str] = NUMBERS) -> None:
    async with road_on(url) as road, road.connection.transaction():
        for number in numbers:
            await road.account(number)


async def in_batches(url: str, messages: list[bytes], size: int) -> list[Receipt]:
    """A worker: a connection and a transaction for each batch."""
    receipts: list[Receipt] = []
    async with road_on(url) as road:
        for at in range(0, len(messages), size):
            async with road.connection.transaction():
                receipts += await road.take(*messages[at : at + size])
    return receipts


async def check(url: str, expected: dict[str, Decimal]) -> None:
    async with road_on(url) as road:
        rows = await road.rows(
            """SELECT account_number, bank_reported_balance AS stored,
                1000000 + coalesce((SELECT sum(position_change) FROM bank_entries WHERE account_id = a.id), 0) AS folded
            FROM emi_accounts a"""
        )
        assert {r["account_number"]: r["stored"] for r in rows} == expected
        assert {r["account_number"]: r["folded"] for r in rows} == expected


def test_workers_on_the_same_accounts_lose_nothing_and_apply_nothing_twice(migrated: str) -> None:
    random = Random(7)
    expected = dict.fromkeys(NUMBERS, Decimal(1_000_000))
    messages = []
    for n in range(240):
        parts = []
        for number in random.sample(NUMBERS, random.randint(1, 4)):
            amount = random.randint(1, 99)
            debit = random.random() < 0.5
            expected[number] += -amount if debit else amount
            parts.append(section(line(f"{amount}.00", debit=debit, reference=f"R{n}"), number=number))
        messages.append(camt(f"M{n}", *parts))

    async def story() -> None:
        await stage(migrated)
        orders = [random.sample(messages, len(messages)) for _ in range(3)]  # each worker has every message
        told = await asyncio.gather(*(in_batches(migrated, order, 1 + 6 * n) for n, order in enumerate(orders)))
        outcomes = Counter(words([receipt for receipts in told for receipt in receipts]))
        assert outcomes == {"Recorded": 240, "AlreadyRecorded": 480}
        await check(migrated, expected)

    asyncio.run(story())


def test_the_same_message_in_two_workers_at_once_is_recorded_once_and_answered_alike(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, ["ACC"])
        for n in range(20):
            message = [note(f"M{n}", number="ACC")]
            receipts = await asyncio.gather(*(in_batches(migrated, message, 1) for _ in range(3)))
            assert Counter(words([r for [r] in receipts])) == {"Recorded": 1, "AlreadyRecorded": 2}
            answers = [(r.kept_as, r.judgements) for [r] in receipts if isinstance(r, Recorded | AlreadyRecorded)]
            assert answers == [answers[0]] * 3
        await check(migrated, {"ACC": Decimal(1_000_200)})

    asyncio.run(story())


def test_a_report_and_notifications_racing_for_one_movement_record_it_once(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, ["ACC"])
        for n in range(20):
            first, second = (note(f"{name}{n}", number="ACC", reference=f"R{n}") for name in "AB")
            messages = [first, second, report(f"R{n}", line(reference=f"R{n}"), number="ACC")]
            await asyncio.gather(*(in_batches(migrated, [message], 1) for message in messages))
        await check(migrated, {"ACC": Decimal(1_000_200)})

    asyncio.run(story())


# The batcher -------------------------------------------------------------------------------------------


@asynccontextmanager
async def batching(
    url: str, workers: int = 1, committed: Callable[[], None] = lambda: None
) -> AsyncIterator[list[Batcher[Delivery, Receipt]]]:
    def clock() -> datetime:
        return NOW

    batchers = [Batcher(Database(url), clock, committed, MESSAGES) for _ in range(workers)]
    for batcher in batchers:
        batcher.start()
    try:
        yield batchers
    finally:
        for batcher in batchers:
            await batcher.stop()


async def handed_in(batcher: Batcher[Delivery, Receipt], deliveries: list[Delivery]) -> list[Receipt | Exception]:
    """Each as a parcel of its own, all at once."""
    outcomes = await asyncio.gather(*(batcher.submit([d]) for d in deliveries))
    return [receipt for [receipt] in outcomes]


def test_a_delivery_on_which_the_engine_fails_spoils_no_other(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries = [came(note(f"M{n}", number="ACC", reference=f"R{n}")) for n in range(20)]
    poison = deliveries[7].raw

    def failing(raw: bytes) -> tuple[Notification, ...] | Refusal:
        if raw == poison:
            raise RuntimeError("a defect of ours")
        return read_message(raw)

    async def story() -> None:
        await stage(migrated, ["ACC"])
        async with batching(migrated) as [batcher]:
            monkeypatch.setattr(notification, "read_message", failing)
            receipts = await handed_in(batcher, deliveries)
            assert Counter(words(receipts)) == {"Recorded": 19, "UnforeseenError": 1}
            assert isinstance(receipts[7], UnforeseenError)
            monkeypatch.undo()
            again = await handed_in(batcher, deliveries)
            assert Counter(words(again)) == {"AlreadyRecorded": 19, "Recorded": 1}
        await check(migrated, {"ACC": Decimal(1_000_200)})

    asyncio.run(story())


@pytest.mark.parametrize(
    "error",
    [
        "RAISE EXCEPTION 'no'",
        "PERFORM 1 / 0",
        "RAISE EXCEPTION USING ERRCODE = 'unique_violation'",
        "RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded'",
    ],
)
def test_a_delivery_that_the_database_refuses_spoils_no_other(migrated: str, error: str) -> None:
    async def story() -> None:
        await stage(migrated, ["ACC"])
        async with road_on(migrated) as road:
            await road.connection.execute(
                f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN {error}; RETURN NEW; END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON bank_entries FOR EACH ROW WHEN (NEW.amount = 13)
                EXECUTE FUNCTION refuse()""".encode(),
                prepare=False,
            )
        deliveries = [came(note(f"M{n}", "13" if n == 3 else "10", number="ACC")) for n in range(6)]
        async with batching(migrated) as [batcher]:
            receipts = await handed_in(batcher, deliveries)
        assert words(receipts) == ["Recorded"] * 3 + ["UnforeseenError"] + ["Recorded"] * 2
        await check(migrated, {"ACC": Decimal(1_000_050)})

    asyncio.run(story())


def test_the_same_nonsense_at_two_doors_at_once_is_kept_once(migrated: str) -> None:
    async def story() -> None:
        async with batching(migrated, workers=3) as batchers:
            for n in range(10):
                nonsense = [came(b"nonsense %d" % (n * 5 + m)) for m in range(5)]
                told = await asyncio.gather(
                    *(b.submit(nonsense[::-1] if at % 2 else nonsense) for at, b in enumerate(batchers))
                )
                kept = [[r.kept_as for r in sorted(rs, key=str) if isinstance(r, Rejected)] for rs in told]
                assert all(len(k) == 5 for k in kept), told
                assert sorted(kept[0]) == sorted(kept[1]) == sorted(kept[2])
        async with road_on(migrated) as road:
            assert (await road.row("SELECT count(*) AS n FROM bank_messages"))["n"] == 50

    asyncio.run(story())


def test_without_a_database_everything_is_unavailable_and_nothing_is_lost(migrated: str) -> None:
    """The connection goes between two commits; then the database is not there at all; then it is again."""
    deliveries = [came(note(f"M{n}", number="ACC", reference=f"R{n}")) for n in range(9)]
    name = psycopg.conninfo.conninfo_to_dict(migrated)["dbname"]

    async def story() -> None:
        await stage(migrated, ["ACC"])
        async with batching(migrated) as [batcher], road_on(migrated) as road:
            assert words(await handed_in(batcher, deliveries[:3])) == ["Recorded"] * 3
            await road.connection.execute(
                b"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
            )
            assert words(await handed_in(batcher, deliveries[:6])) == ["AlreadyRecorded"] * 3 + ["Recorded"] * 3
        away = Batcher(Database(migrated.replace(f"/{name}?", "/not_there?")), lambda: NOW, lambda: None, MESSAGES)
        away.start()
        outcomes = await handed_in(away, deliveries[6:])
        assert [type(o) for o in outcomes] == [UnavailableError] * 3
        await away.stop()
        async with batching(migrated) as [batcher]:
            assert words(await handed_in(batcher, deliveries[6:])) == ["Recorded"] * 3
        await check(migrated, {"ACC": Decimal(1_000_090)})

    asyncio.run(story())


def test_what_was_handed_in_is_committed_before_a_stop_and_nothing_is_taken_after(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, ["ACC"])
        commits: list[int] = []
        async with batching(migrated, committed=lambda: commits.append(1)) as [batcher]:
            pending = asyncio.gather(*(batcher.submit([came(note(f"M{n}", number="ACC"))]) for n in range(50)))
            await asyncio.sleep(0)
            await batcher.stop()
            assert words([r for [r] in await pending]) == ["Recorded"] * 50
            [late] = await batcher.submit([came(note("LATE", number="ACC"))])
            assert isinstance(late, UnavailableError)
        assert 1 <= len(commits) < 50
        await check(migrated, {"ACC": Decimal(1_000_500)})

    asyncio.run(story())


def test_a_door_that_stopped_waiting_holds_nobody_up(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, ["ACC"])
        async with batching(migrated) as [batcher]:
            gone = asyncio.ensure_future(batcher.submit([came(note("A", number="ACC"))]))
            await asyncio.sleep(0)
            gone.cancel()
            assert words(await batcher.submit([came(note("B", number="ACC"))])) == ["Recorded"]
        await check(migrated, {"ACC": Decimal(1_000_020)})

    asyncio.run(story())


def test_a_rolled_back_batch_leaves_nothing_and_can_be_taken_again(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated, ["ACC"])
        messages = [note("A", "1000", number="ACC"), note("B", "0.01", number="ACC", debit=True), b"nonsense"]

        async with road_on(migrated) as road:
            async with road.connection.transaction(force_rollback=True):
                assert words(await road.take(*messages)) == ["Recorded", "Recorded", "Rejected"]
            await nothing(road)
            async with road.connection.transaction():
                assert words(await road.take(*messages)) == ["Recorded", "Recorded", "Rejected"]

    async def nothing(road: Road) -> None:
        for table in ("bank_messages", "bank_entries", "circuit_breaker_steps", "reconciliation_discrepancies"):
            assert (await road.row(f"SELECT count(*) AS n FROM {table}"))["n"] == 0

    asyncio.run(story())


@pytest.mark.parametrize("where", ["the engine", "the database"])
def test_a_batch_that_fails_after_its_first_part_was_sent_leaves_nothing_of_it(
    migrated: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A part is with PostgreSQL before the rest is decided; it must not be committed without the rest."""
    deliveries = [came(note(f"M{n}", number="ACC", reference=f"R{n}")) for n in range(5)]
    monkeypatch.setattr(notification, "PART", 2)
    write, failing = Decision.write, asyncio.Event()

    async def fail(decision: Decision, tx: Transaction) -> None:
        if failing.is_set():
            if where == "the engine":
                raise RuntimeError("between two parts")
            await tx.execute(b"SELECT 1 / 0")
        await write(decision, tx)

    monkeypatch.setattr(Decision, "write", fail)

    async def story() -> None:
        await stage(migrated, ["ACC"])
        async with batching(migrated) as [batcher], road_on(migrated) as road:
            failing.set()
            assert {type(o) for o in await handed_in(batcher, deliveries)} == {UnforeseenError}
            assert (await road.row("SELECT count(*) AS n FROM bank_messages"))["n"] == 0
            assert (await road.row("SELECT count(*) AS n FROM bank_entries"))["n"] == 0
            failing.clear()
            assert words(await handed_in(batcher, deliveries)) == ["Recorded"] * 5
        await check(migrated, {"ACC": Decimal(1_000_050)})

    asyncio.run(story())
