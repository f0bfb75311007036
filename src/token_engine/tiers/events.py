"""The events that leave through the outbox: their subjects (specification, "NATS Event Stream") and shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.backing import Level
from token_engine.domain.breaker import Breaker
from token_engine.domain.closing import ClosingState
from token_engine.domain.discrepancy import Happening, Told
from token_engine.domain.funding import Funding, FundingState
from token_engine.domain.ledger import Movement
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

_encode = msgspec.json.Encoder().encode


class _Event(msgspec.Struct):
    event_id: str
    event_type: str
    occurred_at: datetime
    message_id: str | None
    data: Any


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


def movement(number: int, of: Movement, account: Account, at: datetime) -> dict[str, Any]:
    """What is said of a movement on the token ledger, as the API shows it too."""
    return {
        "id": number,
        "account_id": str(account.id),
        "account_number": account.number,
        "currency": account.currency,
        "token": f"x{account.currency}",
        "kind": of.kind,
        "amount": in_currency(of.amount, account.currency),
        "from_holder": of.from_holder,
        "to_holder": of.to_holder,
        "reason": of.reason,
        "actor": of.actor,
        "cause": of.cause,
        "at": at,
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


def met(of: Meeting, account: Account, at: datetime) -> tuple[str, dict[str, Any]]:
    """The subject and content that announce what an expectation has come to by the bank's entry."""
    states: dict[Met, tuple[str, str]] = {
        Met.FUNDING: (FUNDING[FundingState.MET], "funding_id"),
        Met.PAYOUT: (PAYOUT[PayoutState.SETTLED], "payout_id"),
        Met.PAYOUT_RETURN: (PAYOUT[PayoutState.RETURNED], "payout_id"),
    }
    subject, named = states[of.met]
    return subject, {
        named: of.expectation,
        "account_id": account.id,
        "account_number": account.number,
        "currency": account.currency,
        "token": f"x{account.currency}",
        "end_to_end_id": of.entry.entry.end_to_end_id,
        "holder": of.movement.to_holder or of.movement.from_holder,
        "state": subject.rpartition(".")[2].upper(),
        "amount": in_currency(of.expected, account.currency),
        "booked": in_currency(of.booked, account.currency),
        "movement_id": of.number,
        "at": at,
    }


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
