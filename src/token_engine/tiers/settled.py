"""What became of a bank's message, as it is kept and as it is announced."""

from __future__ import annotations

from datetime import datetime

from token_engine.domain.receipt import Rejected
from token_engine.domain.refusal import Refusal
from token_engine.storage.messages import Settled
from token_engine.tiers import events
from token_engine.tiers.changes import Changes
from token_engine.tiers.delivery import Delivery


def settled(
    delivery: Delivery, kept_as: int, now: datetime, state: str, message_id: str | None,
    *, refusal: Refusal | None = None, answer: str | None = None,
) -> Settled:  # fmt: skip
    """The row of a message, recorded with its answer or rejected with its reason."""
    code, text, field = (refusal.code, refusal.message, refusal.field) if refusal else (None, None, None)
    return Settled(
        kept_as, delivery.digest, delivery.received_at, delivery.door, delivery.source, delivery.raw,
        delivery.size, state, message_id and message_id[:140], code, text, field and field[:300], answer, now,
    )  # fmt: skip


def rejected(changes: Changes, delivery: Delivery, kept_as: int, message_id: str | None, refusal: Refusal) -> Rejected:
    """Announce that a message was rejected, and put it down in the audit log."""
    event_id = f"{delivery.digest.hex()[:32]}.rejected"
    content = {"kept_as": kept_as, "door": delivery.door, "source": delivery.source, "refusal": refusal}
    changes.announce(events.MESSAGE_REJECTED, event_id, message_id, content)
    changes.note("message_rejected", None, kept_as, {"code": refusal.code, "field": refusal.field})
    return Rejected(kept_as, message_id, refusal)
