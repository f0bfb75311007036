"""Statements over HTTP: which there are, what their checks found, releasing one that failed; and when they are due."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope, ledger
from token_engine.entrypoints.api.described import body
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.tiers import calendar, releases, statement_story
from token_engine.tiers.calendar import NewCalendar
from token_engine.tiers.once import status_of
from token_engine.tiers.releases import RELEASING, ReleaseAct

_PATH: Final = "/api/v1/statements"
_CALENDAR: Final = "/api/v1/accounts/{account_id}/statement-calendar"

# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_Account = Annotated[str | None, Query(description="id or number")]
_State = Annotated[str | None, Query(description="accepted, quarantined, released, replaced or all")]
_Before = Annotated[int | None, Query(description="number of the last statement seen")]
_PageSize = Annotated[int, Query(ge=1, le=statement_story.LARGEST_PAGE)]


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths."""
    _questions(app, rooms)
    _releases(app, rooms)
    _calendars(app, rooms)


def _questions(app: FastAPI, rooms: Rooms) -> None:
    @app.get(_PATH, tags=["tier 3"])
    async def listing(
        account_id: _Account = None, state: _State = None, before: _Before = None, limit: _PageSize = 100
    ) -> Response:
        """Statements, newest first, each with the checks that failed."""
        try:
            async with rooms.database.transaction() as tx:
                found = await statement_story.listing(
                    tx, rooms.clock(), account=account_id, state=state, before=before, limit=limit
                )
        except RefusedError as refused:
            return envelope.error(status_of(refused.refusal), refused.refusal)
        return envelope.ok({"statements": found})

    @app.get(f"{_PATH}/{{statement_id}}", tags=["tier 3"])
    async def show(statement_id: int) -> Response:
        """One statement: its checks, and who asked to release it and approved."""
        async with rooms.database.transaction() as tx:
            view = await statement_story.show(tx, statement_id, rooms.clock())
        return envelope.ok(view) if view else envelope.not_found("statement", str(statement_id))


def _releases(app: FastAPI, rooms: Rooms) -> None:
    @app.post(f"{_PATH}/{{statement_id}}/release", tags=["tier 3"], status_code=201, openapi_extra=body(ReleaseAct))
    async def request_release(statement_id: int, request: Request) -> Response:
        """Ask to take in a statement that failed a check. It waits for a second person, 24 hours at most."""
        said = await ledger.read(request, ReleaseAct)
        if isinstance(said, Response):
            return said
        try:
            async with rooms.database.transaction() as tx:
                outcome = await releases.request(tx, statement_id, said, rooms.clock())
        except RefusedError as refused:
            outcome = refused.refusal
        return _answer(outcome, 201)

    @app.post(f"{_PATH}/{{statement_id}}/release/approve", tags=["tier 3"], openapi_extra=body(ReleaseAct))
    async def approve_release(statement_id: int, request: Request) -> Response:
        """Take it in as the second person: its lines count, and its day is closed again beside the snapshot."""
        said = await ledger.read(request, ReleaseAct)
        if isinstance(said, Response):
            return said
        try:
            async with rooms.database.transaction() as tx:
                outcome = await releases.approve(tx, statement_id, said, rooms.clock(), RELEASING)
        except RefusedError as refused:
            outcome = refused.refusal
        return _answer(outcome)


def _calendars(app: FastAPI, rooms: Rooms) -> None:
    @app.put(_CALENDAR, tags=["accounts"], openapi_extra=body(NewCalendar))
    async def set_calendar(account_id: str, request: Request) -> Response:
        """Say when the bank closes its days and its statements are due; from then on each is waited for."""
        wanted = await ledger.read(request, NewCalendar)
        if isinstance(wanted, Response):
            return wanted
        try:
            async with rooms.database.transaction() as tx:
                return _answer(await calendar.save(tx, account_id, wanted, rooms.clock()))
        except RefusedError as refused:
            return _answer(refused.refusal)

    @app.get(_CALENDAR, tags=["accounts"])
    async def show_calendar(account_id: str) -> Response:
        """The calendar, the statement that is due next, and those that are missing."""
        try:
            async with rooms.database.transaction() as tx:
                return _answer(await calendar.show(tx, account_id, rooms.clock()))
        except RefusedError as refused:
            return _answer(refused.refusal)


def _answer(outcome: dict[str, Any] | Refusal, status: int = 200) -> Response:
    if isinstance(outcome, Refusal):
        return envelope.error(status_of(outcome), outcome)
    return envelope.ok(outcome, status)
