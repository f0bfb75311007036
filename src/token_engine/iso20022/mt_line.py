"""Reads :61:, the statement line: a movement on the account."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final, NoReturn

import msgspec

from token_engine.domain.entry import CreditDebit, EntryStatus
from token_engine.iso20022.mt_fields import Field
from token_engine.iso20022.mt_values import AMOUNT, amount, entry_date, short_date
from token_engine.iso20022.words import ID_LENGTH, REFERENCE_LENGTH, reference

# 6!n[4!n]2a[1!a]15d1!a3!c16x[//16x]. Banks write a blank in the type ("NOV "), leave it out, put blanks for the entry
# date and around the amount: where each part begins and ends is plain all the same.
_TO_AMOUNT: Final = r"(?P<value>\d{6})(?P<entry>\d{4}| {4})?(?P<mark>R?[CD]|E[CD])(?P<funds>[A-Z])? *"
_LINE: Final = re.compile(
    rf"{_TO_AMOUNT}(?P<amount>{AMOUNT})(?: *(?P<type>[A-Z][A-Z0-9 ]{{3}})|(?= *(?://|\Z)))(?P<references>.*)",
    re.ASCII,
)
_BROKEN_OFF: Final = re.compile(_TO_AMOUNT, re.ASCII)
_NO_ENTRY_DATE: Final = "    "
_GOES_ON: Final = re.compile(r" *[\d,.]", re.ASCII)
_BANK_REFERENCE: Final = re.compile(rf"//(\S{{1,{ID_LENGTH}}}) *")
# Where it stops reading tells which part is wrong.
_PARTS: Final = (
    ("value date", re.compile(r"\d{6}", re.ASCII), "invalid_date"),
    ("debit/credit mark", re.compile(r"(\d{4}| {4})?(R?[CD]|E[CD])", re.ASCII), "invalid_indicator"),
    ("amount", re.compile(rf"[A-Z]? *(?=[\d,.]){AMOUNT}(?! *[\d,.])", re.ASCII), "invalid_amount"),
)

_MARKS: Final = {
    "C": (CreditDebit.CRDT, False, EntryStatus.BOOK),
    "D": (CreditDebit.DBIT, False, EntryStatus.BOOK),
    # A reversal of a credit is a debit entry, and of a debit a credit entry.
    "RC": (CreditDebit.DBIT, True, EntryStatus.BOOK),
    "RD": (CreditDebit.CRDT, True, EntryStatus.BOOK),
    # Expected, in an MT942.
    "EC": (CreditDebit.CRDT, False, EntryStatus.PDNG),
    "ED": (CreditDebit.DBIT, False, EntryStatus.PDNG),
}
_IN_DETAILS: Final = frozenset("EREF KREF PREF MARF MREF".split())
"""In place of a reference: the reference is in :86:."""
_COLUMNS: Final = re.compile(r" {2,}")


class StatementLine(msgspec.Struct, gc=False):
    """What one :61: says. The entry date is None where the bank leaves it out."""

    value_date: date
    entry_date: date | None
    credit_debit: CreditDebit
    reversal: bool
    status: EntryStatus
    amount: Decimal
    owner_reference: str | None
    """The account owner's reference of what caused the entry: what a debit was ordered under."""
    servicer_reference: str | None
    transaction_code: str | None
    supplement: list[str]

    @property
    def ends_with_amount(self) -> bool:
        """Whether nothing stands behind the amount: at the end of a file, the rest of it may be cut off."""
        return not (self.transaction_code or self.servicer_reference or self.supplement)


def statement_line(field: Field, currency: str) -> StatementLine:
    """Read a :61: in the currency of its account. Raises RefusedError naming the part at fault."""
    found, supplement = _LINE.fullmatch(field.text), field.more
    if found is None and supplement and _BROKEN_OFF.fullmatch(field.text):
        # A transport broke the line before its amount, where nothing of a figure can be lost.
        found, supplement = _LINE.fullmatch(field.text + supplement[0]), supplement[1:]
    if found is None:
        _refuse(field)
    value_word, entry_word, mark, _, digits, type_, references = found.groups()
    try:
        value = short_date(value_word)
        entry = entry_date(entry_word, value) if entry_word and entry_word != _NO_ENTRY_DATE else None
    except ValueError:
        field.refuse("invalid_date", f"{value_word}{entry_word or ''} is no date", "value date")
    owner, told, servicer = references.partition("//")
    if supplement and not told:
        if type_ is None and _GOES_ON.match(supplement[0]):
            _refuse(field)  # of an amount that was broken, part would be read
        if alone := _BANK_REFERENCE.fullmatch(supplement[0]):
            servicer, supplement = alone[1], supplement[1:]
    if len(owner) > 16 and not (told and servicer):
        # Some banks keep to columns: the reference, blanks up to its 16 characters, then a name.
        owner, *beside = _COLUMNS.split(owner, maxsplit=1)
        supplement = [*beside, *supplement]
    owner = owner.strip()
    side, reversal, status = _MARKS[mark]
    return StatementLine(
        value_date=value,
        entry_date=entry,
        credit_debit=side,
        reversal=reversal,
        status=status,
        amount=amount(digits, currency, field),
        owner_reference=None if owner.rstrip("+") in _IN_DETAILS else _bounded(owner, field, "reference"),
        servicer_reference=_bounded(servicer, field, "bank reference"),
        transaction_code=type_ and type_.rstrip(),
        supplement=supplement,
    )


def _bounded(word: str, field: Field, part: str) -> str | None:
    if len(word) > REFERENCE_LENGTH:
        field.refuse("text_too_long", f"is longer than {REFERENCE_LENGTH} characters", part)
    return reference(word)


def _refuse(field: Field) -> NoReturn:
    at = 0
    for part, pattern, code in _PARTS:
        found = pattern.match(field.text, at)
        if found is None:
            field.refuse(code, f"{field.text[at : at + 20]!r} is no {part}", part)
        at = found.end()
    field.refuse("invalid_line", f"{field.text[at : at + 4]!r} is no transaction type", "transaction type")
