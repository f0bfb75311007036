"""Why nothing answers for a line or a movement, as far as its facts tell (DESIGN 3.4): a suggestion for a person."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The suggested reason. NOT_STATED: notified, and in no statement. AMBIGUOUS: several could answer for it."""

    FEE = "fee"
    INTEREST = "interest"
    RETURN = "return"
    DUPLICATE = "duplicate"
    AMOUNT_DIFFERS = "amount_differs"
    TIMING = "timing"
    AMBIGUOUS = "ambiguous"
    NOT_STATED = "not_stated"
    UNKNOWN = "unknown"


# Codes: ISO 20022 external bank transaction codes (family or sub-family, anywhere in "PMNT/ICDT/RRTN"), or the type of
# a :61: of SWIFT MT with its leading N. Words: what banks write for people. Both are regular expressions of PostgreSQL,
# case makes no difference.
RETURN_CODES: Final = r"\m(RRTN|RTRN|ARET|RPCR|UPCT|UPDD|UPCQ|N?RTI)\M"
RETURN_WORDS: Final = r"\m(RTRN|RETURN(ED)?|RETURNS|RETOURE|R.CKLASTSCHRIFT|REJECT(ED)?|REVERSAL)\M"
INTEREST_CODES: Final = r"\m(INTR|N?INT|OVDR/INTR)\M"
INTEREST_WORDS: Final = r"\m(INTEREST|ZINSEN|INT\.? ?(CR|DR|PAID)|PROFIT (PAID|SHARE))\M"
FEE_CODES: Final = r"\m(CHRG|COMM|FEES|CCRD/CHRG|N?CHG|N?COM)\M"
FEE_WORDS: Final = r"\m(FEES?|CHARGES?|COMMISSION|CHRG|CHGS?|SERVICE CHARGE|ENTGELT|GEB.HR(EN)?|VAT ON CHARGES?)\M"

SMALL_DEBIT: Final = Decimal(50)
"""Major units: a debit up to this, with no counterparty and no end-to-end id, is rather a fee than a payment."""
