"""One movement on the bank's side, and what it adds to the account."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import StrEnum

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


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An `Ntry` as the bank wrote it. `amount` is in major units and never negative.

    References are None where the bank gives none, or one such as NOTPROVIDED that identifies nothing.
    What follows `entry_reference` comes from the entry's details when it has exactly one; a batch of
    several details has no single one.
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

    @property
    def booked(self) -> bool:
        return self.status is EntryStatus.BOOK


def signed_amount(entry: Entry, reversal_sign: ReversalSign = ReversalSign.PUBLISHED) -> Decimal:
    """What a booked entry adds to the account, in major units of the account's currency.

    The sign is the indicator's alone. A reversal is published with the indicator of the movement it
    makes (ISO 20022, ReportEntry `RvslInd`: "if CreditDebitIndicator is CRDT and ReversalIndicator is
    Yes, the original operation was a debit entry"), so it does not flip the sign, except for banks
    known to send the indicator of the movement they undo (`ReversalSign.INVERTED`).

    This is the only function in the engine that turns an indicator into a sign.
    """
    credit = entry.credit_debit is CreditDebit.CRDT
    if entry.reversal and reversal_sign is ReversalSign.INVERTED:
        credit = not credit
    return entry.amount if credit else -entry.amount


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
