"""The JetStream door, with one nats-server and one PostgreSQL of the room's own engine."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nats.js.api import RetentionPolicy, StreamConfig
from nats.js.errors import NotFoundError

from api.bank import camt054, entry, section
from engine import V1, Engine, notification, wait_for
from road.bus import CONSUMER, EVENTS, NOTIFICATIONS, Bus, bus, nats_server, until
from road.statement_writer import line, message, statement

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("door")
    with nats_server(home / "nats") as nats, Engine(home / "data", "--nats-url", nats.url) as running:
        yield running


@pytest.fixture
def number(engine: Engine) -> str:
    name = f"DOOR-{next(_numbers):03d}"
    engine.create_account(name, ledger_balance="1000000", bank_balance="1000000")
    return name


def on_the_bus(engine: Engine, work: Callable[[Bus], Awaitable[None]]) -> None:
    asyncio.run(_on(engine.nats_url, work))


@pytest.mark.parametrize("form", ["JSON", "XML", "gzip"])
@pytest.mark.parametrize(
    ("subject", "indicator", "balance"),
    [
        ("iso20022.camt.054", "CRDT", "1000010.00"),
        ("bank.notifications.credit", "CRDT", "1000010.00"),
        ("bank.notifications.debit", "DBIT", "999990.00"),
        ("token_engine.notifications", "DBIT", "999990.00"),
    ],
)
def test_every_subject_takes_every_form(
    engine: Engine, number: str, subject: str, indicator: str, balance: str, form: str
) -> None:
    raw = json.dumps(notification(f"M-{number}", number, credit_debit_indicator=indicator)).encode()
    if form != "JSON":
        raw = camt054(f"M-{number}", section(number, entry(indicator=indicator)))
    sent = gzip.compress(raw) if form == "gzip" else raw

    async def work(sender: Bus) -> None:
        await sender.send(sent, subject)
        await sender.settled()

    on_the_bus(engine, work)
    assert engine.balance(number) == balance
    newest = engine.get(f"{V1}/messages?limit=1")["messages"][0]
    assert (newest["door"], newest["state"]) == ("NATS", "RECORDED")
    assert newest["source"] == subject
    assert engine.get(f"{V1}/messages/{newest['id']}")["raw"] == raw.decode()


def test_duplicates_of_every_kind_count_once(engine: Engine, number: str) -> None:
    message = notification(f"M-{number}", number, bank_reference=f"R-{number}")

    async def work(sender: Bus) -> None:
        first = await sender.send(message, Nats_Msg_Id=f"id-{number}")
        assert await sender.send(message, Nats_Msg_Id=f"id-{number}") == first  # JetStream dropped it
        assert await sender.send(message, Nats_Msg_Id=f"other-{number}") > first  # the engine has to
        await sender.send(message)
        await sender.send(message, "bank.notifications.credit")
        await sender.settled()
        events = await sender.events_about(f"M-{number}", count=1)
        assert [e.subject for e in events] == ["reconciliation.tier1.ok"]

    on_the_bus(engine, work)
    assert engine.balance(number) == "1000010.00"
    assert engine.send(message).status_code == 200  # the doors know of each other


def test_events_and_none_of_them_twice(engine: Engine, number: str) -> None:
    ids = [f"EV-{number}-{n}" for n in range(3)]

    async def work(sender: Bus) -> None:
        await sender.send(notification(ids[0], number, "1.00"))
        await sender.send(notification(ids[1], number, "5000.00"))
        await sender.send(notification(ids[2], number, "50000.00"))
        await sender.settled()
        events = await sender.events_about(*ids, count=6)
        assert [(e.content["message_id"], e.subject) for e in events] == [
            (ids[0], "reconciliation.tier1.ok"),
            (ids[1], "reconciliation.tier1.mismatch"),
            (ids[1], "reconciliation.discrepancy.opened"),
            (ids[1], "reconciliation.circuit_breaker.suspended"),
            (ids[2], "reconciliation.tier1.mismatch"),
            (ids[2], "reconciliation.circuit_breaker.activated"),
        ]
        assert len({e.id for e in events}) == 6
        for event in events:
            assert event.header == event.id  # Nats-Msg-Id
            assert event.content["event_type"] == event.subject
            assert event.content["data"]["account_number"] == number
        assert events[-1].content["data"]["bank_balance"] == "1055001.00"
        assert events[-1].content["data"]["threshold_level"] == "Critical"

    on_the_bus(engine, work)


@pytest.mark.parametrize(
    ("poison", "code"),
    [
        (b"\0\1\2 no message at all \xff", "not_a_bank_message"),
        (b"", "empty_message"),
        (b'{"message_id": "x"}', "missing_field"),
        (json.dumps(notification("P", "NOBODY")).encode(), "unknown_account"),
        (gzip.compress(b"<Document>" + b" " * (40 * 2**20)), "too_large"),
    ],
)
def test_poison_is_kept_announced_and_never_seen_again(engine: Engine, number: str, poison: bytes, code: str) -> None:
    async def work(sender: Bus) -> None:
        before = (await sender.state()).delivered
        sequence = await sender.send(poison)
        await sender.send(notification(f"AFTER-{number}", number))  # it holds up nobody
        state = await sender.settled()
        assert state.num_ack_pending == 0
        assert state.num_redelivered == 0
        assert before is not None
        assert state.delivered is not None
        assert state.delivered.consumer_seq == before.consumer_seq + 2
        assert state.delivered.stream_seq == sequence + 1

        newest = engine.get(f"{V1}/messages?state=rejected&limit=1")["messages"][0]
        assert newest["refusal_code"] == code
        assert (newest["door"], newest["source"]) == ("NATS", "iso20022.camt.054")

        async def announced() -> list[Any]:
            rejected = [e for e in await sender.events() if e.subject == "reconciliation.message.rejected"]
            return [e for e in rejected if e.content["data"]["kept_as"] == newest["id"]]

        [event] = await until(announced)
        assert event.content["data"]["refusal"]["code"] == code
        assert event.header == event.id

    on_the_bus(engine, work)
    assert engine.balance(number) == "1000010.00"


def test_a_credit_on_the_debits_subject_is_refused(engine: Engine, number: str) -> None:
    async def work(sender: Bus) -> None:
        await sender.send(notification(f"M-{number}", number), "bank.notifications.debit")
        await sender.settled()

    on_the_bus(engine, work)
    newest = engine.get(f"{V1}/messages?state=rejected&limit=1")["messages"][0]
    assert newest["refusal_code"] == "direction_contradicts_subject"
    assert engine.balance(number) == "1000000.00"


def test_everything_sent_again_counts_once(engine: Engine, number: str) -> None:
    """The durable consumer is deleted under the engine: it makes a new one, which starts from the first message."""

    def balances() -> dict[str, str]:
        return {a["account_number"]: a["bank_reported_balance"] for a in engine.get(f"{V1}/accounts")["accounts"]}

    async def work(sender: Bus) -> None:
        await sender.send(notification(f"M-{number}", number))
        await sender.settled()
        before = balances()
        events = len(await sender.events())
        await sender.js.delete_consumer(NOTIFICATIONS, CONSUMER)
        last = await sender.send(notification(f"N-{number}", number, "5.00"))

        async def made_again() -> bool:
            try:
                state = await sender.settled()
            except NotFoundError:
                return False
            return state.delivered is not None and state.delivered.stream_seq >= last > 20

        await until(made_again)
        assert balances() == before | {number: "1000015.00"}
        await sender.events_about(f"N-{number}", count=1)
        again = [e for e in (await sender.events())[events:] if e.subject != "reconciliation.message.rejected"]
        assert [e.content["message_id"] for e in again] == [f"N-{number}"]

    on_the_bus(engine, work)


def test_two_engines_share_the_work(engine: Engine, number: str) -> None:
    messages = [notification(f"W-{n}", number, "0.01", bank_reference=f"W-{number}-{n}") for n in range(2000)]

    def recorded(process: Engine) -> int:
        lines = process.http.get("/metrics").text.splitlines()
        name = 'token_engine_bank_messages_total{door="NATS",receipt="Recorded"} '
        return sum(int(float(line.removeprefix(name))) for line in lines if line.startswith(name))

    urls = ("--database-url", engine.database_url, "--nats-url", engine.nats_url)
    with Engine(engine.data.parent / "third", *urls) as second:
        assert not second.data.exists()
        first_before, second_before = recorded(engine), recorded(second)

        async def work(sender: Bus) -> None:
            for start in range(0, len(messages), 200):
                await asyncio.gather(*(sender.send(m) for m in messages[start : start + 200]))
            await sender.settled()
            events = await sender.events_about(*(f"W-{n}" for n in range(2000)), count=2000)
            assert len(events) == len({e.id for e in events}) == 2000

        on_the_bus(engine, work)
        shares = recorded(engine) - first_before, recorded(second) - second_before
        assert sum(shares) == 2000
        assert min(shares) > 0
        assert second.balance(number) == engine.balance(number) == "1000020.00"
        assert second.stop() == 0
    assert engine.cli("check").returncode == 0


def test_a_stop_hands_back_what_was_pulled(tmp_path: Path) -> None:
    """A restart under load: what the process had pulled and not taken, the next one has at once."""
    messages = [notification(f"B-{n}", "BACK", "0.01", bank_reference=f"B-{n}") for n in range(3000)]
    with nats_server(tmp_path / "nats") as nats:
        flags = ("--nats-url", nats.url)
        with Engine(tmp_path / "data", *flags) as first:
            first.create_account("BACK", ledger_balance="0", bank_balance="0")

            async def work(sender: Bus) -> None:
                with psycopg.connect(first.database_url) as holder:  # so that nothing is taken while all is pulled
                    holder.execute("SELECT 1 FROM emi_accounts FOR UPDATE")
                    await _publish(sender, messages)

                    async def pulled() -> bool:
                        return ((await sender.state()).num_ack_pending or 0) >= 1000

                    await until(pulled)
                    first.process.terminate()
                    await asyncio.to_thread(wait_for, lambda: "INFO Stopping" in first.log)
                assert await asyncio.to_thread(first.process.wait, 10) == 0

                with await asyncio.to_thread(Engine, tmp_path / "data", *flags) as second:
                    await sender.settled(seconds=20)  # far less than the minute after which JetStream sends again
                    assert second.balance("BACK") == "30.00"
                    assert second.stop() == 0

            asyncio.run(_on(nats.url, work))


async def _on(url: str, work: Callable[[Bus], Awaitable[None]]) -> None:
    async with bus(url) as connected:
        await work(connected)


async def _publish(sender: Bus, messages: list[dict[str, Any]]) -> None:
    for start in range(0, len(messages), 100):
        await asyncio.gather(*(sender.send(m) for m in messages[start : start + 100]))


def test_subjects_that_another_stream_holds_are_consumed_there(
    database: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """DelTran's own streams were there first."""

    async def prepare() -> None:
        async with bus(nats_url) as owner:
            config = StreamConfig(
                name="DELTRAN", subjects=["bank.>", "iso20022.camt.*"], retention=RetentionPolicy.LIMITS
            )
            await owner.js.add_stream(config)

    asyncio.run(prepare())
    urls = ("--database-url", database, "--nats-url", nats_url)
    with Engine(tmp_path_factory.mktemp("foreign") / "data", *urls) as engine:
        engine.create_account("FOREIGN", ledger_balance="0", bank_balance="0")

        async def work() -> None:
            async with bus(nats_url) as sender:
                for turn, subject in enumerate(
                    ("bank.notifications.credit", "iso20022.camt.054", "token_engine.notifications")
                ):
                    await sender.send(notification(f"F-{turn}", "FOREIGN", "1.00"), subject)
                await sender.js.publish("bank.gossip", b"not for us")
                await sender.settled("DELTRAN")
                await sender.settled(NOTIFICATIONS)
                assert (await sender.js.stream_info("DELTRAN")).state.messages == 3
                ours = await sender.js.stream_info(NOTIFICATIONS)
                assert ours.config.subjects == ["token_engine.notifications"]
                assert (await sender.js.stream_info(EVENTS)).config.subjects == ["reconciliation.>"]

        asyncio.run(work())
        assert engine.balance("FOREIGN") == "3.00"
        assert engine.get(f"{V1}/messages?state=rejected")["messages"] == []
        assert engine.stop() == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM bank_messages").fetchone() == (3,)


@pytest.mark.parametrize("subject", ["iso20022.camt.053", "token_engine.statements", "token_engine.notifications"])
def test_a_statement_closes_its_day_whatever_subject_it_came_on(engine: Engine, number: str, subject: str) -> None:
    stated = statement(line("25", reference=f"S-{number}"), opening="1000000", closing="1000025", account=number)
    raw = message(stated.replace("<IBAN>", "<Othr><Id>").replace("</IBAN>", "</Id></Othr>"), name=f"M-{number}")

    async def work(sender: Bus) -> None:
        await sender.send(raw, subject)

    on_the_bus(engine, work)
    wait_for(lambda: engine.balance(number) == "1000025.00")
    [closed] = engine.get(f"{V1}/statements?account_id={number}")["statements"]
    assert (closed["state"], closed["entries_unmatched"]) == ("ACCEPTED", 1)
    newest = engine.get(f"{V1}/messages?limit=1")["messages"][0]
    assert (newest["door"], newest["source"]) == ("NATS", subject)
    with psycopg.connect(engine.database_url) as connection:
        told = connection.execute("SELECT count(*) FROM audit_log WHERE action = 'day_closed'").fetchone()
    assert told is not None
    assert told[0] > 0


def test_a_statement_that_cannot_be_read_is_kept_and_not_sent_again(engine: Engine, number: str) -> None:
    async def work(sender: Bus) -> None:
        await sender.send(b"<Document><BkToCstmrStmt><broken", "iso20022.camt.053")

    before = len(engine.get(f"{V1}/messages?state=rejected")["messages"])
    on_the_bus(engine, work)
    wait_for(lambda: len(engine.get(f"{V1}/messages?state=rejected")["messages"]) == before + 1)
