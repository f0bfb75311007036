"""What a message says about itself: passed, failed, or not checkable."""

from __future__ import annotations

from decimal import Decimal

import pytest

from token_engine.domain.checks import Tally, checks
from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.statement import Outcome

PASSED, FAILED, NOT_CHECKABLE = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_CHECKABLE


def tally(*signed: str, pending: str = "0") -> Tally:
    counted = Tally()
    for text in signed:
        amount = Decimal(text)
        side = CreditDebit.DBIT if amount < 0 else CreditDebit.CRDT
        counted.add(Entry(amount=abs(amount), currency="AED", credit_debit=side, status=EntryStatus.BOOK))
    if pending != "0":
        credit = CreditDebit.CRDT
        counted.add(Entry(amount=Decimal(pending), currency="AED", credit_debit=credit, status=EntryStatus.PDNG))
    return counted


def heading(*balances: tuple[str, str], stated_entries: int | None = None, stated_sum: str | None = None) -> Heading:
    return Heading(
        kind=MessageKind.STATEMENT,
        type="camt.053",
        message_id="M",
        account_number="1",
        balances=tuple(
            StatedBalance(
                code=code,
                amount=abs(Decimal(amount)),
                currency="AED",
                credit_debit=CreditDebit.DBIT if amount.startswith("-") else CreditDebit.CRDT,
            )
            for code, amount in balances
        ),
        stated_entries=stated_entries,
        stated_sum=None if stated_sum is None else Decimal(stated_sum),
    )


@pytest.mark.parametrize(
    ("balances", "entries", "outcome"),
    [
        ([("OPBD", "10"), ("CLBD", "15.00")], ["7", "-2"], PASSED),
        ([("PRCD", "10"), ("CLBD", "15")], ["5"], PASSED),
        ([("OPBD", "10"), ("PRCD", "99"), ("CLBD", "15")], ["5"], PASSED),
        ([("OPBD", "-10"), ("CLBD", "-5")], ["5"], PASSED),
        ([("OPBD", "10"), ("CLBD", "10")], [], PASSED),
        ([("OPBD", "5000000"), ("CLBD", "5250000")], ["100000"], FAILED),
        ([("OPBD", "10"), ("CLBD", "15")], ["5.00001"], FAILED),
        ([("OPBD", "10")], ["5"], NOT_CHECKABLE),
        ([("CLBD", "15")], ["5"], NOT_CHECKABLE),
        ([("OPBD", "10"), ("ITBD", "15")], ["5"], NOT_CHECKABLE),
        ([("OPBD", "10"), ("CLBD", "15"), ("CLBD", "16")], ["5"], NOT_CHECKABLE),
        ([], ["5"], NOT_CHECKABLE),
    ],
)
def test_opening_plus_booked_equals_closing(
    balances: list[tuple[str, str]], entries: list[str], outcome: Outcome
) -> None:
    check = checks(heading(*balances), tally(*entries))[0]
    assert (check.name, check.outcome) == ("opening_plus_booked_equals_closing", outcome)


def test_a_failed_check_says_what_was_stated_and_what_was_found() -> None:
    check = checks(heading(("OPBD", "5000000"), ("CLBD", "5250000")), tally("100000"))[0]
    assert (check.expected, check.actual) == (Decimal(5250000), Decimal(5100000))


def test_pending_entries_are_counted_and_never_part_of_a_balance() -> None:
    counted = tally("5", pending="3")
    stated = heading(("OPBD", "10"), ("CLBD", "15"), stated_entries=2, stated_sum="8.00")
    assert [check.outcome for check in checks(stated, counted)] == [PASSED, PASSED, PASSED]
    assert (counted.entries, counted.booked_entries, counted.booked_sum) == (2, 1, Decimal(5))


def test_stated_totals_add_amounts_without_signs() -> None:
    outcomes = [check.outcome for check in checks(heading(stated_sum="9"), tally("5", "-4"))]
    assert outcomes == [NOT_CHECKABLE, NOT_CHECKABLE, PASSED]
    wrong = checks(heading(stated_entries=3, stated_sum="1"), tally("5", "-4"))
    assert [(c.name, c.outcome) for c in wrong[1:]] == [("entry_count", FAILED), ("entry_sum", FAILED)]


def test_sums_stay_exact_where_a_float_would_not() -> None:
    counted = tally(*["0.1"] * 3, "999999999999999999.99999")
    assert counted.booked_sum == Decimal("1000000000000000000.29999")
