"""Paths for those who look into discrepancies: list, show, assign, comment, resolve, reopen."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.discrepancy import DifferenceRemains
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope, intake
from token_engine.entrypoints.api.described import body
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.tiers import discrepancies
from token_engine.tiers.discrepancies import Act, Assignment, Comment, Question, Reopening, Resolution

_PATH: Final = "/api/v1/discrepancies"
_STATUS_OF: Final = {
    "unknown_account": 404,
    "unknown_discrepancy": 404,
    "already_resolved": 409,
    "another_is_open": 409,
    "difference_remains": 409,
    "no_fresh_evidence": 409,
    "not_resolved": 409,
}
_A = TypeVar("_A", bound=Act)

# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_Status = Annotated[str | None, Query(description="open (nobody's), investigating, resolved, or unresolved")]
_Severity = Annotated[str | None, Query(description="minor, significant or critical")]
_Age = Annotated[str | None, Query(description="open for at least so long: 90m, 36h, 7d")]
_Order = Annotated[str, Query(description="newest or oldest first")]
_After = Annotated[str | None, Query(description="id of the last discrepancy seen")]
_PageSize = Annotated[int, Query(ge=1, le=discrepancies.LARGEST_PAGE)]


def add_paths(app: FastAPI, rooms: Rooms) -> None:
    """Add the paths to the application."""

    @app.get(_PATH, tags=["discrepancies"])
    async def listing(
        status: _Status = None,
        account: str | None = None,
        type: str | None = None,
        severity: _Severity = None,
        assignee: str | None = None,
        older_than: _Age = None,
        order: _Order = "newest",
        after: _After = None,
        limit: _PageSize = 100,
    ) -> Response:
        """Breaks between ledger and bank, by when they opened, with their age and owner."""
        question = Question(
            status=status, account=account, type=type, severity=severity, assignee=assignee, older_than=older_than,
            order=order, after=after, limit=limit,
        )  # fmt: skip
        async with rooms.database.transaction() as tx:
            found = await discrepancies.listing(tx, question, rooms.clock())
        return _refused(found) if isinstance(found, Refusal) else envelope.ok({"discrepancies": found})

    @app.get(f"{_PATH}/{{discrepancy_id}}", tags=["discrepancies"])
    async def show(discrepancy_id: str) -> Response:
        """One discrepancy: its age, evidence and whole history, and how its account stands now."""
        async with rooms.database.transaction() as tx:
            view = await discrepancies.show(tx, discrepancy_id, rooms.clock())
        return envelope.ok(view) if view else envelope.not_found("discrepancy", discrepancy_id[:40])

    @app.post(f"{_PATH}/{{discrepancy_id}}/assignment", tags=["discrepancies"], openapi_extra=body(Assignment))
    async def assign(discrepancy_id: str, request: Request) -> Response:
        """Say whose it is; `assignee` null gives it back."""
        return await _do(rooms, discrepancy_id, request, Assignment)

    @app.post(f"{_PATH}/{{discrepancy_id}}/comments", tags=["discrepancies"], openapi_extra=body(Comment))
    async def comment(discrepancy_id: str, request: Request) -> Response:
        """Write down what was found."""
        return await _do(rooms, discrepancy_id, request, Comment)

    @app.post(f"{_PATH}/{{discrepancy_id}}/resolution", tags=["discrepancies"], openapi_extra=body(Resolution))
    async def resolve(discrepancy_id: str, request: Request) -> Response:
        """Say that it is done, and why. 409 `difference_remains`, with the figures, while ledger and bank are apart."""
        return await _do(rooms, discrepancy_id, request, Resolution)

    @app.post(f"{_PATH}/{{discrepancy_id}}/reopening", tags=["discrepancies"], openapi_extra=body(Reopening))
    async def reopen(discrepancy_id: str, request: Request) -> Response:
        """Take it up again. From then on only a person resolves it."""
        return await _do(rooms, discrepancy_id, request, Reopening)


async def _do(rooms: Rooms, name: str, request: Request, kind: type[_A]) -> Response:
    try:
        act = msgspec.json.decode(await intake.small_body(request), type=kind)
    except msgspec.ValidationError as wrong:
        _, _, place = str(wrong).partition(" - at `$.")
        return envelope.error(422, Refusal("invalid_request", str(wrong), place.rstrip("`") or None))
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        return envelope.error(422, Refusal("invalid_json", str(wrong)))
    except RefusedError as wrong:
        return envelope.error(413, wrong.refusal)
    async with rooms.database.transaction() as tx:
        outcome = await discrepancies.do(tx, name, act, rooms.clock())
    if isinstance(outcome, Refusal):
        return _refused(outcome)
    return envelope.ok(outcome)


def _refused(refusal: Refusal) -> Response:
    figures = refusal.figures if isinstance(refusal, DifferenceRemains) else None
    return envelope.error(_STATUS_OF.get(refusal.code, 422), refusal, figures=figures)
