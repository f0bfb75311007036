"""A discrepancy as work: who may do what with one, and the story that it leaves.

One that is not resolved is open, whether or not somebody investigates it: later messages update it, and no
second of its account and type stands beside it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from token_engine.domain.backing import Level
from token_engine.domain.refusal import Refusal

BALANCE_MISMATCH: Final = "BALANCE_MISMATCH"
"""The type of a difference between ledger and bank: the one that judging an account opens and resolves."""

FUNDING_AMOUNT_DIFFERS: Final = "FUNDING_AMOUNT_DIFFERS"
"""The bank's credit that met a funding was of another amount than announced; what was booked was minted."""

PAYOUT_AMOUNT_DIFFERS: Final = "PAYOUT_AMOUNT_DIFFERS"
"""The bank's debit that settled a payout was of another amount than held."""

RETURN_AMOUNT_DIFFERS: Final = "RETURN_AMOUNT_DIFFERS"
"""The bank's credit that returned a payout was of another amount than had been burnt for it."""

PAYOUT_OVERDUE: Final = "PAYOUT_OVERDUE"
"""A payout was sent, and the bank has neither debited nor rejected it in time."""

STATEMENT_QUARANTINED: Final = "STATEMENT_QUARANTINED"
"""A statement failed a check and moved nothing."""

EOD_DIFFERENCE: Final = "EOD_DIFFERENCE"
"""When the bank's day ended, the ledger was not what the closing balance says."""

NOTIFIED_NOT_STATED: Final = "NOTIFIED_NOT_STATED"
"""Entries were notified as booked, and no statement contains them."""

STATED_NOT_NOTIFIED: Final = "STATED_NOT_NOTIFIED"
"""A bank that notifies entries stated some that it had not notified."""

STATEMENT_MISSING: Final = "STATEMENT_MISSING"
"""The statement of a business day was due and had not come. Opened when it was due; its subject is the day."""

POSITION_DIFFERS: Final = "POSITION_DIFFERS"
"""The bank's own balance, when it was asked, is not what its messages add up to, nor explained by what is expected."""

DRIFT: Final = "DRIFT"
"""The difference between bank and ledger moves day by day towards a bound. Its subject is the direction."""


class Status(StrEnum):
    """OPEN: nobody's. INVESTIGATING: somebody's. RESOLVED: done, by the engine or a person."""

    OPEN = "OPEN"
    INVESTIGATING = "INVESTIGATING"
    RESOLVED = "RESOLVED"


class Happening(StrEnum):
    """What a line of the story tells of. ASSIGNED to nobody is how one is given back."""

    OPENED = "opened"
    SEVERITY_CHANGED = "severity_changed"
    DIFFERENCE_GONE = "difference_gone"
    DIFFERENCE_RETURNED = "difference_returned"
    ASSIGNED = "assigned"
    COMMENTED = "commented"
    RESOLVED = "resolved"
    REOPENED = "reopened"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a discrepancy's story: who did what, when (with a time zone), at which figures (major units).

    `text` is what a person wrote or the engine's evidence; `assignee` the owner from then on; `message_id`
    the number of the bank message that it came of.
    """

    discrepancy_id: UUID
    type: str = BALANCE_MISMATCH
    happening: Happening
    at: datetime
    actor: str
    severity: Level
    text: str | None = None
    ledger: Decimal | None = None
    bank: Decimal | None = None
    assignee: str | None = None
    message_id: int | None = None


class DifferenceRemains(Refusal, frozen=True):
    """It cannot be called resolved while ledger and bank are apart: at these figures (decimal strings)."""

    figures: dict[str, str] = msgspec.field(default_factory=dict)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A discrepancy as a person finds it, under its account's lock."""

    id: UUID
    account_id: UUID
    type: str
    status: Status
    severity: Level
    ledger: Decimal | None
    bank: Decimal | None
    assignee: str | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None


def status_of(assignee: str | None) -> Status:
    """The status of one that is not resolved: somebody's, or nobody's."""
    return Status.OPEN if assignee is None else Status.INVESTIGATING


def already_resolved(case: Case) -> Refusal | None:
    """Why it can be neither given to somebody nor resolved again; or None."""
    if case.status is not Status.RESOLVED:
        return None
    text = f"resolved by {case.resolved_by} at {case.resolved_at:%Y-%m-%dT%H:%M:%SZ}; reopen it to go on with it"
    return Refusal("already_resolved", text)


def why_not_reopened(case: Case, other_open: UUID | None) -> Refusal | None:
    """Why it cannot be reopened: it is open, or a later one of its account and type is; or None."""
    if case.status is not Status.RESOLVED:
        return Refusal("not_resolved", f"its status is {case.status}: there is nothing to reopen")
    if other_open is not None:
        return Refusal("another_is_open", f"the account has a later {case.type} that is open: {other_open}")
    return None


def repeats(last: Told | None, happening: Happening, actor: str, text: str | None) -> bool:
    """Whether this is what the story's last line tells: said again by somebody who did not get the answer."""
    return last is not None and (last.happening, last.actor, last.text) == (happening, actor, text)
