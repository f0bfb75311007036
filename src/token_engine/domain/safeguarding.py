"""An account on a day: what must be safeguarded, what is there, and whether anybody has shown it.

requirement = tokens outstanding + received and not yet credited + deducted and not yet paid, as of the bank's cut-off
(CBUAE SVF Regulation, article 11; FCA CASS 15.8; docs/adr/0017). resource = the balance that a statement which stands,
or a day that was reconciled, shows on a safeguarding account. No evidence is not good evidence: where there is none
the resource is not known, which is neither zero nor enough.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from token_engine.domain.money import EXACT, sum_exactly

_STANDING_STATES: Final = frozenset({"ACCEPTED", "RELEASED"})


class Role(StrEnum):
    """What an account is for. Only safeguarding counts; SETTLEMENT is money on its way through a payment scheme."""

    SAFEGUARDING = "safeguarding"
    SETTLEMENT = "settlement"
    OWN_FUNDS = "own_funds"


class Standing(StrEnum):
    """NO_EVIDENCE: no snapshot although one is due. NONE_DUE: the bank was closed and sent nothing."""

    RECONCILED = "reconciled"
    NOT_RECONCILED = "not_reconciled"
    NO_EVIDENCE = "no_evidence"
    NONE_DUE = "none_due"


class Timeliness(StrEnum):
    """The D+1 check: was the day closed by the end of the next business day?

    WAITING: not yet, and there is time. MISSED: not yet, and there is none.
    """

    MET = "met"
    LATE = "late"
    WAITING = "waiting"
    MISSED = "missed"
    NONE_DUE = "none_due"


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """How a day was closed: its snapshot, or the latest revision of it. Balances in major units.

    `done_at` is when the day's first statement was judged. `statement_state` is None where no statement is known.
    """

    snapshot_id: UUID
    revision: int
    ledger: Decimal
    bank: Decimal
    reconciled: bool
    statement_reference: str | None = None
    statement_state: str | None = None
    level: str | None = None
    failed_checks: tuple[str, ...] = ()
    done_at: datetime | None = None


class AccountDay(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an account on a day. Amounts in major units of `currency`, times with a zone.

    `books` is the ledger as of the cut-off by the time of its movements: it stands where the day has no snapshot.
    `due`: the bank was open. `due_by` is when the next business day ends.
    """

    account_id: UUID
    account_number: str
    currency: str
    bank_name: str
    role: Role
    day: date
    due: bool
    cut_off: datetime
    due_by: datetime
    books: Decimal
    closed: Closed | None = None
    uncredited: Decimal = Decimal(0)
    """Received, not yet credited: booked credits that nobody had announced, and nobody has allocated or returned."""
    unpaid: Decimal = Decimal(0)
    """Deducted, not yet paid: tokens burnt for money that the bank has not debited."""
    unreceived: Decimal = Decimal(0)
    """Credited, not yet received: tokens that a ledger kept elsewhere minted before the bank's credit. No resource."""


class OnTheWay(msgspec.Struct, frozen=True):
    """What was on its way at a cut-off, in major units. `held` and `sent` payouts are tokens that are outstanding
    still; `announced` credits are promised, which backs nothing.
    """

    held: Decimal = Decimal(0)
    sent: Decimal = Decimal(0)
    announced: Decimal = Decimal(0)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An account's day as a report says it. Amounts in major units; `excess` is below zero for a shortfall.

    `resource` and `excess` are None where no evidence shows them.
    """

    account_id: UUID
    account_number: str
    currency: str
    bank: str
    role: Role
    day: date
    cut_off: datetime
    standing: Standing
    timeliness: Timeliness
    due_by: datetime
    done_at: datetime | None = None
    tokens_outstanding: Decimal
    uncredited: Decimal
    unpaid: Decimal
    requirement: Decimal
    unreceived: Decimal
    bank_balance: Decimal | None = None
    resource: Decimal | None
    excess: Decimal | None
    level: str | None = None
    snapshot_id: UUID | None = None
    revision: int | None = None
    statement_reference: str | None = None
    statement_state: str | None = None
    failed_checks: tuple[str, ...] = ()


def line_of(of: AccountDay, now: datetime) -> Line:
    """The line of an account's day. `now` decides only whether a day that is not closed waits or was missed."""
    closed = of.closed
    tokens = of.books if closed is None else closed.ledger
    requirement = sum_exactly((tokens, of.uncredited, of.unpaid))
    resource = _resource(of)
    return Line(
        account_id=of.account_id, account_number=of.account_number, currency=of.currency, bank=of.bank_name,
        role=of.role, day=of.day, cut_off=of.cut_off, standing=_standing(of), timeliness=_timeliness(of, now),
        due_by=of.due_by, tokens_outstanding=tokens, uncredited=of.uncredited, unpaid=of.unpaid,
        requirement=requirement, unreceived=of.unreceived, resource=resource,
        excess=None if resource is None else EXACT.subtract(resource, requirement),
        **({} if closed is None else _said(closed)),
    )  # fmt: skip


def _said(closed: Closed) -> dict[str, Any]:
    return {
        "bank_balance": closed.bank, "level": closed.level, "snapshot_id": closed.snapshot_id,
        "revision": closed.revision, "statement_reference": closed.statement_reference,
        "statement_state": closed.statement_state, "failed_checks": closed.failed_checks, "done_at": closed.done_at,
    }  # fmt: skip


def _resource(of: AccountDay) -> Decimal | None:
    """A statement in quarantine is no evidence, whatever balance it states."""
    if of.role is not Role.SAFEGUARDING:
        return Decimal(0)
    if of.closed is None or not (of.closed.reconciled or of.closed.statement_state in _STANDING_STATES):
        return None
    return of.closed.bank


def _standing(of: AccountDay) -> Standing:
    if of.closed is not None:
        return Standing.RECONCILED if of.closed.reconciled else Standing.NOT_RECONCILED
    return Standing.NO_EVIDENCE if of.due else Standing.NONE_DUE


def _timeliness(of: AccountDay, now: datetime) -> Timeliness:
    if not of.due:
        return Timeliness.NONE_DUE
    done = None if of.closed is None else of.closed.done_at
    if done is not None:
        return Timeliness.MET if done <= of.due_by else Timeliness.LATE
    # A snapshot of which nobody can say when it was made shows nothing.
    return Timeliness.WAITING if now <= of.due_by else Timeliness.MISSED
