"""The HTTP door of payouts: hold, send, cancel, and what may be held."""

from __future__ import annotations

import re
from typing import Annotated, Final
from uuid import UUID, uuid4

from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.payout import PayoutState
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope, intake, ledger
from token_engine.entrypoints.api.described import Key, body
from token_engine.entrypoints.api.questions import LARGEST_PAGE
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.tiers import headroom, payout_acts, payout_story
from token_engine.tiers.once import status_of
from token_engine.tiers.payout_acts import Cancelling, Sending
from token_engine.tiers.payouts import Hold, NewPayout

PATH: Final = "/api/v1/payouts"
_ACCOUNT: Final = "/api/v1/accounts/{account_id}"
_KEY: Final = re.compile(r"[!-~]{1,255}")


# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_Holder = Annotated[str | None, Query(description="whose tokens; without it the account's")]
_Amount = Annotated[str | None, Query(description="a decimal number in major units")]


async def hold(request: Request, rooms: Rooms) -> Response:
    """Hold tokens for a payout, with whatever else is asked for meanwhile in one transaction."""
    key = request.headers.get("idempotency-key")
    if key is None or not _KEY.fullmatch(key):
        wrong = "Field required" if key is None else "1 to 255 printable ASCII characters without blanks"
        return envelope.error(422, Refusal("invalid_request", f"Idempotency-Key: {wrong}", "Idempotency-Key"))
    wanted = await ledger.read(request, NewPayout)
    if isinstance(wanted, Response):
        return wanted
    [outcome] = await rooms.holds.submit([Hold(key, uuid4(), wanted)])
    return intake.not_done(outcome) if isinstance(outcome, Exception) else ledger.answered(outcome)


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths."""
    _acts(app, rooms)
    _questions(app, rooms)


def _acts(app: FastAPI, rooms: Rooms) -> None:
    @app.post(PATH, tags=["payouts"], status_code=201, openapi_extra=body(NewPayout))
    async def hold_payout(request: Request, key: Key) -> Response:  # noqa: ARG001  told here, read by `hold`
        """Hold tokens for a payout: refused while the breaker is open or suspended, on Stale or Unknown evidence,
        and without cover; `reasons` names them all.
        """
        return await hold(request, rooms)

    @app.post(f"{PATH}/{{payout_id}}/sent", tags=["payouts"], openapi_extra=body(Sending))
    async def sent(request: Request, key: Key, payout_id: UUID) -> Response:
        """Say that the order goes to the bank. Refused while the breaker is open and not overridden."""
        return await ledger.change(
            rooms, request, key, f"payout {payout_id} sent", Sending,
            lambda tx, said, _, now: payout_acts.send(tx, payout_id, said, now), status=200,
        )  # fmt: skip

    @app.post(f"{PATH}/{{payout_id}}/cancel", tags=["payouts"], openapi_extra=body(Cancelling))
    async def cancel(request: Request, key: Key, payout_id: UUID) -> Response:
        """Release what is held. One that was sent: only where the bank has rejected it, with `rejected_by_bank`."""
        return await ledger.change(
            rooms, request, key, f"payout {payout_id} cancelled", Cancelling,
            lambda tx, said, _, now: payout_acts.cancel(tx, payout_id, said, now), status=200,
        )  # fmt: skip


def _questions(app: FastAPI, rooms: Rooms) -> None:
    @app.get(f"{PATH}/{{payout_id}}", tags=["payouts"])
    async def show(payout_id: UUID) -> Response:
        """One payout with its story: who did what, when, and the bank's entries that settled or returned it."""
        async with rooms.database.transaction() as tx:
            view = await payout_story.show(tx, payout_id)
        return envelope.ok(view) if view else envelope.not_found("payout", str(payout_id))

    @app.get(f"{_ACCOUNT}/payouts", tags=["payouts"])
    async def listing(
        account_id: str,
        state: Annotated[str | None, Query(pattern="^(?i:held|sent|settled|cancelled|expired|returned)$")] = None,
        before: Annotated[UUID | None, Query(description="id of the last payout seen")] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    ) -> Response:
        """An account's payouts, newest first."""
        wanted = PayoutState(state.upper()) if state else None
        async with rooms.database.transaction() as tx:
            found = await payout_story.listing(tx, account_id, wanted, before, limit, rooms.clock())
        if found is None:
            return envelope.not_found("account", account_id)
        return envelope.ok({"payouts": found})

    @app.get(f"{_ACCOUNT}/headroom", tags=["payouts"])
    async def room(account_id: str, holder: _Holder = None) -> Response:
        """How much may be minted and paid out right now, and why not more."""
        async with rooms.database.transaction() as tx:
            found = await headroom.headroom(tx, account_id, holder, rooms.clock())
        return envelope.ok(found) if found else envelope.not_found("account", account_id)

    @app.get(f"{_ACCOUNT}/gate", tags=["circuit breaker"])
    async def gate(account_id: str, amount: _Amount = None, holder: _Holder = None) -> Response:
        """May this account pay out, may it mint, right now; and if not, why not."""
        try:
            async with rooms.database.transaction() as tx:
                found = await headroom.gate(tx, account_id, amount, holder, rooms.clock())
        except RefusedError as wrong:
            return envelope.error(status_of(wrong.refusal), wrong.refusal)
        return envelope.ok(found) if found else envelope.not_found("account", account_id)
