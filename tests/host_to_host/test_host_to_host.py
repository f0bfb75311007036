"""Files of a bank, delivered once and in order; what they tell answers for the account."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import msgspec
import pytest

from host_to_host.bank_server import Bank
from token_engine.banks import host_to_host
from token_engine.banks.balance_reading import balances_in
from token_engine.banks.folder_mailbox import FolderMailbox
from token_engine.banks.host_to_host import SAME_LOOK, Collected, HostToHost, mailbox_of
from token_engine.banks.host_to_host_settings import Folder, HostToHostSettings, Sftp
from token_engine.banks.mailbox import ListedFile
from token_engine.domain.observation import BankAccount, Freshness, NoObservation, Observation, Why

NUMBER = "AE070331234567890123456"
ACCOUNT = BankAccount(number=NUMBER, currency="AED")
NOW = datetime(2025, 11, 18, 12, tzinfo=UTC)
LATER = SAME_LOOK
DAY = Freshness(interim_minutes=24 * 60, closing_minutes=24 * 60)
MINUTE = timedelta(minutes=1)


def report(balance: str, as_of: datetime = NOW - 10 * MINUTE, number: str = NUMBER, currency: str = "AED") -> bytes:
    """A camt.052 with an interim booked balance."""
    side = "DBIT" if balance.startswith("-") else "CRDT"
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08"><BkToCstmrAcctRpt><GrpHdr>'
        f"<MsgId>R{as_of:%H%M}{balance}</MsgId><CreDtTm>{as_of.isoformat()}</CreDtTm></GrpHdr><Rpt><Id>R</Id><Acct><Id>"
        f"<IBAN>{number}</IBAN></Id></Acct><Bal><Tp><CdOrPrtry><Cd>ITBD</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{balance.lstrip("-")}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        f"<Dt><DtTm>{as_of.isoformat()}</DtTm></Dt></Bal></Rpt></BkToCstmrAcctRpt></Document>"
    ).encode()


MT942 = (
    b":20:INTRADAY\r\n:25:AE070331234567890123456\r\n:28C:1/1\r\n:34F:AED0,\r\n:13D:2511181130+0400\r\n"
    b":61:2511181118C10,NTRFREF//B1\r\n:90D:0AED0,\r\n:90C:1AED10,\r\n-"
)
MT940 = (
    b":20:STMT\r\n:25:AE070331234567890123456\r\n:28C:1/1\r\n:60F:C251116AED90,\r\n"
    b":61:2511171117C10,NTRFREF//B1\r\n:62F:C251117AED100,\r\n-"
)


class Engine:
    """What the files are delivered to, and remembers them; it outlives a connector."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.known: set[ListedFile] = set()
        self.refuses: set[str] = set()
        self.held: asyncio.Event | None = None
        self.asked = 0

    async def deliver(self, file: ListedFile, path: Path) -> None:
        if self.held is not None:
            await self.held.wait()
        self.asked += 1
        if file.name in self.refuses:
            raise RuntimeError("away")
        self.taken.append((file.name, path.read_bytes()))
        self.known.add(file)

    async def delivered(self, files: Sequence[ListedFile]) -> set[ListedFile]:
        return self.known & set(files)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.taken]


class Box:
    """A folder of a bank, and connectors for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine()

    def put(self, name: str, content: bytes = b"x", written: datetime = NOW - 10 * MINUTE) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (written.timestamp(),) * 2)
        return path

    def connector(self, **settings: Any) -> HostToHost:
        told = HostToHostSettings(place=Folder(str(self.folder)), freshness=DAY, **settings)
        return HostToHost(mailbox_of(told), self.engine.deliver, self.engine.delivered, told)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_files_are_delivered_once_in_the_order_of_time_and_name(box: Box) -> None:
    async def story() -> None:
        connector = box.connector(files="*.xml")
        box.put("b.xml", b"2", NOW - 3 * MINUTE)
        box.put("a.xml", b"3", NOW - 3 * MINUTE)
        box.put("c.xml", b"1", NOW - 4 * MINUTE)
        box.put("other.txt")
        assert await connector.collect(NOW) == Collected(delivered=3, failed=0, unsettled=0)
        assert box.engine.taken == [("c.xml", b"1"), ("a.xml", b"3"), ("b.xml", b"2")]
        assert await connector.collect(NOW + LATER) == Collected(delivered=0, failed=0, unsettled=0)
        box.put("a.xml", b"4", NOW - 2 * MINUTE)  # the bank uses the name again
        assert await connector.collect(NOW + 2 * LATER) == Collected(delivered=1, failed=0, unsettled=0)
        assert box.engine.taken[-1] == ("a.xml", b"4")
        restarted = box.connector()
        assert await restarted.collect(NOW) == Collected(delivered=1, failed=0, unsettled=0)
        assert box.engine.names[4:] == ["other.txt"]

    asyncio.run(story())


def test_a_file_that_is_being_written_is_not_read(box: Box) -> None:
    whole = report("100")

    async def story() -> None:
        connector = box.connector()
        box.put("r.xml", whole[:300], NOW)
        assert await connector.collect(NOW) == Collected(0, 0, unsettled=1)
        box.put("r.xml", whole, NOW + LATER)
        assert await connector.collect(NOW + LATER) == Collected(0, 0, unsettled=1)
        assert await connector.collect(NOW + 2 * LATER) == Collected(1, 0, 0)
        assert box.engine.taken == [("r.xml", whole)]

    asyncio.run(story())


def test_what_the_road_does_not_take_is_tried_again_and_keeps_nobody(box: Box) -> None:
    async def story() -> None:
        connector = box.connector()
        box.put("1.xml", report("1", NOW - 9 * MINUTE), NOW - 9 * MINUTE)
        box.put("2.xml", report("2", NOW - 8 * MINUTE), NOW - 8 * MINUTE)
        box.engine.refuses = {"2.xml"}
        assert await connector.collect(NOW) == Collected(1, failed=1, unsettled=0)
        found = await connector.booked_balance(ACCOUNT, NOW)
        assert isinstance(found, Observation)
        assert found.balance == 1  # not what a file says whose entries are not there
        box.put("3.xml", b"", NOW - 7 * MINUTE)
        assert await connector.collect(NOW + LATER) == Collected(1, failed=1, unsettled=0)
        assert box.engine.names == ["1.xml", "3.xml"]
        box.engine.refuses = set()
        assert await connector.collect(NOW + MINUTE - timedelta(seconds=1)) == Collected(0, failed=1, unsettled=0)
        assert await connector.collect(NOW + MINUTE + LATER) == Collected(1, failed=0, unsettled=0)
        assert box.engine.names == ["1.xml", "3.xml", "2.xml"]

    asyncio.run(story())


def test_a_file_that_our_reader_fails_on_goes_down_the_road_and_keeps_nobody(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, file: ListedFile, zone: ZoneInfo) -> Any:
        if file.name == "1.xml":
            raise RecursionError("a mistake of ours")
        return balances_in(path, file, zone)

    monkeypatch.setattr(host_to_host, "balances_in", fails)

    async def story() -> None:
        box.put("1.xml", report("1"))
        box.put("2.xml", report("2"))
        found = await box.connector().booked_balance(ACCOUNT, NOW)
        assert isinstance(found, Observation)
        assert found.balance == 2
        assert box.engine.names == ["1.xml", "2.xml"]

    asyncio.run(story())


def test_a_file_of_a_year_that_is_in_no_calendar_keeps_nobody(box: Box) -> None:
    async def story() -> None:
        box.put("1.xml")
        os.utime(box.put("2.xml"), (2**43, 2**43))  # some file systems keep it, others their own last year
        collected = await box.connector().collect(NOW)
        assert isinstance(collected, Collected)
        assert collected.delivered == 1

    asyncio.run(story())


def test_an_engine_that_takes_nothing_is_not_asked_for_each_file(box: Box) -> None:
    async def story() -> None:
        connector = box.connector()
        for number in range(50):
            box.put(f"{number:02}.xml")
        box.engine.refuses = {f"{number:02}.xml" for number in range(50)}
        await connector.collect(NOW)
        assert box.engine.asked == 3
        box.engine.refuses = {"00.xml", "01.xml", "02.xml"}  # these three for ever: those behind them have their turn
        assert await connector.collect(NOW + LATER) == Collected(47, failed=3, unsettled=0)

    asyncio.run(story())


def test_one_look_answers_many_accounts(box: Box) -> None:
    async def story() -> None:
        looks = 0

        class Counted(FolderMailbox):
            async def files(self) -> Any:
                nonlocal looks
                looks += 1
                return await super().files()

        box.put("r.xml", report("100"))
        box.put("s.xml", report("7", number="OTHER"))
        told = HostToHostSettings(place=Folder(str(box.folder)), freshness=DAY)
        connector = HostToHost(Counted(box.folder), box.engine.deliver, box.engine.delivered, told)
        box.engine.held = asyncio.Event()
        asking = [asyncio.create_task(connector.booked_balance(ACCOUNT, NOW)) for _ in range(100)]
        other = asyncio.create_task(connector.booked_balance(BankAccount(number="OTHER", currency="AED"), NOW))
        await asyncio.sleep(0)
        impatient = asking.pop()
        impatient.cancel()
        box.engine.held.set()
        found = await asyncio.gather(*asking, other)
        assert [each.balance for each in found if isinstance(each, Observation)] == [100] * 99 + [7]
        await connector.booked_balance(ACCOUNT, NOW + SAME_LOOK - timedelta(seconds=1))
        assert looks == 1
        await connector.booked_balance(ACCOUNT, NOW + SAME_LOOK)
        assert looks == 2

    asyncio.run(story())


def bundled(*members: bytes) -> bytes:
    into = BytesIO()
    with ZipFile(into, "w") as archive:
        for number, member in enumerate(members):
            archive.writestr(f"{number}.xml", member)
    return into.getvalue()


@pytest.mark.parametrize(
    ("content", "balance"),
    [
        (report("-12.50"), "-12.50"),
        (gzip.compress(report("3")), "3"),
        (bundled(report("1", NOW - 30 * MINUTE), report("2"), MT942), "2"),
        (bundled(report("1"), report("5")[:-30]), "1"),  # half a message says nothing
        (MT940, "100"),
        (report("4") + b"\n", "4"),
    ],
)
def test_the_balance_of_every_kind_of_file(box: Box, content: bytes, balance: str) -> None:
    async def story() -> None:
        box.put("f", content)
        found = await box.connector(time_zone="Asia/Dubai").booked_balance(ACCOUNT, NOW)
        assert isinstance(found, Observation), found
        assert found.balance == Decimal(balance)
        if content is MT940:
            assert found.as_of == datetime(2025, 11, 17, 20, tzinfo=UTC)  # the end of the bank's day

    asyncio.run(story())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", Why.NO_BOOKED_BALANCE),
        (b"hello", Why.NO_BOOKED_BALANCE),
        (MT942, Why.NO_BOOKED_BALANCE),
        (report("1")[:-40], Why.NO_BOOKED_BALANCE),
        (report("1", number="OTHER"), Why.OTHER_ACCOUNT),
        (report("1", currency="USD"), Why.OTHER_CURRENCY),
        (report("1", NOW - timedelta(days=2)), Why.TOO_OLD),
        (bundled(report("1"), report("2").replace(b"R1150", b"S1150")), Why.CONTRADICTORY),
        (report("1").replace(b"<Amt", b"<CdtLine><Incl>true</Incl></CdtLine><Amt"), Why.CREDIT_LINE_INCLUDED),
    ],
)
def test_what_says_nothing_that_may_be_judged_is_delivered_all_the_same(box: Box, content: bytes, why: Why) -> None:
    async def story() -> None:
        box.put("f", content)
        found = await box.connector().booked_balance(ACCOUNT, NOW)
        assert isinstance(found, NoObservation)
        assert found.why is why
        assert box.engine.taken == [("f", content)]

    asyncio.run(story())


def test_a_balance_survives_a_restart_by_the_files_of_the_last_day(box: Box) -> None:
    async def story() -> None:
        box.put("old.xml", report("1", NOW - timedelta(days=3)), NOW - timedelta(days=3))
        box.put("new.xml", report("2", NOW - timedelta(hours=20)), NOW - timedelta(hours=20))
        first = await box.connector().booked_balance(ACCOUNT, NOW)
        read = []

        class Watched(FolderMailbox):
            def fetched(self, file: ListedFile) -> Any:
                read.append(file.name)
                return super().fetched(file)

        told = HostToHostSettings(place=Folder(str(box.folder)), freshness=DAY)
        restarted = HostToHost(Watched(box.folder), box.engine.deliver, box.engine.delivered, told)
        assert await restarted.booked_balance(ACCOUNT, NOW) == first
        assert isinstance(first, Observation)
        assert first.balance == 2
        assert read == ["new.xml"]
        await restarted.collect(NOW + LATER)
        assert (box.engine.names, read) == (["old.xml", "new.xml"], ["new.xml"])

    asyncio.run(story())


def test_a_mailbox_that_cannot_be_read_is_no_balance_also_when_one_is_known(box: Box) -> None:
    async def story() -> None:
        box.put("r.xml", report("100"))
        connector = box.connector()
        assert isinstance(await connector.booked_balance(ACCOUNT, NOW), Observation)
        box.folder.rename(box.folder.with_name("moved"))
        found = await connector.booked_balance(ACCOUNT, NOW + LATER)
        assert isinstance(found, NoObservation)
        assert found.why is Why.UNREACHABLE
        box.folder.with_name("moved").rename(box.folder)  # asking again at once helps
        assert isinstance(await connector.booked_balance(ACCOUNT, NOW + LATER), Observation)
        await connector.close()

    asyncio.run(story())


def test_links_and_folders_are_left(box: Box) -> None:
    async def story() -> None:
        (box.folder / "loop").symlink_to("loop")
        (box.folder / "out").symlink_to("/etc/passwd")
        (box.folder / "done").mkdir()
        os.mkfifo(box.folder / "pipe")
        box.put(".hidden")
        box.put("half.xml.part")
        box.put(os.fsdecode(b"\xff\n.xml"))
        assert await box.connector().collect(NOW) == Collected(1, 0, 0)
        assert box.engine.taken == [(os.fsdecode(b"\xff\n.xml"), b"x")]

    asyncio.run(story())


def test_a_file_that_is_replaced_while_it_is_delivered_is_not_done(box: Box) -> None:
    async def story() -> None:
        box.put("r.xml", report("1"))
        connector = box.connector()

        async def replaced(file: ListedFile, path: Path) -> None:
            await box.engine.deliver(file, path)
            box.put("r.xml", report("2"), NOW - 9 * MINUTE)

        told = HostToHostSettings(place=Folder(str(box.folder)), freshness=DAY)
        connector = HostToHost(FolderMailbox(box.folder), replaced, box.engine.delivered, told)
        found = await connector.booked_balance(ACCOUNT, NOW)
        assert isinstance(found, NoObservation)  # which of the two was read, nobody knows
        connector = box.connector()
        found = await connector.booked_balance(ACCOUNT, NOW)
        assert isinstance(found, Observation)
        assert found.balance == 2

    asyncio.run(story())


def test_closed_while_it_delivers_it_delivers_again_later(box: Box) -> None:
    async def story() -> None:
        box.put("r.xml", report("1"))
        box.engine.held = asyncio.Event()
        connector = box.connector()
        asking = asyncio.create_task(connector.collect(NOW))
        while connector._flight is None or not connector._listed:
            await asyncio.sleep(0.01)
        await connector.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert box.engine.taken == []
        box.engine.held = None
        assert await box.connector().collect(NOW) == Collected(1, 0, 0)

    asyncio.run(story())


def test_ten_thousand_files_by_sftp_and_a_second_look_that_fetches_none(bank: Bank) -> None:
    """Delivered before, they are recognised by their listing alone."""
    for number in range(10_000):
        path = bank.outbox / f"{number:05}.xml"
        path.write_bytes(b"")
        os.utime(path, (1_700_000_000 + number,) * 2)
    (bank.outbox / "new.xml").write_bytes(report("42"))
    engine = Engine()

    async def story() -> None:
        async with bank.open() as place:
            told = HostToHostSettings(place=place, freshness=Freshness(interim_minutes=60))
            mailbox = mailbox_of(told)
            async with mailbox.opened() as box:
                engine.known = {file for file in (await box.files()).files if file.name != "new.xml"}
            connector = HostToHost(mailbox, engine.deliver, engine.delivered, told)
            now = datetime.now(UTC) + 2 * MINUTE
            assert await connector.collect(now) == Collected(1, 0, 0)
            assert engine.taken == [("new.xml", report("42"))]
            assert bank.connections == 2
            await connector.close()

    asyncio.run(story())


def test_another_name_size_or_time_is_another_file_also_after_a_restart() -> None:
    files = [
        ListedFile(NOW, "a", 1), ListedFile(NOW, "b", 1), ListedFile(NOW, "a", 2), ListedFile(NOW, "1 a", 1),
        ListedFile(NOW + timedelta(microseconds=1), "a", 1), ListedFile(NOW, os.fsdecode(b"\xff"), 1),
    ]  # fmt: skip
    assert len({file.identity for file in files}) == len(files)
    assert files[0].identity == ListedFile(NOW.astimezone(ZoneInfo("Asia/Dubai")), "a", 1).identity


def test_settings_are_checked() -> None:
    for zone in ("Dubai/Asia", "../etc", ""):
        with pytest.raises(ValueError, match="time_zone"):
            HostToHostSettings(place=Folder("x"), time_zone=zone)
    raw = (
        b'{"kind":"host_to_host","place":{"by":"sftp","host":"bank.example","user":"us","known_hosts":"/etc/bank",'
        b'"private_key":{"file":"/run/secrets/key"}},"files":"*.xml","freshness":{"closing_minutes":1440}}'
    )
    told = msgspec.json.decode(raw, type=HostToHostSettings)
    assert isinstance(told.place, Sftp)
    assert told.place.port == 22
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw.replace(b'"files"', b'"filse"'), type=HostToHostSettings)
