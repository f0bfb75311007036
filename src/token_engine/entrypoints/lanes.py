"""The kinds of work that are committed in batches, and what is counted of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from token_engine.domain.backing import Level
from token_engine.domain.observation import NoObservation
from token_engine.domain.receipt import Receipt, Recorded
from token_engine.entrypoints.batcher import Lane
from token_engine.telemetry import metrics
from token_engine.tiers import end_of_day, notification, observing, payouts
from token_engine.tiers.delivery import Delivery
from token_engine.tiers.observing import Answered, Observed
from token_engine.tiers.once import Answer
from token_engine.tiers.payouts import Hold

_HOLD_BYTES: Final = 2048  # at most, roughly, of what is kept of one: their number limits a batch first
_ANSWER_BYTES: Final = 512  # likewise


def _count_receipts(batch: Sequence[Delivery], receipts: Sequence[Receipt]) -> None:
    totals: dict[tuple[str, str], int] = {}
    checks = {"ok": 0, "mismatch": 0}
    for delivery, receipt in zip(batch, receipts, strict=True):
        key = (delivery.door.value, type(receipt).__name__)
        totals[key] = totals.get(key, 0) + 1
        if key[1] == "Recorded":
            for judgement in receipt.judgements:  # type: ignore[union-attr]
                checks["ok" if judgement.threshold_level == "Ok" else "mismatch"] += 1
    _count(totals, "tier1", checks)


def _count_days(batch: Sequence[Delivery], receipts: Sequence[Receipt]) -> None:
    totals: dict[tuple[str, str], int] = {}
    checks = {"ok": 0, "mismatch": 0}
    for delivery, receipt in zip(batch, receipts, strict=True):
        key = (delivery.door.value, type(receipt).__name__)
        totals[key] = totals.get(key, 0) + 1
        if isinstance(receipt, Recorded):
            for day in receipt.days:
                checks["ok" if day.reconciled else "mismatch"] += 1
                metrics.STATEMENTS.labels(day.state).inc()
    _count(totals, "tier3", checks)


def _count(totals: dict[tuple[str, str], int], tier: str, checks: dict[str, int]) -> None:
    for (door, name), number in totals.items():
        metrics.MESSAGES.labels(door, name).inc(number)
    for status, number in checks.items():
        if number:
            metrics.CHECKS.labels(tier, status).inc(number)


def _count_answers(_: Sequence[Hold], answers: Sequence[Answer]) -> None:
    for answer in answers:
        word = "held" if answer.status < 400 else "refused"
        metrics.HOLDS.labels("repeated" if answer.again else word).inc()


def _count_observations(batch: Sequence[Answered], outcomes: Sequence[Observed | NoObservation]) -> None:
    for answered, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, NoObservation):
            metrics.POLLS.labels(answered.connection, outcome.why.value).inc()
            continue
        metrics.POLLS.labels(answered.connection, "observed").inc()
        if outcome.standing is not None:
            metrics.CHECKS.labels("tier2", "ok" if outcome.level is Level.OK else "mismatch").inc()


MESSAGES: Final[Lane[Delivery, Receipt]] = Lane(
    name="messages",
    take=notification.record,
    size=lambda delivery: len(delivery.raw),
    named=lambda delivery: {"digest": delivery.digest.hex(), "source": delivery.source},
    count=_count_receipts,
)
"""Notifications and reports, each with its receipt (Tier 1)."""

STATEMENTS: Final[Lane[Delivery, Receipt]] = Lane(
    name="statements",
    take=end_of_day.record,
    size=lambda delivery: delivery.size,
    named=lambda delivery: {"digest": delivery.digest.hex(), "source": delivery.source},
    count=_count_days,
    sets=True,
    at_once=2,
    batch_bytes=32 * 1024 * 1024,
)
"""Statements, each with its receipt (Tier 3). One batch is read while PostgreSQL works on another."""

HOLDS: Final[Lane[Hold, Answer]] = Lane(
    name="holds",
    take=payouts.hold,
    size=lambda _: _HOLD_BYTES,
    named=lambda request: {"key": request.key, "payout": str(request.payout_id)},
    count=_count_answers,
)
"""Requests to hold tokens for payouts, each with its answer."""

OBSERVATIONS: Final[Lane[Answered, Observed | NoObservation]] = Lane(
    name="observations",
    take=observing.observe,
    size=lambda _: _ANSWER_BYTES,
    named=lambda answered: {"poll": str(answered.poll_id), "account": str(answered.account_id)},
    count=_count_observations,
    gather_seconds=0.25,
)
"""What banks answered when they were asked, each with what came of it (Tier 2)."""
