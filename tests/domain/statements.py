"""Statements as banks make them, for the tests of checks and pages."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from token_engine.domain.account import Account
from token_engine.domain.breaker import Breaker
from token_engine.domain.entry import CreditDebit
from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.statement import Statement

ACCOUNT = Account(
    id=UUID("00000000-0000-4000-8000-00000000000a"), number="AE070331234567890123456", currency="AED",
    ledger=Decimal(0), bank=Decimal(0), breaker=Breaker.CLOSED,
)  # fmt: skip
DAY = date(2025, 11, 18)


def balance(
    code: str, signed: str | Decimal, day: date | None = DAY, *, currency: str = "AED", interim: bool = False,
    credit_line: bool = False,
) -> StatedBalance:  # fmt: skip
    amount = Decimal(signed)
    return StatedBalance(
        code=code, amount=abs(amount), currency=currency, as_of=day, interim=interim, includes_credit_line=credit_line,
        credit_debit=CreditDebit.DBIT if amount < 0 else CreditDebit.CRDT,
    )  # fmt: skip


def heading(*balances: StatedBalance, type_: str = "camt.053.001.08", **more: Any) -> Heading:
    said = {"message_id": "M-1", "account_number": ACCOUNT.number} | more
    return Heading(kind=MessageKind.STATEMENT, type=type_, balances=balances, **said)


def statement(head: Heading, *signed: str, **more: Any) -> Statement:
    """With these booked entries."""
    amounts = [Decimal(each) for each in signed]
    said: dict[str, Any] = {
        "lines": len(amounts), "booked_sum": sum(amounts, Decimal(0)),
        "amount_sum": sum((abs(each) for each in amounts), Decimal(0)),
        "currencies": frozenset({"AED"} if amounts else ()),
    } | more  # fmt: skip
    return Statement(heading=head, **said)
