"""The other commands: what they print, and with which code they exit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.bank import camt054, entry, section, zipped
from engine import Engine, notification, run_command


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("commands") / "data") as running:
        yield running


def rows(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


EVERY = (
    ("messages",), ("replay",), ("ingest", "-"), ("accounts", "list"), ("accounts", "show", "x"),
    ("accounts", "close", "x"), ("accounts", "create", "x", "--currency", "AED", "--bank", "B"), ("check",),
    ("migrate",), ("discrepancies", "list"), ("discrepancies", "show", "x"), ("discrepancies", "assign", "x", "y"),
    ("discrepancies", "comment", "x", "y"), ("discrepancies", "resolve", "x", "--reason", "y"),
    ("discrepancies", "reopen", "x", "--reason", "y"),
    ("payouts", "list", "x"), ("payouts", "show", "00000000-0000-4000-8000-000000000000"),
    ("payouts", "hold", "x", "1", "--holder", "h"), ("payouts", "sent", "00000000-0000-4000-8000-000000000000"),
    ("payouts", "cancel", "00000000-0000-4000-8000-000000000000", "--reason", "r"),
    ("archive", "2025-11-18"), ("breaker", "show", "x"), ("breaker", "request-close", "x", "--reason", "r"),
    ("report", "--day", "2025-11-18"), ("sign-report", "x", "--reason", "r"), ("incidents", "x"), ("incident", "1"),
)  # fmt: skip


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_where_no_engine_has_run(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run_command(*command, "--data", tmp_path / "none")
    assert done.returncode == 2
    assert done.stdout == b""
    [line] = done.stderr.decode().splitlines()
    assert line.startswith(f"No engine has run on {tmp_path / 'none'} yet: ")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("command", "url"),
    [
        (("messages",), "postgresql://me:hidden@127.0.0.1:1/x"),
        (("ingest", "-"), "postgresql://me:hidden@127.0.0.1:1/x"),
        (("migrate",), "postgresql://me:hidden@127.0.0.1:1/x"),
        (("check",), "nonsense"),
        (("migrate",), "nonsense"),
    ],
)
def test_where_no_database_answers(command: tuple[str, ...], url: str) -> None:
    done = run_command(*command, "--database-url", url, seconds=15)
    assert done.returncode == 2
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("The database ")
    assert "hidden" not in line


def test_where_there_is_no_schema_yet(database: str) -> None:
    done = run_command("check", "--database-url", database)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == ["The database has no schema yet: run `token-engine migrate`."]
    first = run_command("migrate", "--database-url", database)
    assert first.returncode == 0
    assert first.stdout.decode().startswith("Applied 0001 ")
    again = run_command("migrate", "--database-url", database)
    assert (again.returncode, again.stdout) == (0, b"The schema is up to date.\n")
    assert run_command("check", "--database-url", database).returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ("fly",),
        ("run", "--port", "0"),
        ("run", "--port", "99999"),
        ("messages", "x"),
        ("messages", "--limit", "0"),
        ("ingest",),
    ],
    ids=" ".join,
)
def test_a_slip_of_the_keyboard(command: tuple[str, ...]) -> None:
    done = run_command(*command)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr


def test_accounts_from_the_first_to_the_last(engine: Engine) -> None:
    made = engine.cli(
        "accounts", "create", "AE070331234567890123456", "--currency", "AED", "--bank", "Bank", "--bic", "EBILAEAD",
        "--ledger-balance", "100", "--bank-balance", "100.5", "--actor", "ann", "--json",
    )  # fmt: skip
    [view] = rows(made)
    assert made.stderr == b""
    assert (view["bank_reported_balance"], view["difference"], view["verdict"]) == ("100.50", "0.50", "Significant")
    assert rows(engine.cli("accounts", "show", view["id"], "--json")) == [view]
    assert rows(engine.cli("accounts", "show", "ae07 0331 2345 6789 0123 456", "--json")) == [view]
    assert view in rows(engine.cli("accounts", "list", "--json"))
    table = engine.cli("accounts", "list").stdout.decode()
    assert "Significant" in table

    again = engine.cli("accounts", "create", "AE070331234567890123456", "--currency", "AED", "--bank", "Bank")
    assert again.returncode == 1
    assert again.stderr.decode().startswith("account_exists: ")

    [closed] = rows(engine.cli("accounts", "close", view["id"], "--actor", "bob", "--json"))
    assert closed["closed_at"] is not None
    assert engine.cli("accounts", "close", view["id"]).returncode == 1
    with psycopg.connect(engine.database_url) as connection:
        audited = connection.execute(
            "SELECT action, actor FROM audit_log WHERE account_id = %s AND action LIKE 'account%%' ORDER BY id",
            [view["id"]],
        ).fetchall()
    assert audited == [("account_created", "ann"), ("account_closed", "bob")]


def test_an_iban_with_a_wrong_check_digit_is_warned_of(engine: Engine) -> None:
    done = engine.cli("accounts", "create", "AE080331234567890123456", "--currency", "AED", "--bank", "B", "--json")
    assert rows(done)[0]["account_number"] == "AE080331234567890123456"
    [warning] = done.stderr.decode().splitlines()
    assert warning.startswith("Warning: account_number looks like an IBAN but is not a valid one")


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--currency", "aed"), "unknown_currency"),
        (("--currency", "AED", "--ledger-balance", "-1"), "invalid_amount"),
        (("--currency", "AED", "--bank-balance", "1.005"), "invalid_amount"),
        (("--currency", "AED", "--bic", "no"), "invalid_bic"),
        (("--currency", "AED", "--as-of", "2999-01-01"), "invalid_as_of"),
    ],
)
def test_an_account_that_cannot_be(engine: Engine, flags: tuple[str, ...], code: str) -> None:
    done = engine.cli("accounts", "create", "BAD", "--bank", "B", *flags)
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert line.startswith(f"{code}: ")
    assert engine.cli("accounts", "show", "BAD").returncode == 1


def test_nobody_sets_a_policy_in_the_engine_s_name(engine: Engine) -> None:
    done = engine.cli("policy", "set", "global", "--actor", "Engine")
    assert (done.returncode, done.stderr.decode().partition(":")[0]) == (1, "invalid_actor")
    assert rows(engine.cli("policy", "list", "--json"))[0]["scope"] == "(specification)"


def test_a_policy_says_who_resolves(engine: Engine) -> None:
    engine.create_account("BY HAND", ledger_balance="1000", bank_balance="1001")
    assert engine.cli("policy", "set", "BY HAND", "--no-auto-resolve", "--actor", "ann").returncode == 0
    key = engine.account("BY HAND")["id"]
    assert {row["scope"]: row["auto_resolve"] for row in rows(engine.cli("policy", "list", "--json"))} == {key: False}
    healed = notification("BY-HAND-1", "BY HAND", "1.00", credit_debit_indicator="DBIT")
    assert engine.send(healed).json()["data"]["threshold_level"] == "Ok"
    [found] = rows(engine.cli("discrepancies", "list", "--account", "BY HAND", "--json"))
    assert (found["status"], found["difference"]) == ("OPEN", "0.00")
    assert found["difference_gone_since"]
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("DELETE FROM threshold_policies")


def test_files_are_ingested_once(engine: Engine, tmp_path: Path) -> None:
    engine.create_account("FILES", ledger_balance="0", bank_balance="0")
    xml = tmp_path / "day one.xml"
    xml.write_bytes(camt054("FILE-1", section("FILES", entry("1.00", reference="F1"), entry("2.00", reference="F2"))))
    bundle = tmp_path / "month.zip"
    bundle.write_bytes(
        zipped({"1.xml": xml.read_bytes(), "2.json": json.dumps(notification("FILE-2", "FILES", "4.00")).encode()})
    )
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd \xff.json"))
    odd.write_text(json.dumps(notification("FILE-3", "FILES", "8.00")))

    done = rows(engine.cli("ingest", xml, bundle, odd, "--json"))
    assert [(r["receipt"], r["message_id"]) for r in done] == [
        ("Recorded", "FILE-1"), ("AlreadyRecorded", "FILE-1"), ("Recorded", "FILE-2"), ("Recorded", "FILE-3"),
    ]  # fmt: skip
    assert [r["source"] for r in done][:3] == ["day one.xml", "month.zip/1.xml", "month.zip/2.json"]
    assert engine.balance("FILES") == "15.00"
    from_stdin = engine.cli("ingest", "-", "--json", stdin=xml.read_bytes())
    assert [r["receipt"] for r in rows(from_stdin)] == ["AlreadyRecorded"]
    assert engine.balance("FILES") == "15.00"


def test_what_cannot_be_ingested_is_told_and_kept(engine: Engine, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.json", tmp_path / "good.json"
    bad.write_text(json.dumps(notification("INGEST-1", "NOBODY YET", "1.00")))
    good.write_text(json.dumps(notification("INGEST-2", "INGEST", "1.00")))
    engine.create_account("INGEST", ledger_balance="0", bank_balance="0")
    done = engine.cli("ingest", tmp_path / "missing.xml", bad, good, "--json")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [f"{tmp_path / 'missing.xml'}: No such file or directory"]
    rejected, recorded = (json.loads(line) for line in done.stdout.splitlines())
    assert (rejected["receipt"], rejected["error"]["code"]) == ("Rejected", "unknown_account")
    assert recorded["receipt"] == "Recorded"

    number = str(rejected["kept_as"])
    assert engine.cli("messages", number, "--raw").stdout == bad.read_bytes()
    [shown] = json.loads(f"[{engine.cli('messages', number).stdout.decode()}]")
    assert (shown["state"], shown["door"], shown["source"]) == ("REJECTED", "CLI", "bad.json")
    assert "unknown_account" in engine.cli("messages", "--rejected").stdout.decode().replace("\n", "")
    assert engine.cli("messages", "999999").returncode == 1
    assert engine.cli("replay", "999999").returncode == 1
    assert engine.cli("replay").returncode == 1

    engine.create_account("NOBODY YET", ledger_balance="0", bank_balance="0")
    assert engine.cli("replay").returncode == 0
    nothing = engine.cli("replay")
    assert (nothing.returncode, nothing.stderr) == (0, b"Nothing to replay.\n")
    assert engine.balance("NOBODY YET") == "1.00"


def test_check_finds_a_position_that_its_entries_do_not_make(engine: Engine) -> None:
    engine.create_account("DRIFT", ledger_balance="0", bank_balance="7")
    assert engine.cli("check").stdout.decode().splitlines() == [
        "Every position is the fold of its entries.",
        "Every ledger balance is the fold of its movements.",
        "Every mint is of a booked credit, and of its amount.",
        "What is reserved is what payouts hold.",
        "What is said to be missing of statements is missing.",
        "Every day of a trend is the fold of its observations.",
        "Every match is of equal sums, or forced by two people.",
    ]
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("UPDATE emi_accounts SET bank_reported_balance = 8 WHERE account_number = 'DRIFT'")
    done = engine.cli("check")
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("DRIFT AED: stored 8.00000000, its entries make 7.00000000")
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("UPDATE emi_accounts SET bank_reported_balance = 7 WHERE account_number = 'DRIFT'")
    assert engine.cli("check").returncode == 0


def test_check_finds_a_ledger_balance_that_its_movements_do_not_make(engine: Engine) -> None:
    engine.create_account("LEDGER", ledger_balance="7", bank_balance="7")
    guards = {"emi_accounts": "emi_accounts_ledger_by_movements", "ledger_holders": "ledger_holders_by_movements"}

    def tamper(ledger: int, held: int) -> None:
        """As one who owns the tables might, and turns off what guards them."""
        with psycopg.connect(engine.database_url) as connection:
            for table, guard in guards.items():
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}".encode())
            connection.execute("UPDATE emi_accounts SET ledger_balance = %s WHERE account_number = 'LEDGER'", [ledger])
            connection.execute(
                """UPDATE ledger_holders SET balance = %s
                WHERE account_id = (SELECT id FROM emi_accounts WHERE account_number = 'LEDGER')""",
                [held],
            )
            for table, guard in guards.items():
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER {guard}".encode())

    tamper(8, 6)
    done = engine.cli("check")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "LEDGER AED: ledger balance 8.00000000, its movements make 7.00000000",
        "LEDGER AED holder unattributed: ledger balance 6.00000000, its movements make 7.00000000",
    ]
    tamper(7, 7)
    assert engine.cli("check").returncode == 0


def test_check_finds_what_is_reserved_and_no_payout_holds(engine: Engine) -> None:
    engine.create_account("RESERVED", ledger_balance="7", bank_balance="7")
    guards = {"emi_accounts": "emi_accounts_reserved_by_payouts", "ledger_holders": "ledger_holders_by_movements"}

    def tamper(of_account: int, of_holder: int) -> None:
        """As one who owns the tables might, and turns off what guards them."""
        with psycopg.connect(engine.database_url) as connection:
            for table, guard in guards.items():
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}".encode())
            [account] = connection.execute(
                "UPDATE emi_accounts SET reserved_balance = %s WHERE account_number = 'RESERVED' RETURNING id",
                [of_account],
            )
            connection.execute("UPDATE ledger_holders SET reserved = %s WHERE account_id = %s", [of_holder, *account])
            for table, guard in guards.items():
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER {guard}".encode())

    tamper(2, 3)
    done = engine.cli("check")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "RESERVED AED: reserved 2.00000000, its payouts hold 0",
        "RESERVED AED holder unattributed: reserved 3.00000000, its payouts hold 0",
    ]
    tamper(0, 0)
    assert engine.cli("check").returncode == 0


def test_an_account_whose_ledger_is_kept_elsewhere_is_taken_on_as_such(engine: Engine) -> None:
    made = engine.cli("accounts", "create", "EXT", "--currency", "AED", "--bank", "B", "--ledger-mode", "external")
    assert made.returncode == 0, made.stderr
    assert engine.account("EXT")["ledger_mode"] == "external"


def test_a_command_starts_without_what_only_the_engine_or_a_printer_needs() -> None:
    heavy = ("fastapi", "uvicorn", "reportlab", "xlsxwriter")
    script = f"import sys, token_engine.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
