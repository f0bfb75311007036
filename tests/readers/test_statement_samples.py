"""Every published statement is checked as an independent checker found it: what adds up, and what does not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from readers.test_public_samples import EXPECTED, REFUSED, ROWS
from token_engine.domain.account import Account
from token_engine.domain.breaker import Breaker
from token_engine.domain.checks import Tally
from token_engine.domain.notification import Notification, StatedBalance
from token_engine.domain.pages import Complete, arrange
from token_engine.domain.statement import Check, Outcome, Statement
from token_engine.domain.statement_balances import CLOSING, OPENING
from token_engine.domain.statement_checks import check
from token_engine.iso20022.reader import read_message

STATEMENTS = [
    row for row in ROWS
    if row["type"].startswith(("camt.053", "MT940", "MT950")) and row["bad"] != "True" and row["path"] not in REFUSED
]  # fmt: skip
_LATEST = date(2026, 12, 31)


def only(stated: Notification, codes: tuple[str, ...]) -> StatedBalance | None:
    for code in codes:
        if found := [b for b in stated.heading.balances if b.code == code]:
            return found[0] if len(found) == 1 else None
    return None


def checked(said: Notification) -> tuple[Statement, dict[str, Check]]:
    opening, closing, tally, later = only(said, OPENING), only(said, CLOSING), Tally(), Tally()
    for entry in said.entries:
        tally.add(entry)
        if closing and closing.as_of and entry.value_date and entry.value_date > closing.as_of:
            later.add(entry)
    whole = Statement(
        heading=said.heading, lines=tally.entries, currencies=frozenset(tally.currencies), amount_sum=tally.amounts,
        booked_sum=tally.booked_sum, valued_later=later.booked_sum,
    )  # fmt: skip
    currency = next(iter({b.currency for b in said.heading.balances} | tally.currencies), "EUR")
    account = Account(
        id=UUID(int=1), number=said.heading.account_number, currency=currency, ledger=Decimal(0), bank=Decimal(0),
        breaker=Breaker.CLOSED,
    )  # fmt: skip
    found = check(whole, account, opening, closing, None, latest=_LATEST)
    return whole, {each.name: each for each in found}


@pytest.mark.parametrize("row", STATEMENTS, ids=lambda row: row["path"])
def test_entries_sum(row: dict[str, str]) -> None:
    got = read_message((EXPECTED.parent / row["path"]).read_bytes())
    assert isinstance(got, tuple)
    sums = [checked(said)[1]["entries_sum"] for said in got]
    outcomes = {each.outcome for each in sums}
    match row["invariant"]:
        case "holds":
            assert Outcome.PASSED in outcomes
            assert Outcome.FAILED not in outcomes
        case "fails":
            assert Outcome.FAILED in outcomes
        case "holds-only-if future-valued entries left out":
            assert outcomes == {Outcome.PASSED}
            assert all("valued after the closing balance's date" in each.text for each in sums)
        case _:
            assert outcomes == {Outcome.NOT_CHECKABLE}


def test_pages_that_stand_in_one_file_are_one_statement() -> None:
    row = next(row for row in STATEMENTS if row["path"].endswith("test/fixtures/sepa_mt9401.txt"))
    got = read_message((EXPECTED.parent / row["path"]).read_bytes())
    assert isinstance(got, tuple)
    by_account: dict[str, list[Statement]] = {}
    for said in got:
        by_account.setdefault(said.heading.account_number, []).append(checked(said)[0])
    assert sorted(len(pages) for pages in by_account.values() if len(pages) > 1) == [2, 2, 2, 2, 3]
    for pages in by_account.values():
        assert isinstance(arrange(pages[:1]), Complete) is (len(pages) == 1)
        found = arrange(pages)
        assert isinstance(found, Complete)
        assert found.check.outcome is (Outcome.PASSED if len(pages) > 1 else Outcome.NOT_CHECKABLE)
