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
from typing import Final

import psycopg

from benchmarks.figure import Figure
from benchmarks.reading import CAMT_ENTRY as ENTRY
from benchmarks.reading import peak_mb
from benchmarks.servers import OUT, Arena, Servers, run_module
from benchmarks.workload import LEDGER, account_id, account_number
from token_engine.domain.receipt import Recorded
from token_engine.storage.database import Database
from token_engine.tiers import end_of_day
from token_engine.tiers.delivery import Door
from token_engine.tiers.intake import large_statement

ENTRIES: Final = 100_000
LARGEST: Final = 1_000_000
"""With --full: a file of two gigabytes."""
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
    """Entries a second from the file to the commit, and the peer's rate of reading, in one run."""
    entries = LARGEST if full else ENTRIES
    file = OUT / "eod.xml"
    with servers.arena(1) as arena:
        _lay(arena, entries)
        _write(file, entries)
        told = json.loads(run_module("benchmarks.eod", str(file), arena.database_url, within=600))
    peer = _peer(file) or {}
    ratio = told["rate"] / peer["rate"] if peer else None
    yield Figure(f"end of day, {entries:,} entries", told["rate"], "entries/s", peer.get("rate"), ratio)
    yield Figure("the same, peak memory", told["peak"], "MB", peer.get("peak"))
    for name, seconds in told["phases"].items():
        yield Figure(f"the same, {name}", seconds, "s")
    file.unlink()


def _lay(arena: Arena, entries: int) -> None:
    """As many movements as the statement has entries, as a ledger kept elsewhere would have posted them."""
    with psycopg.connect(arena.admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # else its mode stays as it was made
        connection.execute("UPDATE emi_accounts SET ledger_mode = 'external'")
        connection.execute("SET session_replication_role = origin")
        connection.execute(_MOVEMENTS, [account_id(0), datetime(2025, 11, 18, 12, tzinfo=UTC), entries])
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _write(file: Path, entries: int) -> None:
    total = sum(1 + n % 1000 for n in range(entries))
    opening, closing = _BALANCE.format("OPBD", LEDGER), _BALANCE.format("CLBD", LEDGER + total)
    with file.open("w") as out:
        out.write(_HEAD.format(number=account_number(0), opening=opening, closing=closing))
        for n in range(entries):
            out.write(ENTRY.format(n).replace(">100.00<", f">{1 + n % 1000}.00<"))
        out.write(_FOOT)


def _peer(file: Path) -> dict[str, float] | None:
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
        _write(file, PEER_ENTRIES)
        script = Path(__file__).with_name("peer.py")
        done = subprocess.run(
            [python, "-P", str(script), str(file)], check=True, capture_output=True, text=True, timeout=300
        )
    except (subprocess.SubprocessError, OSError):
        return None
    told: dict[str, float] = json.loads(done.stdout)
    return told


async def _close(file: Path, url: str) -> dict[str, object]:
    database = Database(url)
    await database.open()
    started = time.perf_counter()
    delivery = large_statement(file, Door.CLI, _NOW)
    assert delivery is not None
    async with database.transaction() as tx:
        [receipt] = await end_of_day.record(tx, [delivery], _NOW)
    seconds = time.perf_counter() - started
    await database.close()
    assert isinstance(receipt, Recorded), receipt
    [day] = receipt.days
    assert day.reconciled, day
    assert day.entries_unmatched == 0, day
    peak = peak_mb()
    return {"rate": day.entries_matched / seconds, "peak": peak, "phases": {"all of it": seconds}}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_close(Path(sys.argv[1]), sys.argv[2]))))
