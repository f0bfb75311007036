"""Amounts and currencies. An amount is an exact Decimal in major units (dirhams, not fils)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact
from functools import reduce
from typing import Final

from token_engine.domain.refusal import RefusedError

# What NUMERIC(26,8) holds; every amount at rest is one (specification, "Database Schema").
INTEGER_DIGITS: Final = 18
FRACTION_DIGITS: Final = 8

# Sums of amounts are exact or they raise: no silent rounding at the 28th digit.
EXACT: Final = Context(prec=60, traps=[Inexact])


def sum_exactly(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, to the last digit."""
    return reduce(EXACT.add, amounts, Decimal(0))


# ISO 4217 active codes whose minor unit is not two decimals; the rest of the list follows.
_DECIMALS: Final = (
    dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0)
    | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)
    | dict.fromkeys("CLF UYW".split(), 4)
)

CURRENCIES: Final = frozenset(_DECIMALS) | frozenset(
    """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
    CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
    GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN
    QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD
    TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG""".split()
)

UNSTATED: Final = "XXX"
"""ISO 4217's code for no currency: of an amount whose message leaves that to the account. No message may write it."""

_PLAIN_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)


def decimals_of(currency: str) -> int:
    """Number of minor-unit decimals of an ISO 4217 currency (AED 2, JPY 0, KWD 3)."""
    return _DECIMALS.get(currency, 2)


def check_currency(code: str, field: str = "currency") -> str:
    """Return `code` if it is an active ISO 4217 code in capitals; raise RefusedError naming `field`."""
    if code in CURRENCIES:
        return code
    hint = " (codes are in capitals)" if code.upper() in CURRENCIES else ""
    raise RefusedError("unknown_currency", f"{field}: {code[:12]!r} is not an ISO 4217 currency{hint}", field)


def parse_amount(text: str, field: str = "amount") -> Decimal:
    """Read a non-negative plain decimal ("100000.00"), in major units, as the bank wrote it.

    Signs, exponents, separators, blanks and non-ASCII digits are refused: direction is told by the
    credit/debit indicator alone (ISO 20022, ActiveOrHistoricCurrencyAndAmount; CreditDebitCode).

    Raises RefusedError naming `field` for anything else, or for more than 18 integer digits.
    """
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise RefusedError("invalid_amount", f"{field}: {_why_not_an_amount(text)}", field)
    if len(text.partition(".")[0].lstrip("0")) > INTEGER_DIGITS:
        raise RefusedError("invalid_amount", f"{field}: more than {INTEGER_DIGITS} digits before the point", field)
    return Decimal(text)


def _why_not_an_amount(text: str) -> str:
    shown = repr(text if len(text) <= 40 else text[:37] + "...")
    if not text.strip():
        return "is empty"
    if text[0] in "-+":
        return f"{shown} has a sign; the direction is told by the credit/debit indicator"
    return f"{shown} is not a plain decimal number such as 100000.00"


def check_decimals(amount: Decimal, currency: str, field: str = "amount") -> Decimal:
    """Return `amount` if it has no more decimals than `currency` and the column allow.

    Trailing zeros do not count: 10.50000 AED is ten dirhams fifty. Raises RefusedError.
    """
    if fits(amount, currency):
        return amount
    allowed = decimals_of(currency)
    raise RefusedError("invalid_amount", f"{field}: {amount} has more than the {allowed} decimals of {currency}", field)


_UNITS: Final = {decimals: Decimal(1).scaleb(-decimals) for decimals in (0, 2, 3, 4)}


def fits(amount: Decimal, currency: str) -> bool:
    """Whether `amount` has no more decimals than `currency` has, as `check_decimals`."""
    allowed = decimals_of(currency)
    if amount.same_quantum(_UNITS[allowed]):
        return True  # most are written so, and there is nothing to round
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)  # parse_amount lets no NaN or Infinity through
    return -exponent <= allowed or amount == round(amount, allowed)


def all_fit(amounts: Iterable[Decimal], currency: str) -> bool:
    """Whether each of many amounts fits, and is written so: seen without a call for each."""
    return all(map(_UNITS[decimals_of(currency)].same_quantum, amounts))


def in_currency(amount: Decimal, currency: str) -> str:
    """Write an amount with the decimals of its currency, or more where it has more ("5100000.00")."""
    decimals = decimals_of(currency)
    text = f"{amount:f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(decimals, "0")
    text = f"{whole}.{fraction}" if fraction else whole
    return text if amount else text.removeprefix("-")
