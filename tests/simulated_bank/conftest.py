"""One bank for the tests of a module; each leaves it without faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulated_bank.running import IBAN, OTHER, RunningBank, running


@pytest.fixture(scope="module")
def one_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBank]:
    with running(tmp_path_factory.mktemp("bank")) as bank:
        bank.open((IBAN, "AED", "1000000.00"), (OTHER, "USD", "-250.50"))
        yield bank


@pytest.fixture
def bank(one_bank: RunningBank) -> Iterator[RunningBank]:
    yield one_bank
    one_bank.well_again()
