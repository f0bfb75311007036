"""One engine with its own servers for the whole room; each test brings accounts of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from engine import Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine") / "data") as running:
        yield running


_numbers = itertools.count(1)


@pytest.fixture
def account(engine: Engine) -> Callable[..., str]:
    """Makes an account, 1,000,000.00 tokens backed by 1,000,000.00 dirhams unless said otherwise."""

    def make(currency: str = "AED", **more: str) -> str:
        number = f"API-{next(_numbers):04d}"
        balances = {"ledger_balance": "1000000", "bank_balance": "1000000"}
        engine.create_account(number, currency, **balances | more)
        return number

    return make
