"""Reads one `Ntry`. Its own amount and indicator count, never those of its details or charges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from lxml.etree import _Element as Element

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.iso20022.camt_heading import day
from token_engine.iso20022.words import (
    ACCOUNT_NUMBER_LENGTH,
    ID_LENGTH,
    NAME_LENGTH,
    REFERENCE_LENGTH,
    REMITTANCE_LENGTH,
    account_number,
    reference,
    written,
)
from token_engine.iso20022.xml import FaultError, amount, credit_debit, find, local, named, text, yes_no

_STATUSES: Final = {status.value: status for status in EntryStatus}


class EntryDraft:
    """What one `Ntry` has said so far: its details are read, and freed, before the rest of it is complete."""

    __slots__ = (
        "amount",
        "booking_date",
        "credit_debit",
        "creditor",
        "creditor_account",
        "creditor_reference",
        "currency",
        "debtor",
        "debtor_account",
        "details",
        "entry_reference",
        "references",
        "remittance",
        "reversal",
        "seen",
        "servicer_reference",
        "status",
        "value_date",
    )

    amount: Decimal
    currency: str
    credit_debit: CreditDebit

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.status = EntryStatus.BOOK  # some banks leave out the status of what they booked
        self.reversal = False
        self.booking_date: date | None = None
        self.value_date: date | None = None
        self.entry_reference: str | None = None
        self.servicer_reference: str | None = None
        self.details = 0
        self._forget_details()

    def _forget_details(self) -> None:
        self.references: dict[str, str | None] = {}
        self.debtor: str | None = None
        self.debtor_account: str | None = None
        self.creditor: str | None = None
        self.creditor_account: str | None = None
        self.creditor_reference: str | None = None
        self.remittance: str | None = None

    def read(self, children: Iterable[Element]) -> None:
        """Take what these children of `Ntry` say, each of them once. Raises FaultError."""
        for child in children:
            name = local(child.tag)
            take = _TAKE.get(name)
            if take is not None:
                if name in self.seen:
                    raise FaultError("invalid_xml", child, name, "occurs twice in one entry")
                self.seen.add(name)
                take(self, child)

    def read_details(self, tx_dtls: Element) -> None:
        """Count one `TxDtls`; what it says is the entry's as long as it is the only one."""
        self.details += 1
        if self.details > 1:
            self._forget_details()
            return
        for child in tx_dtls:
            take = _TAKE_OF_DETAILS.get(local(child.tag))
            if take is not None:
                take(self, child)

    def entry(self, ntry: Element) -> Entry:
        """The entry, once its `Ntry` is complete. Raises FaultError where amount or indicator is missing."""
        for name in ("Amt", "CdtDbtInd"):
            if name not in self.seen:
                raise FaultError("missing_field", ntry, name, "is missing")
        single = self.references
        # The parties are those of the payment. What reverses it moves the money the other way.
        by_debtor = (self.credit_debit is CreditDebit.CRDT) is not self.reversal
        return Entry(
            amount=self.amount,
            currency=self.currency,
            credit_debit=self.credit_debit,
            status=self.status,
            reversal=self.reversal,
            booking_date=self.booking_date,
            value_date=self.value_date,
            servicer_reference=self.servicer_reference or single.get("AcctSvcrRef"),
            entry_reference=self.entry_reference,
            end_to_end_id=single.get("EndToEndId"),
            uetr=single.get("UETR"),
            instruction_id=single.get("InstrId"),
            transaction_id=single.get("TxId"),
            counterparty=self.debtor if by_debtor else self.creditor,
            counterparty_account=self.debtor_account if by_debtor else self.creditor_account,
            creditor_reference=self.creditor_reference,
            remittance=self.remittance,
        )


def _reference(element: Element, path: str) -> str | None:
    word = reference(text(element, path))
    if word is not None and len(word) > REFERENCE_LENGTH:
        raise FaultError("text_too_long", element, path, f"is longer than {REFERENCE_LENGTH} characters")
    return word


def _take_amount(draft: EntryDraft, amt: Element) -> None:
    draft.amount, draft.currency = amount(amt, "Amt")


def _take_indicator(draft: EntryDraft, indicator: Element) -> None:
    draft.credit_debit = credit_debit(indicator, "CdtDbtInd")


def _take_reversal(draft: EntryDraft, indicator: Element) -> None:
    draft.reversal = yes_no(indicator, "RvslInd")


def _take_status(draft: EntryDraft, sts: Element) -> None:
    """Text up to .06, `Cd` or `Prtry` from .07, and banks mix them. A word we do not know is never money."""
    word = text(sts[0] if len(sts) == 1 else sts, "Sts")
    if not word:
        raise FaultError("missing_field", sts, "Sts", "is empty")
    draft.status = _STATUSES.get(word, EntryStatus.INFO)


def _take_booking_date(draft: EntryDraft, bookg_dt: Element) -> None:
    draft.booking_date = day(bookg_dt, "BookgDt")


def _take_value_date(draft: EntryDraft, val_dt: Element) -> None:
    draft.value_date = day(val_dt, "ValDt")


def _take_entry_reference(draft: EntryDraft, ref: Element) -> None:
    draft.entry_reference = _reference(ref, "NtryRef")


def _take_servicer_reference(draft: EntryDraft, ref: Element) -> None:
    draft.servicer_reference = _reference(ref, "AcctSvcrRef")


_TAKE: Final[dict[str, Callable[[EntryDraft, Element], None]]] = {
    "NtryRef": _take_entry_reference,
    "Amt": _take_amount,
    "CdtDbtInd": _take_indicator,
    "RvslInd": _take_reversal,
    "Sts": _take_status,
    "BookgDt": _take_booking_date,
    "ValDt": _take_value_date,
    "AcctSvcrRef": _take_servicer_reference,
}


def _take_references(draft: EntryDraft, refs: Element) -> None:
    for child in named(refs, "AcctSvcrRef", "EndToEndId", "UETR", "InstrId", "TxId"):
        name = local(child.tag)
        draft.references[name] = _reference(child, f"NtryDtls/TxDtls/Refs/{name}")


def _take_parties(draft: EntryDraft, parties: Element) -> None:
    for child in parties:
        name = local(child.tag)
        if name == "Dbtr":
            draft.debtor = _name(child)
        elif name == "Cdtr":
            draft.creditor = _name(child)
        elif name == "DbtrAcct":
            draft.debtor_account = _account(child)
        elif name == "CdtrAcct":
            draft.creditor_account = _account(child)


def _take_remittance(draft: EntryDraft, remittance: Element) -> None:
    draft.remittance = written(" ".join(line.text or "" for line in named(remittance, "Ustrd")), REMITTANCE_LENGTH)
    told = {reference(_said(find(each, "CdtrRefInf", "Ref"))) for each in named(remittance, "Strd")} - {None}
    # Of several invoices paid at once, no reference is the entry's; longer than Max35Text it is none.
    single = told.pop() if len(told) == 1 else None
    draft.creditor_reference = single if single and len(single) <= ID_LENGTH else None


# What these say decides nothing about money: words as they are, cut where they are too long, never refused.
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
            if number := account_number(_said(leaf)):
                return number if len(number) <= ACCOUNT_NUMBER_LENGTH else None
    return None


def _said(leaf: Element | None) -> str:
    return "" if leaf is None else leaf.text or ""


_TAKE_OF_DETAILS: Final[dict[str, Callable[[EntryDraft, Element], None]]] = {
    "Refs": _take_references,
    "RltdPties": _take_parties,
    "RmtInf": _take_remittance,
}
