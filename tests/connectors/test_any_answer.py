"""Whatever JSON a bank sends: a balance that it may mean, or the reason why there is none. Never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.bank import Bank, Server, ok
from connectors.subjects import ACCOUNT, HTTP_SUBJECTS, NOW, UNNAMED, HttpSubject
from connectors.test_faults import LISTING, MONEY
from token_engine.banks.connector import Connector
from token_engine.domain.observation import BankAccount, NoObservation, Observation

pytestmark = pytest.mark.parametrize("subject", HTTP_SUBJECTS, ids=lambda s: s.name)

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False) | st.integers().map(Decimal)
_DATES = "2026-11-23T10:29:00Z 2026-11-23 0001-01-01T00:00:00+14:00 9999-12-31T23:59:59-14:00 9999-12-31".split()
_WORDS = "5.00 -5.00 1E+2 NaN AED XXX InterimBooked interimBooked Credit Debit interim 0001 ?page=2 http://[".split()
WORDS = st.text() | st.sampled_from([*_DATES, *_WORDS, ACCOUNT.number, "resource-1", "\ud800", "\x00"])
LEAVES = st.none() | st.booleans() | NUMBERS | WORDS
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4))


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    match content:
        case dict():
            for key, value in content.items():
                yield from places(value, (*path, key))
        case list():
            for index, value in enumerate(content):
                yield from places(value, (*path, index))


def changed(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = changed(content[path[0]], path[1:], value)
    return copy


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


def check(runner: asyncio.Runner, subject: HttpSubject, bank: Bank, account: BankAccount, content: Any) -> None:
    bank.respond = lambda request: ok(content)

    async def ask(connector: Connector) -> Observation | NoObservation:
        return await connector.booked_balance(account, NOW)

    async def run() -> Observation | NoObservation:
        async with subject.to(bank) as connector:
            return await ask(connector)

    answer = runner.run(run())
    if isinstance(answer, NoObservation):
        assert answer.text
        return
    assert answer.currency == account.currency
    assert answer.balance.is_finite()
    assert abs(answer.balance) < 10**18
    assert answer.balance == round(answer.balance, 2)
    assert answer.as_of.tzinfo is not None
    assert answer.as_of <= NOW


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=JSON)
def test_any_json(server: Server, runner: asyncio.Runner, subject: HttpSubject, content: Any) -> None:
    with server.bank() as bank:
        check(runner, subject, bank, ACCOUNT, content)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_answer_with_one_thing_changed(
    server: Server, runner: asyncio.Runner, subject: HttpSubject, data: st.DataObject
) -> None:
    """Nearly right is where the dangers are."""
    whole = subject.balances(MONEY, "resource-1")
    account = ACCOUNT
    if subject in LISTING and data.draw(st.booleans()):
        whole, account = subject.accounts([("resource-1", ACCOUNT.number, "AED")], "?page=2"), UNNAMED
    path = data.draw(st.sampled_from(list(places(whole))))
    with server.bank() as bank:
        check(runner, subject, bank, account, changed(whole, path, data.draw(LEAVES | JSON)))
