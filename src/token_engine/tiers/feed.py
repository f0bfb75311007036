"""What a token ledger kept elsewhere sends without waiting for an answer: taken once, and a refusal kept and announced.

Over HTTP its sender sees the answer; here an event tells it, and an audit row keeps what was refused.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from token_engine.domain.person import ENGINE, check_actor
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage.database import Transaction
from token_engine.tiers.changes import Changes
from token_engine.tiers.once import Answer, once
from token_engine.tiers.orders import EXTERNAL_MOVEMENTS, LARGEST_BODY, ExternalMovements, post_external
from token_engine.tiers.reading import read_order

_REJECTED: Final = "reconciliation.ledger.movements_rejected"
_SHOWN: Final = 10_000
"""Characters of a refused body that its event and audit row show; its digest is of the whole."""
_decode_refusal: Final = msgspec.json.Decoder(Refusal).decode


class _Unfit(msgspec.Struct):
    """Stands for a body that says nothing, under its key."""

    sha256: str


async def take(tx: Transaction, raw: bytes, key: str, now: datetime, unfit: Refusal | None = None) -> Answer:
    """Post the batch of movements that `raw` (JSON) is, once for `key`; the first answer if it was taken before.

    `unfit` is why the door would not have it read. A refusal is an answer like any other: kept under the key, and
    announced with it the first time. A key and its body mean the same through every door.
    """
    if unfit is not None:
        return await _refuse(tx, raw, key, unfit, now)
    try:
        if len(raw) > LARGEST_BODY:
            raise RefusedError("too_large", f"body: larger than {LARGEST_BODY} bytes", "body")
        wanted = read_order(raw, ExternalMovements)
    except RefusedError as refused:
        return await _refuse(tx, raw, key, refused.refusal, now)
    answer = await once(tx, key, EXTERNAL_MOVEMENTS, wanted, now, lambda: post_external(tx, wanted, key, now))
    await _tell(tx, raw, key, answer, _actor(wanted), now)
    return answer


def name_of(raw: bytes) -> str:
    """A key for a message whose own is none; the blank keeps it apart from every key that somebody gives."""
    return f"sha256 {sha256(raw).hexdigest()}"


async def _refuse(tx: Transaction, raw: bytes, key: str, why: Refusal, now: datetime) -> Answer:
    async def refuse() -> dict[str, Any]:
        raise RefusedError(why.code, why.message, why.field)

    answer = await once(tx, key, "unfit movements", _Unfit(sha256(raw).hexdigest()), now, refuse)
    await _tell(tx, raw, key, answer, ENGINE, now)
    return answer


async def _tell(tx: Transaction, raw: bytes, key: str, answer: Answer, actor: str, now: datetime) -> None:
    if answer.status < 400 or answer.again:
        return
    told = {
        "idempotency_key": key,
        "refusal": msgspec.to_builtins(_decode_refusal(answer.content)),
        "body": raw[: 4 * _SHOWN].decode(errors="replace")[:_SHOWN],
        "body_bytes": len(raw),
        "body_sha256": sha256(raw).hexdigest(),
    }
    changes = Changes(now)
    # Of the key and the body: another body under the same key is refused, and told, for itself.
    name = sha256(key.encode() + b"\n" + raw).hexdigest()
    changes.announce(_REJECTED, f"movements.{name}.rejected", None, told)
    changes.note("ledger_movements_rejected", None, None, _without_nul(told), actor)
    await changes.write(tx)


def _actor(wanted: ExternalMovements) -> str:
    try:
        return check_actor(wanted.actor)
    except RefusedError:
        return ENGINE


def _without_nul(value: Any) -> Any:
    """JSONB takes no NUL."""
    match value:
        case dict():
            return {name: _without_nul(member) for name, member in value.items()}
        case str():
            return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case _:
            return value
