"""What a bank message says: one or more notifications, account reports or statements."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from token_engine.domain.entry import CreditDebit, Entry, ReversalSign


class MessageKind(StrEnum):
    """Which of the three cash-management messages it is; the version plays no part in any rule."""

    NOTIFICATION = "camt.054"
    REPORT = "camt.052"
    STATEMENT = "camt.053"


class StatedBalance(msgspec.Struct, frozen=True, kw_only=True):
    """A `Bal` of a report or statement. `amount` is never negative; the indicator gives the side.

    `code` is the ISO code (OPBD, CLBD, PRCD, ITBD, CLAV, …) or the bank's own word.
    """

    code: str
    amount: Decimal
    currency: str
    credit_debit: CreditDebit
    as_of: date | None = None
    at: datetime | None = None
    """`Dt/DtTm`, without a time zone where the bank names none. The checks of a statement go by `as_of`."""
    includes_credit_line: bool = False
    interim: bool = False
    """`SubTp` INTM, or :60M: and :62M: of an MT: it opens or closes a page of the statement, not the statement."""

    @property
    def signed(self) -> Decimal:
        """Positive when the bank owes the account holder."""
        return self.amount if self.credit_debit is CreditDebit.CRDT else -self.amount


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says after its entries: an MT closes, and counts, at its end; a camt of some banks, too."""

    balances: tuple[StatedBalance, ...] = ()
    last_page: bool | None = None
    stated_entries: int | None = None
    stated_sum: Decimal | None = None


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a notification, report or statement says before its entries, and with `ended` after them."""

    kind: MessageKind
    type: str
    """As sent: "camt.054.001.08", or "camt.054" where the message names no version; "MT940"."""
    message_id: str
    """`GrpHdr/MsgId`, `message_id` of the JSON form, or :20: of an MT, where many banks write the same each day."""
    notification_id: str | None = None
    """`Ntfctn/Id`, `Rpt/Id` or `Stmt/Id`."""
    account_number: str
    """IBAN without blanks, or the bank's own account number."""
    currency: str | None = None
    """`Acct/Ccy`; None where the message leaves it to the entries. An MT has one, that of its balances."""
    servicer_bic: str | None = None
    created_at: datetime | None = None
    from_date: date | None = None
    """`FrToDt`: the first and the last day that a report or statement is about, as the bank wrote them."""
    to_date: date | None = None
    sequence_number: str | None = None
    copy: bool = False
    """`CpyDplctInd` or `DplctInd`: a copy or duplicate of what was or will be sent; it never adds."""
    balances: tuple[StatedBalance, ...] = ()
    stated_entries: int | None = None
    """`TxsSummry/TtlNtries/NbOfNtries`."""
    stated_sum: Decimal | None = None
    """`TxsSummry/TtlNtries/Sum`: of amounts without sign."""
    page_number: int | None = None
    last_page: bool | None = None

    def reversal_sign(self, of_bank: ReversalSign) -> ReversalSign:
        """What a reversal in this message means, from a bank that means `of_bank` by ISO 20022's `RvslInd`.

        SWIFT MT has a mark of its own for each way (field 61: RC lowers, RD raises), which no bank turns round.
        """
        return ReversalSign.PUBLISHED if self.type.startswith("MT") else of_bank

    def ended(self, ending: Ending) -> Heading:
        """The same, complete with what stood after the entries."""
        return msgspec.structs.replace(
            self,
            balances=self.balances + ending.balances,
            last_page=self.last_page if ending.last_page is None else ending.last_page,
            stated_entries=self.stated_entries if ending.stated_entries is None else ending.stated_entries,
            stated_sum=self.stated_sum if ending.stated_sum is None else ending.stated_sum,
        )


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One notification, report or statement with its entries, in the order of the message."""

    heading: Heading
    entries: tuple[Entry, ...]
