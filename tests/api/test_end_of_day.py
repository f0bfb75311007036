"""Tier 3 over HTTP, as the specification writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from engine import CAMT054, V1, Engine, wait_for
from road.statement_writer import line, message, statement

EOD = f"{V1}/reconciliation/eod"


def stated(number: str, **changes: Any) -> dict[str, Any]:
    """The specification's example."""
    return {
        "message_id": f"STMT-2025-11-18-{number}",
        "account_id": number,
        "currency": "AED",
        "statement_date": "2025-11-18",
        "opening_balance": "5000000.00",
        "closing_balance": "5250000.00",
        "entries": [
            {
                "entry_reference": "E001",
                "credit_debit_indicator": "CRDT",
                "amount": "100000.00",
                "end_to_end_id": "E2E-TXN-67890",
            }
        ],
    } | changes


def post(engine: Engine, said: dict[str, Any], path: str = EOD) -> httpx2.Response:
    return httpx2.post(f"{engine.url}{path}", json=said, timeout=30)


def test_the_specifications_statement(engine: Engine, account: Callable[..., str]) -> None:
    number = account(ledger_balance="5000000", bank_balance="5000000")
    answer = post(engine, stated(number))
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["success"] is True
    data = body["data"]
    assert (data["statement_date"], data["ledger_balance"], data["bank_balance"], data["difference"]) == (
        "2025-11-18", "5000000.00", "5250000.00", "250000.00",
    )  # fmt: skip
    assert (data["reconciled"], data["entries_matched"], data["entries_unmatched"]) == (False, 0, 1)
    assert (data["threshold_level"], data["state"], data["receipt"]) == ("Critical", "QUARANTINED", "Recorded")
    checks = {check["name"]: check for check in data["checks"]}
    assert checks["entries_sum"]["outcome"] == "failed"
    assert (checks["entries_sum"]["expected"], checks["entries_sum"]["actual"]) == ("5100000.00", "5250000.00")
    assert engine.balance(number) == "5000000.00"
    again = post(engine, stated(number))
    assert (again.status_code, again.json()["data"]["snapshot_id"]) == (200, data["snapshot_id"])


def test_its_second_example_without_currency_and_opening(engine: Engine, account: Callable[..., str]) -> None:
    number = account(ledger_balance="5000000", bank_balance="5000000")
    said = stated(number, closing_balance="5100000.00")
    del said["currency"], said["opening_balance"]
    data = post(engine, said).json()["data"]
    assert data["state"] == "ACCEPTED"
    outcomes = {check["name"]: check["outcome"] for check in data["checks"]}
    assert (outcomes["currency"], outcomes["entries_sum"]) == ("not_checkable", "not_checkable")
    assert engine.balance(number) == "5100000.00"


def test_whatever_the_door_a_message_takes_its_own_road(engine: Engine, account: Callable[..., str]) -> None:
    number = account(ledger_balance="5000000", bank_balance="5000000")
    answer = post(engine, stated(number, closing_balance="5100000.00"), CAMT054)
    assert (answer.status_code, answer.json()["data"]["state"]) == (201, "ACCEPTED")


def test_a_bad_entry_is_named(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    entries = [{"credit_debit_indicator": "CRDT", "amount": "1.00"}, {"credit_debit_indicator": "CRDT", "amount": "x"}]
    answer = post(engine, stated(number, entries=entries))
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("invalid_amount", "entries[1].amount")
    too_fine = stated(number, entries=[{"credit_debit_indicator": "CRDT", "amount": "1.001"}])
    del too_fine["currency"]
    assert post(engine, too_fine).json()["error"]["field"] == "entries"


def test_what_becomes_of_a_statement_is_said_plainly(
    engine: Engine, account: Callable[..., str], tmp_path: Path
) -> None:
    """As a table, to whoever takes in a file; and the exit code with it."""
    number = account(bank_balance="5000000", ledger_balance="5000000")
    file = tmp_path / "day.json"

    def taken(**changes: Any) -> tuple[int, str]:
        file.write_text(json.dumps(stated(number, **{"closing_balance": "5100000.00"} | changes)))
        done = engine.cli("ingest", file)
        assert done.stderr == b""
        [row] = [line for line in done.stdout.decode().splitlines() if "day.json" in line]
        _, _, *rest = row.split()
        return done.returncode, " ".join(rest)

    name = f"STMT-2025-11-18-{number}"
    accepted = f"{number} 2025-11-18 0 of 1 matched, Critical"
    assert taken() == (0, f"Recorded {name} 1 {accepted}")
    assert taken() == (0, f"AlreadyRecorded {name} 0 {accepted}")
    code, said = taken(closing_balance="5100001.00")
    assert (code, said.startswith(f"Rejected {name} statement_differs: ")) == (1, True)
    code, said = taken(message_id="HELD", statement_date="2025-11-19", opening_balance="1.00")
    assert code == 0
    assert "QUARANTINED as statement" in said
    assert "entries_sum: opening balance and booked entries are 100001.00, the closing balance says 5100000.00" in said
    head = "<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>"
    page = message(statement(line("1"), opening="1", closing="3", account=number, head=head, name="P"), name="M-P")
    file.write_bytes(page.replace(b"<IBAN>", b"<Othr><Id>").replace(b"</IBAN>", b"</Id></Othr>"))
    done = engine.cli("ingest", file)
    assert (done.returncode, f"{number} P waits for page 2" in done.stdout.decode()) == (0, True)
    told = json.loads(engine.cli("ingest", file, "--json").stdout)
    assert (told["receipt"], told["waiting"][0]["missing_pages"]) == ("AlreadyRecorded", [2])


def test_a_file_that_somebody_writes_to_is_not_taken_in(
    engine: Engine, account: Callable[..., str], tmp_path: Path
) -> None:
    """One too large to hold is read as it lies there: what was digested, read and kept must be the same."""
    number = account()
    lines = [line("1", reference=f"G{n}") + "\n" * 7_000_000 for n in range(5)]
    stated = statement(*lines, opening="1000000", closing="1000005", account=number, name="GROWS")
    raw = message(stated.replace("<IBAN>", "<Othr><Id>").replace("</IBAN>", "</Id></Othr>"), name="M-GROWS")
    file = tmp_path / "grows.xml"
    file.write_bytes(raw)
    with psycopg.connect(engine.database_url) as connection, ThreadPoolExecutor(1) as thread:
        connection.execute("SELECT 1 FROM emi_accounts WHERE account_number = %s FOR NO KEY UPDATE", [number])
        taking = thread.submit(engine.cli, "ingest", file)
        with psycopg.connect(engine.database_url, autocommit=True) as watch:
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_for(lambda: taking.done() or watch.execute(query).fetchone() != (0,), seconds=30)
        assert not taking.done(), taking.result()
        with file.open("ab") as more:
            more.write(b"\n")
        connection.rollback()
        done = taking.result()
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"{file}: grows.xml changed while it was read\n"
    assert engine.get(f"{V1}/statements?account_id={number}")["statements"] == []
    assert engine.cli("ingest", file).returncode == 0


def test_closing_a_day_from_the_command_line(engine: Engine, account: Callable[..., str], tmp_path: Path) -> None:
    number, other = account(ledger_balance="5100000", bank_balance="5000000"), account()
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    file = tmp_path / "statement.json"
    file.write_text(json.dumps(stated(number, closing_balance="5100000.00", statement_date=day)))
    done = engine.cli("close-day", str(file), "--date", day, "--json")
    rows = {row["account_number"]: row for row in map(json.loads, done.stdout.decode().splitlines())}
    assert done.returncode == 0, done.stderr
    assert (rows[number]["standing"], rows[number]["difference"]) == ("reconciled", "0.00")
    assert rows[other]["standing"] == "no_statement"
    file.write_text(json.dumps(stated(other, statement_date=day)))
    done = engine.cli("close-day", str(file), "--date", day)
    assert done.returncode == 1
    assert "1 quarantined, 1 reconciled" in done.stdout.decode().splitlines()[-1]
    file.write_text("no statement")
    done = engine.cli("close-day", str(file), "--date", day, "--json")
    assert done.returncode == 1
    assert "not_a_bank_message" in done.stdout.decode()
