"""The HTTP door of the token ledger: every change under an idempotency key, and what is outstanding."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from token_engine.domain.gate import GateShut
from token_engine.domain.money import CURRENCIES, in_currency
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope, intake
from token_engine.entrypoints.api.questions import LARGEST_PAGE
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage import ledger as stored
from token_engine.storage.database import Transaction
from token_engine.tiers import accounts
from token_engine.tiers.once import Answer, once, status_of
from token_engine.tiers.orders import LARGEST_BODY, Reversal, undo
from token_engine.tiers.reading import Order, read_order

_decode_refusal: Final = msgspec.json.Decoder(GateShut).decode
_LARGEST_NUMBER: Final = 2**63


async def change(
    rooms: Rooms, request: Request, key: str, operation: str, order: type[Order],
    do: Callable[[Transaction, Order, str, datetime], Awaitable[dict[str, Any]]], status: int = 201,
) -> Response:  # fmt: skip
    """Do what the body asks, once for its key. Answers after the commit."""
    wanted = await read(request, order)
    if isinstance(wanted, Response):
        return wanted
    now = rooms.clock()
    async with rooms.database.transaction() as tx:
        answer = await once(tx, key, operation, wanted, now, lambda: do(tx, wanted, key, now), status)
    return answered(answer)


async def read(request: Request, order: type[Order]) -> Order | Response:
    """What the body asks, or the answer to one that cannot be read."""
    try:
        return read_order(await intake.small_body(request, LARGEST_BODY), order)
    except RefusedError as wrong:
        return envelope.error(413 if wrong.refusal.code == "too_large" else 422, wrong.refusal)


async def reversal(rooms: Rooms, request: Request, key: str, number: int) -> Response:
    """Reverse movement `number`."""
    if not 0 < number < _LARGEST_NUMBER:
        return envelope.not_found("movement", str(number))

    async def do(tx: Transaction, wanted: Reversal, key: str, now: datetime) -> dict[str, Any]:
        return await undo(tx, number, wanted, key, now)

    return await change(rooms, request, key, f"reversal of {number}", Reversal, do)


def answered(answer: Answer) -> Response:
    """What was answered first; a repetition says that it is one."""
    if answer.status < 400:
        response = envelope.ok(msgspec.Raw(answer.content.encode()), answer.status)
    else:
        refusal = _decode_refusal(answer.content)
        response = envelope.error(answer.status, refusal, reasons=refusal.reasons or None)
    if answer.again:
        response.headers["Idempotent-Replayed"] = "true"
    return response


async def supply(rooms: Rooms) -> Response:
    """Tokens outstanding, by token."""
    async with rooms.database.transaction() as tx:
        rows = await stored.supply(tx)
    return envelope.ok(
        {
            "supply": [
                {
                    "token": f"x{row['currency']}",
                    "currency": row["currency"],
                    "supply": in_currency(row["supply"], row["currency"]),
                    "own_funds": in_currency(row["own_funds"], row["currency"]),
                    "holders": row["holders"],
                    "accounts": row["accounts"],
                }
                for row in rows
            ]
        }
    )


async def holders(rooms: Rooms, token: str, after: str | None, limit: int) -> Response:
    """Who holds a token, in the order of their ids."""
    currency = token.removeprefix("x")
    if token == currency or currency not in CURRENCIES:
        return envelope.not_found("token", token)
    async with rooms.database.transaction() as tx:
        rows = await stored.holders_of_token(tx, currency, after, min(limit, LARGEST_PAGE))
    found = [{"holder": row["holder"], "balance": in_currency(row["balance"], currency)} for row in rows]
    return envelope.ok({"token": token, "holders": found})


async def movements(rooms: Rooms, name: str, before: int | None, limit: int) -> Response:
    """An account's movements, newest first."""
    async with rooms.database.transaction() as tx:
        view = await accounts.show(tx, name, rooms.clock())
        if view is None:
            refusal = Refusal("unknown_account", f"account_id: no account {name!r} is known here", "account_id")
            return envelope.error(status_of(refusal), refusal)
        rows = await stored.movements(tx, UUID(view["id"]), before, min(limit, LARGEST_PAGE))
    for row in rows:
        row["amount"] = in_currency(row["amount"], row["currency"])
        row["token"] = f"x{row['currency']}"
    return envelope.ok({"movements": rows})
