"""The engine's connectors at the simulated bank: what they observe, and what each of its faults comes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from simulated_bank.asking import ask
from simulated_bank.running import BERLIN, IBAN, OTHER, UAE, UK, UK_3, RunningBank
from token_engine.domain.observation import BankAccount, NoObservation, Observation, Why

APIS = (BERLIN, UK, UK_3, UAE)


def account(bank: RunningBank, number: str = IBAN, currency: str = "AED") -> BankAccount:
    return BankAccount(number=number, currency=currency, resource=bank.resource(number))


@pytest.mark.parametrize("api", APIS)
def test_a_silent_debit_is_in_the_next_observation(bank: RunningBank, api: str) -> None:
    before = ask(api, bank, account(bank))
    assert isinstance(before, Observation), before
    bank.control("files", {"kind": "notifications"})
    bank.fault("silent_debit", account=IBAN, times=1)
    bank.book(IBAN, "-777.77")
    assert bank.control("files", {"kind": "notifications"})["files"] == [], "nobody is told"
    after = ask(api, bank, BankAccount(number=IBAN, currency="AED"))
    assert isinstance(after, Observation), after
    assert after.balance == before.balance - Decimal("777.77")
    assert before.as_of <= after.as_of <= datetime.now(UTC)
    overdrawn = ask(api, bank, account(bank, OTHER, "USD"))
    assert isinstance(overdrawn, Observation), overdrawn
    assert overdrawn.balance == Decimal("-250.50")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("fault", "more", "why"),
    [
        ("throttled", {"retry_after": 11}, Why.THROTTLED),
        ("server_error", {}, Why.SERVER_ERROR),
        ("not_json", {}, Why.UNREADABLE),
        ("cut", {}, Why.UNREACHABLE),
        ("other_currency", {}, Why.OTHER_CURRENCY),
        ("stale", {}, Why.TOO_OLD),
        ("no_booked_balance", {}, Why.NO_BOOKED_BALANCE),
        ("credit_line", {}, Why.CREDIT_LINE_INCLUDED),
        ("other_account", {}, Why.OTHER_ACCOUNT),
    ],
)
def test_what_a_fault_comes_to(bank: RunningBank, api: str, fault: str, more: dict[str, Any], why: Why) -> None:
    asked = account(bank)
    bank.fault(fault, account=IBAN, **more)
    seen = ask(api, bank, asked)
    assert isinstance(seen, NoObservation), seen
    assert seen.why is why, seen
    assert seen.retry_after == (timedelta(seconds=11) if why is Why.THROTTLED else None)
    bank.well_again()
    assert isinstance(ask(api, bank, asked), Observation)


def test_a_bank_that_is_too_slow(bank: RunningBank) -> None:
    asked = account(bank)
    bank.fault("slow", account=IBAN, milliseconds=1500)
    seen = ask(UK, bank, asked, seconds=1)
    assert isinstance(seen, NoObservation)
    assert seen.why is Why.TIMED_OUT


@pytest.mark.parametrize("api", APIS)
def test_an_account_that_the_bank_does_not_have(bank: RunningBank, api: str) -> None:
    for unknown in (
        BankAccount(number="AE000000000000000000000", currency="AED"),
        BankAccount(number=IBAN, currency="EUR"),
    ):
        seen = ask(api, bank, unknown)
        assert isinstance(seen, NoObservation)
        assert seen.why in (Why.UNKNOWN_ACCOUNT, Why.OTHER_CURRENCY), seen
