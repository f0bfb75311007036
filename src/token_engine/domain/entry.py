"""One movement on the bank's side, and what it adds to the account."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from token_engine.domain.money import EXACT


class CreditDebit(StrEnum):
    """ISO 20022 CreditDebitCode, as the bank says it."""

    CRDT = "CRDT"
    DBIT = "DBIT"


class EntryStatus(StrEnum):
    """ISO 20022 ExternalEntryStatus1Code. Only BOOK is money (DESIGN 3.2)."""

    BOOK = "BOOK"
    PDNG = "PDNG"
    INFO = "INFO"
    FUTR = "FUTR"


class ReversalSign(StrEnum):
    """What a bank means by `RvslInd`: see `signed_amount`."""

    PUBLISHED = "published"
    INVERTED = "inverted"


class EntryDetail(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One payment (`TxDtls`) of an entry that books several at once. What is unreadable here is None: details
    explain an entry, and decide nothing of what is booked.
    """

    amount: Decimal | None = None
    """In major units of the entry's currency, never negative; None where the bank says none in that currency."""
    credit_debit: CreditDebit | None = None
    """As the bank says it; None where it leaves that to the entry. Some details go against their entry."""
    end_to_end_id: str | None = None
    uetr: str | None = None
    instruction_id: str | None = None
    transaction_id: str | None = None
    creditor_reference: str | None = None


DETAILS_KEPT: Final = 10_000
"""The most details that are held of one entry."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An `Ntry` as the bank wrote it. `amount` is in major units and never negative. Its fields are given by name, but
    where columns of many become entries at once.

    References are None where the bank gives none, or one such as NOTPROVIDED that identifies nothing.
    What follows `entry_reference` up to `remittance` comes from the entry's details when it has exactly one; a
    batch of several details has no single one, and has `details`.
    """

    amount: Decimal
    currency: str
    credit_debit: CreditDebit
    status: EntryStatus
    reversal: bool = False
    booking_date: date | None = None
    value_date: date | None = None
    servicer_reference: str | None = None
    entry_reference: str | None = None
    end_to_end_id: str | None = None
    uetr: str | None = None
    instruction_id: str | None = None
    transaction_id: str | None = None
    counterparty: str | None = None
    """The name of the other party, where told: who paid a credit, whom a debit went to."""
    counterparty_account: str | None = None
    creditor_reference: str | None = None
    """A structured one, that the creditor set and can check (ISO 11649 and its national kin)."""
    remittance: str | None = None
    """What the payer wrote for people."""
    transaction_code: str | None = None
    """`BkTxCd`: "PMNT/RCDT/ESCT", or the bank's own code; the type in :61: of an MT, "NTRF"."""
    batch_reference: str | None = None
    """`Btch/PmtInfId`, else `Btch/MsgId`: what the issuer called the batch that the bank booked as one entry."""
    details: tuple[EntryDetail, ...] = ()
    """The payments of an entry that has two or more, in the order of the message. Of more than `DETAILS_KEPT`
    none, as if the bank had not itemised: a part of them would add up to something else than the entry."""

    @property
    def booked(self) -> bool:
        return self.status is EntryStatus.BOOK


def signed_amount(entry: Entry, reversal_sign: ReversalSign = ReversalSign.PUBLISHED) -> Decimal:
    """What a booked entry adds to the account, in major units of the account's currency.

    The sign is the indicator's alone. A reversal is published with the indicator of the movement it
    makes (ISO 20022, ReportEntry `RvslInd`: "if CreditDebitIndicator is CRDT and ReversalIndicator is
    Yes, the original operation was a debit entry"), so it does not flip the sign, except for banks
    known to send the indicator of the movement they undo (`ReversalSign.INVERTED`).

    Here alone in the engine an indicator becomes a sign.
    """
    return entry.amount if adds(entry.credit_debit, entry.reversal, reversal_sign) else EXACT.minus(entry.amount)


def adds(credit_debit: CreditDebit, reversal: bool, reversal_sign: ReversalSign) -> bool:
    """Whether entries of this indicator add to the account, or take away from it: the rule of `signed_amount`, for
    sums of many.
    """
    credit = credit_debit is CreditDebit.CRDT
    return not credit if reversal and reversal_sign is ReversalSign.INVERTED else credit


def signed_details(entry: Entry, reversal_sign: ReversalSign = ReversalSign.PUBLISHED) -> tuple[Decimal | None, ...]:
    """What each of an entry's details adds to the account, in order; None where the bank says no amount.

    A detail that goes against its entry (a payment sent back among those received) takes away from it. Where
    all of them do, the bank gives the direction of the payments that were undone: they add up to the entry.
    """
    entry_adds = adds(entry.credit_debit, entry.reversal, reversal_sign)
    against = [d.credit_debit not in (None, entry.credit_debit) for d in entry.details]
    if all(against):
        against = [False] * len(against)
    return tuple(
        None if d.amount is None else d.amount if entry_adds is not opposite else -d.amount
        for d, opposite in zip(entry.details, against, strict=True)
    )


def booked_sum(entries: Iterable[Entry], reversal_sign: ReversalSign = ReversalSign.PUBLISHED) -> Decimal:
    """Signed sum of the booked entries: exact, in major units."""
    total = Decimal(0)
    for entry in entries:
        if entry.booked:
            total = EXACT.add(total, signed_amount(entry, reversal_sign))
    return total


def bank_position(
    closing: Decimal, later_entries: Iterable[Entry], reversal_sign: ReversalSign = ReversalSign.PUBLISHED
) -> Decimal:
    """The bank reported balance (DESIGN 3.2): closing balance of the last accepted statement plus the
    booked entries known but not contained in it. A fold over a set: order does not matter.
    """
    return EXACT.add(closing, booked_sum(later_entries, reversal_sign))
