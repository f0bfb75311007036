"""What a bank delivers by SFTP goes down the real road: every kind of file, once, however often it is fetched."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest

from host_to_host.bank_server import Bank, Files
from road.bench import NOW, NUMBER, camt, line, section
from road.statement_writer import line as statement_line
from road.statement_writer import message, statement
from token_engine.banks.host_to_host import Collected, HostToHost, mailbox_of
from token_engine.banks.host_to_host_settings import HostToHostSettings, Sftp
from token_engine.banks.settings import ConnectionSettings
from token_engine.domain.observation import BankAccount, Observation
from token_engine.entrypoints.bank_door import BankDoor
from token_engine.entrypoints.bank_files import BankFiles
from token_engine.entrypoints.batcher import Batcher
from token_engine.entrypoints.lanes import MESSAGES, STATEMENTS
from token_engine.entrypoints.road import Road
from token_engine.storage.database import Database
from token_engine.storage.polling import ConnectionRow
from token_engine.tiers import accounts, intake
from token_engine.tiers.accounts import NewAccount

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="the program ssh (OpenSSH's client) is missing")

INTERIM = (
    '<Bal><Tp><CdOrPrtry><Cd>ITBD</Cd></CdOrPrtry></Tp><Amt Ccy="AED">115</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
    "<Dt><DtTm>2025-11-18T15:30:00+04:00</DtTm></Dt></Bal>"
)
MT942 = (
    f":20:INTRADAY\r\n:25:{NUMBER}\r\n:28C:1/1\r\n:34F:AED0,\r\n:13D:2511181530+0400\r\n"
    ":61:2511181118C7,NTRFREF//R3\r\n:90C:1AED7,\r\n-"
).encode()


def zipped(*members: bytes) -> bytes:
    into = BytesIO()
    with ZipFile(into, "w") as archive:
        for number, member in enumerate(members):
            archive.writestr(f"{number}.xml", member)
    return into.getvalue()


DELIVERED = {
    "1.camt054.xml": camt("M-54", section(line("10", reference="R1"))),
    "2.camt052.xml": camt(
        "M-52",
        section(line("10", reference="R1"), line("5", reference="R2")).replace("</Acct>", f"</Acct>{INTERIM}"),
        kind="camt.052",
    ),
    "3.mt942.txt": MT942,
    "4.bundle.zip": zipped(
        camt("M-Z1", section(line("1", reference="R4"))), camt("M-Z2", section(line("2", reference="R5")))
    ),
    "5.camt053.xml": message(statement(statement_line("10", reference="R1"), opening="100", closing="110")),
    "6.nonsense.txt": b"hello",
}  # fmt: skip


class Counting(Files):
    """Knows how often a file was opened."""

    opened = 0

    def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        Counting.opened += 1
        return super().open(path, pflags, attrs)


class Room:
    """A running engine's way in, and its database."""

    def __init__(self, database: Database, road: Road, files: BankFiles, place: Sftp) -> None:
        self.database = database
        self.road = road
        self._files = files
        self._settings = HostToHostSettings(place=place)

    def connector(self) -> HostToHost:
        """As one engine starts it."""
        mailbox = mailbox_of(self._settings)
        return HostToHost(mailbox, self._files.deliver, self._files.delivered, self._settings)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.database.transaction() as tx:
            return await (await tx.execute(query.encode())).fetchall()

    async def told(self) -> dict[str, Any]:
        """Everything that a second delivery could change."""
        return {
            table: await self.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
            for table in ("emi_accounts", "bank_entries", "bank_messages", "statements", "statement_lines", "outbox")
        }


@asynccontextmanager
async def room(url: str, place: Sftp) -> AsyncIterator[Room]:
    database = Database(url)
    await database.open()
    async with database.transaction() as tx:
        wanted = NewAccount(
            account_number=NUMBER, currency="AED", bank="Bank", ledger_balance="100", bank_balance="100"
        )
        await accounts.create(tx, wanted, "tests", NOW)
        await tx.execute(b"INSERT INTO bank_connections VALUES ('bank', 'host_to_host', '{}', 'tests', %s)", (NOW,))
    notifications = Batcher(database, lambda: NOW, lambda: None, MESSAGES)
    statements = Batcher(database, lambda: NOW, lambda: None, STATEMENTS)
    notifications.start()
    statements.start()
    try:
        road = Road(notifications, statements)
        yield Room(database, road, BankFiles("bank", road, database, lambda: NOW), place)
    finally:
        await notifications.stop()
        await statements.stop()
        await database.close()


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    bank = Bank(tmp_path)
    for number, (name, content) in enumerate(DELIVERED.items()):
        path = bank.outbox / name
        path.write_bytes(content)
        os.utime(path, (NOW.timestamp() - 600 + number,) * 2)
    return bank


def test_every_kind_of_file_is_recorded_once_although_it_is_fetched_twice(migrated: str, bank: Bank) -> None:
    async def story() -> None:
        Counting.opened = 0
        async with bank.open(Counting) as place, room(migrated, place) as engine:
            connector = engine.connector()
            found = await connector.booked_balance(BankAccount(number=NUMBER, currency="AED"), NOW)
            assert isinstance(found, Observation), found
            assert found.balance == Decimal(115)
            assert found.as_of.isoformat() == "2025-11-18T11:30:00+00:00"
            assert await engine.rows("SELECT bank_reported_balance FROM emi_accounts") == [(Decimal(125),)]
            references = await engine.rows("SELECT servicer_reference FROM bank_entries ORDER BY 1")
            assert [reference for (reference,) in references] == ["R1", "R2", "R3", "R4", "R5"]
            assert await engine.rows("SELECT state, door, count(*) FROM bank_messages GROUP BY 1, 2 ORDER BY 1") == [
                ("RECORDED", "FILE", 6), ("REJECTED", "FILE", 1),
            ]  # fmt: skip
            assert await engine.rows("SELECT state FROM statements") == [("ACCEPTED",)]
            sources = {source for (source,) in await engine.rows("SELECT source FROM bank_messages")}
            assert sources == set(DELIVERED) - {"4.bundle.zip"} | {"4.bundle.zip/0.xml", "4.bundle.zip/1.xml"}
            assert Counting.opened == 6
            told = await engine.told()

            # An engine that was killed after the commits, before it kept that the files were delivered.
            async with engine.database.transaction() as tx:
                await tx.execute(b"DELETE FROM bank_files WHERE name <> '6.nonsense.txt'")
            assert await engine.connector().collect(NOW) == Collected(delivered=5, failed=0, unsettled=0)
            assert Counting.opened == 12
            assert await engine.told() == told

            # Another engine, and one that starts months later, fetch nothing.
            assert await engine.connector().collect(NOW.replace(year=2026)) == Collected(0, 0, 0)
            assert Counting.opened == 12
            names = await engine.rows("SELECT name FROM bank_files ORDER BY modified_at")
            assert [name for (name,) in names] == list(DELIVERED)

    asyncio.run(story())


def test_two_engines_at_once_record_each_file_once(migrated: str, bank: Bank) -> None:
    async def story() -> None:
        async with bank.open() as place, room(migrated, place) as engine:
            both = await asyncio.gather(engine.connector().collect(NOW), engine.connector().collect(NOW))
            assert [c.failed for c in both if isinstance(c, Collected)] == [0, 0]
            assert await engine.rows("SELECT count(*) FROM bank_messages") == [(7,)]
            assert await engine.rows("SELECT bank_reported_balance FROM emi_accounts") == [(Decimal(125),)]
            assert await engine.rows("SELECT count(*) FROM bank_files") == [(6,)]

    asyncio.run(story())


def test_a_statement_larger_than_memory_holds_is_read_from_its_copy_under_the_banks_name(
    migrated: str, bank: Bank, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(intake, "LARGE", 500)  # bytes
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()

    async def story() -> None:
        async with bank.open() as place, room(migrated, place) as engine:
            assert await engine.connector().collect(NOW) == Collected(delivered=6, failed=0, unsettled=0)
            [(message, raw, size)] = await engine.rows(
                "SELECT source, raw, raw_size FROM bank_messages JOIN statements s ON s.message_id = bank_messages.id"
            )
            assert (message, size) == ("5.camt053.xml", len(DELIVERED["5.camt053.xml"]))
            assert not raw  # kept in parts: it was read from the file
            assert await engine.rows("SELECT state FROM statements") == [("ACCEPTED",)]
            assert await engine.rows("SELECT bank_reported_balance FROM emi_accounts") == [(Decimal(125),)]
            assert list((tmp_path / "copies").iterdir()) == []

    asyncio.run(story())


def test_a_database_that_goes_away_keeps_no_file_from_coming_later(migrated: str, bank: Bank) -> None:
    async def story() -> None:
        async with bank.open() as place, room(migrated, place) as engine:
            connector = engine.connector()
            name = migrated.rsplit("/", 1)[1].split("?")[0]
            async with engine.database.transaction() as tx:
                await tx.execute(f"ALTER TABLE bank_messages RENAME TO away_{name}".encode())
            first = await connector.collect(NOW)
            assert isinstance(first, Collected)
            assert (first.delivered, first.failed) == (0, 3)
            async with engine.database.transaction() as tx:
                await tx.execute(f"ALTER TABLE away_{name} RENAME TO bank_messages".encode())
            later = await engine.connector().collect(NOW)
            assert later == Collected(delivered=6, failed=0, unsettled=0)
            assert await engine.rows("SELECT bank_reported_balance FROM emi_accounts") == [(Decimal(125),)]

    asyncio.run(story())


def row(settings: bytes) -> ConnectionRow:
    return ConnectionRow("bank", "host_to_host", settings.decode(), "tests", NOW)


def test_mailboxes_are_emptied_also_when_nobody_asks_for_a_balance(migrated: str, bank: Bank) -> None:
    async def story() -> None:
        async with bank.open() as place, room(migrated, place) as engine:
            doors = BankDoor(engine.database, engine.road, lambda: NOW)
            settings = ConnectionSettings(bank=HostToHostSettings(place=place, files="*.xml"))
            opened = doors.open(row(msgspec.json.encode(settings)))
            await doors.collect()
            assert await engine.rows("SELECT count(*) FROM bank_files") == [(3,)]
            again = ConnectionSettings(bank=HostToHostSettings(place=place))
            reopened = doors.open(row(msgspec.json.encode(again)))
            await opened.close()
            await doors.collect()
            assert await engine.rows("SELECT count(*) FROM bank_files") == [(6,)]
            doors.open(row(b"{}"))
            (bank.outbox / "more.xml").write_bytes(b"x")
            os.utime(bank.outbox / "more.xml", (NOW.timestamp() - 100,) * 2)
            await doors.collect()  # settings that cannot be read have no mailbox
            assert await engine.rows("SELECT count(*) FROM bank_files") == [(6,)]
            await reopened.close()

    asyncio.run(story())
