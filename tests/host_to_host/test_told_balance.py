"""Which balance of a bank's file counts for an account, and as of when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.entry import CreditDebit
from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.observation import (
    BankAccount,
    Freshness,
    Kind,
    NoObservation,
    Observation,
    ReportedBalance,
    Why,
)
from token_engine.domain.told_balance import ToldBalance, ToldBalances, told
from token_engine.iso20022.reader import read_message

NUMBER = "AE070331234567890123456"
ACCOUNT = BankAccount(number=NUMBER, currency="AED")
DUBAI = ZoneInfo("Asia/Dubai")
DAY = date(2025, 11, 18)
NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)
WRITTEN = datetime(2025, 11, 18, 12, 5, tzinfo=UTC)
OLDEST = timedelta(hours=3)
FRESH = Freshness(interim_minutes=180, closing_minutes=24 * 60)


def stated(code: str, amount: str = "100", **more: Any) -> StatedBalance:
    told: dict[str, Any] = {
        "code": code, "amount": Decimal(amount), "currency": "AED", "credit_debit": CreditDebit.CRDT, "as_of": DAY,
    }  # fmt: skip
    return StatedBalance(**told | more)


def heading(*balances: StatedBalance, **more: Any) -> Heading:
    told: dict[str, Any] = {
        "kind": MessageKind.REPORT, "type": "camt.052.001.08", "message_id": "M", "account_number": NUMBER,
        "created_at": NOON, "balances": balances,
    }  # fmt: skip
    return Heading(**told | more)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


EARLY, DAWN, NEXT_DAWN = at("2025-11-18T08:00+00:00"), at("2025-11-17T20:00Z"), at("2025-11-18T20:00Z")
TOMORROW = {"created_at": at("2025-11-19T03:00Z")}


@pytest.mark.parametrize(
    ("balance", "more", "as_of"),
    [
        # The bank's own time, in its own zone where it names none.
        (stated("ITBD", at=at("2025-11-18T12:00:00+04:00")), {}, EARLY),
        (stated("ITBD", at=at("2025-11-18T12:00:00")), {}, EARLY),
        (stated("CLBD", at=at("2025-11-18T23:59:00Z")), {}, WRITTEN),  # the end of a day that is not over
        # A day alone: its end, but not later than the message and its file.
        (stated("CLBD"), TOMORROW, None),
        (stated("CLBD"), {}, NOON),
        (stated("ITBD"), {}, NOON),
        (stated("ITBD"), {"created_at": at("2025-11-18T16:00Z")}, WRITTEN),  # Dubai's time taken as UTC
        (stated("ITBD"), {"created_at": None}, WRITTEN),
        (stated("CLBD", as_of=date(2025, 11, 17)), {}, DAWN),
        # What opens a day knows nothing of it.
        (stated("OPBD"), {}, DAWN),
        (stated("PRCD", as_of=date(2025, 11, 17)), {}, DAWN),
        (stated("PRCD"), {}, DAWN),
        (stated("PRCD"), {"from_date": DAY, **TOMORROW}, DAWN),
    ],
)
def test_as_of_when(balance: StatedBalance, more: dict[str, Any], as_of: datetime | None) -> None:
    written = WRITTEN
    if more == TOMORROW:  # the statement of the day after
        written, as_of = at("2025-11-19T03:01Z"), NEXT_DAWN
    [found] = told(heading(balance, **more), written, DUBAI, "f")
    assert found.reported.as_of == as_of
    assert found.reported.as_of is not None
    assert found.reported.as_of <= written


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        (heading(stated("OPBD"), stated("ITBD")), ["ITBD"]),
        (heading(stated("PRCD"), stated("CLBD")), ["CLBD"]),
        (heading(stated("PRCD")), ["PRCD"]),
        (heading(stated("CLAV"), stated("ITAV"), stated("FWAV"), stated("INFO"), stated("XPCD")), []),
        (heading(stated("ITBD", as_of=None)), []),  # of no day
        (heading(stated("CLBD", interim=True)), []),  # the foot of a page
        (heading(stated("ITBD"), kind=MessageKind.STATEMENT), []),  # between two pages
        (heading(stated("ITBD"), page_number=1, last_page=False), []),
        (heading(stated("ITBD"), page_number=2, last_page=True), []),
        (heading(stated("ITBD"), page_number=1, last_page=True), ["ITBD"]),
    ],
)
def test_which_balances_count(said: Heading, codes: list[str]) -> None:
    assert [balance.reported.type for balance in told(said, WRITTEN, DUBAI, "f")] == codes


def about(*balances: ToldBalance, now: datetime = NOON, account: BankAccount = ACCOUNT) -> Observation | NoObservation:
    known = ToldBalances()
    known.note(balances)
    return known.about(account, FRESH, now)


def one(
    amount: str = "100", *, number: str = NUMBER, as_of: datetime = NOON, told_at: datetime = NOON, line: bool = False,
    currency: str = "AED", kind: Kind = Kind.INTERIM, file: str = "f.xml",
) -> ToldBalance:  # fmt: skip
    code = {Kind.INTERIM: "ITBD", Kind.CLOSING: "CLBD"}[kind]
    reported = ReportedBalance(
        place=file, type=code, kind=kind, amount=Decimal(amount), currency=currency, as_of=as_of,
        credit_line_included=line,
    )  # fmt: skip
    return ToldBalance(number, reported, told_at)


HOUR = timedelta(hours=1)


def test_an_interim_balance_that_is_too_old_does_not_hide_a_closing_that_is_not() -> None:
    found = about(one("1", as_of=NOON - 5 * HOUR), one("2", as_of=NOON - 20 * HOUR, kind=Kind.CLOSING))
    assert isinstance(found, Observation)
    assert found.balance_type == "CLBD"


def test_a_number_with_blanks_is_the_same_account() -> None:
    assert isinstance(about(one(number="ae07 0331 2345 6789 0123 456")), Observation)


def test_the_newest_holds() -> None:
    found = about(one("1", as_of=NOON - HOUR), one("-2.50"), one("3", as_of=NOON - 2 * HOUR))
    assert found == Observation(balance=Decimal("-2.50"), currency="AED", as_of=NOON, balance_type="ITBD")


@pytest.mark.parametrize(
    ("balances", "why"),
    [
        ([], Why.NO_BOOKED_BALANCE),
        ([one(number="other")], Why.OTHER_ACCOUNT),
        ([one(currency="USD")], Why.OTHER_CURRENCY),
        ([one(line=True)], Why.CREDIT_LINE_INCLUDED),
        ([one(line=True), one(currency="USD")], Why.CREDIT_LINE_INCLUDED),
        ([one(as_of=NOON - OLDEST - timedelta(seconds=1))], Why.TOO_OLD),
        ([one(as_of=NOON + HOUR)], Why.IN_THE_FUTURE),
        ([one("1"), one("2")], Why.CONTRADICTORY),
        ([one("1"), one("2"), one("1")], Why.CONTRADICTORY),
    ],
)
def test_what_may_not_be_judged(balances: list[ToldBalance], why: Why) -> None:
    found = about(*balances)
    assert isinstance(found, NoObservation)
    assert found.why is why
    assert found.text


@pytest.mark.parametrize(
    "beside",
    [
        one("9", currency="USD"), one("9", line=True), one("9", as_of=NOON - HOUR),
        one("9", told_at=NOON - HOUR), one("100.00"), one("9", number="other"),
    ],
)  # fmt: skip
def test_what_stands_beside_it_and_does_no_harm(beside: ToldBalance) -> None:
    """Another currency, a balance with a credit line, an older one, one that was corrected, the same once more."""
    for order in ([one(), beside], [beside, one()]):
        found = about(*order)
        assert isinstance(found, Observation)
        assert found.balance == 100


@given(st.lists(st.builds(
    lambda balance, as_of, told_at, line: one(
        str(balance), as_of=NOON - as_of * HOUR, told_at=NOON - told_at * HOUR, line=line
    ),
    st.integers(1, 3), st.integers(0, 2), st.integers(0, 2), st.booleans(),
), max_size=8), st.randoms())  # fmt: skip
def test_order_and_repetition_change_nothing(balances: list[ToldBalance], random: Any) -> None:
    first = about(*balances)
    shuffled = balances * 2
    random.shuffle(shuffled)
    again = about(*shuffled)
    if isinstance(first, NoObservation):
        assert isinstance(again, NoObservation)
        assert again.why is first.why
    else:
        assert again == first
        plain = [
            (b.reported.as_of, b.told_at, b.reported.amount) for b in balances if not b.reported.credit_line_included
        ]
        assert {amount for *age, amount in plain if tuple(age) == max(plain)[:2]} == {first.balance}


def test_the_reader_keeps_the_time_of_a_balance() -> None:
    def read(day: str) -> StatedBalance:
        raw = (
            '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08"><BkToCstmrAcctRpt>'
            f"<GrpHdr><MsgId>M</MsgId></GrpHdr><Rpt><Id>R</Id><Acct><Id><IBAN>{NUMBER}</IBAN></Id></Acct>"
            f'<Bal><Tp><CdOrPrtry><Cd>ITBD</Cd></CdOrPrtry></Tp><Amt Ccy="AED">1</Amt><CdtDbtInd>DBIT</CdtDbtInd>'
            f"<Dt>{day}</Dt></Bal></Rpt>"
            "</BkToCstmrAcctRpt></Document>"
        )
        got = read_message(raw.encode())
        assert isinstance(got, tuple), got
        return got[0].heading.balances[0]

    with_time = read("<DtTm>2025-11-18T12:00:00.250+04:00</DtTm>")
    assert (with_time.as_of, with_time.at) == (DAY, at("2025-11-18T12:00:00.250+04:00"))
    assert read("<DtTm>2025-11-18T12:00:00</DtTm>").at == datetime(2025, 11, 18, 12)  # noqa: DTZ001
    assert read("<Dt>2025-11-18</Dt>").at is None
    assert read("<DtTm>2025-11-18</DtTm>").at is None  # a day is no midnight
    assert read("<DtTm>2025-11-18T99:00:00</DtTm>").at is None
