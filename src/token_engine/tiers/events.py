"""The events that leave through the outbox: their subjects (specification, "NATS Event Stream") and shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from token_engine.domain.account import Account
from token_engine.domain.backing import Level
from token_engine.domain.breaker import Breaker
from token_engine.domain.closing import ClosingState
from token_engine.domain.discrepancy import Happening, Told
from token_engine.domain.funding import Funding, FundingState
from token_engine.domain.meeting import Meeting, Met
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.override import Override, OverrideState
from token_engine.domain.payout import Payout, PayoutState
from token_engine.storage.positions import EventRow

MESSAGE_REJECTED: Final = "reconciliation.message.rejected"

DAY_CLOSED: Final = "reconciliation.eod.complete"
"""A statement was taken in and its day has a snapshot, reconciled or not."""

DRIFT: Final = "reconciliation.tier2.drift"
"""An account drifts towards a bound."""

BREAKER: Final[dict[Breaker, str]] = {
    Breaker.OPEN: "reconciliation.circuit_breaker.activated",
    Breaker.SUSPENDED: "reconciliation.circuit_breaker.suspended",
    Breaker.CLOSED: "reconciliation.circuit_breaker.closed",
}
"""The subject that announces each state of the breaker."""

DISCREPANCY: Final[dict[Happening, str]] = {
    happening: f"reconciliation.discrepancy.{happening}"
    for happening in (
        Happening.OPENED, Happening.ASSIGNED, Happening.COMMENTED, Happening.RESOLVED, Happening.REOPENED,
    )
}  # fmt: skip
"""The subjects of what others may want to act upon; the rest is in the discrepancy's story."""

_BREAKER: Final = "reconciliation.circuit_breaker"
CLOSING: Final[dict[ClosingState, str]] = {
    ClosingState.PENDING: f"{_BREAKER}.close_requested",
    ClosingState.APPROVED: BREAKER[Breaker.CLOSED],
    ClosingState.WITHDRAWN: f"{_BREAKER}.close_withdrawn",
    ClosingState.EXPIRED: f"{_BREAKER}.close_expired",
    ClosingState.VOID: f"{_BREAKER}.close_voided",
}
"""The subject that announces each state of a closing."""
_OVERRIDE: Final[dict[OverrideState, str]] = {
    OverrideState.PENDING: f"{_BREAKER}.override_requested",
    OverrideState.IN_FORCE: f"{_BREAKER}.override_granted",
    OverrideState.EXPIRED: f"{_BREAKER}.override_expired",
    OverrideState.REVOKED: f"{_BREAKER}.override_revoked",
    OverrideState.VOID: f"{_BREAKER}.override_voided",
}

BREAKER_ACTS: Final = frozenset({*CLOSING.values(), *_OVERRIDE.values(), f"{_BREAKER}.override_request_expired"})
"""The subjects of what people do about a breaker, and of what ends by itself."""

LEDGER: Final = "reconciliation.ledger"
"""What announces a movement, followed by its kind."""

FUNDING: Final[dict[FundingState, str]] = {
    FundingState.EXPECTED: "reconciliation.funding.announced",
    FundingState.MET: "reconciliation.funding.met",
    FundingState.CANCELLED: "reconciliation.funding.cancelled",
    FundingState.EXPIRED: "reconciliation.funding.expired",
}
"""The subject that announces each state of a funding."""

RECEIPT_ALLOCATED: Final = "reconciliation.receipt.allocated"
RECEIPT_RETURNED: Final = "reconciliation.receipt.returned"
RECEIPT_DEBITED: Final = "reconciliation.receipt.debited"
"""A person said which of the bank's debits took a returned receipt."""

CONNECTION_SET: Final = "reconciliation.connection.set"
POLLING_SET: Final = "reconciliation.polling.set"
POLLING_ENDED: Final = "reconciliation.polling.ended"
CALENDAR_SET: Final = "reconciliation.statement.calendar_set"
RELEASE_REQUESTED: Final = "reconciliation.statement.release_requested"
RELEASE_APPROVED: Final = "reconciliation.statement.release_approved"
MATCH: Final = "reconciliation.match"
"""What announces what people do with matches, followed by made, unmatched, force_requested, forced, force_withdrawn."""

PAYOUT: Final[dict[PayoutState, str]] = {
    state: f"reconciliation.payout.{state.lower()}" for state in PayoutState
}  # fmt: skip
"""The subject that announces each state of a payout."""

_MET: Final[dict[Met, tuple[str, str]]] = {
    Met.FUNDING: (FundingState.MET, FUNDING[FundingState.MET]),
    Met.PAYOUT: (PayoutState.SETTLED, PAYOUT[PayoutState.SETTLED]),
    Met.PAYOUT_RETURN: (PayoutState.RETURNED, PAYOUT[PayoutState.RETURNED]),
}
"""What an expectation has come to, and the subject that announces it."""

_encode = msgspec.json.Encoder().encode


class _Event(msgspec.Struct):
    event_id: str
    event_type: str
    occurred_at: datetime
    message_id: str | None
    data: Any


class _Moved(msgspec.Struct, kw_only=True):
    """A movement on the token ledger by which an entry met what was expected: one of the two, the other is left out."""

    id: int
    account_id: UUID
    account_number: str
    currency: str
    token: str
    kind: str
    amount: str
    from_holder: str | None
    to_holder: str | None
    reason: str
    actor: str
    cause: str | None
    at: datetime
    funding_id: UUID | UnsetType
    payout_id: UUID | UnsetType
    end_to_end_id: str | None


class _CameTo(msgspec.Struct, kw_only=True):
    """What a funding or a payout has come to by the bank's entry."""

    funding_id: UUID | UnsetType
    payout_id: UUID | UnsetType
    account_id: UUID
    account_number: str
    currency: str
    token: str
    end_to_end_id: str | None
    holder: str | None
    state: str
    amount: str
    booked: str
    movement_id: int
    at: datetime


def judged(tier: str, level: Level) -> str:
    """`reconciliation.tier1.ok`, or a mismatch of any size."""
    return f"reconciliation.{tier}.{'ok' if level is Level.OK else 'mismatch'}"


def discrepancy(told: Told, account: Account) -> dict[str, Any]:
    """What an event says of a discrepancy: who did what, whose it is, and the figures (major units)."""
    ledger, bank, currency = told.ledger, told.bank, account.currency
    figures = {}
    if ledger is not None and bank is not None:
        figures = {
            "ledger_balance": in_currency(ledger, currency),
            "bank_balance": in_currency(bank, currency),
            "difference": in_currency(EXACT.subtract(bank, ledger), currency),
        }
    return {
        "discrepancy_id": told.discrepancy_id,
        "discrepancy_type": told.type,
        "account_id": account.id,
        "account_number": account.number,
        "currency": currency,
        "severity": told.severity,
        **figures,
        "assignee": told.assignee,
        "actor": told.actor,
        "text": told.text,
    }


def audited(movement: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit log keeps of a movement, out of what is said of it."""
    names = (
        "id", "amount", "from_holder", "to_holder", "reason", "cause", "reverses", "idempotency_key", "funding_id",
        "payout_id",
    )  # fmt: skip
    return {name: movement[name] for name in names if movement.get(name) is not None}


def funding(of: Funding, account: Account) -> dict[str, Any]:
    """What an event says of a funding: who gets how much (major units) for which credit, and until when."""
    return {
        "funding_id": of.id,
        "account_id": account.id,
        "account_number": account.number,
        "currency": account.currency,
        "token": f"x{account.currency}",
        "end_to_end_id": of.end_to_end_id,
        "amount": in_currency(of.amount, account.currency),
        "holder": of.holder,
        "state": of.state,
        "announced_by": of.announced_by,
        "announced_at": of.announced_at,
        "expires_at": of.expires_at,
    }


def payout(of: Payout, number: str, currency: str) -> dict[str, Any]:
    """What answers and events say of a payout; its amount is a decimal string. `number` is its account's."""
    return {
        "id": of.id,
        "account_id": of.account_id,
        "account_number": number,
        "currency": currency,
        "token": f"x{currency}",
        "amount": in_currency(of.amount, currency),
        "holder": of.holder,
        "beneficiary": of.beneficiary,
        "end_to_end_id": of.end_to_end_id,
        "state": of.state,
        "requested_by": of.requested_by,
        "requested_at": of.requested_at,
        "expires_at": of.expires_at,
        "sent_by": of.sent_by,
        "sent_at": of.sent_at,
        "settled_by": of.settled_by,
        "settled_at": of.settled_at,
        "settled_reason": of.settled_reason,
    }


def met(of: Meeting, account: Account, at: datetime) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """The subjects and contents that announce the movement which a meeting caused, and what the expectation has come
    to by it. Amounts in major units.
    """
    state, subject = _MET[of.met]
    funding, payout = (of.expectation, UNSET) if of.met is Met.FUNDING else (UNSET, of.expectation)
    movement, currency = of.movement, account.currency
    token, end_to_end_id, booked = f"x{currency}", of.entry.entry.end_to_end_id, in_currency(of.booked, currency)
    # Nearly always the bank books what was expected, and all of it moves.
    expected = booked if of.expected == of.booked else in_currency(of.expected, currency)
    moved = booked if movement.amount == of.booked else in_currency(movement.amount, currency)
    return (
        f"{LEDGER}.{movement.kind}",
        _Moved(
            id=of.number, account_id=account.id, account_number=account.number, currency=currency, token=token,
            kind=movement.kind, amount=moved, from_holder=movement.from_holder, to_holder=movement.to_holder,
            reason=movement.reason, actor=movement.actor, cause=movement.cause, at=at, funding_id=funding,
            payout_id=payout, end_to_end_id=end_to_end_id,
        ),
    ), (
        subject,
        _CameTo(
            funding_id=funding, payout_id=payout, account_id=account.id, account_number=account.number,
            currency=currency, token=token, end_to_end_id=end_to_end_id,
            holder=movement.to_holder or movement.from_holder, state=state, amount=expected, booked=booked,
            movement_id=of.number, at=at,
        ),
    )  # fmt: skip


def override(of: Override) -> str:
    """The subject that announces an override's state. One that nobody approved lapses under a name of its
    own: its end shuts nothing, and need wake nobody.
    """
    if of.state is OverrideState.EXPIRED and of.approved_at is None:
        return f"{_BREAKER}.override_request_expired"
    return _OVERRIDE[of.state]


def event(subject: str, event_id: str, at: datetime, message_id: str | None, content: Any) -> EventRow:
    """An event about the bank message `message_id`, at `at` (with a time zone). `event_id` lets
    JetStream drop a second copy.
    """
    return EventRow(event_id, subject, _encode(_Event(event_id, subject, at, message_id, content)).decode())
