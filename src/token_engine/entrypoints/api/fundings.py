"""Fundings over HTTP: announce an expected credit, cancel it, see what met it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.refusal import RefusedError
from token_engine.entrypoints.api import envelope, ledger
from token_engine.entrypoints.api.described import Key, body
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage.database import Transaction
from token_engine.tiers import fundings
from token_engine.tiers.fundings import Cancellation, NewFunding
from token_engine.tiers.once import status_of

_PATH: Final = "/api/v1/fundings"

# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_State = Annotated[str | None, Query(description="expected, met, cancelled, expired or all")]
_Before = Annotated[UUID | None, Query(description="id of the last funding seen")]
_PageSize = Annotated[int, Query(ge=1, le=fundings.LARGEST_PAGE)]


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths."""

    @app.post(_PATH, tags=["fundings"], status_code=201, openapi_extra=body(NewFunding))
    async def announce(request: Request, key: Key) -> Response:
        """Announce an expected credit: it mints when the bank books it, or now where it was booked before."""
        return await ledger.change(rooms, request, key, "funding", NewFunding, fundings.announce)

    @app.post(f"{_PATH}/{{funding_id}}/cancel", tags=["fundings"], status_code=201, openapi_extra=body(Cancellation))
    async def cancel(funding_id: str, request: Request, key: Key) -> Response:
        """Expect it no more."""

        async def do(tx: Transaction, wanted: Cancellation, _: str, now: datetime) -> dict[str, Any]:
            return await fundings.cancel(tx, funding_id, wanted, now)

        return await ledger.change(rooms, request, key, f"cancel of funding {funding_id}", Cancellation, do)

    @app.get(f"{_PATH}/{{funding_id}}", tags=["fundings"])
    async def show(funding_id: str) -> Response:
        """One funding, with the entry that met it and the movement that came of it."""
        async with rooms.database.transaction() as tx:
            view = await fundings.show(tx, funding_id, rooms.clock())
        return envelope.ok(view) if view else envelope.not_found("funding", funding_id[:40])

    @app.get("/api/v1/accounts/{account_id}/fundings", tags=["fundings"])
    async def listing(
        account_id: str, state: _State = None, before: _Before = None, limit: _PageSize = 100
    ) -> Response:
        """An account's fundings, newest first."""
        try:
            async with rooms.database.transaction() as tx:
                found = await fundings.listing(tx, account_id, rooms.clock(), state=state, before=before, limit=limit)
        except RefusedError as refused:
            return envelope.error(status_of(refused.refusal), refused.refusal)
        return envelope.ok({"fundings": found})
