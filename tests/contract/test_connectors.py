"""Our connectors' requests against the official OpenAPI description of each standard, by a validating proxy: with
their own client, over the access that settings describe.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from contract.conftest import KUWAITI, Checked
from simulated_bank.asking import ask
from simulated_bank.running import IBAN, OTHER
from token_engine.domain.observation import BankAccount, NoObservation, Observation, Why

LAST = "AE1290331234567890000129"  # on the second page of a list


@pytest.mark.parametrize(
    ("number", "currency", "balance"),
    [(IBAN, "AED", "1000000.00"), (OTHER, "USD", "-250.50"), (KUWAITI, "KWD", "1.234"), (LAST, "AED", "1.00")],
)
@pytest.mark.parametrize("known", [True, False], ids=["by resource", "by number"])
def test_a_balance_is_observed_and_nothing_about_it_is_against_the_standard(
    checked: Checked, number: str, currency: str, balance: str, known: bool
) -> None:
    resource = checked.bank.resource(number) if known else None
    account = BankAccount(number=number, currency=currency, resource=resource)
    before = len(checked.back.seen)
    seen = ask(checked.api, checked.bank, account, base=checked.front.url)
    assert isinstance(seen, Observation), seen
    assert (seen.balance, seen.currency) == (Decimal(balance), currency)
    assert len(checked.back.seen) > before, "the bank was asked"
    assert checked.front.warnings == []


def test_a_refused_request_is_no_observation(checked: Checked) -> None:
    checked.bank.fault("throttled", times=1, retry_after=9)
    account = BankAccount(number=IBAN, currency="AED", resource=checked.bank.resource(IBAN))
    seen = ask(checked.api, checked.bank, account, base=checked.front.url)
    assert isinstance(seen, NoObservation)
    assert seen.why is Why.THROTTLED
    assert seen.retry_after is not None
    assert checked.front.warnings == []
