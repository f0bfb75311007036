"""What every connector owes: the booked balance exactly, or the reason why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.bank import Server
from connectors.subjects import ACCOUNT, DEFAULT, MIDNIGHT, NOW, SUBJECTS, UNNAMED, Books, Kind, Subject, Told
from token_engine.domain.money import decimals_of
from token_engine.domain.observation import BankAccount, Freshness, NoObservation, Observation, Why

pytestmark = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.name)

HALF_DAY = Freshness(closing_minutes=12 * 60)
MONEY = Told(amount=Decimal("5000000.00"))


def ask(
    server: Server,
    subject: Subject,
    told: Sequence[Told],
    *,
    account: BankAccount = ACCOUNT,
    another_account: bool = False,
    freshness: Freshness = DEFAULT,
) -> Observation | NoObservation:
    async def run() -> Observation | NoObservation:
        async with subject.telling(server, Books(told=told, another_account=another_account), freshness) as connector:
            return await connector.booked_balance(account, NOW)

    return asyncio.run(run())


def refused(answer: Observation | NoObservation, why: Why, *words: str) -> None:
    assert isinstance(answer, NoObservation), answer
    assert answer.why is why, answer
    for word in words:
        assert word in answer.text, answer


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("5000000.00", "AED"), ("0", "AED"), ("0.00", "AED"), ("-0.01", "AED"), ("-99999.99", "AED"), ("1.234", "KWD"),
        ("-1.005", "BHD"), ("5", "JPY"), ("9999999999999.99", "INR"), ("999999999999999999.99", "AED"), ("0.1", "USD"),
    ],
)  # fmt: skip
def test_comes_back_exactly(server: Server, subject: Subject, amount: str, currency: str) -> None:
    account = BankAccount(number=ACCOUNT.number, currency=currency, resource=ACCOUNT.resource)
    told = Told(amount=Decimal(amount), currency=currency)
    answer = ask(server, subject, [told], account=account)
    assert isinstance(answer, Observation), answer
    assert answer.balance == Decimal(amount)
    assert not (answer.balance.is_zero() and answer.balance.is_signed())
    assert (answer.currency, answer.as_of) == (currency, told.as_of)
    assert answer.as_of.tzinfo is not None
    assert answer.balance_type


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_amount_comes_back_exactly(server: Server, subject: Subject, data: st.DataObject) -> None:
    currency = data.draw(st.sampled_from(["AED", "KWD", "JPY", "CLF"]))
    units = data.draw(st.integers(-(10**18) + 1, 10**18 - 1))
    amount = Decimal(units).scaleb(-decimals_of(currency))
    account = BankAccount(number=ACCOUNT.number, currency=currency, resource=ACCOUNT.resource)
    answer = ask(server, subject, [Told(amount=amount, currency=currency)], account=account)
    assert isinstance(answer, Observation), answer
    assert answer.balance == amount


def test_the_booked_one_among_many_in_any_order(server: Server, subject: Subject) -> None:
    others = [
        Told(amount=Decimal("5000400.00"), kind="available"),
        Told(amount=Decimal("5000500.00"), kind="expected"),
        Told(amount=Decimal("4000000.00"), as_of=NOW - timedelta(minutes=20)),
        Told(amount=Decimal("9000000.00"), currency="USD"),
        Told(amount=Decimal("6000000.00"), credit_line=True),
    ]
    if "closing" in subject.kinds:
        others.append(Told(amount=Decimal("3000000.00"), kind="closing", as_of=MIDNIGHT))
    for told in list(permutations([MONEY, *others]))[:: 97 * 7]:
        answer = ask(server, subject, told)
        assert isinstance(answer, Observation), answer
        assert (answer.balance, answer.as_of) == (MONEY.amount, MONEY.as_of)


def test_the_account_is_found_in_the_list_of_the_bank(server: Server, subject: Subject) -> None:
    answer = ask(server, subject, [MONEY], account=UNNAMED)
    assert isinstance(answer, Observation), answer
    assert answer.balance == MONEY.amount


def test_no_balance_is_not_zero(server: Server, subject: Subject) -> None:
    refused(ask(server, subject, []), Why.NO_BOOKED_BALANCE)


def test_only_balances_that_are_not_booked(server: Server, subject: Subject) -> None:
    told = [Told(amount=Decimal(5), kind="available"), Told(amount=Decimal(6), kind="expected")]
    refused(ask(server, subject, told), Why.NO_BOOKED_BALANCE)


def test_another_currency(server: Server, subject: Subject) -> None:
    answer = ask(server, subject, [Told(amount=Decimal("7.25"), currency="USD")])
    refused(answer, Why.OTHER_CURRENCY, "USD", "AED", "7.25")


def test_another_account(server: Server, subject: Subject) -> None:
    refused(ask(server, subject, [MONEY], another_account=True), Why.OTHER_ACCOUNT, "asked was")
    refused(ask(server, subject, [MONEY], another_account=True, account=UNNAMED), Why.OTHER_ACCOUNT)


def test_a_credit_line(server: Server, subject: Subject) -> None:
    told = [Told(amount=Decimal("7.25"), credit_line=True)]
    refused(ask(server, subject, told), Why.CREDIT_LINE_INCLUDED, "7.25")


@pytest.mark.parametrize(("minutes", "fresh"), [(60, True), (61, False), (60 * 24, False)])
def test_an_old_reference_time(server: Server, subject: Subject, minutes: int, fresh: bool) -> None:
    as_of = NOW - timedelta(minutes=minutes)
    answer = ask(server, subject, [Told(amount=Decimal("7.25"), as_of=as_of)])
    if fresh:
        assert isinstance(answer, Observation), answer
    else:
        refused(answer, Why.TOO_OLD, "7.25", as_of.isoformat(), "60 minutes")


def test_what_is_old_is_a_setting(server: Server, subject: Subject) -> None:
    told = [Told(amount=Decimal("7.25"), as_of=NOW - timedelta(minutes=10))]
    refused(ask(server, subject, told, freshness=Freshness(interim_minutes=9)), Why.TOO_OLD, "9 minutes")
    assert isinstance(ask(server, subject, told, freshness=Freshness(interim_minutes=10)), Observation)


@pytest.mark.parametrize(("seconds", "believed"), [(90, True), (121, False), (86_400, False)])
def test_a_time_in_the_future(server: Server, subject: Subject, seconds: int, believed: bool) -> None:
    as_of = NOW + timedelta(seconds=seconds)
    answer = ask(server, subject, [Told(amount=Decimal("7.25"), as_of=as_of)])
    if believed:
        assert isinstance(answer, Observation), answer
        assert answer.as_of == NOW  # a clock that is ahead a little, and nothing is known of the future
    else:
        refused(answer, Why.IN_THE_FUTURE, as_of.isoformat(), NOW.isoformat())


@pytest.mark.parametrize("kind", ["closing", "opening"])
def test_a_balance_of_the_turn_of_a_day(server: Server, subject: Subject, kind: Kind) -> None:
    if kind not in subject.kinds:
        pytest.skip("has no word for it")
    told = [Told(amount=Decimal("7.25"), kind=kind, as_of=MIDNIGHT)]
    refused(ask(server, subject, told), Why.TOO_OLD, "closing_minutes")
    answer = ask(server, subject, told, freshness=HALF_DAY)
    assert isinstance(answer, Observation), answer
    assert (answer.balance, answer.as_of) == (Decimal("7.25"), MIDNIGHT)
    yesterday = [Told(amount=Decimal("7.25"), kind=kind, as_of=MIDNIGHT - timedelta(days=1))]
    refused(ask(server, subject, yesterday, freshness=HALF_DAY), Why.TOO_OLD, "720 minutes")


def test_two_that_contradict_each_other(server: Server, subject: Subject) -> None:
    told = [MONEY, Told(amount=MONEY.amount + 1)]
    refused(ask(server, subject, told), Why.CONTRADICTORY, "5000000.00", "5000001.00")
    assert isinstance(ask(server, subject, [MONEY, MONEY]), Observation)


def test_many_questions_at_once_get_their_own_answers(server: Server, subject: Subject) -> None:
    """Asked at different times: each is answered for its own."""

    async def run() -> None:
        async with subject.telling(server, Books(told=[MONEY])) as connector:
            times = [NOW + timedelta(minutes=n) for n in range(0, 120, 4)]
            answers = await asyncio.gather(*(connector.booked_balance(ACCOUNT, now) for now in times))
        for now, answer in zip(times, answers, strict=True):
            fresh = now - MONEY.as_of <= timedelta(minutes=60)
            assert isinstance(answer, Observation) == fresh, (now, answer)

    asyncio.run(run())
