"""Reads what an MT says around its statement lines: account, number, balances and totals."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Final

from token_engine.domain.entry import CreditDebit
from token_engine.domain.money import CURRENCIES, UNSTATED
from token_engine.domain.notification import StatedBalance
from token_engine.iso20022.mt_fields import Field
from token_engine.iso20022.mt_values import AMOUNT, amount, short_date
from token_engine.iso20022.words import (
    ACCOUNT_NUMBER_LENGTH,
    ID_LENGTH,
    MESSAGE_ID_LENGTH,
    account_number,
    is_iban,
    reference,
)

_BIC: Final = re.compile(r"([A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)/(.+)", re.ASCII)
_NUMBER: Final = re.compile(r"(\d{1,18})(?:/(\d{1,18}))?", re.ASCII)
_BALANCE: Final = re.compile(rf"([CD])(\d{{6}})([A-Z]{{3}})({AMOUNT})", re.ASCII)
_DATED_AMOUNT: Final = re.compile(rf"(\d{{6}})([A-Z]{{3}})({AMOUNT})", re.ASCII)
_TOTAL: Final = re.compile(rf"(\d{{0,15}})([A-Z]{{3}})({AMOUNT})", re.ASCII)
_UNDATED: Final = "000000"
_SIDES: Final = {"C": CreditDebit.CRDT, "D": CreditDebit.DBIT}

BALANCES: Final = {
    # tag: (ExternalBalanceType1Code, of a page only)
    "60F": ("OPBD", False),
    "60M": ("OPBD", True),
    "62F": ("CLBD", False),
    "62M": ("CLBD", True),
    "64": ("CLAV", False),
    "65": ("FWAV", False),
}


def message_id(field: Field) -> str:
    """:20:, which banks do not always make unique ("STARTUMS"). Raises RefusedError."""
    word = field.text.strip()
    if not word:
        field.refuse("missing_field", "is blank")
    if len(word) > MESSAGE_ID_LENGTH:
        field.refuse("text_too_long", f"is longer than {MESSAGE_ID_LENGTH} characters")
    return word


def account(field: Field, currency: str) -> tuple[str, str | None]:
    """:25: or :25P: as the account number and the BIC that stands before it ("BIC/account").

    A sort code before the number stays with it ("10020030/1234567"): the number alone is not the account's.
    A currency behind it is taken off, unless it belongs to an IBAN (Mauritius and the Seychelles have it
    there), and must be the one of the message's balances.
    """
    word = field.text.strip()
    bic = None
    if found := _BIC.fullmatch(word):
        bic, word = found[1], found[2]
    stem, code = word[:-3].rstrip(" /"), word[-3:]
    if code in CURRENCIES and (stem[-1:].isdigit() or stem != word[:-3]) and not _belongs_to_iban(word, stem):
        if code != currency:
            field.refuse("wrong_currency", f"names {code}, the message is in {currency}", "currency")
        word = stem
    number = account_number(word.strip("/"))
    if not number:
        field.refuse("missing_field", "names no account")
    if len(number) > ACCOUNT_NUMBER_LENGTH:
        field.refuse("text_too_long", f"is longer than {ACCOUNT_NUMBER_LENGTH} characters")
    return number, bic


def _belongs_to_iban(word: str, stem: str) -> bool:
    """Whether the three letters behind `stem` are part of an IBAN, as they are in Mauritius and the Seychelles."""
    whole, without = account_number(word), account_number(stem)
    return is_iban(whole) and (whole[:2] in ("MU", "SC") or not is_iban(without))


def numbered(field: Field | None, *, of_page: bool) -> tuple[str | None, int | None]:
    """:28C: as statement number and page. Zero is what banks write that do not count.

    What is no number ("09/2021/M", "281/") is the statement's name all the same, by which it is known, and tells no
    page. Raises RefusedError where the message is a page of a statement (60M, 62M), and so has a place in it.
    """
    if field is None:
        return None, None
    word = field.text.strip()
    found = _NUMBER.fullmatch(word)
    if found is None:
        if of_page:
            field.refuse("invalid_number", f"{word[:20]!r} is no statement number, so that the page has no place")
        return (reference(word) if len(word) <= ID_LENGTH else None), None
    number, page = int(found[1]), int(found[2] or 0)
    return str(number) if number else None, page or None


def currency_of(field: Field) -> str:
    """The currency of a balance, of :32A: or of a floor limit (:34F:). Raises RefusedError."""
    word = field.text.strip()
    at = {"3": 6, "6": 7}[field.tag[0]] if field.tag != "34F" else 0
    code = word[at : at + 3]
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper() and code != UNSTATED):
        field.refuse("unknown_currency", f"{code!r} is no currency code", "currency")
    return code


def balance(field: Field, currency: str) -> StatedBalance:
    """A balance with its own date, in the account's currency. Raises RefusedError."""
    word = field.text.strip()
    found = _BALANCE.fullmatch(word)
    if found is None:
        field.refuse("invalid_balance", f"{word[:40]!r} is no balance such as C251118AED1234,56")
    side, day, code, digits = found.groups()
    if code != currency:
        field.refuse("wrong_currency", f"is in {code}, the message in {currency}", "currency")
    try:
        # Of the first statement of an account there is no day before it (DFÜ-Abkommen, Anlage 3, field 60F).
        as_of = None if day == _UNDATED and field.tag == "60F" else short_date(day)
    except ValueError:
        field.refuse("invalid_date", f"{day!r} is no date", "date")
    iso, interim = BALANCES[field.tag]
    return StatedBalance(
        code=iso,
        amount=amount(digits, currency, field),
        currency=currency,
        credit_debit=_SIDES[side],
        as_of=as_of,
        interim=interim,
    )


def dated_amount(field: Field) -> tuple[str, str, Decimal]:
    """:32A: as value date (YYMMDD), currency and amount. Raises RefusedError."""
    word = field.text.strip()
    found = _DATED_AMOUNT.fullmatch(word)
    if found is None:
        field.refuse("invalid_amount", f"{word[:40]!r} is no value date, currency and amount")
    day, _, digits = found.groups()
    currency = currency_of(field)
    return day, currency, amount(digits, currency, field)


def total(field: Field, currency: str) -> tuple[int | None, Decimal]:
    """:90C: or :90D: as number, where it is told, and sum of entries. Raises RefusedError."""
    word = field.text.strip()
    found = _TOTAL.fullmatch(word)
    if found is None:
        field.refuse("invalid_number", f"{word[:40]!r} is no count, currency and sum")
    count, code, digits = found.groups()
    if code != currency:
        field.refuse("wrong_currency", f"is in {code}, the message in {currency}", "currency")
    return int(count) if count else None, amount(digits, currency, field)


def created_at(field: Field | None) -> datetime | None:
    """:13D:, or None where it is not readable or has no offset: it decides nothing about money."""
    if field is None:
        return None
    try:
        return datetime.strptime(field.text.strip(), "%y%m%d%H%M%z")
    except ValueError:
        return None
