"""kill -9 while statements are taken in from the folder: each closes its day once, whole, or not yet."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from engine import V1, Engine, wait_for
from road.statement_writer import line, message, statement

LINES = 2000
NUMBER = "KILLED-1"


@pytest.mark.slow
def test_each_statement_closes_its_day_once(tmp_path: Path) -> None:
    opening = 1_000_000
    account_made = False
    # From before the file is looked at to after its commit.
    for day, seconds in enumerate((0.5, 4.3, 4.8), start=10):
        date = f"2025-11-{day}"
        lines = [line("1", reference=f"D{day}-{n:05d}", day=date) for n in range(LINES)]
        stated = statement(*lines, opening=str(opening), closing=str(opening + LINES), day=date, account=NUMBER)
        raw = message(stated.replace("<IBAN>", "<Othr><Id>").replace("</IBAN>", "</Id></Othr>"), name=f"M-{day}")
        opening += LINES
        with Engine(tmp_path / "data") as engine:
            if not account_made:
                engine.create_account(NUMBER, ledger_balance="1000000", bank_balance="1000000")
                account_made = True
            (tmp_path / "data" / "inbox" / f"{date}.xml").write_bytes(raw)
            time.sleep(seconds)
            engine.kill()
    with Engine(tmp_path / "data") as engine:
        inbox = tmp_path / "data" / "inbox"
        wait_for(lambda: len(list((inbox / "done").iterdir())) == 3, seconds=60)
        assert engine.balance(NUMBER) == f"{opening}.00"
        states = [each["state"] for each in engine.get(f"{V1}/statements?account_id={NUMBER}")["statements"]]
        assert states == ["ACCEPTED"] * 3
        with psycopg.connect(engine.database_url) as connection:
            counted = connection.execute(
                "SELECT (SELECT count(*) FROM bank_entries), (SELECT count(*) FROM statement_lines),"
                " (SELECT count(*) FROM emi_account_snapshots), (SELECT count(*) FROM snapshot_revisions)"
            ).fetchone()
        assert counted == (3 * LINES, 3 * LINES, 3, 0)
        done = engine.cli("check")
        assert done.returncode == 0, done.stderr
