"""How far a statement has come, on a terminal: it moves, it is gone at the end, and it is nowhere else."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine import COMMAND, V1, Engine, environment, wait_for
from road.statement_writer import line, message, statement

Account = Callable[..., str]
LINES = 12_000
STEPS = ["reading", "waiting for its account", "checking", "pairing", "recording", "matching", "judging", "keeping",
         "committing"]  # fmt: skip
HIDDEN, SHOWN, ERASED = "\x1b[?25l", "\x1b[?25h", "\x1b[2K"


class Terminal:
    """A command whose standard error is a terminal, and whose standard output is a pipe."""

    def __init__(self, engine: Engine, *words: str) -> None:
        master, slave = pty.openpty()
        self.seen, self.out = "", b""
        self._process = subprocess.Popen(
            [*COMMAND, *words, "--data", str(engine.data)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=slave, env=environment({"TERM": "xterm", "COLUMNS": "120"}),
        )  # fmt: skip
        os.close(slave)
        self._readers = [threading.Thread(target=self._look, args=[master]), threading.Thread(target=self._read)]
        for reader in self._readers:
            reader.start()

    def _look(self, master: int) -> None:
        with os.fdopen(master, "rb", buffering=0) as screen:
            while True:
                try:
                    drawn = screen.read(4096)
                except OSError:  # its other end is closed
                    return
                self.seen += drawn.decode(errors="replace")

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.out = self._process.stdout.read()

    def end(self) -> int:
        """Its exit code, when all that it said is read."""
        code = self._process.wait(60)
        for reader in self._readers:
            reader.join(10)
        return code


def large(number: str, day: str, *, closing: int = 1_000_000 + LINES) -> bytes:
    lines = [line("1", reference=f"{number}-{n:05d}", day=day) for n in range(LINES)]
    stated = statement(*lines, opening="1000000", closing=str(closing), account=number, day=day, name=f"S-{number}")
    return message(stated.replace("<IBAN>", "<Othr><Id>").replace("</IBAN>", "</Id></Othr>"), name=f"M-{number}")


@contextmanager
def locked(engine: Engine, number: str) -> Iterator[None]:
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("SELECT 1 FROM emi_accounts WHERE account_number = %s FOR NO KEY UPDATE", [number])
        yield


@pytest.mark.parametrize("command", ["ingest", "close-day"])
def test_taking_in_a_statement_moves_and_ends(engine: Engine, account: Account, tmp_path: Path, command: str) -> None:
    number = account(ledger_balance=str(1_000_000), bank_balance="1000000")
    file = tmp_path / "[bold]day.xml"
    file.write_bytes(large(number, "2025-11-18"))
    with locked(engine, number):  # what is shown is what it does: here, waiting
        terminal = Terminal(engine, command, str(file), "--json")
        wait_for(lambda: "waiting for its account" in terminal.seen, seconds=30)
        time.sleep(0.3)
        assert "checking" not in terminal.seen
    terminal.end()
    places = [terminal.seen.find(f"[bold]day.xml: {step}") for step in STEPS]
    assert -1 not in places, (STEPS[places.index(-1)], terminal.seen)
    assert places == sorted(places)
    [total] = set(re.findall(r"reading [\d.]+ [kM]?B of ([\d.]+ MB)", terminal.seen))
    assert abs(float(total.split()[0]) - file.stat().st_size / 1e6) < 0.1
    figures = re.findall(r"reading ([\d.]+ [kM]?B) of", terminal.seen)
    assert len(set(figures)) > 1, figures
    assert terminal.seen.rstrip().endswith((ERASED, SHOWN)), "the line is taken away"
    assert terminal.seen.count(HIDDEN) == terminal.seen.count(SHOWN)
    rows = [json.loads(row) for row in terminal.out.splitlines()]
    [row] = [row for row in rows if number in str(row)]
    assert (row["receipt"] if command == "ingest" else row["account_number"]) in ("Recorded", number)


def test_what_is_rejected_goes_where_answers_go(engine: Engine, account: Account, tmp_path: Path) -> None:
    """Also while standard error is a terminal, and in the form that was asked for."""
    number = account()
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(message(statement(opening="1000000", closing="1000000", name="S").replace("AE07", "AE08")))
    bad.write_text("no statement")
    for command in ("ingest", "close-day"):
        terminal = Terminal(engine, command, str(bad), str(good), str(tmp_path / "none.xml"), "--json")
        assert terminal.end() == 1
        rows = [json.loads(row) for row in terminal.out.splitlines()]
        refused = [row["error"]["code"] for row in rows if row.get("receipt") == "Rejected"]
        assert refused == ["not_a_bank_message", "unknown_account"]
        assert "none.xml: No such file or directory" in terminal.seen
        assert "good.xml (2 of 3): " in terminal.seen
        assert (command == "ingest") is not any(row.get("account_number") == number for row in rows)


def test_a_release_says_how_far_it_is(engine: Engine, account: Account) -> None:
    number = account()
    raw = large(number, "2025-11-18", closing=1_000_001 + LINES)
    answer = engine.http.post(f"{V1}/reconciliation/eod", content=raw)
    assert answer.is_success, answer.text
    held = engine.get(f"{V1}/statements?account_id={number}")["statements"][0]["id"]
    words = ["statement", "release", str(held), "--actor", "ann", "--reason", "letter"]
    assert Terminal(engine, *words).end() == 0
    terminal = Terminal(engine, "statement", "approve", str(held), "--actor", "bob", "--reason", "seen", "--json")
    assert terminal.end() == 0
    said = ["fetching what was kept", "reading", "checking", "recording", "matching", "judging"]
    places = [terminal.seen.find(f"statement {held}: {step}") for step in said]
    assert -1 not in places, terminal.seen
    assert places == sorted(places)
    assert json.loads(terminal.out)["state"] == "RELEASED"


def test_without_a_terminal_there_is_none_of_it(engine: Engine, account: Account, tmp_path: Path) -> None:
    file = tmp_path / "day.xml"
    file.write_bytes(large(number := account(), "2025-11-18"))
    done = engine.cli("ingest", file, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    told: list[Any] = [json.loads(row) for row in done.stdout.splitlines()]
    assert [row["days"][0]["account_number"] for row in told] == [number]
    done = engine.cli("close-day", file, "--date", "2025-11-18")
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert b"reading" not in done.stdout
