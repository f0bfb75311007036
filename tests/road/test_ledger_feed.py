"""The JetStream door of ledgers that are kept elsewhere: in order, once, and a refusal told."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nats.aio.msg import Msg

from engine import V1, Engine, wait_for
from road.bench import NOW, road_on
from road.bus import LEDGER, MOVEMENTS, Bus, bus, nats_server, until
from token_engine.domain.ledger import Mode
from token_engine.entrypoints.nats.ledger_feed import LedgerFeed
from token_engine.entrypoints.nats.streams import ensure_ledger_stream
from token_engine.servers import EmbeddedPostgres
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import accounts, feed
from token_engine.tiers.accounts import NewAccount
from token_engine.tiers.once import Answer

_numbers = itertools.count(1)
REJECTED = "reconciliation.ledger.movements_rejected"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("feed")
    with nats_server(home / "nats") as nats, Engine(home / "data", "--nats-url", nats.url) as running:
        yield running


@pytest.fixture
def number(engine: Engine) -> str:
    name = f"FEED-{next(_numbers):03d}"
    engine.create_account(name, ledger_balance="1000", bank_balance="1000", ledger_mode="external")
    return name


def batch(*movements: dict[str, Any], actor: str = "core banking") -> dict[str, Any]:
    return {"actor": actor, "movements": list(movements)}


def move(number: str, reference: str, kind: str = "mint", amount: str = "10", **more: Any) -> dict[str, Any]:
    return {"account_id": number, "kind": kind, "reference": reference, "amount": amount} | more


def on_the_bus(url: str, work: Callable[[Bus], Awaitable[None]]) -> None:
    async def run() -> None:
        async with bus(url) as connected:
            await work(connected)

    asyncio.run(run())


def posted(engine: Engine, number: str) -> list[tuple[str, str | None]]:
    """Kinds and references, oldest first, but for the opening."""
    found = engine.get(f"{V1}/accounts/{number}/movements?limit=1000")["movements"]
    return [(m["kind"], m["idempotency_key"]) for m in reversed(found) if m["kind"] != "opening"]


def test_what_another_ledger_moved_is_posted_once_through_whichever_door(engine: Engine, number: str) -> None:
    first = batch(move(number, "T1", to_holder="h"), move(number, "T2", "burn", "4", from_holder="h"))

    async def work(sender: Bus) -> None:
        await sender.send(first, MOVEMENTS)
        await sender.send(first, MOVEMENTS)  # JetStream does not know it again: it has no Nats-Msg-Id
        await sender.send(batch(move(number, "T3")), MOVEMENTS, Nats_Msg_Id=f"{number}-a")
        await sender.send(batch(move(number, "T4")), MOVEMENTS, Idempotency_Key=f"{number}-b", Nats_Msg_Id=number)
        state = await sender.settled(LEDGER)
        assert (state.num_redelivered, state.num_ack_pending) == (0, 0)

        async def announced() -> list[str] | None:
            of_it = [e for e in await sender.events() if e.content["data"].get("account_number") == number]
            kinds = [e.subject for e in of_it if e.subject.startswith("reconciliation.ledger.")]
            return kinds if len(kinds) >= 7 else None

        assert sorted(await until(announced)) == sorted(
            [*["reconciliation.ledger.mint"] * 3, "reconciliation.ledger.burn", *["reconciliation.ledger.mismatch"] * 3]
        )

    on_the_bus(engine.nats_url, work)
    assert posted(engine, number) == [("mint", "T1"), ("burn", "T2"), ("mint", "T3"), ("mint", "T4")]
    assert engine.account(number)["ledger_balance"] == "1026.00"
    raw = json.dumps(first).encode()
    for key, body in ((sha256(raw).hexdigest(), first), (f"{number}-b", batch(move(number, "T4", amount="10.0")))):
        answer = engine.http.post(f"{V1}/ledger/movements", json=body, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (201, "true"), answer.text
    assert engine.account(number)["ledger_balance"] == "1026.00"


def spoilt(number: str) -> dict[str, tuple[bytes, dict[str, Any], str]]:
    good = move(number, "T1")

    def said(*movements: dict[str, Any], actor: str = "core banking") -> bytes:
        return json.dumps(batch(*movements, actor=actor)).encode()

    return {
        "nothing": (b"", {}, "invalid_json"),
        "no JSON": (b"\x00\xff {", {}, "invalid_json"),
        "a member of no meaning": (b'{"actor": "a", "movements": [], "a\\u0000b": 1}', {}, "invalid_request"),
        "an account that is none": (said(good | {"account_id": "NOBODY"}), {}, "unknown_account"),
        "NUL in a name": (said(good | {"account_id": "A\0B"}), {}, "invalid_request"),
        "the engine's name": (said(good, actor="Engine"), {}, "invalid_actor"),
        "more than there is": (said(good, move(number, "T2", "burn", "11", from_holder="x")), {},
                               "insufficient_holder_balance"),
        "too large": (said(good | {"reason": "r" * 2**20}), {}, "too_large"),
        "a key of two words": (said(good), {"Idempotency_Key": "two words"}, "invalid_idempotency_key"),
        "a long key": (said(good), {"Nats_Msg_Id": "k" * 256}, "invalid_idempotency_key"),
    }  # fmt: skip


@pytest.mark.parametrize("what", list(spoilt("x")))
def test_what_is_refused_is_told_kept_and_never_seen_again(engine: Engine, number: str, what: str) -> None:
    raw, headers, code = spoilt(number)[what]

    async def work(sender: Bus) -> None:
        before = (await sender.state(LEDGER)).delivered
        await sender.send(raw, MOVEMENTS, **headers)
        await sender.send(batch(move(number, "AFTER")), MOVEMENTS)  # it holds up nobody
        state = await sender.settled(LEDGER)
        assert (state.num_ack_pending, state.num_redelivered) == (0, 0)
        assert before is not None
        assert state.delivered is not None
        assert state.delivered.consumer_seq == before.consumer_seq + 2

        async def told() -> list[Any]:
            digest = sha256(raw).hexdigest()
            rejected = [e for e in await sender.events() if e.subject == REJECTED]
            return [e for e in rejected if e.content["data"]["body_sha256"] == digest]

        [event] = await until(told)
        data = event.content["data"]
        assert (data["refusal"]["code"], data["body_bytes"]) == (code, len(raw))
        assert data["body"] == raw.decode(errors="replace")[:10_000]
        assert event.header == event.id

    on_the_bus(engine.nats_url, work)
    assert posted(engine, number) == [("mint", "AFTER")]
    [note] = rejections(engine.database_url, raw)
    assert (note["details"]["refusal"]["code"], note["actor"]) == (
        code, "core banking" if code in ("unknown_account", "insufficient_holder_balance") else "engine"
    )  # fmt: skip


def rejections(url: str, raw: bytes) -> list[dict[str, Any]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT actor, details FROM audit_log WHERE action = 'ledger_movements_rejected'"
            " AND details->>'body_sha256' = %s",
            [sha256(raw).hexdigest()],
        ).fetchall()
    return [{"actor": actor, "details": details} for actor, details in rows]


def test_a_refusal_stands_for_its_key_and_another_body_under_it_is_told_too(engine: Engine, number: str) -> None:
    early = batch(move(number, "T2", "burn", from_holder="h"))

    async def work(sender: Bus) -> None:
        await sender.send(early, MOVEMENTS, Idempotency_Key=f"{number}-1")  # what it burns is not there yet
        await sender.send(batch(move(number, "T1", to_holder="h")), MOVEMENTS)
        await sender.send(early, MOVEMENTS, Idempotency_Key=f"{number}-1")  # a late copy: still refused
        await sender.send(batch(move(number, "T3")), MOVEMENTS, Idempotency_Key=f"{number}-1")  # refused: a conflict
        await sender.settled(LEDGER)
        assert posted(engine, number) == [("mint", "T1")]
        await sender.send(early, MOVEMENTS, Idempotency_Key=f"{number}-2")  # meant anew
        await sender.settled(LEDGER)

    on_the_bus(engine.nats_url, work)
    assert posted(engine, number) == [("mint", "T1"), ("burn", "T2")]
    with psycopg.connect(engine.database_url) as connection:
        codes = connection.execute(
            "SELECT details->'refusal'->>'code' FROM audit_log WHERE details->>'idempotency_key' = %s ORDER BY id",
            [f"{number}-1"],
        ).fetchall()
    assert codes == [("insufficient_holder_balance",), ("idempotency_conflict",)]


def test_two_engines_keep_the_order(engine: Engine, number: str) -> None:
    """Each message gives away what the one before it brought: out of order it would be refused."""
    holders = [f"h{n}" for n in range(120)]
    relay = [batch(move(number, "T0", to_holder=holders[0]))] + [
        batch(move(number, f"T{n}", "transfer", from_holder=giver, to_holder=taker))
        for n, (giver, taker) in enumerate(itertools.pairwise(holders), 1)
    ]
    urls = ("--database-url", engine.database_url, "--nats-url", engine.nats_url)
    with Engine(engine.data.parent / "second", *urls) as second:

        async def work(sender: Bus) -> None:
            for message in relay:
                await sender.send(message, MOVEMENTS)
            await sender.settled(LEDGER)

        on_the_bus(engine.nats_url, work)
        assert second.stop() == 0
    assert posted(engine, number) == [("mint", "T0"), *[("transfer", f"T{n}") for n in range(1, 120)]]
    assert engine.cli("check").returncode == 0


@pytest.mark.slow
def test_while_the_database_is_away_they_wait_and_none_overtakes(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    postgres.start(print)
    with nats_server(tmp_path / "nats") as nats:
        try:
            with Engine(tmp_path / "data", "--nats-url", nats.url, "--database-url", postgres.url) as engine:
                engine.create_account("AWAY", ledger_balance="0", bank_balance="0", ledger_mode="external")
                postgres.stop()

                async def work(sender: Bus) -> None:
                    await sender.send(batch(move("AWAY", "T1", to_holder="h")), MOVEMENTS)
                    await sender.send(batch(move("AWAY", "T2", "transfer", from_holder="h", to_holder="k")), MOVEMENTS)
                    await sender.send(batch(move("AWAY", "T3", "burn", from_holder="k")), MOVEMENTS)
                    await asyncio.to_thread(wait_for, lambda: "Ledger movements wait for the database" in engine.log)
                    await asyncio.to_thread(postgres.start, print)
                    await sender.settled(LEDGER, seconds=60)

                on_the_bus(nats.url, work)
                assert posted(engine, "AWAY") == [("mint", "T1"), ("transfer", "T2"), ("burn", "T3")]
                assert engine.stop() == 0
        finally:
            postgres.stop()


# In this process, where it can be stopped at any line ------------------------------------------------------


class KilledError(BaseException):
    """The process is no more."""


class Killed(LedgerFeed):
    """Dies after the commit, before it could acknowledge."""

    async def answer(self, message: Msg, word: bytes) -> None:
        raise KilledError


@asynccontextmanager
async def feeding(kind: type[LedgerFeed], sender: Bus, database: Database) -> AsyncIterator[asyncio.Task[None]]:
    stream = await ensure_ledger_stream(sender.js)
    fed = kind(sender.client, stream, database, lambda: NOW, lambda: None)
    task = await fed.start()
    try:
        yield task
    finally:
        if kind is Killed:
            await fed._subscription.unsubscribe()
        else:
            await fed.stop()


@asynccontextmanager
async def external_account(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=2)
    await database.open()
    wanted = NewAccount(account_number="FED", currency="AED", bank="B", ledger_mode=Mode.EXTERNAL)
    async with database.transaction() as tx:
        await accounts.create(tx, wanted, "tests", NOW)
    try:
        yield database
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("message", "status", "movements"),
    [
        (batch(move("FED", "T1")), 201, [("mint", "T1")]),
        (batch(move("FED", "T1", "burn", "11")), 409, []),
    ],
    ids=["posted", "refused"],
)
def test_killed_between_commit_and_acknowledgement_it_is_done_and_told_once(
    migrated: str, tmp_path: Path, message: dict[str, Any], status: int, movements: list[tuple[str, str]]
) -> None:
    async def story(sender: Bus) -> None:
        await ensure_ledger_stream(sender.js)
        await sender.send(message, MOVEMENTS)
        async with external_account(migrated) as database:
            async with feeding(Killed, sender, database) as task:
                with pytest.raises(KilledError):
                    await asyncio.wait_for(task, 10)
            before = await told(migrated)
            async with feeding(LedgerFeed, sender, database):
                await sender.hurry(LEDGER)  # else the dead one's message comes again in a minute only
                state = await sender.settled(LEDGER)
            assert (state.num_redelivered, state.delivered and state.delivered.consumer_seq) == (0, 2)
            assert await told(migrated) == before
            assert before["status"] == [status]
            assert before["movements"] == movements

    with nats_server(tmp_path / "nats") as nats:
        on_the_bus(nats.url, story)


async def told(url: str) -> dict[str, list[Any]]:
    """All that came of what was taken."""
    async with road_on(url) as road:
        found = {
            "movements": "SELECT kind, idempotency_key FROM ledger_movements ORDER BY id",
            "events": "SELECT subject, event_id FROM outbox ORDER BY id",
            "notes": "SELECT action, actor FROM audit_log ORDER BY id",
            "status": "SELECT status FROM idempotency_keys ORDER BY key",
        }
        rows = {name: [tuple(row.values()) for row in await road.rows(query)] for name, query in found.items()}
    return rows | {"status": [status for (status,) in rows["status"]]}


def test_what_the_engine_fails_on_is_not_overtaken(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, failures = feed.take, iter([True, True])

    async def failing(tx: Transaction, raw: bytes, *more: Any) -> Answer:
        answer = await take(tx, raw, *more)
        if b"T1" in raw and next(failures, False):
            raise RuntimeError("a fault of ours")
        return answer

    monkeypatch.setattr(feed, "take", failing)

    async def story(sender: Bus) -> None:
        await ensure_ledger_stream(sender.js)
        for reference in ("T1", "T2", "T3"):
            await sender.send(batch(move("FED", reference)), MOVEMENTS)
        async with external_account(migrated) as database, feeding(LedgerFeed, sender, database):
            await sender.settled(LEDGER)
        assert (await told(migrated))["movements"] == [("mint", "T1"), ("mint", "T2"), ("mint", "T3")]

    with nats_server(tmp_path / "nats") as nats:
        on_the_bus(nats.url, story)
