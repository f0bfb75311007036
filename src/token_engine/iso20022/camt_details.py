"""Reads `NtryDtls`: the payments behind an entry. They explain it, and decide nothing of what is booked."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from lxml.etree import _Element as Element

from token_engine.domain.entry import CreditDebit, EntryDetail
from token_engine.iso20022.words import (
    ACCOUNT_NUMBER_LENGTH,
    CODE_LENGTH,
    ID_LENGTH,
    NAME_LENGTH,
    REFERENCE_LENGTH,
    REMITTANCE_LENGTH,
    account_number,
    reference,
    written,
)
from token_engine.iso20022.xml import FaultError, amount, credit_debit, find, local, named, text

_REFERENCES: Final = ("AcctSvcrRef", "EndToEndId", "UETR", "InstrId", "TxId")


class SingleDetails:
    """What the only `TxDtls` of an entry says: it is the entry's own."""

    __slots__ = (
        "creditor",
        "creditor_account",
        "creditor_reference",
        "debtor",
        "debtor_account",
        "references",
        "remittance",
        "transaction_code",
    )

    def __init__(self, tx_dtls: Element | None = None) -> None:
        """Read it; None is an entry without details, or with several. Raises FaultError for a reference too long."""
        self.references: dict[str, str | None] = {}
        self.debtor: str | None = None
        self.debtor_account: str | None = None
        self.creditor: str | None = None
        self.creditor_account: str | None = None
        self.creditor_reference: str | None = None
        self.remittance: str | None = None
        self.transaction_code: str | None = None
        for child in () if tx_dtls is None else tx_dtls:
            match local(child.tag):
                case "Refs":
                    for ref in named(child, *_REFERENCES):
                        name = local(ref.tag)
                        self.references[name] = checked_reference(ref, f"NtryDtls/TxDtls/Refs/{name}")
                case "RltdPties":
                    self._take_parties(child)
                case "RmtInf":
                    lines = (line.text or "" for line in named(child, "Ustrd"))
                    self.remittance = written(" ".join(lines), REMITTANCE_LENGTH)
                    self.creditor_reference = _creditor_reference(child)
                case "BkTxCd":
                    self.transaction_code = transaction_code(child)

    def _take_parties(self, parties: Element) -> None:
        for child in parties:
            match local(child.tag):
                case "Dbtr":
                    self.debtor = _name(child)
                case "Cdtr":
                    self.creditor = _name(child)
                case "DbtrAcct":
                    self.debtor_account = _account(child)
                case "CdtrAcct":
                    self.creditor_account = _account(child)


class DetailDraft:
    """One `TxDtls` of several. Its amounts wait for the entry's currency, which may not have been read yet."""

    __slots__ = ("_amounts", "_creditor_reference", "_references", "_side")

    def __init__(self, tx_dtls: Element) -> None:
        self._references: dict[str, str | None] = {}
        self._creditor_reference: str | None = None
        self._side: CreditDebit | None = None
        own: tuple[Decimal, str] | None = None
        underlying: tuple[Decimal, str] | None = None
        for child in tx_dtls:
            match local(child.tag):
                case "Refs":
                    self._references = {
                        local(ref.tag): short_reference(_said(ref)) for ref in named(child, *_REFERENCES)
                    }
                case "Amt":
                    own = _amount(child)
                case "AmtDtls":
                    underlying = _amount(find(child, "TxAmt", "Amt"))
                case "CdtDbtInd":
                    self._side = _side(child)
                case "RmtInf":
                    self._creditor_reference = _creditor_reference(child)
        self._amounts = [each for each in (underlying, own) if each is not None]

    def detail(self, currency: str) -> EntryDetail:
        """The detail of an entry in this currency. What was ordered in another one is no part of the entry's amount."""
        references = self._references
        return EntryDetail(
            amount=next((value for value, of in self._amounts if of == currency), None),
            credit_debit=self._side,
            end_to_end_id=references.get("EndToEndId"),
            uetr=references.get("UETR"),
            instruction_id=references.get("InstrId"),
            transaction_id=references.get("TxId"),
            creditor_reference=self._creditor_reference,
        )


def checked_reference(element: Element, path: str) -> str | None:
    """A reference, or None where its word identifies nothing. Raises FaultError where it is too long."""
    word = reference(text(element, path))
    if word is not None and len(word) > REFERENCE_LENGTH:
        raise FaultError("text_too_long", element, path, f"is longer than {REFERENCE_LENGTH} characters")
    return word


def transaction_code(bk_tx_cd: Element) -> str | None:
    """`BkTxCd`: domain, family and sub-family as "PMNT/RCDT/ESCT", else the bank's own code."""
    words: list[str] = []
    own = ""
    for child in bk_tx_cd:
        if local(child.tag) == "Domn":
            for part in child:
                words += [_said(part)] if local(part.tag) == "Cd" else map(_said, part)
        else:
            own = _said(find(child, "Cd"))
    return code_of(words, own)


def code_of(words: Iterable[str], own: str) -> str | None:
    """A transaction code from the words of its domain, in order, and the bank's own."""
    code = "/".join(filter(None, map(str.strip, words))) or own.strip()
    return code if code and code.isprintable() and len(code) <= CODE_LENGTH else None


def batch_reference(btch: Element) -> str | None:
    """`Btch`: the payment information's id, which names what was booked, else that of the message it came in."""
    for name in ("PmtInfId", "MsgId"):
        leaf = find(btch, name)
        if word := short_reference(_said(leaf)):
            return word
    return None


# What these say decides nothing about money: words as they are, cut or left out where they are too long, never refused.
def short_reference(text: str) -> str | None:
    """A reference; none where it identifies nothing, or is too long for one."""
    if not text:
        return None
    word = reference(" ".join(text.split()))
    return word if word is not None and len(word) <= REFERENCE_LENGTH else None


def _amount(element: Element | None) -> tuple[Decimal, str] | None:
    try:
        return None if element is None else amount(element, "Amt")
    except FaultError:
        return None


def _side(indicator: Element) -> CreditDebit | None:
    try:
        return credit_debit(indicator, "CdtDbtInd")
    except FaultError:
        return None


def _creditor_reference(remittance: Element) -> str | None:
    """Of several invoices paid at once no reference is the entry's; longer than Max35Text it is none."""
    return single_reference(_said(find(each, "CdtrRefInf", "Ref")) for each in named(remittance, "Strd"))


def single_reference(words: Iterable[str]) -> str | None:
    """The one reference that all of these are, where they say one."""
    told = {reference(word) for word in words} - {None}
    single = told.pop() if len(told) == 1 else None
    return single if single and len(single) <= ID_LENGTH else None


def _name(party: Element) -> str | None:
    """`Nm`, from version .08 on inside `Pty`."""
    for child in party:
        name = local(child.tag)
        if name == "Nm":
            return written(child.text or "", NAME_LENGTH)
        if name == "Pty":
            return _name(child)
    return None


def _account(account: Element) -> str | None:
    for identification in named(account, "Id"):
        for child in identification:
            leaf = child if local(child.tag) in ("IBAN", "BBAN", "UPIC") else find(child, "Id")
            if account_number(_said(leaf)):
                return party_account(_said(leaf))
    return None


def party_account(text: str) -> str | None:
    """An account number, or None where there is none, or it is too long for one."""
    number = account_number(text)
    return number if 0 < len(number) <= ACCOUNT_NUMBER_LENGTH else None


def _said(leaf: Element | None) -> str:
    return "" if leaf is None else leaf.text or ""
