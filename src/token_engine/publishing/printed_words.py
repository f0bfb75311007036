"""Amounts and times as pages print them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from token_engine.domain.money import in_currency


def known(amount: Decimal | None, currency: str) -> str:
    """An amount, or that no evidence shows it."""
    return "not shown" if amount is None else money(amount, currency)


def money(amount: Decimal, currency: str) -> str:
    """An exact amount in its currency's decimals or more, with separators: -1,000,000.00."""
    text = in_currency(amount, currency)
    whole, point, fraction = text.removeprefix("-").partition(".")
    return f"{'-' if text.startswith('-') else ''}{int(whole):,}{point}{fraction}"


def moment(at: datetime) -> str:
    """A time in UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}Z"
