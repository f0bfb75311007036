"""Doing what was asked under an idempotency key once, however often and through however many doors it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage import idempotency
from token_engine.storage.database import Transaction
from token_engine.storage.idempotency import FirstAnswer

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_canonical: Final = msgspec.json.Encoder(decimal_format="string", order="sorted").encode

_NOT_FOUND: Final = frozenset(
    {
        "unknown_account", "unknown_movement", "unknown_funding", "unknown_receipt", "unknown_debit", "unknown_payout",
        "unknown_calendar", "unknown_statement", "unknown_polling", "unknown_connection", "unknown_run",
        "unknown_entry", "unknown_match", "unknown_match_request",
        "unknown_token", "unknown_report", "unknown_incident",
    }
)  # fmt: skip
_CONFLICT: Final = frozenset(
    {
        "idempotency_conflict", "account_closed", "wrong_ledger_mode", "breaker_open", "no_fresh_evidence",
        "not_backed", "insufficient_holder_balance", "insufficient_available", "already_reversed", "not_reversible",
        "funding_exists", "funding_settled", "receipt_settled", "not_excess", "reference_taken",
        "breaker_suspended", "duplicate_end_to_end_id", "payout_not_rejected", "payout_sent", "payout_settled",
        "payout_cancelled", "payout_expired", "payout_returned", "not_quarantined", "release_pending",
        "no_release_pending", "already_matched", "entry_not_booked",
        "movement_not_matchable", "sums_differ", "sums_equal", "match_not_undone", "match_undone",
        "match_request_settled", "same_person",
        "report_changed", "report_not_over",
    }
)  # fmt: skip
"""The request is sound, but not as things stand."""


class Answer(msgspec.Struct, frozen=True):
    """What was answered first; `content` is JSON, of a Refusal where `status` (of HTTP) is 400 or more."""

    status: int
    content: str
    again: bool


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal: 404 for what is not there, 409 for what cannot be now, else 422."""
    if refusal.code in _NOT_FOUND:
        return 404
    return 409 if refusal.code in _CONFLICT else 422


async def once(
    tx: Transaction, key: str, operation: str, payload: msgspec.Struct, now: datetime,
    do: Callable[[], Awaitable[dict[str, Any]]], status: int = 201,
) -> Answer:  # fmt: skip
    """Do it and keep the answer in the same transaction, or give the answer that was kept. `status` is of success.

    A refusal is an answer too: a second copy of a request that was refused, still on its way when its sender
    has found another solution, must not move money when it arrives. So `do` raises RefusedError before it
    writes anything. The same key with another payload is refused, and the first answer stays.
    """
    digest = payload_digest(operation, payload)
    first = await idempotency.first_answer(tx, key)
    if first is not None:
        return repeated(first, digest)
    try:
        answer = done(await do(), status)
    except RefusedError as wrong:
        answer = refused(wrong.refusal)
    await idempotency.keep(tx, key, FirstAnswer(digest, answer.status, answer.content), now)
    return answer


def repeated(first: FirstAnswer, digest: bytes) -> Answer:
    """The first answer again, where the same was asked; else the refusal of another request under its key."""
    if first.payload_digest == digest:
        return Answer(first.status, first.answer, again=True)
    text = "Idempotency-Key: was used for another request; nothing was done"
    return refused(Refusal("idempotency_conflict", text, "Idempotency-Key"))


def done(content: Any, status: int = 201) -> Answer:
    """The first answer of what was done."""
    return Answer(status, _encode(content).decode(), again=False)


def refused(refusal: Refusal) -> Answer:
    """The first answer of what was refused."""
    return Answer(status_of(refusal), _encode(refusal).decode(), again=False)


def payload_digest(operation: str, payload: msgspec.Struct) -> bytes:
    """SHA-256 of a request in one spelling: members in order, defaults filled in, amounts without idle zeros."""
    return sha256(_canonical([operation, _plain(msgspec.to_builtins(payload))])).digest()


def _plain(value: Any, name: str = "") -> Any:
    match value:
        case dict():
            return {key: _plain(member, key) for key, member in value.items()}
        case list():
            return [_plain(member) for member in value]
        case str() if name == "amount" and "." in value:
            return value.rstrip("0").rstrip(".")
        case _:
            return value
