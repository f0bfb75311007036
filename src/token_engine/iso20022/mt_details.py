"""Reads :86:, what a bank tells of an entry beyond its :61:, in the dialects that banks speak.

The standard leaves the text to the bank. Nothing here decides about an amount: what cannot be told apart
stays text, and an id that cannot be one is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from token_engine.domain.entry import CreditDebit
from token_engine.iso20022.words import (
    ID_LENGTH,
    NAME_LENGTH,
    REMITTANCE_LENGTH,
    account_number,
    is_creditor_reference,
    reference,
    written,
)

_LINE_LENGTH: Final = 65
_SUBFIELD_LENGTH: Final = 27


class Details(msgspec.Struct, gc=False):
    """What was understood of a :86:; each as `Entry` has it."""

    end_to_end_id: str | None = None
    uetr: str | None = None
    instruction_id: str | None = None
    counterparty: str | None = None
    counterparty_account: str | None = None
    creditor_reference: str | None = None
    remittance: str | None = None


# "166?00GUTSCHRIFT?20SVWZ+…": a three-digit code, then subfields behind the bank's own separator.
_SUBFIELDED: Final = re.compile(r"\d{3}([?>@<~^|])\d\d", re.ASCII)
_KEYWORD: Final = re.compile(r"(EREF|KREF|MREF|CRED|DEBT|COAM|OAMT|RREF|SVWZ|ABWA|ABWE|IBAN|BIC)\+")
_CODES: Final = (
    "ACCW ACNO ADDR BAI BENM BIC BUSP CHGS CNTP CREF CSID DACS EREF EXCH IBAN ID INST ISDT KREF MARF NAME NRTX OCMT "
    "OP ORDP ORIG PREF PURP REMI RTRN SVCL SWOC SWOD TRCD TRTP UETR ULTB ULTC ULTD"
)
_SLASHED: Final = re.compile(rf"/({'|'.join(_CODES.split())})/")
_IDS: Final = frozenset(("EREF", "KREF", "PREF", "UETR"))
_UETR: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def details(lines: Sequence[str], credit_debit: CreditDebit) -> Details:
    """Read the lines of one entry's :86:. Never raises: what is not understood is remittance text."""
    text = "".join(lines).lstrip()
    if found := _SUBFIELDED.match(text):
        return _subfielded(text, found[1])
    if _SLASHED.match(text):
        return _slashed(text, credit_debit)
    return _plain(lines)


def _subfielded(text: str, separator: str) -> Details:
    """The German banks' structure: ?20 to ?29 and ?60 to ?63 purpose, ?31 account, ?32 and ?33 name."""
    parts = re.split(rf"{re.escape(separator)}(\d\d)", text)
    subfields: dict[str, str] = {}
    purpose: list[str] = []
    for number, content in zip(parts[1::2], parts[2::2], strict=True):
        if "20" <= number <= "29" or "60" <= number <= "63":
            purpose.append(content)
        else:
            subfields.setdefault(number, content)
    said = _keyworded(purpose)
    said.counterparty = _name(subfields.get("32", "") + subfields.get("33", ""))
    said.counterparty_account = _account(subfields.get("31", ""))
    return said


def _keyworded(purpose: Iterable[str]) -> Details:
    """Purpose lines in which some begin with a keyword ("EREF+"), and go on in the next line if they are full."""
    told: list[tuple[str, str]] = [("", "")]
    full = True
    for content in purpose:
        keyword, before = told[-1]
        if found := _KEYWORD.match(content):
            told.append((found[1], content[found.end() :]))
        elif full or keyword in ("", "SVWZ"):
            told[-1] = keyword, before + content
        else:
            told.append(("", content))
        full = len(content) >= _SUBFIELD_LENGTH
    words = _words(told)
    return Details(
        end_to_end_id=_id(words.get("EREF", "")),
        instruction_id=_id(words.get("KREF", "")),
        **_remittance(words.get("SVWZ") or words[""]),
    )


def _words(told: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What stands behind each keyword: the first that says something. An id told in two ways is none."""
    words: dict[str, str] = {}
    for keyword, content in told:
        known = words.get(keyword)
        if not known:
            words[keyword] = content
        elif keyword in _IDS and known.strip() != content.strip():
            words[keyword] = " "
    return words


def _slashed(text: str, credit_debit: CreditDebit) -> Details:
    """/EREF/…/REMI/… as Dutch and other banks write it; /ORDP/ and /BENM/ head the words about a party."""
    parts = _SLASHED.split(text)
    told: list[tuple[str, str]] = []
    party = ""
    theirs = "ORDP" if credit_debit is CreditDebit.CRDT else "BENM"
    for code, content in zip(parts[1::2], parts[2::2], strict=True):
        if code in ("ORDP", "BENM"):
            party = code
        name = f"{party} {code}" if party not in ("", theirs) and code in ("NAME", "IBAN", "ACNO") else code
        told.append((name, content.strip(" /")))
    words = _words(told)
    account, name = words.get("IBAN") or words.get("ACNO") or "", words.get("NAME") or words.get(theirs) or ""
    if counterparty := words.get("CNTP"):  # account, BIC, name, city
        account, _, rest = counterparty.partition("/")
        _, _, rest = rest.partition("/")
        name = rest.partition("/")[0]
    return Details(
        end_to_end_id=_id(words.get("EREF", "")),
        instruction_id=_id(words.get("KREF") or words.get("PREF") or ""),
        uetr=_uetr(words.get("UETR", "")),
        counterparty=_name(name),
        counterparty_account=_account(account),
        **_remittance(words.get("REMI", "")),
    )


def _plain(lines: Sequence[str]) -> Details:
    """Text: a full line goes on in the next without a blank. Keywords may stand in it."""
    text = "".join(line if len(line) >= _LINE_LENGTH else f"{line} " for line in lines)
    first, *parts = _KEYWORD.split(text)
    # An id in running text ends with its word.
    told = (
        (key, said.split(" ", 1)[0] if key in _IDS else said)
        for key, said in zip(parts[0::2], parts[1::2], strict=True)
    )
    words = _words(told)
    return Details(
        end_to_end_id=_id(words.get("EREF", "")),
        instruction_id=_id(words.get("KREF", "")),
        **_remittance(words.get("SVWZ") or first),
    )


def _id(word: str) -> str | None:
    """An id; what is longer than one are two texts that ran into each other."""
    told = reference(word)
    return told if told is None or len(told) <= ID_LENGTH else None


def _uetr(word: str) -> str | None:
    return word.lower() if _UETR.fullmatch(word) else None


def _name(word: str) -> str | None:
    return written(word, NAME_LENGTH)


def _account(word: str) -> str | None:
    number = account_number(word)
    return number if 0 < len(number) <= ID_LENGTH else None


def _remittance(text: str) -> dict[str, str | None]:
    """Text as it is, and the structured reference where it is nothing else."""
    kind, _, rest = text.partition("/")
    structured = None
    if kind == "USTD":
        text = rest.strip("/")
    elif kind == "STRD":
        structured = reference(rest.strip("/").rpartition("/")[2])
    elif is_creditor_reference(text):
        structured = "".join(text.split()).upper()
    if structured is not None and len(structured) > ID_LENGTH:
        structured = None
    return {
        "creditor_reference": structured,
        "remittance": written(text, REMITTANCE_LENGTH),
    }
