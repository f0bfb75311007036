"""Reports to publish: a good day, a bad one, a month over many accounts. Made by the rules, of days made up here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from token_engine.domain.dataset import Cover, Dataset, Discrepancy, Opening, Signature
from token_engine.domain.period import WEEKDAYS, Period, Scope, Span, report_id
from token_engine.domain.report import AtTheClose, figures_of
from token_engine.domain.safeguarding import AccountDay, Closed, OnTheWay, Role, line_of
from token_engine.publishing.canonical import digest

DAY = date(2025, 11, 18)
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def at(day: date, hour: float = 0) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)


def shut(day: date, ledger: str, bank: str, **more: Any) -> Closed:
    said: dict[str, Any] = {
        "snapshot_id": UUID(int=day.toordinal()), "revision": 0, "ledger": Decimal(ledger), "bank": Decimal(bank),
        "reconciled": True, "statement_reference": f"STMT-{day}", "statement_state": "ACCEPTED", "level": "Ok",
        "done_at": at(day, 27),
    }  # fmt: skip
    return Closed(**said | more)


def account_day(number: int, day: date, closed: Closed | None, **more: Any) -> AccountDay:
    said: dict[str, Any] = {
        "account_id": UUID(int=number), "account_number": f"AE{number:021d}", "currency": "AED",
        "bank_name": "Emirates Bank", "role": Role.SAFEGUARDING, "day": day, "due": WEEKDAYS.business_day(day),
        "cut_off": at(day, 20), "due_by": at(WEEKDAYS.next_business_day(day), 24), "books": Decimal(1000),
        "closed": closed,
    }  # fmt: skip
    return AccountDay(**said | more)


def dataset_of(
    days: Iterator[AccountDay] | list[AccountDay], period: Period, scope: Scope | None = None, *,
    close: AtTheClose | None = None, discrepancies: list[Discrepancy] | None = None,
    incidents: list[Opening] | None = None,
) -> Dataset:  # fmt: skip
    scope = scope or Scope()
    lines = (line_of(day, NOW) for day in days)
    keep = scope.account_id is not None
    figures = figures_of(lines, period, close or AtTheClose({}, {}), keep_lines=keep)
    return Dataset(
        id=report_id(period, scope), period=period, scope=scope, as_of=period.as_of,
        until=at(WEEKDAYS.next_business_day(period.last), 24), currencies=figures.currencies, accounts=figures.accounts,
        lines=figures.lines, discrepancies=discrepancies or [], incidents=incidents or [],
    )  # fmt: skip


def cover_of(dataset: Dataset, **more: Any) -> Cover:
    said: dict[str, Any] = {"firm": "Token Issuer LLC", "generated_at": NOW}
    return Cover(sha256=digest(dataset), **said | more)


def good_day() -> Dataset:
    period = Period(span=Span.DAY, first=DAY, last=DAY)
    days = [
        account_day(1, DAY, shut(DAY, "123456789012345678.12345678", "123456789012345678.12345678")),
        account_day(2, DAY, shut(DAY, "5000", "5002.00"), uncredited=Decimal(2)),
        account_day(3, DAY, shut(DAY, "0", "250"), role=Role.OWN_FUNDS),
        account_day(4, DAY, shut(DAY, "700", "700"), currency="JPY", bank_name="銀行 Bank <&>"),
    ]
    way = {UUID(int=1): OnTheWay(Decimal("1200.00"), Decimal("55.5"), Decimal("900"))}
    return dataset_of(days, period, close=AtTheClose(way, {}))


def bad_day() -> Dataset:
    period = Period(span=Span.DAY, first=DAY, last=DAY)
    days = [
        account_day(1, DAY, shut(DAY, "5000000", "4750000.25", reconciled=False, level="Critical")),
        account_day(2, DAY, None, books=Decimal(2500000)),
        account_day(3, DAY, shut(
            DAY, "1000000", "1250000", reconciled=False, statement_state="QUARANTINED", level="Critical",
            failed_checks=("entries_sum", "opening_is_previous_closing"),
        )),
        account_day(4, DAY, shut(DAY, "9000", "9000", done_at=at(DAY, 80)), unpaid=Decimal("10.5")),
    ]  # fmt: skip
    found = Discrepancy(
        id=UUID(int=9), account_id=UUID(int=1), account_number="AE000000000000000000001", currency="AED",
        type="BALANCE_MISMATCH", subject="", severity="Critical", status="INVESTIGATING",
        expected=Decimal(5000000), actual=Decimal("4750000.25"), opened_at=at(DAY, 9), age_days=1, owner="ann",
        cause="=CMD camt.054 N-17: the bank debited 249,999.75 that nobody ordered", remedy=None, signed_off_by=None,
        signed_off_at=None,
    )  # fmt: skip
    done = Discrepancy(
        id=UUID(int=10), account_id=UUID(int=4), account_number="AE000000000000000000004", currency="AED",
        type="PAYOUT_OVERDUE", subject="p-1", severity="Minor", status="RESOLVED", expected=None, actual=None,
        opened_at=at(DAY, -90), age_days=3, owner=None, cause="sent and not debited", remedy="the bank paid it",
        signed_off_by="bob", signed_off_at=at(DAY, 2),
    )  # fmt: skip
    opening = Opening(
        id=17, account_id=UUID(int=1), account_number="AE000000000000000000001", currency="AED", opened_at=at(DAY, 9),
        cause="CAMT.054 N-17 judged Critical", closed_at=None, closing_requested_by=None, closing_approved_by=None,
        closing_reason=None, overrides=1,
    )  # fmt: skip
    return dataset_of(days, period, discrepancies=[found, done], incidents=[opening])


def days_of_a_month(accounts: int, *, bad_every: int = 97) -> Iterator[AccountDay]:
    for number in range(1, accounts + 1):
        for n in range(30):
            day = date(2025, 11, 1) + timedelta(days=n)
            open_ = WEEKDAYS.business_day(day)
            balance = f"{1000 + number * 3 + n}.{number % 100:02d}"
            missing = number % bad_every == 0 and n == 18
            short = number % (2 * bad_every) == 0 and n == 20
            bank = f"{1000 + number * 3 + n - 5}.{number % 100:02d}" if short else balance
            closed = shut(day, balance, bank, reconciled=not short) if open_ and not missing else None
            banks = ("Emirates Bank", "Gulf Bank", "Bank of Dubai")
            currency = "AED" if number % 3 else "USD"
            yield account_day(number, day, closed, bank_name=banks[number % 3], currency=currency)


NOVEMBER = Period(span=Span.MONTH, first=date(2025, 11, 1), last=date(2025, 11, 30))


def month(accounts: int) -> Dataset:
    return dataset_of(days_of_a_month(accounts), NOVEMBER)


def month_of_one() -> Dataset:
    scope = Scope(account_id=UUID(int=97), account_number=f"AE{97:021d}", currency="AED")
    return dataset_of((d for d in days_of_a_month(97) if d.account_id == UUID(int=97)), NOVEMBER, scope)


SIGNED = (
    Signature(actor="ann", reason="read and agreed", at=NOW, sha256="0" * 64, current=False),
    Signature(actor="bob", reason="checked against the statements", at=NOW, sha256="1" * 64, current=True),
)
