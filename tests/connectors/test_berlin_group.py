"""What NextGenPSD2 leaves open: the reference time of a balance, and which account an answer is of."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import httpx2
import pytest

from connectors.bank import Bank, ok
from connectors.subjects import ACCOUNT, NOW, REFERENCE
from token_engine.banks.berlin_group import BerlinGroup, BerlinGroupSettings
from token_engine.domain.observation import BankAccount, Freshness, NoObservation, Observation, Why

WEEK = Freshness(interim_minutes=60, closing_minutes=7 * 24 * 60)


def ask(
    bank: Bank, content: Any, account: BankAccount = ACCOUNT, now: datetime = NOW, **settings: Any
) -> Observation | NoObservation:
    bank.respond = lambda request: ok(content)

    async def run() -> Observation | NoObservation:
        client = httpx2.AsyncClient(base_url=bank.base_url, verify=False)
        connector = BerlinGroup(client, BerlinGroupSettings(consent=REFERENCE, **settings))
        answer = await connector.booked_balance(account, now)
        await connector.close()
        return answer

    return asyncio.run(run())


def balance(word: str, changed: str | None, dated: str | None) -> Any:
    said = {"balanceType": word, "balanceAmount": {"amount": "5.00", "currency": "AED"}}
    return {
        "balances": [
            said | ({"lastChangeDateTime": changed} if changed else {}) | ({"referenceDate": dated} if dated else {})
        ]
    }


# It is 10:30 UTC, 11:30 in Berlin, on the 23rd.
RECENT, QUIET, LATER = "2026-11-23T10:20:00Z", "2026-11-20T08:00:00+01:00", "2026-11-23T12:00:00Z"
TODAY, YESTERDAY, TOMORROW = "2026-11-23", "2026-11-22", "2026-11-24"


@pytest.mark.parametrize(
    ("word", "changed", "dated", "current", "as_of"),
    [
        # Undated: a running balance, by the standard's own example.
        ("interimBooked", None, None, False, "2026-11-23T10:30:00+00:00"),
        ("interimBooked", RECENT, None, False, "2026-11-23T10:20:00+00:00"),
        ("interimBooked", RECENT, TODAY, False, "2026-11-23T10:20:00+00:00"),
        # Dated without an hour: of some time today.
        ("interimBooked", None, TODAY, False, Why.TOO_OLD),
        ("interimBooked", None, YESTERDAY, False, Why.TOO_OLD),
        # A quiet account: old, unless the bank says that its interim balances are always current.
        ("interimBooked", QUIET, None, False, Why.TOO_OLD),
        ("interimBooked", QUIET, TODAY, False, Why.TOO_OLD),
        ("interimBooked", QUIET, None, True, "2026-11-23T10:30:00+00:00"),
        ("interimBooked", QUIET, TODAY, True, "2026-11-23T10:30:00+00:00"),
        ("interimBooked", None, TODAY, True, "2026-11-23T10:30:00+00:00"),
        # What the bank states against it is heeded all the same.
        ("interimBooked", QUIET, YESTERDAY, True, Why.TOO_OLD),
        ("interimBooked", None, YESTERDAY, True, Why.TOO_OLD),
        ("interimBooked", LATER, None, True, Why.IN_THE_FUTURE),
        ("interimBooked", LATER, None, False, Why.IN_THE_FUTURE),
        # Changed after the day that it is of: nothing of after that day is in it.
        ("interimBooked", RECENT, YESTERDAY, False, Why.TOO_OLD),
        # A day's: by its day in Berlin, and never by when the account changed.
        ("closingBooked", None, None, True, Why.TOO_OLD),
        ("closingBooked", RECENT, None, True, Why.TOO_OLD),
        ("openingBooked", RECENT, None, True, Why.TOO_OLD),
        ("closingBooked", None, YESTERDAY, False, "2026-11-22T23:00:00+00:00"),
        ("closingBooked", RECENT, YESTERDAY, False, "2026-11-22T23:00:00+00:00"),
        ("closingBooked", None, TODAY, True, Why.IN_THE_FUTURE),
        ("openingBooked", None, TODAY, False, "2026-11-22T23:00:00+00:00"),
        ("openingBooked", None, TOMORROW, False, Why.IN_THE_FUTURE),
        ("openingBooked", RECENT, YESTERDAY, False, "2026-11-21T23:00:00+00:00"),
        # Not booked, whatever it is dated.
        ("interimAvailable", RECENT, TODAY, True, Why.NO_BOOKED_BALANCE),
        ("expected", None, None, True, Why.NO_BOOKED_BALANCE),
        ("nonInvoiced", None, None, True, Why.NO_BOOKED_BALANCE),
        ("InterimBooked", None, None, True, None),
        ("a new word", None, None, True, Why.NO_BOOKED_BALANCE),
    ],
)  # fmt: skip
def test_the_reference_time(
    bank: Bank, word: str, changed: str | None, dated: str | None, current: bool, as_of: str | Why | None
) -> None:
    answer = ask(bank, balance(word, changed, dated), freshness=WEEK, interim_is_current=current)
    match as_of:
        case Why():
            assert isinstance(answer, NoObservation), answer
            assert answer.why is as_of, answer
        case str():
            assert isinstance(answer, Observation), answer
            assert answer.as_of.isoformat() == as_of
            assert answer.balance_type == word
        case None:
            assert isinstance(answer, Observation), answer


def test_an_undated_closing_balance_never_passes_as_now(bank: Bank) -> None:
    for word in ("closingBooked", "openingBooked"):
        answer = ask(bank, balance(word, None, None), freshness=WEEK, interim_is_current=True)
        assert isinstance(answer, NoObservation)
        assert "does not say as of when" in answer.text


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"iban": ACCOUNT.number}, None),
        ({"iban": "ae07 0331 2345 6789 0123 456"}, None),
        ({"iban": "AE460090000000123456789"}, Why.OTHER_ACCOUNT),
        ({"bban": ACCOUNT.number, "iban": "AE460090000000123456789"}, None),
        ({"bban": "1"}, Why.OTHER_ACCOUNT),
        ({"maskedPan": "525412******3241"}, None),
        ({"iban": ACCOUNT.number, "currency": "AED"}, None),
        ({"iban": ACCOUNT.number, "currency": "XXX"}, None),
        ({"iban": ACCOUNT.number, "currency": "USD"}, Why.OTHER_CURRENCY),
        ({}, None),
    ],
)
def test_the_account_that_an_answer_is_of(bank: Bank, said: dict[str, str], why: Why | None) -> None:
    answer = ask(bank, balance("interimBooked", RECENT, None) | {"account": said})
    if why is None:
        assert isinstance(answer, Observation), answer
    else:
        assert isinstance(answer, NoObservation)
        assert answer.why is why


@pytest.mark.parametrize(
    "amount", [5, 5.0, "5,00", "+5.00", " 5.00", "5.00 ", "1E+2", "", "-", "--5", "-+5", "5.001", ".5", "0x5", "\u0665",
               "9" * 19, "1" * 41, None, True, ["5.00"], "NaN", "-Infinity"],
)  # fmt: skip
def test_what_is_no_amount_is_no_balance(bank: Bank, amount: Any) -> None:
    """Also a number, where the standard asks for a text: a bank that writes one has had it in a float."""
    content = balance("interimBooked", RECENT, None)
    content["balances"][0]["balanceAmount"]["amount"] = amount
    answer = ask(bank, content)
    assert isinstance(answer, NoObservation), answer
    assert answer.why is Why.UNREADABLE
    assert "balances[0]" in answer.text


@pytest.mark.parametrize(
    "time", ["2026-11-23T10:20:00", "2026-11-23", "23.11.2026 10:20", "10:20Z", "", "now", "2026-02-30T10:20:00Z"]
)
def test_a_time_without_a_zone_is_no_time(bank: Bank, time: str) -> None:
    content = balance("interimBooked", RECENT, None)
    content["balances"][0]["lastChangeDateTime"] = time
    answer = ask(bank, content)
    assert isinstance(answer, NoObservation), answer
    assert (answer.why, "lastChangeDateTime" in answer.text) == (Why.UNREADABLE, True)


def test_a_zone_that_is_none() -> None:
    with pytest.raises(ValueError, match="Mars/Olympus"):
        BerlinGroupSettings(consent=REFERENCE, time_zone="Mars/Olympus")
