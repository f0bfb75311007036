"""Reports over HTTP: safeguarding by day and month, sign-off, incidents, and what accounts are for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import FastAPI, Query, Request, Response

from token_engine.domain.period import Span
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.entrypoints.api import envelope, intake
from token_engine.entrypoints.api.described import body
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.publishing.canonical import plain
from token_engine.publishing.forms import MEDIA_TYPE, Form
from token_engine.storage.database import Transaction
from token_engine.tiers import documents, incidents, report, roles
from token_engine.tiers.documents import Document
from token_engine.tiers.once import status_of
from token_engine.tiers.report import Asked, SignOff
from token_engine.tiers.roles import NewRole

_V1: Final = "/api/v1"
_S = TypeVar("_S", bound=msgspec.Struct)

# Here and not where they are used: FastAPI looks up the names of annotations in the module only.
_Date = Annotated[str, Query(description="2025-11-18 for a day, 2025-11 for a month")]
_Account = Annotated[str | None, Query(description="id or number: the report of one account")]
_Token = Annotated[str | None, Query(description="xAED: the report of one token; neither: of the firm")]
_Currency = Annotated[str | None, Query(description="where the account's number is kept in several")]
_Form = Annotated[Form | None, Query(alias="format", description="a document; without it an answer with sign-offs")]
_IncidentForm = Annotated[str | None, Query(alias="format", pattern="^(json|pdf)$", description="json or pdf")]


def add(app: FastAPI, rooms: Rooms) -> None:
    """The paths."""
    _reports(app, rooms)
    _incidents(app, rooms)


def _reports(app: FastAPI, rooms: Rooms) -> None:
    one_at_a_time = asyncio.Semaphore(1)

    @app.get(f"{_V1}/reports/{{span}}", tags=["reports"])
    async def safeguarding(
        span: Span, date: _Date, account_id: _Account = None, token: _Token = None, currency: _Currency = None,
        form: _Form = None,
    ) -> Response:  # fmt: skip
        """The safeguarding report of a day or a month: requirement, resource, what is short, unproven, late or open."""
        asked = Asked(span=span, date=date, account=account_id, token=token, currency=currency)
        try:
            # A month of all accounts holds megabytes: two of them at once would hold twice as many.
            async with one_at_a_time:
                found, cover = await documents.report_of(rooms.database, asked, rooms.clock(), rooms.firm)
                if form is None:
                    return envelope.ok(await asyncio.to_thread(documents.shown, found, cover))
                return _document(await documents.printed_report(found, cover, form), found.id)
        except RefusedError as refused:
            return _refused(refused)

    @app.post(f"{_V1}/reports/{{report_id}}/sign-off", tags=["reports"], status_code=201, openapi_extra=body(SignOff))
    async def sign_off(report_id: str, request: Request) -> Response:
        """Stand for a report as its data is now; with `sha256`, only if that is the data that was read."""

        async def do(tx: Transaction, said: SignOff) -> dict[str, Any]:
            return await report.sign_off(tx, report_id, said, rooms.clock())

        return await _do(rooms, request, SignOff, do)

    @app.post(f"{_V1}/accounts/{{account_id}}/role", tags=["accounts"], status_code=201, openapi_extra=body(NewRole))
    async def assign_role(account_id: str, request: Request) -> Response:
        """Say what an account is for, from a day on: safeguarding (until said otherwise), settlement or own_funds."""

        async def do(tx: Transaction, said: NewRole) -> dict[str, Any]:
            return await roles.assign(tx, account_id, said, rooms.clock())

        return await _do(rooms, request, NewRole, do)


def _incidents(app: FastAPI, rooms: Rooms) -> None:
    @app.get(f"{_V1}/accounts/{{account_id}}/incidents", tags=["reports"])
    async def listing(account_id: str, currency: _Currency = None) -> Response:
        """Each time that the account's circuit breaker opened, the latest first."""
        try:
            async with rooms.database.transaction() as tx:
                found = await incidents.listing(tx, account_id, currency, rooms.clock())
        except RefusedError as refused:
            return _refused(refused)
        return envelope.ok({"incidents": found})

    @app.get(f"{_V1}/incidents/{{incident_id}}", tags=["reports"])
    async def show(incident_id: int, form: _IncidentForm = None) -> Response:
        """What opened a breaker, on what evidence, what was refused meanwhile, who was told, who closed it."""
        if not 0 < incident_id < 2**63:
            return envelope.not_found("incident", str(incident_id)[:40])
        try:
            found, cover = await documents.incident_of(rooms.database, incident_id, rooms.clock(), rooms.firm)
        except RefusedError as refused:
            return _refused(refused)
        if form is None:
            return envelope.ok({"sha256": cover.sha256, "generated_at": cover.generated_at, "incident": plain(found)})
        return _document(documents.printed_incident(found, cover, Form(form)), f"incident-{incident_id}")


def _document(of: Document, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{of.name}"', "X-Report-Id": name, "X-Dataset-SHA256": of.sha256,
    }  # fmt: skip
    return Response(of.content, media_type=MEDIA_TYPE[of.form], headers=headers)


async def _do(
    rooms: Rooms, request: Request, of: type[_S], act: Callable[[Transaction, _S], Awaitable[dict[str, Any]]]
) -> Response:
    """Read a person's words, act on them in one transaction, answer after its commit."""
    try:
        said = msgspec.json.decode(await intake.small_body(request), type=of)
        async with rooms.database.transaction() as tx:
            return envelope.ok(plain(await act(tx, said)), 201)
    except msgspec.ValidationError as wrong:
        _, _, place = str(wrong).partition(" - at `$.")
        return envelope.error(422, Refusal("invalid_request", str(wrong), place.rstrip("`") or None))
    except msgspec.DecodeError as wrong:
        return envelope.error(422, Refusal("invalid_json", str(wrong)))
    except RefusedError as refused:
        return _refused(refused)


def _refused(refused: RefusedError) -> Response:
    code = refused.refusal.code
    return envelope.error(413 if code == "too_large" else status_of(refused.refusal), refused.refusal)
