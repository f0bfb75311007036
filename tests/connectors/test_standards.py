"""Our reading held against the standards' own descriptions, read in place: their words and their examples."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.bank import Bank
from connectors.test_berlin_group import ask
from token_engine.banks.account_list import ListedAccount, pick
from token_engine.banks.answers import NotObservedError
from token_engine.domain.observation import BOOKED, BankAccount, Freshness, NoObservation, Observation, Why

yaml = pytest.importorskip("yaml")
SHARED = Path(os.environ.get("TOKEN_ENGINE_SHARED", Path(__file__).parents[2].parent / "shared"))
BERLIN, UK, UAE = (
    SHARED / "spec" / "openapi" / name
    for name in (
        "berlin-group-nextgenpsd2-v1.3.11.yaml",
        "uk-open-banking-account-information-v4.0.0.yaml",
        "uae-open-finance-account-information-v2.1.yaml",
    )
)
pytestmark = pytest.mark.skipif(not BERLIN.exists(), reason=f"the official descriptions are not in {BERLIN.parent}")


def described(path: Path) -> Any:
    with path.open("rb") as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["components"]


@pytest.mark.parametrize(
    ("path", "schema", "booked"),
    [
        (BERLIN, "balanceType", {"closingBooked", "openingBooked", "interimBooked"}),
        (UK, "OBBalanceType1Code", {"CLBD", "OPBD", "ITBD", "PRCD"}),
        (UAE, "AEBalanceTypeCode", {"ClosingBooked", "OpeningBooked", "InterimBooked", "PreviouslyClosedBooked"}),
    ],
    ids=["berlin_group", "uk_open_banking", "uae_open_finance"],
)
def test_every_word_for_a_balance(path: Path, schema: str, booked: set[str]) -> None:
    words = set(described(path)["schemas"][schema]["enum"])
    assert words & BOOKED.keys() == booked
    assert len(words) > len(booked)


EUR = BankAccount(number="FR7612345987650123456789014", currency="EUR", resource="r")


@pytest.mark.parametrize(
    ("example", "currency", "outcome"),
    [
        ("balancesExample1_RegularAccount", "EUR", "500.00"),
        ("balancesExample2_MulticurrencyAcount", "EUR", "500.00"),
        ("balancesExample2_MulticurrencyAcount", "USD", "350.00"),
        ("balancesExample2_MulticurrencyAcount", "AED", Why.OTHER_CURRENCY),
        ("balancesExample3_RegularAccount", "EUR", "1000.00"),
    ],
)
def test_the_examples_of_nextgenpsd2(bank: Bank, example: str, currency: str, outcome: str | Why) -> None:
    content = described(BERLIN)["examples"][example]["value"]
    account = BankAccount(number=EUR.number, currency=currency, resource="r")
    morning = datetime(2017, 10, 26, 5, tzinfo=UTC)  # of the day after that of the examples
    answer = ask(bank, content, account, morning, freshness=Freshness(closing_minutes=12 * 60))
    if isinstance(outcome, Why):
        assert isinstance(answer, NoObservation)
        assert answer.why is outcome
    else:
        assert isinstance(answer, Observation), answer
        assert str(answer.balance) == outcome
    # The running balance is as of when it is asked, the closing one as of the end of its day, which by itself is old.
    plain = ask(bank, content, account, morning)
    assert isinstance(plain, Observation) == (example == "balancesExample3_RegularAccount"), plain


@pytest.mark.parametrize(
    ("example", "number", "currency", "resource"),
    [
        ("accountListExample1", "DE2310010010123456789", "EUR", "3dc3d5b3-7023-4848-9853-f5400a64e80f"),
        ("accountListExample1", "DE2310010010123456789", "USD", Why.OTHER_CURRENCY),
        ("accountListExample2", "DE2310010010123456788", "USD", "3dc3d5b3-7023-4848-9853-f5400a64e81e"),
        ("accountListExample3", "DE2310010010123456788", "EUR", "3dc3d5b3-7023-4848-9853-f5400a64e80e"),
        ("accountListExample3", "DE2310010010123456788", "GBP", "3dc3d5b3-7023-4848-9853-f5400a64e80f"),
    ],
)
def test_the_lists_of_nextgenpsd2(example: str, number: str, currency: str, resource: str | Why) -> None:
    """An account of several currencies (XXX) stands for one that is not listed by itself."""
    accounts = described(BERLIN)["examples"][example]["value"]["accounts"]
    listed = [ListedAccount(a["resourceId"], [a["iban"]], a["currency"]) for a in accounts]
    account = BankAccount(number=number, currency=currency)
    if isinstance(resource, Why):
        with pytest.raises(NotObservedError) as refusal:
            pick(listed, account)
        assert refusal.value.refusal.why is resource
    else:
        assert pick(listed, account) == resource
