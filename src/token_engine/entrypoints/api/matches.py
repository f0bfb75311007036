"""Matches over HTTP: what answers for what and why, what nothing answers for, and what people do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.refusal import RefusedError
from token_engine.entrypoints.api import envelope, ledger
from token_engine.entrypoints.api.described import Key, body
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage.database import Transaction
from token_engine.tiers import match_acts, match_views, matching_policies
from token_engine.tiers.match_acts import MatchWord, NewMatch
from token_engine.tiers.matching_policies import NewMatchingPolicy
from token_engine.tiers.once import status_of

_PATH: Final = "/api/v1/matches"
_REQUESTS: Final = f"{_PATH}/requests"
_POLICY: Final = "/api/v1/accounts/{account_id}/matching-policy"
_T = TypeVar("_T", bound=msgspec.Struct)

# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_Account = Annotated[str | None, Query(description="id or number")]
_Statement = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="the statement whose matching made it")]
_Pass = Annotated[str | None, Query(alias="pass", description="uetr, end_to_end, …, manual, forced")]
_Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="match_id of the last one seen")]
_PageSize = Annotated[int, Query(ge=1, le=match_views.LARGEST_PAGE)]
_Pending = Annotated[bool, Query(description="those that wait for a second person only")]
_Side = Annotated[str | None, Query(description="bank or ledger")]
_Age = Annotated[int | None, Query(ge=0, le=100_000)]
_After = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="id of the last one seen")]


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths. Requests come before the path of a number, which would take their word for one."""
    _requests(app, rooms)
    _matches(app, rooms)
    _items_and_policies(app, rooms)


def _matches(app: FastAPI, rooms: Rooms) -> None:
    @app.get(_PATH, tags=["matching"])
    async def listing(
        account_id: _Account = None, statement_id: _Statement = None, rule: _Pass = None, before: _Before = None,
        limit: _PageSize = 100,
    ) -> Response:  # fmt: skip
        """Matches, newest first."""

        async def ask(tx: Transaction) -> Any:
            return {
                "matches": await match_views.listing(
                    tx, account=account_id, statement_id=statement_id, rule=rule, before=before, limit=limit
                )
            }

        return await _asked(rooms, ask)

    @app.get(f"{_PATH}/{{match_id}}", tags=["matching"])
    async def show(match_id: int) -> Response:
        """One match explained: which pass, what agreed, how sure it is, what else could have been meant."""
        async with rooms.database.transaction() as tx:
            view = await match_views.show(tx, match_id)
        return envelope.ok(view) if view else envelope.not_found("match", str(match_id)[:40])

    @app.post(_PATH, tags=["matching"], status_code=201, openapi_extra=body(NewMatch))
    async def make(request: Request, key: Key) -> Response:
        """Say that entries answer for movements of the same sum."""
        return await _change(rooms, request, key, "match", NewMatch, match_acts.make)

    @app.post(f"{_PATH}/{{match_id}}/unmatch", tags=["matching"], openapi_extra=body(MatchWord))
    async def unmatch(match_id: int, request: Request, key: Key) -> Response:
        """Take a match apart. Only people match its items from then on."""

        async def do(tx: Transaction, wanted: MatchWord, now: datetime) -> dict[str, Any]:
            return await match_acts.unmatch(tx, match_id, wanted, now)

        return await _change(rooms, request, key, f"unmatch {match_id}", MatchWord, do, 200)


def _requests(app: FastAPI, rooms: Rooms) -> None:
    @app.get(_REQUESTS, tags=["matching"])
    async def requests(account_id: _Account = None, pending: _Pending = False, limit: _PageSize = 100) -> Response:
        """Requests to match unequal sums, newest first."""

        async def ask(tx: Transaction) -> Any:
            found = await match_views.requests(tx, account=account_id, pending=pending, limit=limit)
            return {"requests": found}

        return await _asked(rooms, ask)

    @app.post(_REQUESTS, tags=["matching"], status_code=201, openapi_extra=body(NewMatch))
    async def request_force(request: Request, key: Key) -> Response:
        """Ask for a match of unequal sums; another person approves it."""
        return await _change(rooms, request, key, "match request", NewMatch, match_acts.request)

    @app.post(f"{_REQUESTS}/{{number}}/approval", tags=["matching"], status_code=201, openapi_extra=body(MatchWord))
    async def approve(number: int, request: Request, key: Key) -> Response:
        """Match unequal sums as the second person. The difference is kept."""

        async def do(tx: Transaction, wanted: MatchWord, now: datetime) -> dict[str, Any]:
            return await match_acts.approve(tx, number, wanted, now)

        return await _change(rooms, request, key, f"approval of match request {number}", MatchWord, do)

    @app.post(f"{_REQUESTS}/{{number}}/withdrawal", tags=["matching"], openapi_extra=body(MatchWord))
    async def withdraw(number: int, request: Request, key: Key) -> Response:
        """Take a request back, or refuse it."""

        async def do(tx: Transaction, wanted: MatchWord, now: datetime) -> dict[str, Any]:
            return await match_acts.withdraw(tx, number, wanted, now)

        return await _change(rooms, request, key, f"withdrawal of match request {number}", MatchWord, do, 200)


def _items_and_policies(app: FastAPI, rooms: Rooms) -> None:
    @app.get("/api/v1/open-items", tags=["matching"])
    async def open_items(
        account_id: _Account = None, side: _Side = None, reason: str | None = None, older_than_days: _Age = None,
        after: _After = None, limit: _PageSize = 100,
    ) -> Response:  # fmt: skip
        """What nothing answers for, oldest first, with its age, a suggested reason and what may belong to it."""

        async def ask(tx: Transaction) -> Any:
            found = await match_views.open_items(
                tx, rooms.clock(), account=account_id, side=side, reason=reason, older_than_days=older_than_days,
                after=after, limit=limit,
            )  # fmt: skip
            return {"open_items": found}

        return await _asked(rooms, ask)

    @app.get(_POLICY, tags=["matching"])
    async def policy(account_id: str) -> Response:
        """How an account's lines are matched."""
        return await _asked(rooms, lambda tx: matching_policies.show(tx, account_id))

    @app.put(_POLICY, tags=["matching"], openapi_extra=body(NewMatchingPolicy))
    async def save_policy(account_id: str, request: Request) -> Response:
        """Set it whole; it holds from the next statement on."""
        wanted = await ledger.read(request, NewMatchingPolicy)
        if isinstance(wanted, Response):
            return wanted
        return await _asked(rooms, lambda tx: matching_policies.save(tx, account_id, wanted, rooms.clock()))


async def _asked(rooms: Rooms, ask: Callable[[Transaction], Awaitable[Any]]) -> Response:
    try:
        async with rooms.database.transaction() as tx:
            answer = await ask(tx)
    except RefusedError as refused:
        return envelope.error(status_of(refused.refusal), refused.refusal)
    return envelope.ok(answer)


async def _change(
    rooms: Rooms, request: Request, key: str, operation: str, order: type[_T],
    act: Callable[[Transaction, _T, datetime], Awaitable[dict[str, Any]]], status: int = 201,
) -> Response:  # fmt: skip
    async def do(tx: Transaction, wanted: _T, _: str, now: datetime) -> dict[str, Any]:
        return await act(tx, wanted, now)

    return await ledger.change(rooms, request, key, operation, order, do, status)
