"""The events that leave through the outbox: their subjects (specification, "NATS Event Stream") and shape."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from token_engine.domain.backing import Level
from token_engine.domain.breaker import Breaker
from token_engine.storage.positions import EventRow

MESSAGE_REJECTED: Final = "reconciliation.message.rejected"

BREAKER: Final[dict[Breaker, str]] = {
    Breaker.OPEN: "reconciliation.circuit_breaker.activated",
    Breaker.SUSPENDED: "reconciliation.circuit_breaker.suspended",
    Breaker.CLOSED: "reconciliation.circuit_breaker.closed",
}
"""The subject that announces each state of the breaker."""

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


def event(subject: str, event_id: str, at: datetime, message_id: str | None, content: Any) -> EventRow:
    """An event about the bank message `message_id`, at `at` (with a time zone). `event_id` lets
    JetStream drop a second copy.
    """
    return EventRow(event_id, subject, _encode(_Event(event_id, subject, at, message_id, content)).decode())
