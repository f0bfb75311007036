"""The kinds of work that are committed in batches, and what is counted of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from token_engine.domain.receipt import Receipt
from token_engine.entrypoints.batcher import Lane
from token_engine.telemetry import metrics
from token_engine.tiers import notification
from token_engine.tiers.delivery import Delivery


def _count_receipts(batch: Sequence[Delivery], receipts: Sequence[Receipt]) -> None:
    totals: dict[tuple[str, str], int] = {}
    checks = {"ok": 0, "mismatch": 0}
    for delivery, receipt in zip(batch, receipts, strict=True):
        key = (delivery.door.value, type(receipt).__name__)
        totals[key] = totals.get(key, 0) + 1
        if key[1] == "Recorded":
            for judgement in receipt.judgements:  # type: ignore[union-attr]
                checks["ok" if judgement.threshold_level == "Ok" else "mismatch"] += 1
    for (door, name), number in totals.items():
        metrics.MESSAGES.labels(door, name).inc(number)
    for status, number in checks.items():
        if number:
            metrics.CHECKS.labels("tier1", status).inc(number)


MESSAGES: Final[Lane[Delivery, Receipt]] = Lane(
    name="messages",
    take=notification.record,
    size=lambda delivery: len(delivery.raw),
    named=lambda delivery: {"digest": delivery.digest.hex(), "source": delivery.source},
    count=_count_receipts,
)
"""Bank messages, each with its receipt (Tier 1)."""
