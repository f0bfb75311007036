"""Reads one `Ntry`. Its own amount and indicator count, never those of its details or charges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from lxml.etree import _Element as Element

from token_engine.domain.entry import DETAILS_KEPT, CreditDebit, Entry, EntryStatus
from token_engine.iso20022.camt_details import (
    DetailDraft,
    SingleDetails,
    batch_reference,
    checked_reference,
    transaction_code,
)
from token_engine.iso20022.camt_heading import day
from token_engine.iso20022.xml import FaultError, amount, credit_debit, local, text, yes_no

STATUSES: Final = {status.value: status for status in EntryStatus}


class EntryDraft:
    """What one `Ntry` has said so far: its details are read, and freed, before the rest of it is complete."""

    __slots__ = (
        "_first",
        "_several",
        "amount",
        "batch_references",
        "booking_date",
        "credit_debit",
        "currency",
        "details",
        "entry_reference",
        "reversal",
        "seen",
        "servicer_reference",
        "status",
        "transaction_code",
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
        self.transaction_code: str | None = None
        self.batch_references: set[str] = set()
        self.details = 0
        self._first: Element | None = None
        self._several: list[DetailDraft] = []

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

    def read_batch(self, btch: Element) -> None:
        """Take what the bank calls the batch; what is named in two ways has no name."""
        if (word := batch_reference(btch)) is not None and len(self.batch_references) < 2:
            self.batch_references.add(word)

    def add_details(self, tx_dtls: Element) -> None:
        """Count one `TxDtls`. The first is read later, and stays in the tree: it is either the entry's own, or
        one of several.
        """
        self.details += 1
        if self.details == 1:
            self._first = tx_dtls
            return
        if self._first is not None:
            self._several.append(DetailDraft(self._first))
            self._first = None
        if self.details <= DETAILS_KEPT:
            self._several.append(DetailDraft(tx_dtls))
        else:
            self._several.clear()

    def entry(self, ntry: Element) -> Entry:
        """The entry, once its `Ntry` is complete. Raises FaultError where amount or indicator is missing."""
        for name in ("Amt", "CdtDbtInd"):
            if name not in self.seen:
                raise FaultError("missing_field", ntry, name, "is missing")
        single = SingleDetails(self._first)
        references = single.references
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
            servicer_reference=self.servicer_reference or references.get("AcctSvcrRef"),
            entry_reference=self.entry_reference,
            end_to_end_id=references.get("EndToEndId"),
            uetr=references.get("UETR"),
            instruction_id=references.get("InstrId"),
            transaction_id=references.get("TxId"),
            counterparty=single.debtor if by_debtor else single.creditor,
            counterparty_account=single.debtor_account if by_debtor else single.creditor_account,
            creditor_reference=single.creditor_reference,
            remittance=single.remittance,
            transaction_code=self.transaction_code or single.transaction_code,
            batch_reference=next(iter(self.batch_references)) if len(self.batch_references) == 1 else None,
            details=tuple(each.detail(self.currency) for each in self._several),
        )


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
    draft.status = STATUSES.get(word, EntryStatus.INFO)


def _take_booking_date(draft: EntryDraft, bookg_dt: Element) -> None:
    draft.booking_date = day(bookg_dt, "BookgDt")


def _take_value_date(draft: EntryDraft, val_dt: Element) -> None:
    draft.value_date = day(val_dt, "ValDt")


def _take_entry_reference(draft: EntryDraft, ref: Element) -> None:
    draft.entry_reference = checked_reference(ref, "NtryRef")


def _take_servicer_reference(draft: EntryDraft, ref: Element) -> None:
    draft.servicer_reference = checked_reference(ref, "AcctSvcrRef")


def _take_transaction_code(draft: EntryDraft, code: Element) -> None:
    draft.transaction_code = transaction_code(code)


_TAKE: Final[dict[str, Callable[[EntryDraft, Element], None]]] = {
    "NtryRef": _take_entry_reference,
    "Amt": _take_amount,
    "CdtDbtInd": _take_indicator,
    "RvslInd": _take_reversal,
    "Sts": _take_status,
    "BookgDt": _take_booking_date,
    "ValDt": _take_value_date,
    "AcctSvcrRef": _take_servicer_reference,
    "BkTxCd": _take_transaction_code,
}
