"""Tier 2 over HTTP: ask banks now, follow a run, and say how an account's bank is asked."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.observation import NoObservation, Why
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope, ledger
from token_engine.entrypoints.api.described import Actor, body
from token_engine.entrypoints.api.questions import count_reviews
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.entrypoints.batcher import UnavailableError
from token_engine.entrypoints.poller import Outcome
from token_engine.storage import polling as stored
from token_engine.tiers import accounts, connections, intraday, polling, runs
from token_engine.tiers.observed_view import view_of
from token_engine.tiers.observing import Observed
from token_engine.tiers.once import status_of
from token_engine.tiers.polling import NewPolling, Spent

_PREFIX: Final = "/api/v1/reconciliation"
_POLLING: Final = "/api/v1/accounts/{account_id}/polling"
_ASKED_AT_ONCE: Final = 50
"""Banks that an answer waits for; of more accounts it names the run to follow."""
_JUDGED_AT_ONCE: Final = 1000
"""Accounts that are judged again on what the bank has said while somebody waits."""
_LARGEST_PAGE: Final = 1000
_STATUS: Final = {
    Why.BUDGET_SPENT: 429,
    Why.THROTTLED: 429,
    Why.GUARD_OPEN: 503,
    Why.CLOCKS_APART: 503,
    Why.TIMED_OUT: 504,
}

# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_After = Annotated[int, Query(description="poll_id of the last result seen", ge=0, lt=2**63)]
_PageSize = Annotated[int, Query(ge=1, le=_LARGEST_PAGE)]


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths."""
    _reviews(app, rooms)
    _runs(app, rooms)
    _polling(app, rooms)


def _reviews(app: FastAPI, rooms: Rooms) -> None:
    @app.post(f"{_PREFIX}/intradey/all", tags=["tier 2"])
    @app.post(f"{_PREFIX}/intraday/all", tags=["tier 2"], include_in_schema=False)
    async def review_all(actor: Actor = "api") -> Response:
        """Ask every bank that can be asked, and judge every account again. 200 with a result per account; of many
        accounts 202 with a run to follow.
        """
        return await _review_all(rooms, actor)

    @app.post(f"{_PREFIX}/intradey/{{account_id}}", tags=["tier 2"])
    @app.post(f"{_PREFIX}/intraday/{{account_id}}", tags=["tier 2"], include_in_schema=False)
    async def review_one(account_id: str) -> Response:
        """Ask the bank of one account, named by id or number, and judge it; one whose bank cannot be asked is judged
        again on what the bank has said.
        """
        return await _review_one(rooms, account_id)


async def _review_all(rooms: Rooms, actor: str) -> Response:
    async with rooms.database.transaction() as tx:
        open_accounts, polled = await stored.counts(tx)
        if polled > _ASKED_AT_ONCE or open_accounts > _JUDGED_AT_ONCE:
            try:
                run = await runs.start(tx, actor, rooms.clock())
            except RefusedError as refused:
                return envelope.error(422, refused.refusal)
    if polled > _ASKED_AT_ONCE or open_accounts > _JUDGED_AT_ONCE:
        rooms.poller.wake()
        answer = envelope.ok(run | {"follow": f"{_PREFIX}/intradey/runs/{run['run_id']}"}, 202)
        answer.headers["Location"] = f"{_PREFIX}/intradey/runs/{run['run_id']}"
        return answer
    async with rooms.database.transaction() as tx:
        ids = await stored.polled(tx)
    asked = await rooms.poller.ask_now(ids) if ids else {}
    reviewed = await intraday.review_all(rooms.database, rooms.clock())
    count_reviews([r for r in reviewed if r["account_id"] not in asked])
    results = [_with_answer(result, asked.get(result["account_id"]), rooms) for result in reviewed]
    known = {result["account_id"] for result in reviewed}
    results += [_with_answer({"account_id": key}, one, rooms) for key, one in asked.items() if key not in known]
    ok = sum(r.get("threshold_level") == "Ok" for r in results)
    return envelope.ok({"accounts_judged": len(results), "ok": ok, "mismatch": len(results) - ok, "results": results})


def _with_answer(result: dict[str, Any], asked: Outcome | Spent | None, rooms: Rooms) -> dict[str, Any]:
    """An account's standing, with what its bank said or why that is missing."""
    if isinstance(asked, Observed):
        return view_of(asked, rooms.clock())
    refusal = _why(asked, rooms) if asked is not None else None
    return result if refusal is None else result | {"refusal": {"code": refusal.why, "message": refusal.text}}


def _why(asked: Outcome | Spent, rooms: Rooms) -> NoObservation | None:
    match asked:
        case Spent():
            return asked.as_answer(rooms.clock())
        case NoObservation():
            return asked
        case Exception():
            return NoObservation(why=Why.SERVER_ERROR, text="the bank answered, and that could not be kept")
        case _:
            return None


async def _review_one(rooms: Rooms, name: str) -> Response:
    now = rooms.clock()
    async with rooms.database.transaction() as tx:
        view = await accounts.show(tx, name, now)
        if view is None:
            return envelope.not_found("account", name)
        key = UUID(view["id"])
        how = await stored.polling(tx, key, now)
        if (how is None or view["closed_at"] is not None) and view["last_reconciliation_at"] is None:
            refusal = Refusal("no_evidence", f"the bank has not spoken of account {name} yet", "account_id")
            return envelope.error(409, refusal)
        if how is None or view["closed_at"] is not None:
            results = await intraday.review(tx, [key], now)
    if how is None or view["closed_at"] is not None:
        count_reviews(results)
        return envelope.ok(results[0])
    asked = await rooms.poller.ask_now([key])
    if key not in asked:  # somebody has just said that its bank is asked no more
        return envelope.error(409, Refusal("unknown_polling", f"no bank is asked for account {name}", "account_id"))
    return _asked(asked[key], rooms)


def _asked(outcome: Outcome | Spent, rooms: Rooms) -> Response:
    if isinstance(outcome, Observed):
        return envelope.ok(view_of(outcome, rooms.clock()))
    if isinstance(outcome, UnavailableError):
        return envelope.error(503, Refusal("unavailable", "the database cannot be reached"))
    why = _why(outcome, rooms)
    if why is None or isinstance(outcome, Exception):
        return envelope.error(503, Refusal("unforeseen", "the bank answered, and that could not be kept; see the log"))
    answer = envelope.error(_STATUS.get(why.why, 502), Refusal(why.why.value, why.text))
    if why.retry_after is not None:
        answer.headers["Retry-After"] = str(max(1, int(why.retry_after.total_seconds())))
    return answer


def _runs(app: FastAPI, rooms: Rooms) -> None:
    @app.get(f"{_PREFIX}/intradey/runs/{{run_id}}", tags=["tier 2"])
    @app.get(f"{_PREFIX}/intraday/runs/{{run_id}}", tags=["tier 2"], include_in_schema=False)
    async def run(run_id: UUID, after: _After = 0, limit: _PageSize = 100) -> Response:
        """How far a run has come, and what came of its accounts, in the order in which they were asked."""
        async with rooms.database.transaction() as tx:
            view = await runs.show(tx, run_id, rooms.clock())
            if view is None:
                return envelope.not_found("run", str(run_id))
            return envelope.ok(view | {"results": await runs.results(tx, run_id, after, limit)})


def _polling(app: FastAPI, rooms: Rooms) -> None:
    @app.get("/api/v1/connections", tags=["tier 2"])
    async def listing() -> Response:
        """The accesses to banks, without their settings."""
        async with rooms.database.transaction() as tx:
            return envelope.ok({"connections": await connections.listing(tx)})

    @app.put(_POLLING, tags=["tier 2"], openapi_extra=body(NewPolling))
    async def save(account_id: str, request: Request) -> Response:
        """Say how the account's bank is asked; from then on it is."""
        wanted = await ledger.read(request, NewPolling)
        if isinstance(wanted, Response):
            return wanted
        try:
            async with rooms.database.transaction() as tx:
                view = await polling.save(tx, account_id, wanted, rooms.clock())
        except RefusedError as refused:
            return envelope.error(status_of(refused.refusal), refused.refusal)
        rooms.poller.wake()
        return envelope.ok(view)

    @app.get(_POLLING, tags=["tier 2"])
    async def show(account_id: str) -> Response:
        """How the account's bank is asked, when next, and what it said the last times."""
        try:
            async with rooms.database.transaction() as tx:
                return envelope.ok(await polling.show(tx, account_id, rooms.clock()))
        except RefusedError as refused:
            return envelope.error(status_of(refused.refusal), refused.refusal)

    @app.delete(_POLLING, tags=["tier 2"])
    async def end(account_id: str, actor: Actor = "api") -> Response:
        """Ask the account's bank no more."""
        try:
            async with rooms.database.transaction() as tx:
                return envelope.ok(await polling.end(tx, account_id, actor, rooms.clock()))
        except RefusedError as refused:
            return envelope.error(status_of(refused.refusal), refused.refusal)
