"""The HTTP door for bank messages."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, assert_never

from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response

from token_engine.domain.receipt import AlreadyRecorded, Receipt, Recorded, Rejected
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.entrypoints.batcher import UnavailableError
from token_engine.tiers.delivery import Delivery, Door, delivery
from token_engine.tiers.intake import LARGEST_BODY, deliveries

CAMT054: Final = "/api/v1/reconciliation/camt054"
EOD: Final = "/api/v1/reconciliation/eod"
_KEPT_OF_TOO_LARGE: Final = 64 * 1024
_LARGEST_SMALL_BODY: Final = 64 * 1024


async def camt054(request: Request, rooms: Rooms) -> Response:
    """Record a camt.054 or camt.052: the specification's JSON, XML, or a zip or gzip of them."""
    found = await _deliveries(request, rooms)
    return _answer(await rooms.road.submit(found))


async def eod(request: Request, rooms: Rooms) -> Response:
    """Close days by a camt.053: the specification's JSON, XML, MT940 or MT950, or a zip or gzip of them."""
    found = await _deliveries(request, rooms)
    return _answer(await rooms.road.submit(found))


async def _deliveries(request: Request, rooms: Rooms) -> list[Delivery]:
    source = request.client.host if request.client else "unknown"
    body = bytearray()
    digest, size = sha256(), 0
    async for chunk in request.stream():
        size += len(chunk)
        digest.update(chunk)
        if size <= LARGEST_BODY:
            body += chunk
        else:
            del body[_KEPT_OF_TOO_LARGE:]  # its beginning and its digest are kept, to find it by
    now = rooms.clock()
    if size <= LARGEST_BODY:
        return deliveries(bytes(body), Door.HTTP, source, now)
    why = Refusal("too_large", f"body: {size} bytes; this door takes {LARGEST_BODY}, use `token-engine ingest`", "body")
    cut = delivery(bytes(body), Door.HTTP, source, now)
    return [structs.replace(cut, digest=digest.digest(), size=size, refused=why)]


async def small_body(request: Request, largest: int = _LARGEST_SMALL_BODY) -> bytes:
    """The body of a request that is no bank message. Raises RefusedError before it fills the memory."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            raise RefusedError("too_large", f"body: larger than {largest} bytes", "body")
    return body


def _answer(outcomes: Sequence[Receipt | Exception]) -> Response:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            return not_done(outcome)
    receipts = [o for o in outcomes if not isinstance(o, Exception)]
    rejected = [r for r in receipts if isinstance(r, Rejected)]
    if len(receipts) == 1:
        return _answer_one(receipts[0])
    content = {"messages": [_view(r) for r in receipts]}
    if rejected:
        refusal = Refusal(
            "bundle_partly_rejected",
            f"{len(rejected)} of {len(receipts)} messages rejected; first: {rejected[0].refusal.message}",
            rejected[0].refusal.field,
        )
        return envelope.error(422, refusal, **content)
    return envelope.ok(content, 201 if any(isinstance(r, Recorded) for r in receipts) else 200)


def not_done(wrong: Exception) -> Response:
    """What the batcher could not commit: nothing is lost by sending it again."""
    code = "unavailable" if isinstance(wrong, UnavailableError) else "unforeseen"
    return envelope.error(503, Refusal(code, f"nothing was recorded, send it again: {wrong}"))


def _answer_one(receipt: Receipt) -> Response:
    match receipt:
        case Recorded():
            return envelope.ok(_view(receipt), 201)
        case AlreadyRecorded():
            return envelope.ok(_view(receipt), 200)
        case Rejected(kept_as, message_id, refusal):
            status = 413 if refusal.code == "too_large" else 422
            return envelope.error(status, refusal, message_id=message_id, kept_as=kept_as)
        case _:
            assert_never(receipt)


def _view(receipt: Receipt) -> dict[str, Any]:
    """The specification's fields for a message of one notification; a list of them for one of several."""
    view: dict[str, Any] = {
        "receipt": type(receipt).__name__, "message_id": receipt.message_id, "kept_as": receipt.kept_as,
    }  # fmt: skip
    if isinstance(receipt, Rejected):
        return view | {"error": receipt.refusal}
    told = (*receipt.days, *receipt.waiting)
    if told:
        return (
            structs.asdict(told[0]) | view
            if len(told) == 1
            else view | {"days": receipt.days, "waiting": receipt.waiting}
        )
    if len(receipt.judgements) == 1:
        return structs.asdict(receipt.judgements[0]) | view
    return view | {"notifications": receipt.judgements}
