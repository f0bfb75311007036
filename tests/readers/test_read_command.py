"""`token-engine read`, called as its users call it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from readers.messages import ACCOUNT, CLOSING, ENTRY, JSON, LINE, STATEMENT_JSON, camt, entry, mt940
from readers.test_bundle import zipped
from readers.test_camt import balance


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "token_engine", "read", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


STATEMENT = camt(
    ENTRY,
    entry('<Amt Ccy="AED">30.50</Amt>', "<CdtDbtInd>DBIT</CdtDbtInd>"),
    entry(rest="<Sts>PDNG</Sts>"),
    kind="camt.053",
    head=ACCOUNT
    + balance("<Cd>OPBD</Cd>", "10", "<CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2025-11-18</Dt></Dt>")
    + balance("<Cd>CLBD</Cd>", "59.50")
    + balance("<Cd>CLAV</Cd>", "1")
    + balance("<Cd>CLAV</Cd>", "2")
    + "<TxsSummry><TtlNtries><NbOfNtries>4</NbOfNtries></TtlNtries></TxsSummry>",
)


def test_one_line_per_statement(tmp_path: Path) -> None:
    file = tmp_path / "day.xml"
    file.write_text(STATEMENT)
    done = run(str(file), "--json")
    assert done.returncode == 0
    assert done.stderr == b""
    assert lines(done) == [
        {
            "file": str(file),
            "type": "camt.053.001.08",
            "message_id": "M-1",
            "id": "N-1",
            "account": "AE070331234567890123456",
            "currency": "AED",
            "entries": 3,
            "booked_entries": 2,
            "booked_sum": "69.50",
            "balances": {
                "OPBD": {"amount": "-10.00", "currency": "AED", "date": "2025-11-18"},
                "CLBD": {"amount": "59.50", "currency": "AED", "date": None},
                "CLAV": [
                    {"amount": "1.00", "currency": "AED", "date": None},
                    {"amount": "2.00", "currency": "AED", "date": None},
                ],
            },
            "checks": [
                {"name": "opening_plus_booked_equals_closing", "outcome": "passed"},
                {"name": "entry_count", "outcome": "failed", "expected": "4", "actual": "3"},
                {"name": "entry_sum", "outcome": "not_checkable"},
            ],
        }
    ]


def test_currency_is_told_by_the_entries_else_the_balances_else_by_nobody() -> None:
    head = "<Acct><Id><Othr><Id>1</Id></Othr></Id></Acct>"
    dollars = entry('<Amt Ccy="USD">1</Amt>')
    for entries, rest, currency in (
        ((dollars, dollars), "", "USD"),
        ((dollars, ENTRY), "", None),
        ((), balance("<Cd>OPBD</Cd>", "1"), "AED"),
        ((), "", None),
    ):
        done = run("-", "--json", stdin=camt(*entries, head=head + rest).encode())
        assert lines(done)[0]["currency"] == currency


def test_unreadable_files_are_told_and_the_others_still_read(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.xml", tmp_path / "good.json"
    bad.write_text(camt(ENTRY, "\n" + entry("")))
    good.write_text(json.dumps(JSON))
    missing = tmp_path / "missing.xml"
    done = run(str(bad), str(missing), str(good), "--json")
    assert done.returncode == 1
    assert [line["file"] for line in lines(done)] == [str(good)]
    assert lines(done)[0]["type"] == "camt.054"
    told = done.stderr.decode().splitlines()
    assert told == [
        f"{bad}: is missing (line 2) (Ntfctn[1]/Ntry[2]/Amt)",
        f"{missing}: No such file or directory",
    ]


def test_a_message_broken_at_its_end_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cut.xml"
    file.write_text(camt(ENTRY, between=f"<Ntfctn><Id>N-2</Id>{ACCOUNT}{ENTRY}</Ntfctn>")[:-30])
    done = run(str(file), "--json")
    assert (done.returncode, done.stdout) == (1, b"")


def test_each_member_of_a_bundle_is_read(tmp_path: Path) -> None:
    file = tmp_path / "month.zip"
    file.write_bytes(zipped({"a.xml": STATEMENT.encode(), "notes.txt": b"hello", "d/b.xml": camt().encode()}))
    done = run(str(file), "--json")
    assert done.returncode == 1
    assert [(line["file"], line["member"]) for line in lines(done)] == [
        (str(file), "a.xml"),
        (str(file), "d/b.xml"),
    ]
    assert done.stderr.decode().startswith(f"{file}: notes.txt: neither XML, JSON nor SWIFT MT")


def test_standard_input_plain_zipped_and_gzipped() -> None:
    plain = run("-", "--json", stdin=STATEMENT.encode())
    assert lines(plain)[0]["file"] == "-"
    assert lines(run("-", "--json", stdin=gzip.compress(STATEMENT.encode()))) == lines(plain)
    assert lines(run("-", "--json", stdin=zipped({"a.xml": STATEMENT.encode()})))[0]["member"] == "a.xml"
    assert run("-", stdin=b"").returncode == 1


def test_for_people_a_table(tmp_path: Path) -> None:
    file = tmp_path / "day.xml"
    file.write_text(STATEMENT)
    done = run(str(file))
    assert done.returncode == 0
    assert "69.50 AED" in done.stdout.decode()


def test_an_mt940_is_told_with_the_balances_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "day.sta"
    file.write_text(mt940(LINE, closing=f"{CLOSING}\r\n:64:C251118AED900,") + mt940(LINE, LINE))
    done = run(str(file), "--json")
    assert done.returncode == 0
    one, two = lines(done)
    assert (one["type"], one["id"], one["entries"], one["booked_sum"]) == ("MT940", None, 1, "100.00")
    assert one["balances"]["CLBD"] == {"amount": "1100.00", "currency": "AED", "date": "2025-11-18"}
    assert one["balances"]["CLAV"]["amount"] == "900.00"
    assert [row["checks"][0]["outcome"] for row in (one, two)] == ["passed", "failed"]
    assert "MT940" in run(str(file)).stdout.decode()


def test_what_is_wrong_with_an_mt940_is_told_by_field_and_line(tmp_path: Path) -> None:
    file = tmp_path / "day.sta"
    file.write_text(mt940(LINE, ":61:251132C1,00NTRFNONREF"))
    done = run(str(file), "--json")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"{file}: 251132 is no date (line 6) (MT[1]/61[2]/value date)\n"


def test_a_json_statement_that_does_not_add_up_and_names_no_currency(tmp_path: Path) -> None:
    file = tmp_path / "day.json"
    file.write_text(json.dumps({name: said for name, said in STATEMENT_JSON.items() if name != "currency"}))
    (row,) = lines(run(str(file), "--json"))
    assert (row["type"], row["currency"], row["entries"], row["booked_sum"]) == ("camt.053", None, 1, "100000.00")
    assert row["balances"]["CLBD"] == {"amount": "5250000.00", "currency": None, "date": "2025-11-18"}
    assert row["checks"][0]["outcome"] == "failed"
    assert b"5250000.00" in run(str(file)).stdout
