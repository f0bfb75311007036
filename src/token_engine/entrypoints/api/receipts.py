"""Receipts over HTTP: credits that nobody had announced, and what people make of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.refusal import RefusedError
from token_engine.entrypoints.api import envelope, ledger
from token_engine.entrypoints.api.described import Key, body
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage.database import Transaction
from token_engine.tiers import receipts
from token_engine.tiers.once import status_of
from token_engine.tiers.receipts import Allocation, Return, ReturnDebit

_PATH: Final = "/api/v1/receipts"

# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_Account = Annotated[str | None, Query(description="id or number")]
_State = Annotated[str | None, Query(description="unallocated (the default), allocated, returned or all")]
_Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="entry_id of the last receipt seen")]
_PageSize = Annotated[int, Query(ge=1, le=receipts.LARGEST_PAGE)]


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths."""

    @app.get(_PATH, tags=["receipts"])
    async def listing(
        account_id: _Account = None, state: _State = None, before: _Before = None, limit: _PageSize = 100
    ) -> Response:
        """Credits that nobody had announced, newest first, each with the funding that it may be for."""
        try:
            async with rooms.database.transaction() as tx:
                found = await receipts.listing(
                    tx, rooms.clock(), account=account_id, state=state, before=before, limit=limit
                )
        except RefusedError as refused:
            return envelope.error(status_of(refused.refusal), refused.refusal)
        return envelope.ok({"receipts": found})

    @app.get(f"{_PATH}/{{entry_id}}", tags=["receipts"])
    async def show(entry_id: int) -> Response:
        """One receipt, and what became of it."""
        async with rooms.database.transaction() as tx:
            view = await receipts.show(tx, entry_id, rooms.clock())
        return envelope.ok(view) if view else envelope.not_found("receipt", str(entry_id)[:40])

    @app.post(f"{_PATH}/{{entry_id}}/allocation", tags=["receipts"], status_code=201, openapi_extra=body(Allocation))
    async def allocate(entry_id: int, request: Request, key: Key) -> Response:
        """Say whose money it is: a holder's, a funding's, or the issuer's own."""

        async def do(tx: Transaction, wanted: Allocation, _: str, now: datetime) -> dict[str, Any]:
            return await receipts.allocate(tx, entry_id, wanted, now)

        return await ledger.change(rooms, request, key, f"allocation of receipt {entry_id}", Allocation, do)

    @app.post(f"{_PATH}/{{entry_id}}/return", tags=["receipts"], status_code=201, openapi_extra=body(Return))
    async def give_back(entry_id: int, request: Request, key: Key) -> Response:
        """Mark that it goes back to who sent it; `became.return_reference` is what the payment must carry."""

        async def do(tx: Transaction, wanted: Return, _: str, now: datetime) -> dict[str, Any]:
            return await receipts.give_back(tx, entry_id, wanted, now)

        return await ledger.change(rooms, request, key, f"return of receipt {entry_id}", Return, do)

    @app.post(f"{_PATH}/{{entry_id}}/return/debit", tags=["receipts"], status_code=201, openapi_extra=body(ReturnDebit))
    async def tell_debit(entry_id: int, request: Request, key: Key) -> Response:
        """Say which debit took it, where the bank did not book it under its return reference."""

        async def do(tx: Transaction, wanted: ReturnDebit, _: str, now: datetime) -> dict[str, Any]:
            return await receipts.tell_debit(tx, entry_id, wanted, now)

        return await ledger.change(rooms, request, key, f"debit of receipt {entry_id}", ReturnDebit, do)
