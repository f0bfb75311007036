"""Files dropped into the folder: taken in once they are whole, once, and put aside by what became of them."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from road.bench import NOW, NUMBER, note
from road.statement_writer import line, message, statement
from token_engine.entrypoints.batcher import UnavailableError
from token_engine.entrypoints.drop_folder import DropFolder
from token_engine.entrypoints.road import Road
from token_engine.storage.database import Database
from token_engine.tiers import accounts, end_of_day, notification
from token_engine.tiers.accounts import NewAccount
from token_engine.tiers.delivery import Delivery


class _Tier:
    """A batcher of one, in the same order of calls."""

    def __init__(self, database: Database, take: Any) -> None:
        self._database = database
        self._take = take
        self.away = False

    async def submit(self, handed_in: Sequence[Delivery]) -> list[Any]:
        if self.away:
            return [UnavailableError("away") for _ in handed_in]
        async with self._database.transaction() as tx:
            return list(await self._take(tx, handed_in, NOW))


async def _room(url: str, path: Path) -> tuple[Database, _Tier, DropFolder]:
    database = Database(url)
    await database.open()
    async with database.transaction() as tx:
        wanted = NewAccount(
            account_number=NUMBER, currency="AED", bank="Bank", ledger_balance="100", bank_balance="100"
        )
        await accounts.create(tx, wanted, "tests", NOW)
    notified = _Tier(database, notification.record)
    road = Road(notified, _Tier(database, end_of_day.record))  # type: ignore[arg-type]
    return database, notified, DropFolder(path, road, lambda: NOW)


def names(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


STATEMENT = message(statement(line("10", reference="R1"), opening="100", closing="110"))


def test_what_becomes_of_dropped_files(migrated: str, tmp_path: Path) -> None:
    async def story() -> None:
        database, notified, folder = await _room(migrated, tmp_path)
        try:
            (tmp_path / "one.xml").write_bytes(STATEMENT)
            (tmp_path / "again.xml").write_bytes(STATEMENT)
            (tmp_path / "two.json").write_bytes(note("N-1", "5"))
            (tmp_path / "nonsense.txt").write_bytes(b"hello")
            (tmp_path / "half.xml.part").write_bytes(STATEMENT[:100])
            (tmp_path / ".hidden").write_bytes(b"x")
            await folder.look()
            assert len(names(tmp_path)) == 6  # may still be written to
            (tmp_path / "nonsense.txt").write_bytes(b"hello you")
            notified.away = True
            await folder.look()
            left = names(tmp_path)
            assert [n for n in left if n.endswith(("one.xml", "again.xml"))] == [
                n for n in left if n.startswith("done/")
            ]
            assert "two.json" in left  # its tier was away
            notified.away = False
            await folder.look()
            await folder.look()
            left = [n.split("-")[0] + "-" + n.split("-", 1)[1] if "-" in n else n for n in names(tmp_path)]
            assert [n.rsplit("/", 1)[0] if "/" in n else n for n in left] == [
                ".hidden", "done", "done", "done", "half.xml.part", "rejected",
            ]  # fmt: skip
            async with database.transaction() as tx:
                cursor = await tx.execute(b"SELECT bank_reported_balance FROM emi_accounts")
                assert await cursor.fetchall() == [(115,)]
                doors = await tx.execute(b"SELECT DISTINCT door FROM bank_messages")
                assert await doors.fetchall() == [("FILE",)]
        finally:
            await database.close()

    asyncio.run(story())


def test_a_file_that_another_engine_has_is_left_to_it(migrated: str, tmp_path: Path) -> None:
    async def story() -> None:
        database, _, folder = await _room(migrated, tmp_path)
        try:
            file = tmp_path / "one.json"
            file.write_bytes(note("N-1", "5"))
            await folder.look()
            with file.open("rb") as theirs:
                fcntl.flock(theirs, fcntl.LOCK_EX)
                await folder.look()
                assert names(tmp_path) == ["one.json"]
            await folder.look()
            assert [n.startswith("done/") for n in names(tmp_path)] == [True]
        finally:
            await database.close()

    asyncio.run(story())


@pytest.mark.parametrize("raw", [b"", json.dumps([]).encode()])
def test_what_is_no_message_is_put_aside_with_its_reason_kept(migrated: str, tmp_path: Path, raw: bytes) -> None:
    async def story() -> None:
        database, _, folder = await _room(migrated, tmp_path)
        try:
            (tmp_path / "x").write_bytes(raw)
            await folder.look()
            await folder.look()
            assert [n.startswith("rejected/") for n in names(tmp_path)] == [True]
            async with database.transaction() as tx:
                cursor = await tx.execute(b"SELECT state FROM bank_messages")
                assert await cursor.fetchall() == [("REJECTED",)]
        finally:
            await database.close()

    asyncio.run(story())


def test_days_dropped_together_close_in_their_order(migrated: str, tmp_path: Path) -> None:
    async def story() -> None:
        database, _, folder = await _room(migrated, tmp_path)
        try:
            balance = 100 + 6
            for day in (13, 12, 11):  # the newest first
                date = f"2025-11-{day}"
                stated = statement(line("2", reference=f"R{day}", day=date), opening=str(balance - 2),
                                   closing=str(balance), day=date)  # fmt: skip
                (tmp_path / f"{date}.xml").write_bytes(message(stated, name=date))
                balance -= 2
            await folder.look()
            await folder.look()
            async with database.transaction() as tx:
                cursor = await tx.execute(
                    b"SELECT statement_date::text, state, lists_from IS NULL FROM statements ORDER BY statement_date"
                )
                assert await cursor.fetchall() == [  # each goes on from the one before
                    ("2025-11-11", "ACCEPTED", False),
                    ("2025-11-12", "ACCEPTED", True),
                    ("2025-11-13", "ACCEPTED", True),
                ]
        finally:
            await database.close()

    asyncio.run(story())
