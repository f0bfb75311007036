"""References, account numbers and dates as banks write them; shared by the XML and the JSON form."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

MESSAGE_ID_LENGTH: Final = 100
"""`statement_reference VARCHAR(100)` of the specification."""
ACCOUNT_NUMBER_LENGTH: Final = 50
"""`account_number VARCHAR(50)` of the specification."""
REFERENCE_LENGTH: Final = 140
CODE_LENGTH: Final = 70
ID_LENGTH: Final = 35
"""Max35Text of ISO 20022."""
NAME_LENGTH: Final = 140
REMITTANCE_LENGTH: Final = 1000
"""Names and remittance information are for people to read, and are cut there."""
AMOUNT_LENGTH: Final = 40
"""More digits than any amount has; a text of millions of zeros is not turned into a number first."""

_NO_REFERENCE: Final = frozenset(
    {"", "-", "NONE", "N/A", "NONREF", "NOTPROVIDED", "NOT PROVIDED", "NOTAVAILABLE", "NOT AVAILABLE"}
)


def reference(text: str) -> str | None:
    """A reference without outer blanks, or None where the bank's word identifies nothing.

    NOTPROVIDED and its kin (any case) and rows of zeros fill mandatory fields (DESIGN 3.2).
    """
    word = text.strip()
    if word.upper() in _NO_REFERENCE or not word.strip("0"):
        return None
    return word


def written(text: str, length: int) -> str | None:
    """Words for people: single blanks between them, cut at `length`; None where there are none."""
    return " ".join(text.split())[:length].rstrip() or None


_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


def account_number(text: str) -> str:
    """An IBAN in capitals without blanks; the bank's own number as it is, without outer blanks."""
    if _IBAN.fullmatch(text):
        return text
    word = text.strip()
    compact = word.replace(" ", "").upper()
    return compact if _IBAN.fullmatch(compact) else word


def is_iban(word: str) -> bool:
    """Whether an account number without blanks is an IBAN with right check digits (ISO 13616, ISO 7064)."""
    return _IBAN.fullmatch(word) is not None and _mod_97(word) == 1


_CREDITOR_REFERENCE: Final = re.compile(r"RF[0-9]{2}[A-Z0-9]{1,21}")


def is_creditor_reference(text: str) -> bool:
    """Whether a text is a creditor reference, RF and right check digits, and nothing else (ISO 11649)."""
    if text[:2].upper() != "RF":
        return False
    word = "".join(text.split()).upper()
    return _CREDITOR_REFERENCE.fullmatch(word) is not None and _mod_97(word) == 1


def _mod_97(word: str) -> int:
    return int("".join(str(int(c, 36)) for c in word[4:] + word[:4])) % 97


_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T[0-9:.,]{1,20})?(?:Z|[+-]\d{2}(?::?\d{2})?)?", re.ASCII)


@lru_cache(maxsize=1024)
def calendar_date(text: str) -> date:
    """The date of an ISO date or date-time, as the bank wrote it: no shift to another time zone.

    Takes "2020-01-01", "2020-01-01Z", "2020-01-01+02:00" and "2020-01-01T23:59:59+04:00" alike, for
    booking and value dates are days of the bank. Raises ValueError for anything else.
    """
    written = _DATE.fullmatch(text)
    if written is None:
        raise ValueError(text)
    return date.fromisoformat(written[1])


def moment(text: str) -> datetime:
    """An ISO date-time with its offset; without one it is taken as UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
