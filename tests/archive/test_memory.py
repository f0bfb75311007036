"""A day of any size is archived and verified in the same memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

import psycopg
import pytest

from archive.bundles import parts_of
from engine import COMMAND, environment
from road.bench import road_on
from token_engine.storage import parts
from token_engine.storage.migrate import migrate

NOON = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
MEGABYTES = 160
LINES = 100_000

STATEMENT = """
INSERT INTO statements (account_id, message_id, bank_message_id, identity, content, statement_date, closing_balance,
    entries, booked_sum, cut_off, state, checks, ledger_balance, threshold_level, entries_matched, entries_unmatched,
    at)
SELECT a.id, m.id, 'M', 'I', '\\x00', '2025-11-18', 1, 1, 1, '2025-11-18Z', 'ACCEPTED', '[]', 1, 'Ok', 0, 0,
    '2025-11-18Z'
FROM emi_accounts a, bank_messages m
"""
ROWS = f"""
INSERT INTO statement_lines (statement_id, line, account_id, amount, status, in_closing, end_to_end_id, remittance)
SELECT s.id, n, s.account_id, n, 'BOOK', true, 'E2E-' || n, repeat('x', 200)
FROM statements s, generate_series(1, {LINES}) n
"""


def peak(*arguments: str | Path) -> int:
    """The most memory that a command had, in megabytes; it went well."""
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss // 1024


async def fill(url: str, file: Path) -> None:
    async with road_on(url) as road, road.connection.transaction():
        await road.account()
        with file.open("rb") as source:
            digest = sha256()
            while piece := source.read(1_000_000):
                digest.update(piece)
            row = await road.row(
                "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer,"
                " last_attempt_at) VALUES (%s, %s, 'CLI', 'f', '', %s, 'RECORDED', '{}', %s) RETURNING id",
                digest.digest(), NOON, source.tell(), NOON,
            )  # fmt: skip
            source.seek(0)
            with TemporaryFile() as squeezed:
                parts.squeeze(source, squeezed)
                await parts.keep(road.tx, row["id"], squeezed)


@pytest.mark.slow
def test_a_large_statement_takes_no_more_memory_than_none(database: str, tmp_path: Path) -> None:
    migrate(database)
    raw = tmp_path / "raw"
    with raw.open("wb") as out:
        for megabyte in range(MEGABYTES):
            out.write(b"".join(f"<Ntry><Amt>{megabyte * 10_000 + n:088}</Amt></Ntry>".encode() for n in range(9_000)))
    asyncio.run(fill(database, raw))
    with psycopg.connect(database) as connection:
        connection.execute(STATEMENT.encode())
        connection.execute(ROWS.encode())
    common = ("--data", tmp_path, "--key-file", tmp_path / "key")
    nothing = peak("archive-key", "new", "example.com/engine", *common)
    archived = peak("archive", "2025-11-18", "--actor", "ann", "--database-url", database, *common)
    bundle = tmp_path / "archive" / "token-engine-2025-11-18.tar"
    public = tmp_path / "public"
    public.write_bytes(subprocess.check_output([*COMMAND, "archive-key", "show", *map(str, common)], env=environment()))
    verified = peak("verify", bundle, "--public-key", public)
    assert archived - nothing < 50
    assert verified - nothing < 30
    assert bundle.stat().st_size > raw.stat().st_size
    found = {part.name: part.content for part in parts_of(bundle)}
    assert found["messages/0000/1.raw"] == raw.read_bytes()
    assert found["statement-lines.jsonl"].count(b"\n") == LINES
