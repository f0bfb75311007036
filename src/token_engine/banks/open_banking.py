"""What UK Open Banking and UAE Open Finance, which descends from it, write alike."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.banks.answer_fields import amount, typed
from token_engine.banks.answers import Answer


class Named(msgspec.Struct, frozen=True, rename="pascal"):
    """A number that identifies an account: its IBAN, or sort code and account number."""

    identification: str


class Amount(msgspec.Struct, frozen=True, rename="pascal"):
    """Never below zero: the sign is told by the indicator beside it."""

    amount: str
    currency: str


class CreditLine(msgspec.Struct, frozen=True, rename="pascal"):
    """A credit line of the account."""

    included: bool = False
    """In the balance; when it is not stated, it is not."""


class Balance(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One balance of an account."""

    type: str
    date_time: str
    credit_debit_indicator: str
    amount: Amount
    credit_line: list[CreditLine] | None = None


def headers(interaction: UUID) -> dict[str, str]:
    """Of one request."""
    return {"Accept": "application/json", "x-fapi-interaction-id": str(interaction)}


def signed(answer: Answer, place: str, balance: Balance) -> Decimal:
    """The balance, below zero when it is a debit one. Raises NotObservedError."""
    figure = amount(answer, f"{place}.Amount.Amount", balance.amount.amount, balance.amount.currency)
    match balance.credit_debit_indicator:
        case "Credit":
            return figure
        case "Debit":
            return -figure
        case _:
            # Fail closed: a sign that is guessed is a balance that is guessed.
            raise answer.unreadable(f"{place}.CreditDebitIndicator is neither Credit nor Debit")


def includes_credit_line(balance: Balance) -> bool:
    """Whether any credit line is part of the figure."""
    return any(line.included for line in balance.credit_line or ())


class _Links(msgspec.Struct, frozen=True, rename="pascal"):
    next: str | None = None


class _Linked(msgspec.Struct, frozen=True, rename="pascal"):
    links: _Links | None = None


def next_page(answer: Answer) -> str | None:
    """The link to the next page of a list, if there is one."""
    links = typed(answer, _Linked).links
    return links.next if links else None
