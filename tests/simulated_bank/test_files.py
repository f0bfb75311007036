"""The files that the simulated bank drops, read and checked by the engine's own reader and rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from simulated_bank.running import IBAN, OTHER, RunningBank
from token_engine.domain.account import Account
from token_engine.domain.breaker import Breaker
from token_engine.domain.entry import signed_amount
from token_engine.domain.notification import Notification
from token_engine.domain.refusal import Refusal
from token_engine.domain.statement import Check, Outcome, Previous, Statement
from token_engine.domain.statement_balances import closing_of, opening_of
from token_engine.domain.statement_checks import check
from token_engine.iso20022.reader import read_message

TODAY = datetime.now(UTC).date()


def read(bank: RunningBank, **asked: str) -> list[Notification]:
    """What the engine reads in the files that are written."""
    found: list[Notification] = []
    for name in bank.control("files", asked)["files"]:
        path = Path(name)
        assert path.parent == bank.folder
        sections = read_message(path.read_bytes())
        assert not isinstance(sections, Refusal), sections
        found += sections
    assert not list(bank.folder.glob(".*")), "no file under a temporary name is left"
    return found


def checked(said: Notification, number: str, currency: str, previous: Previous | None) -> dict[str, Check]:
    signed = [signed_amount(entry) for entry in said.entries]
    statement = Statement(
        heading=said.heading, lines=len(signed), currencies=frozenset(entry.currency for entry in said.entries),
        booked_sum=sum(signed, Decimal(0)), amount_sum=sum(map(abs, signed), Decimal(0)),
    )  # fmt: skip
    account = Account(
        id=UUID(int=1), number=number, currency=currency, ledger=Decimal(0), bank=Decimal(0), breaker=Breaker.CLOSED
    )
    opening, closing = opening_of(said.heading), closing_of(said.heading)
    found = check(statement, account, opening, closing, previous, latest=TODAY)
    return {each.name: each for each in found}


def balances(said: Notification) -> dict[str, tuple[Decimal, str]]:
    return {each.code: (each.signed, each.currency) for each in said.heading.balances}


def test_a_statement_of_a_day_passes_every_check(bank: RunningBank) -> None:
    bank.book(IBAN, "100.00", reference="R-1", end_to_end="E2E-1", text="an <odd> & ample name")
    bank.book(IBAN, "-40.50", reference="R-2")
    bank.fault("fee", account=IBAN, amount="1.25", times=1)
    bank.book(IBAN, "-9.00")
    [said] = read(bank, kind="statement", account=IBAN)
    assert said.heading.type == "camt.053.001.08"
    assert balances(said) == {"OPBD": (Decimal(1000000), "AED"), "CLBD": (Decimal("1000049.25"), "AED")}
    assert [signed_amount(entry) for entry in said.entries] == [Decimal(a) for a in ("100", "-40.50", "-9.00", "-1.25")]
    first = said.entries[0]
    assert (first.servicer_reference, first.end_to_end_id, first.booking_date) == ("R-1", "E2E-1", TODAY)
    before = Previous(TODAY - timedelta(days=1), Decimal(1000000), "0")
    found = checked(said, IBAN, "AED", before)
    assert {name: each.outcome for name, each in found.items()} == dict.fromkeys(found, Outcome.PASSED)
    assert read(bank, kind="statement", account=IBAN) == [said], "a closed day is stated as it was"


def test_an_overdrawn_account_at_a_bank_without_ibans(bank: RunningBank) -> None:
    bank.book(OTHER, "-0.50")
    [said] = read(bank, kind="statement", account=OTHER)
    assert balances(said) == {"OPBD": (Decimal("-250.50"), "USD"), "CLBD": (Decimal(-251), "USD")}
    found = checked(said, OTHER, "USD", Previous(None, Decimal("-250.50")))
    assert not [each for each in found.values() if each.outcome is Outcome.FAILED]


def test_a_missing_entry_is_in_the_balances_and_not_in_the_files(bank: RunningBank) -> None:
    bank.open(("AE460261000000000000001", "AED", "10.00"))
    bank.fault("missing_entry", account="AE460261000000000000001", times=1)
    bank.book("AE460261000000000000001", "-3.00")
    bank.book("AE460261000000000000001", "2.00")
    [report] = read(bank, kind="report", account="AE460261000000000000001")
    [said] = read(bank, kind="statement", account="AE460261000000000000001")
    assert [signed_amount(entry) for entry in said.entries] == [signed_amount(e) for e in report.entries] == [2]
    assert balances(report)["ITBD"] == balances(said)["CLBD"] == (Decimal(9), "AED")
    found = checked(said, "AE460261000000000000001", "AED", None)
    assert [name for name, each in found.items() if each.outcome is Outcome.FAILED] == ["entries_sum"]


def test_a_report_tells_how_things_stand(bank: RunningBank) -> None:
    bank.open(("50100123456789", "INR", "415000000.00"))
    booked = [bank.book("50100123456789", amount)[0] for amount in ("10.00", "-4.00")]
    [said] = read(bank, kind="report", account="50100123456789")
    assert said.heading.type == "camt.052.001.08"
    assert balances(said)["ITBD"] == (Decimal("415000006.00"), "INR")
    assert [entry.servicer_reference for entry in said.entries] == [entry["reference"] for entry in booked]
    read(bank, kind="statement", account="50100123456789")
    [after] = read(bank, kind="report", account="50100123456789")
    assert after.entries == (), "only what no statement has"


def test_notifications_are_dropped_once_each(bank: RunningBank) -> None:
    read(bank, kind="notifications")
    [told] = bank.book(IBAN, "1.00")
    bank.fault("silent_debit", account=IBAN, times=1)
    bank.book(IBAN, "2.00")
    bank.book(IBAN, "-3.00")
    bank.fault("duplicate", account=IBAN, times=1)
    [twice] = bank.book(IBAN, "4.00")
    found = read(bank, kind="notifications")
    assert [signed_amount(each.entries[0]) for each in found] == [1, 2, 4, 4], "nothing ever of the silent debit"
    assert found[0].heading.type == "camt.054.001.08"
    assert found[0].entries[0].servicer_reference == told["reference"]
    assert found[2].entries[0].servicer_reference == found[3].entries[0].servicer_reference == twice["reference"]
    assert len({each.heading.message_id for each in found}) == 4, "two messages of one entry"
    assert read(bank, kind="notifications") == []


def test_what_the_controls_refuse(bank: RunningBank) -> None:
    for path, said, status in (
        ("accounts/nobody/entries", {"amount": "1"}, 404),
        (f"accounts/{IBAN}/entries", {"amount": "0.001"}, 400),
        (f"accounts/{IBAN}/entries", {"amount": "1", "reference": "<odd>"}, 400),
        (f"accounts/{IBAN}/entries", {"amount": "1", "referrence": "R"}, 400),
        ("files", {"kind": "statement", "account": IBAN, "day": str(date(2020, 1, 1))}, 400),
        ("files", {"kind": "statement"}, 404),
        ("faults", {"kind": "storm"}, 400),
        ("accounts", [{"number": "N", "currency": "ABC"}], 400),
    ):
        assert bank.http.post(f"/simulated/{path}", json=said).status_code == status, (path, said)


@pytest.mark.parametrize("path", ["accounts", f"accounts/{IBAN}"])
def test_the_books_can_be_looked_at(bank: RunningBank, path: str) -> None:
    bank.book(IBAN, "0.10", text="seen")
    answer = bank.http.get(f"/simulated/{path}").text
    assert '"balance":"' in answer, "amounts are texts"
    assert ("seen" in answer) == (path != "accounts")
