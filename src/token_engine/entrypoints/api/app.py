"""The HTTP API: paths and their documentation. What they do is in the files beside this one."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import psycopg
import psycopg_pool
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import (
    breaker,
    discrepancies,
    envelope,
    fundings,
    intake,
    intraday,
    ledger,
    matches,
    payouts,
    questions,
    receipts,
    reports,
    statements,
)
from token_engine.entrypoints.api.described import Actor, Key, body
from token_engine.entrypoints.api.page import page
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.tiers import accounts, orders

_V1: Final = "/api/v1"
_PREFIX: Final = f"{_V1}/reconciliation"
_EXAMPLE: Final = {
    "message_id": "CAMT054-2025-001",
    "account_id": "AE070331234567890123456",
    "currency": "AED",
    "credit_debit_indicator": "CRDT",
    "amount": "100000.00",
    "bank_reference": "BNK-REF-12345",
    "end_to_end_id": "E2E-TXN-67890",
}
_STATEMENT: Final = {
    "message_id": "STMT-2025-11-18",
    "account_id": "AE070331234567890123456",
    "currency": "AED",
    "statement_date": "2025-11-18",
    "opening_balance": "5000000.00",
    "closing_balance": "5100000.00",
    "entries": [
        {
            "entry_reference": "E001",
            "credit_debit_indicator": "CRDT",
            "amount": "100000.00",
            "end_to_end_id": "E2E-TXN-67890",
        }
    ],
}


def _bank_message(example: dict[str, Any]) -> dict[str, Any]:
    content = {
        "application/json": {"schema": {"type": "object"}, "example": example},
        "application/xml": {"schema": {"type": "string"}},
    }
    return {"requestBody": {"required": True, "content": content}}


# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_PageSize = Annotated[int, Query(ge=1, le=questions.LARGEST_PAGE)]


def build(rooms: Rooms) -> FastAPI:
    """The application, ready to serve."""
    # Its /docs and /redoc load nothing from elsewhere: a bank's network reaches no content network.
    app = FastAPIOffline(
        title="Token Engine",
        description="Is every token backed, and who says so, as of when?",
        redirect_slashes=False,
    )
    _tiers(app, rooms)
    intraday.add(app, rooms)
    _accounts(app, rooms)
    _ledger(app, rooms)
    discrepancies.add_paths(app, rooms)
    breaker.add(app, rooms)
    fundings.add(app, rooms)
    receipts.add(app, rooms)
    payouts.add(app, rooms)
    statements.add(app, rooms)
    matches.add(app, rooms)
    reports.add(app, rooms)
    _evidence(app, rooms)
    _errors(app)
    return app


def _tiers(app: FastAPI, rooms: Rooms) -> None:
    @app.post(intake.CAMT054, tags=["tier 1"], status_code=201, openapi_extra=_bank_message(_EXAMPLE))
    async def camt054(request: Request) -> Response:
        """Record a bank's notification. Answers after the commit: 201 recorded, 200 recorded already,
        422 kept as rejected with the reason.
        """
        return await intake.camt054(request, rooms)

    @app.post(intake.EOD, tags=["tier 3"], status_code=201, openapi_extra=_bank_message(_STATEMENT))
    async def eod(request: Request) -> Response:
        """Close days by a bank's statement. Answers after the commit: 201 closed, reconciled or not, with each
        check; 200 closed before by the same statement; 422 kept as rejected with the reason.
        """
        return await intake.eod(request, rooms)

    @app.get(f"{_PREFIX}/summary", tags=["monitoring"])
    async def summary() -> Response:
        """How many accounts are backed."""
        return await questions.summary(rooms)

    @app.head(f"{_PREFIX}/health", include_in_schema=False)
    @app.get(f"{_PREFIX}/health", tags=["monitoring"])
    async def health() -> Response:
        """200 HEALTHY or WARNING; 503 CRITICAL while a circuit breaker is open."""
        return await questions.health(rooms)

    @app.get("/metrics", tags=["monitoring"])
    async def metrics() -> Response:
        """Prometheus metrics: this process's counters, and the state as the database has it."""
        return await questions.scrape(rooms)

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def overview() -> Response:
        return await page(rooms)


def _accounts(app: FastAPI, rooms: Rooms) -> None:
    @app.post(f"{_V1}/accounts", tags=["accounts"], status_code=201, openapi_extra=body(accounts.NewAccount))
    async def create(request: Request, actor: Actor = "api") -> Response:
        """Take an account on."""
        try:
            wanted = msgspec.json.decode(await intake.small_body(request), type=accounts.NewAccount)
        except msgspec.ValidationError as wrong:
            _, _, place = str(wrong).partition(" - at `$.")
            return envelope.error(422, Refusal("invalid_account", str(wrong), place.rstrip("`") or None))
        except msgspec.DecodeError as wrong:
            return envelope.error(422, Refusal("invalid_json", str(wrong)))
        except RefusedError as wrong:
            return envelope.error(413, wrong.refusal)
        async with rooms.database.transaction() as tx:
            made = await accounts.create(tx, wanted, actor, rooms.clock())
        if isinstance(made, Refusal):
            return envelope.error(409 if made.code == "account_exists" else 422, made)
        return envelope.ok(made, 201)

    @app.get(f"{_V1}/accounts", tags=["accounts"])
    async def listing(
        limit: _PageSize = 100,
        after: Annotated[str | None, Query(description="NUMBER/CURRENCY of the last account seen")] = None,
    ) -> Response:
        """Accounts with position and verdict, in the order of their numbers."""
        number, _, currency = (after or "").rpartition("/")
        async with rooms.database.transaction() as tx:
            views = await accounts.listing(tx, rooms.clock(), after=(number, currency) if after else None, limit=limit)
        return envelope.ok({"accounts": views})

    @app.get(f"{_V1}/accounts/{{account_id}}", tags=["accounts"])
    async def show(account_id: str) -> Response:
        """One account by id or number, with position and verdict."""
        async with rooms.database.transaction() as tx:
            view = await accounts.show(tx, account_id, rooms.clock())
        return envelope.ok(view) if view else envelope.not_found("account", account_id)

    @app.get(f"{_V1}/accounts/{{account_id}}/trend", tags=["tier 2"])
    async def trend(account_id: str) -> Response:
        """Where its difference between bank and ledger is going, and when it would cross a bound."""
        return await questions.trend(rooms, account_id)

    @app.post(f"{_V1}/accounts/{{account_id}}/close", tags=["accounts"])
    async def close(account_id: str, actor: Actor = "api") -> Response:
        """Close an account: messages for it are rejected from then on."""
        async with rooms.database.transaction() as tx:
            closed = await accounts.close(tx, account_id, actor, rooms.clock())
        if isinstance(closed, Refusal):
            return envelope.error({"unknown_account": 404, "account_closed": 409}.get(closed.code, 422), closed)
        return envelope.ok(closed)


def _ledger(app: FastAPI, rooms: Rooms) -> None:
    @app.post(f"{_V1}/burns", tags=["ledger"], status_code=201, openapi_extra=body(orders.Burn))
    async def burn(request: Request, key: Key) -> Response:
        """Burn tokens that a holder gives up."""
        return await ledger.change(rooms, request, key, "burn", orders.Burn, orders.burn)

    @app.post(f"{_V1}/transfers", tags=["ledger"], status_code=201, openapi_extra=body(orders.Transfer))
    async def transfer(request: Request, key: Key) -> Response:
        """Pass tokens from one holder to another."""
        return await ledger.change(rooms, request, key, "transfer", orders.Transfer, orders.transfer)

    @app.post(f"{_V1}/replenishments", tags=["ledger"], status_code=201, openapi_extra=body(orders.Replenishment))
    async def replenish(request: Request, key: Key) -> Response:
        """Keep that the issuer's own money backs tokens."""
        return await ledger.change(rooms, request, key, "replenishment", orders.Replenishment, orders.replenish)

    @app.post(
        f"{_V1}/movements/{{number}}/reversal", tags=["ledger"], status_code=201, openapi_extra=body(orders.Reversal)
    )
    async def reverse(request: Request, key: Key, number: int) -> Response:
        """Undo a movement by its opposite."""
        return await ledger.reversal(rooms, request, key, number)

    @app.post(f"{_V1}/ledger/movements", tags=["ledger"], status_code=201, openapi_extra=body(orders.ExternalMovements))
    async def external(request: Request, key: Key) -> Response:
        """Post what a token ledger kept elsewhere has moved: all of it, or nothing."""
        return await ledger.change(
            rooms, request, key, orders.EXTERNAL_MOVEMENTS, orders.ExternalMovements, orders.post_external
        )

    @app.get(f"{_V1}/supply", tags=["ledger"])
    async def supply() -> Response:
        """Tokens outstanding, by token."""
        return await ledger.supply(rooms)

    @app.get(f"{_V1}/supply/{{token}}/holders", tags=["ledger"])
    async def holders(token: str, after: str | None = None, limit: _PageSize = 100) -> Response:
        """Who holds a token, in the order of their ids."""
        return await ledger.holders(rooms, token, after, limit)

    @app.get(f"{_V1}/accounts/{{account_id}}/movements", tags=["ledger"])
    async def movements(account_id: str, before: int | None = None, limit: _PageSize = 100) -> Response:
        """An account's movements on the token ledger, newest first."""
        return await ledger.movements(rooms, account_id, before, limit)


def _evidence(app: FastAPI, rooms: Rooms) -> None:
    @app.get(f"{_V1}/messages", tags=["evidence"])
    async def messages(
        state: Annotated[str | None, Query(pattern="^(?i:recorded|rejected)$")] = None,
        before: int | None = None,
        limit: _PageSize = 100,
    ) -> Response:
        """Bank messages as they came, newest first, without their bytes."""
        return await questions.messages(rooms, state, before, limit)

    @app.get(f"{_V1}/messages/{{number}}", tags=["evidence"])
    async def message(number: int) -> Response:
        """One bank message with its bytes."""
        return await questions.message(rooms, number)


def _errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def refused(_: Request, wrong: HTTPException) -> Response:
        words = {404: "not_found", 405: "method_not_allowed"}
        code = words.get(wrong.status_code, "http_error")
        answer = envelope.error(wrong.status_code, Refusal(code, str(wrong.detail)))
        answer.headers.update(wrong.headers or {})  # a 405 says what is allowed
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, wrong: RequestValidationError) -> Response:
        first = wrong.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or None
        return envelope.error(422, Refusal("invalid_request", f"{field}: {first['msg']}", field))

    @app.exception_handler(psycopg.DataError)
    async def unfit(_: Request, __: Exception) -> Response:
        return envelope.error(422, Refusal("invalid_request", "a value holds NUL, or is too large for any row"))

    @app.exception_handler(psycopg.OperationalError)
    @app.exception_handler(psycopg_pool.PoolTimeout)
    async def unavailable(_: Request, __: Exception) -> Response:
        return envelope.error(503, Refusal("unavailable", "the database cannot be reached"))

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, wrong: Exception) -> Response:
        return envelope.error(500, Refusal("unforeseen", f"{type(wrong).__name__}; see the engine's log"))
