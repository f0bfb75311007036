"""Reads one `Ntry`. Its own amount and indicator count, never those of its details or charges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from lxml.etree import _Element as Element

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.iso20022.camt_heading import day
from token_engine.iso20022.words import REFERENCE_LENGTH, reference
from token_engine.iso20022.xml import FaultError, amount, credit_debit, local, named, text, yes_no

_STATUSES: Final = {status.value: status for status in EntryStatus}


class EntryDraft:
    """What one `Ntry` has said so far: its details are read, and freed, before the rest of it is complete."""

    __slots__ = (
        "amount",
        "booking_date",
        "credit_debit",
        "currency",
        "details",
        "entry_reference",
        "references",
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
        self.references: dict[str, str | None] = {}

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
        """Count one `TxDtls`; its references are the entry's as long as it is the only one."""
        self.details += 1
        if self.details > 1:
            self.references = {}
            return
        for refs in named(tx_dtls, "Refs"):
            for child in named(refs, "AcctSvcrRef", "EndToEndId", "UETR", "InstrId", "TxId"):
                name = local(child.tag)
                self.references[name] = _reference(child, f"NtryDtls/TxDtls/Refs/{name}")

    def entry(self, ntry: Element) -> Entry:
        """The entry, once its `Ntry` is complete. Raises FaultError where amount or indicator is missing."""
        for name in ("Amt", "CdtDbtInd"):
            if name not in self.seen:
                raise FaultError("missing_field", ntry, name, "is missing")
        single = self.references
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
