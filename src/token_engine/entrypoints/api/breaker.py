"""The circuit breaker over HTTP: what it is, the gates, closings and overrides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
from fastapi import FastAPI, Header, Query, Request, Response

from token_engine.domain.closing import Closing
from token_engine.domain.override import Override
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope, intake
from token_engine.entrypoints.api.described import body
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage.database import Transaction
from token_engine.tiers import breakers, closings, overrides
from token_engine.tiers.breakers import Act, Denied
from token_engine.tiers.overrides import NewOverride

_T = TypeVar("_T")
_ACCOUNT: Final = "/api/v1/accounts/{account_id}"
_BREAKER: Final = f"{_ACCOUNT}/circuit-breaker"
_INVALID: Final = {"invalid_actor", "invalid_reason", "invalid_expires_at", "invalid_minutes"}


_ACT: Final = body(Act)
_OVERRIDE: Final = body(NewOverride)
# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_Actor = Annotated[str, Header(alias="X-Actor", description="who does this")]
_Reason = Annotated[str, Query(description="why")]


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths."""
    _questions(app, rooms)
    _closings(app, rooms)
    _overrides(app, rooms)


def _questions(app: FastAPI, rooms: Rooms) -> None:
    @app.get(_BREAKER, tags=["circuit breaker"])
    async def show(account_id: str) -> Response:
        """The breaker: since when and why it is open, what is being done about it, its latest steps."""
        async with rooms.database.transaction() as tx:
            return _answer(await breakers.show(tx, account_id, rooms.clock()))


def _closings(app: FastAPI, rooms: Rooms) -> None:
    @app.post(f"{_BREAKER}/closings", tags=["circuit breaker"], status_code=201, openapi_extra=_ACT)
    async def request_closing(account_id: str, request: Request) -> Response:
        """Ask to close an open breaker. It waits for a second person, 24 hours at most."""
        return await _do(rooms, request, Act, 201, lambda tx, act, now: closings.request(tx, account_id, act, now))

    @app.post(f"{_BREAKER}/closings/{{closing_id}}/approval", tags=["circuit breaker"], openapi_extra=_ACT)
    async def approve_closing(account_id: str, closing_id: UUID, request: Request) -> Response:
        """Close the breaker as the second person: only on evidence newer than the break that judges Ok now."""
        return await _do(
            rooms, request, Act, 200, lambda tx, act, now: closings.approve(tx, account_id, closing_id, act, now)
        )

    @app.post(f"{_BREAKER}/closings/{{closing_id}}/withdrawal", tags=["circuit breaker"], openapi_extra=_ACT)
    async def withdraw_closing(account_id: str, closing_id: UUID, request: Request) -> Response:
        """Take a request to close back, or refuse it."""
        return await _do(
            rooms, request, Act, 200, lambda tx, act, now: closings.withdraw(tx, account_id, closing_id, act, now)
        )


def _overrides(app: FastAPI, rooms: Rooms) -> None:
    @app.post(f"{_BREAKER}/overrides", tags=["circuit breaker"], status_code=201, openapi_extra=_OVERRIDE)
    async def request_override(account_id: str, request: Request) -> Response:
        """Ask to let payouts through an open breaker for a time. In force once a second person approves."""
        return await _do(
            rooms, request, NewOverride, 201, lambda tx, wanted, now: overrides.request(tx, account_id, wanted, now)
        )

    @app.post(f"{_BREAKER}/overrides/{{override_id}}/approval", tags=["circuit breaker"], openapi_extra=_ACT)
    async def approve_override(account_id: str, override_id: UUID, request: Request) -> Response:
        """Put an override in force as the second person."""
        return await _do(
            rooms, request, Act, 200, lambda tx, act, now: overrides.approve(tx, account_id, override_id, act, now)
        )

    @app.post(f"{_BREAKER}/overrides/{{override_id}}/revocation", tags=["circuit breaker"], openapi_extra=_ACT)
    async def revoke_override(account_id: str, override_id: UUID, request: Request) -> Response:
        """End an override, or take the request back, at once. Anybody may."""
        return await _do(
            rooms, request, Act, 200, lambda tx, act, now: overrides.revoke(tx, account_id, override_id, act, now)
        )

    @app.delete(f"{_BREAKER}/overrides/{{override_id}}", tags=["circuit breaker"])
    async def delete_override(account_id: str, override_id: UUID, actor: _Actor, reason: _Reason) -> Response:
        """The same as its revocation, for clients that send no body. The row stays."""
        async with rooms.database.transaction() as tx:
            act = Act(actor=actor, reason=reason)
            return _answer(await overrides.revoke(tx, account_id, override_id, act, rooms.clock()))


async def _do(
    rooms: Rooms, request: Request, of: type[_T], status: int,
    act: Callable[[Transaction, _T, datetime], Awaitable[Closing | Override | Denied]],
) -> Response:  # fmt: skip
    """Read a person's words, act on them in one transaction, answer after its commit."""
    try:
        said = msgspec.json.decode(await intake.small_body(request), type=of)
    except msgspec.ValidationError as wrong:
        _, _, place = str(wrong).partition(" - at `$.")
        return envelope.error(422, Refusal("invalid_request", str(wrong), place.rstrip("`") or None))
    except msgspec.DecodeError as wrong:
        return envelope.error(422, Refusal("invalid_json", str(wrong)))
    except RefusedError as wrong:
        return envelope.error(413, wrong.refusal)
    async with rooms.database.transaction() as tx:
        outcome = await act(tx, said, rooms.clock())
    return _answer(outcome, status)


def _answer(outcome: dict[str, Any] | Closing | Override | Denied, status: int = 200) -> Response:
    if not isinstance(outcome, Denied):
        return envelope.ok(outcome, status)
    code = outcome.refusal.code
    status = 404 if code.startswith("unknown_") else 422 if code in _INVALID else 409
    return envelope.error(status, outcome.refusal, standing=outcome.standing)
