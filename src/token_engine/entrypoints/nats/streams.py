"""The JetStream streams and the consumers that the engine needs, made if they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, NotFoundError

NOTIFICATIONS_STREAM: Final = "BANK_NOTIFICATIONS"
EVENTS_STREAM: Final = "TOKEN_ENGINE_EVENTS"
EVENTS_SUBJECTS: Final = "reconciliation.>"
CONSUMER: Final = "token-engine-tier1"

LEDGER_STREAM: Final = "LEDGER_MOVEMENTS"
LEDGER_SUBJECT: Final = "token_engine.ledger.movements"
LEDGER_CONSUMER: Final = "token-engine-ledger"

STATEMENTS_STREAM: Final = "BANK_STATEMENTS"
STATEMENTS_CONSUMER: Final = "token-engine-tier3"
STATEMENT_SUBJECTS: Final = ("iso20022.camt.053", "token_engine.statements")
"""DelTran's way of naming a message, and our own for statements as they are (XML, JSON, MT or bundles)."""

NOTIFICATION_SUBJECTS: Final = (
    "iso20022.camt.054",
    "bank.notifications.credit",
    "bank.notifications.debit",
    "token_engine.notifications",
)
"""DelTran's subjects, and our own for a bank's messages as they are (XML, JSON or bundles)."""

_DAY: Final = 24 * 3600
_SUBJECTS_OVERLAP: Final = 10065  # JetStream's JSStreamSubjectOverlapErr
ACK_WAIT_SECONDS: Final = 60


class SubjectsTakenError(NatsError):
    """Somebody else's stream holds subjects that the engine's events leave on."""


async def ensure_notification_streams(js: JetStreamContext) -> dict[str, list[str]]:
    """The streams that hold the notification subjects, with those subjects. Messages stay 30 days after they
    are recorded.
    """
    held = await _streams_of(js, NOTIFICATIONS_STREAM, NOTIFICATION_SUBJECTS)
    for stream, subjects in held.items():
        await js.add_consumer(stream, _consumer(CONSUMER, subjects, ahead=20_000))
    return held


async def ensure_statement_streams(js: JetStreamContext) -> dict[str, list[str]]:
    """The streams that hold the subjects of statements, with those subjects. Messages stay there for 30 days."""
    held = await _streams_of(js, STATEMENTS_STREAM, STATEMENT_SUBJECTS)
    for stream, subjects in held.items():
        await js.add_consumer(stream, _consumer(STATEMENTS_CONSUMER, subjects, ahead=1000))
    return held


async def ensure_ledger_stream(js: JetStreamContext) -> str:
    """The stream that ledgers kept elsewhere post their movements to. They stay there for 30 days."""
    [stream] = await _streams_of(js, LEDGER_STREAM, [LEDGER_SUBJECT])
    # One at a time for all engines together, also while it waits to be sent again: none overtakes it.
    await js.add_consumer(stream, _consumer(LEDGER_CONSUMER, [LEDGER_SUBJECT], ahead=1))
    return stream


async def _streams_of(js: JetStreamContext, ours: str, wanted: Sequence[str]) -> dict[str, list[str]]:
    """The streams that hold the subjects, with those of them that each holds.

    A subject that some stream holds already (DelTran's own) is consumed there, since JetStream lets no
    two streams hold one; the rest go to `ours`.
    """
    held: dict[str, list[str]] = {}
    free: list[str] = []
    for subject in wanted:
        try:
            held.setdefault(await js.find_stream_name_by_subject(subject), []).append(subject)
        except NotFoundError:
            free.append(subject)
    if free:
        subjects = held.pop(ours, []) + free
        config = StreamConfig(
            name=ours, subjects=subjects, storage=StorageType.FILE, duplicate_window=120,
            retention=RetentionPolicy.LIMITS, discard=DiscardPolicy.OLD, max_age=30 * _DAY,
            allow_atomic=True,  # a gateway may hand over many at once for one fsync
        )  # fmt: skip
        if len(subjects) > len(free):
            await js.update_stream(config)
        else:
            await js.add_stream(config)
        held[ours] = subjects
    return held


def _consumer(name: str, subjects: list[str], *, ahead: int) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=name,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        # A second process takes over what a dead one held after this long; taking it twice changes nothing.
        ack_wait=ACK_WAIT_SECONDS,
        max_deliver=-1,
        max_ack_pending=ahead,
        filter_subjects=subjects,
    )


async def ensure_events_stream(js: JetStreamContext) -> None:
    """The stream that the outbox is published to. Raises SubjectsTakenError if another has its subjects."""
    config = StreamConfig(
        name=EVENTS_STREAM, subjects=[EVENTS_SUBJECTS], storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS, discard=DiscardPolicy.OLD, max_age=7 * _DAY, duplicate_window=600,
        allow_atomic=True,
    )  # fmt: skip
    try:
        await js.stream_info(EVENTS_STREAM)
        return
    except NotFoundError:
        pass
    try:
        await js.add_stream(config)
    except BadRequestError as error:
        if error.err_code != _SUBJECTS_OVERLAP:
            raise
        raise SubjectsTakenError(f"another stream holds subjects of {EVENTS_SUBJECTS}: {error.description}") from error
