"""What UK Open Banking and UAE Open Finance say differently of the same fields."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from connectors.bank import Bank, ok
from connectors.subjects import ACCOUNT, NOW
from token_engine.banks.connector import Connector
from token_engine.banks.uae_open_finance import UaeOpenFinance, UaeOpenFinanceSettings
from token_engine.banks.uk_open_banking import UkOpenBanking, UkOpenBankingSettings
from token_engine.domain.observation import Freshness, NoObservation, Observation, Why

DAY = Freshness(closing_minutes=24 * 60)
UK = UkOpenBankingSettings(version="v3.1", freshness=DAY)
UAE = UaeOpenFinanceSettings(freshness=DAY)


def ask(
    bank: Bank, settings: UkOpenBankingSettings | UaeOpenFinanceSettings, **said: Any
) -> Observation | NoObservation:
    balance = {
        "Type": "InterimBooked",
        "CreditDebitIndicator": "Credit",
        "DateTime": "2026-11-23T10:20:00Z",
        "Amount": {"Amount": "5.00", "Currency": "AED"},
    } | said
    if isinstance(settings, UkOpenBankingSettings):
        content: Any = {"Data": {"Balance": [{"AccountId": "resource-1"} | balance]}}
    else:
        content = {"Data": {"AccountId": "resource-1", "Balance": [balance]}}
    bank.respond = lambda request: ok(content)

    async def run() -> Observation | NoObservation:
        client = httpx2.AsyncClient(base_url=bank.base_url, verify=False)
        match settings:
            case UkOpenBankingSettings():
                connector: Connector = UkOpenBanking(client, settings)
            case UaeOpenFinanceSettings():
                connector = UaeOpenFinance(client, settings)
        answer = await connector.booked_balance(ACCOUNT, NOW)
        await connector.close()
        return answer

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "word", "said", "as_of"),
    [
        (UK, "InterimBooked", "2026-11-23T10:20:00+00:00", "2026-11-23T10:20:00+00:00"),
        (UAE, "InterimBooked", "2026-11-23T14:20:00+04:00", "2026-11-23T10:20:00+00:00"),
        # The UK's is the time of the balance.
        (UK, "ClosingBooked", "2026-11-22T23:59:59+00:00", "2026-11-22T23:59:59+00:00"),
        (UK, "PreviouslyClosedBooked", "2026-11-22T18:00:00+00:00", "2026-11-22T18:00:00+00:00"),
        # What a day opened with has nothing of the day in it.
        (UK, "OpeningBooked", "2026-11-23T10:20:00+00:00", "2026-11-23T00:00:00+00:00"),
        # The UAE's is when it was looked at: what the last day closed with was so at midnight in Dubai.
        (UAE, "ClosingBooked", "2026-11-23T14:20:00+04:00", "2026-11-22T20:00:00+00:00"),
        (UAE, "PreviouslyClosedBooked", "2026-11-23T10:20:00Z", "2026-11-22T20:00:00+00:00"),
        (UAE, "OpeningBooked", "2026-11-23T10:20:00Z", "2026-11-22T20:00:00+00:00"),
    ],
)
def test_the_reference_time(bank: Bank, settings: Any, word: str, said: str, as_of: str) -> None:
    answer = ask(bank, settings, Type=word, DateTime=said)
    assert isinstance(answer, Observation), answer
    assert (answer.as_of.isoformat(), answer.balance_type) == (as_of, word)


@pytest.mark.parametrize("settings", [UK, UAE], ids=["uk", "uae"])
@pytest.mark.parametrize("word", ["InterimCleared", "ClosingCleared", "Information", "InterimAvailable", "ITAV", ""])
def test_what_is_not_booked(bank: Bank, settings: Any, word: str) -> None:
    answer = ask(bank, settings, Type=word)
    assert isinstance(answer, NoObservation)
    assert (answer.why, repr(word) in answer.text) == (Why.NO_BOOKED_BALANCE, True)


@pytest.mark.parametrize("settings", [UK, UAE], ids=["uk", "uae"])
@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"CreditDebitIndicator": "CRDT"}, "CreditDebitIndicator"),
        ({"CreditDebitIndicator": None}, "CreditDebitIndicator"),
        ({"Amount": {"Amount": "-5.00", "Currency": "AED"}}, "Amount.Amount"),
        ({"Amount": {"Amount": 5.0, "Currency": "AED"}}, "Amount"),
        ({"Amount": {"Amount": "5.00", "Currency": "aed"}}, "Amount.Amount"),
        ({"Amount": {"Amount": "5.00"}}, "Currency"),
        ({"DateTime": None}, "DateTime"),
        ({"DateTime": "2026-11-23T10:20:00"}, "time zone"),
        ({"CreditLine": [{"Included": "true"}]}, "CreditLine"),
    ],
)
def test_what_the_standard_does_not_allow(bank: Bank, settings: Any, said: dict[str, Any], place: str) -> None:
    """The sign is told by the indicator alone: a minus beside it could mean either."""
    answer = ask(bank, settings, **said)
    assert isinstance(answer, NoObservation), answer
    assert (answer.why, place in answer.text) == (Why.UNREADABLE, True), answer


@pytest.mark.parametrize("settings", [UK, UAE], ids=["uk", "uae"])
@pytest.mark.parametrize(
    ("lines", "included"),
    [
        ([], False),
        (None, False),
        ([{"Included": False}], False),
        ([{}], False),
        ([{"Included": False}, {"Included": True}], True),
    ],
)
def test_credit_lines(bank: Bank, settings: Any, lines: Any, included: bool) -> None:
    answer = ask(bank, settings, CreditLine=lines)
    assert isinstance(answer, NoObservation) == included, answer
    if isinstance(answer, NoObservation):
        assert answer.why is Why.CREDIT_LINE_INCLUDED
