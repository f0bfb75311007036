"""One large camt.053 through the whole end of day, against as many movements of the ledger; and a peer that reads it.

python -m benchmarks.eod FILE DATABASE_URL     the engine's part, in a process of its own: figures as JSON
python -m benchmarks.eod FILE --peer           the peer's
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psycopg

from benchmarks.figure import Figure
from benchmarks.reading import CAMT_ENTRY as ENTRY
from benchmarks.reading import peak_mb
from benchmarks.servers import OUT, Arena, Servers, run_module
from benchmarks.workload import LEDGER, account_id, account_number
from token_engine.domain.receipt import Receipt, Recorded
from token_engine.entrypoints.batcher import Batcher
from token_engine.entrypoints.lanes import STATEMENTS
from token_engine.storage.database import Database
from token_engine.tiers.delivery import Delivery, Door
from token_engine.tiers.intake import file_deliveries

ENTRIES: Final = 100_000
LARGEST: Final = 1_000_000
"""With --full: a file of two gigabytes."""
OF_MANY: Final = 1000
PEER_ENTRIES: Final = 50_000
"""What the peer holds whole in memory while it reads."""
PEER: Final = "camt053==0.0.23"
_NOW: Final = datetime(2025, 11, 19, 2, tzinfo=UTC)
_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">'
    "<BkToCstmrStmt><GrpHdr><MsgId>EOD-1</MsgId><CreDtTm>2025-11-18T22:00:00Z</CreDtTm></GrpHdr>"
    "<Stmt><Id>STMT-1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2025-11-18T22:00:00Z</CreDtTm>"
    "<Acct><Id><Othr><Id>{number}</Id></Othr></Id><Ccy>AED</Ccy></Acct>{opening}{closing}\n"
)
_BALANCE: Final = (
    '<Bal><Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry></Tp><Amt Ccy="AED">{}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
    "<Dt><Dt>2025-11-18</Dt></Dt></Bal>"
)
_FOOT: Final = "</Stmt></BkToCstmrStmt></Document>\n"
_MOVEMENTS: Final = """
INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, to_holder, reason, actor, idempotency_key, at,
    end_to_end_id)
SELECT %s, 'mint', 1 + n %% 1000, 'issued', 'holder', 'unattributed', 'posted', 'benchmark', 'L-' || n, %s,
    'E2E-' || lpad(n::text, 10, '0')
FROM generate_series(0, %s - 1) AS n
"""


def run(servers: Servers, *, full: bool) -> Iterator[Figure]:
    """Entries a second from the file to the commit, and the peer's rate of reading, in one run; then as many entries on
    accounts of a thousand each.
    """
    entries = LARGEST if full else ENTRIES
    one = _measure(servers, 1, entries)
    peer = _peer() or {}
    ratio = one["rate"] / peer["rate"] if peer else None
    yield Figure(f"end of day, one statement of {entries:,} entries", one["rate"], "entries/s", peer.get("rate"), ratio)
    yield Figure("the same, peak memory", one["peak"], "MB", peer.get("peak"))
    many = _measure(servers, entries // OF_MANY, OF_MANY)
    name = f"end of day, {entries // OF_MANY:,} statements of {OF_MANY:,} entries"
    yield Figure(name, many["rate"], "entries/s", one["rate"], many["rate"] / one["rate"])
    yield Figure("the same, peak memory", many["peak"], "MB")


def _measure(servers: Servers, accounts: int, entries: int) -> dict[str, float]:
    with servers.arena(accounts) as arena, TemporaryDirectory(dir=OUT) as home:
        _lay(arena, accounts, entries)
        for account in range(accounts):
            _write(Path(home) / f"{account:05d}.xml", account, entries)
        told: dict[str, float] = json.loads(run_module("benchmarks.eod", arena.database_url, home, within=900))
    return told


def _lay(arena: Arena, accounts: int, entries: int) -> None:
    """As many movements as the statements have entries, as a ledger kept elsewhere would have posted them."""
    with psycopg.connect(arena.admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # else its mode stays as it was made
        connection.execute("UPDATE emi_accounts SET ledger_mode = 'external'")
        connection.execute("SET session_replication_role = origin")
        for account in range(accounts):
            connection.execute(_MOVEMENTS, [account_id(account), datetime(2025, 11, 18, 12, tzinfo=UTC), entries])
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _write(file: Path, account: int, entries: int) -> None:
    total = sum(1 + n % 1000 for n in range(entries))
    opening, closing = _BALANCE.format("OPBD", LEDGER), _BALANCE.format("CLBD", LEDGER + total)
    with file.open("w") as out:
        out.write(_HEAD.format(number=account_number(account), opening=opening, closing=closing))
        for n in range(entries):
            out.write(ENTRY.format(n).replace(">100.00<", f">{1 + n % 1000}.00<"))
        out.write(_FOOT)


def _peer() -> dict[str, float] | None:
    """The peer in an environment of its own; None where it cannot be had."""
    home = OUT / "peer"
    python = home / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True)
            # Without what it needs to serve and to be called; what it needs to read.
            for words in (["--no-deps", PEER], ["lxml", "defusedxml", "pydantic", "xmlschema", "jsonschema", "jinja2"]):
                install = [str(python), "-m", "pip", "install", "-q", *words]
                subprocess.run(install, check=True, capture_output=True, timeout=300)
        with TemporaryDirectory(dir=OUT) as files:
            file = Path(files) / "peer.xml"
            _write(file, 0, PEER_ENTRIES)
            command = [str(python), "-P", str(Path(__file__).with_name("peer.py")), str(file)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except (subprocess.SubprocessError, OSError):
        return None
    told: dict[str, float] = json.loads(done.stdout)
    return told


async def _close(url: str, home: Path) -> dict[str, float]:
    """Take in the files as the engine takes in what a folder holds or many banks send, no more of them in memory."""
    database = Database(url)
    await database.open()
    batcher = Batcher(database, lambda: _NOW, lambda: None, STATEMENTS)
    batcher.start()
    room = _Room(STATEMENTS.at_once * STATEMENTS.batch_bytes)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        days = []
        for file in sorted(home.iterdir()):
            size = file.stat().st_size
            await room.take(size)
            days.append(group.create_task(_send(batcher, file, size, room)))
    entries = sum(day.result() for day in days)
    seconds = time.perf_counter() - started
    await batcher.stop()
    await database.close()
    return {"rate": entries / seconds, "peak": peak_mb()}


class _Room:
    """Bytes that may be held in memory at once; a file larger than all of it, alone."""

    def __init__(self, size: int) -> None:
        self._left = self._size = size
        self._changed = asyncio.Condition()

    async def take(self, size: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._left >= min(size, self._size))
            self._left -= size

    async def give(self, size: int) -> None:
        async with self._changed:
            self._left += size
            self._changed.notify_all()


async def _send(batcher: Batcher[Delivery, Receipt], file: Path, size: int, room: _Room) -> int:
    """How many lines of the file's day were matched: all that it has."""
    [one] = await asyncio.to_thread(file_deliveries, file, Door.FILE, file.name, _NOW)
    [receipt] = await batcher.submit([one])
    await room.give(size)
    assert isinstance(receipt, Recorded), receipt
    [day] = receipt.days
    assert (day.state, day.entries_unmatched) == ("ACCEPTED", 0), day
    return day.entries_matched


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_close(sys.argv[1], Path(sys.argv[2])))))
