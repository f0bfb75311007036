"""The simulated bank on HTTP: three open banking APIs over one set of books, and the token endpoint.

On loopback only, and without TLS: who serves it sees to that (`__main__.py`, or the engine's wiring).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from token_engine.banks.simulated.balances import told
from token_engine.banks.simulated.berlin_group import BerlinGroup
from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.dialect import PAGE, Answer, Dialect, Page, Wrong
from token_engine.banks.simulated.faults import Faults, Kind
from token_engine.banks.simulated.tokens import Refused, Tokens
from token_engine.banks.simulated.uae_open_finance import UaeOpenFinance
from token_engine.banks.simulated.uk_open_banking import UkOpenBanking

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
_encode: Final = msgspec.json.Encoder().encode


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank consists of; `new_id` makes UUIDs, `drop_folder` is where it leaves files."""

    books: Books
    faults: Faults
    tokens: Tokens
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    drop_folder: Path | None = None


def routes(bank: Bank) -> list[Route]:
    """The APIs and the token endpoint."""
    made = [Route(TOKEN_PATH, partial(_token, bank), methods=["POST"])]
    dialects: Sequence[tuple[Dialect, str]] = (
        (BerlinGroup(), "/v1"), (UkOpenBanking(4), ""), (UkOpenBanking(3), ""), (UaeOpenFinance(), ""),
    )  # fmt: skip
    for dialect, version in dialects:
        api = _Api(bank, dialect)
        base = f"{dialect.prefix}{version}/accounts"
        made += [
            Route(base + "/{resource}/balances", partial(api.answer, api.balances), methods=["GET"]),
            Route(base + "/{resource}", partial(api.answer, api.account), methods=["GET"]),
            Route(base, partial(api.answer, api.accounts), methods=["GET"]),
        ]
    return made


def app(bank: Bank, *more: Route) -> Starlette:
    """The bank as an ASGI application; `more` is what a control adds."""
    return Starlette(routes=[*routes(bank), *more])


class _Api:
    """One standard's API."""

    def __init__(self, bank: Bank, dialect: Dialect) -> None:
        self._bank = bank
        self._dialect = dialect

    async def answer(self, asked: Callable[[Request], Answer], request: Request) -> Response:
        """What was asked, unless the request is wrong or a fault strikes."""
        bank, resource = self._bank, request.path_params.get("resource")
        if slow := bank.faults.strike(Kind.SLOW, resource):
            await asyncio.sleep(slow.milliseconds / 1000)
        if throttled := bank.faults.strike(Kind.THROTTLED, resource):
            answer = self._dialect.wrong(Wrong.THROTTLED, "too many requests")
            return self._response(request, answer, {"Retry-After": str(throttled.retry_after)})
        if bank.faults.strike(Kind.SERVER_ERROR, resource):
            return self._response(request, self._dialect.wrong(Wrong.SERVER_ERROR, "something went wrong"))
        wrong = self._wrong(request)
        if wrong is not None:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if wrong.status == 401 else {}
            return self._response(request, wrong, challenge)
        if bank.faults.strike(Kind.NOT_JSON, resource):
            return Response("<html><body><h1>We are improving our services</h1></body></html>", media_type="text/html")
        response = self._response(request, asked(request))
        if bank.faults.strike(Kind.CUT, resource):
            return _Cut(response)
        return response

    def accounts(self, request: Request) -> Answer:
        bank = self._bank
        if not self._dialect.pages:
            page = Page(accounts=bank.books.accounts(), number=1, pages=1)
        else:
            asked = request.query_params.get("page", "1")
            number = int(asked) if asked.isdecimal() and len(asked) < 9 else 1
            counted = bank.books.count_accounts()
            listed = bank.books.accounts((number - 1) * PAGE, PAGE) if number else []
            page = Page(accounts=listed, number=number, pages=max(1, -(-counted // PAGE)))
        return self._dialect.accounts(page, _url(request))

    def account(self, request: Request) -> Answer:
        account = self._bank.books.by_resource(request.path_params["resource"])
        if account is None:
            return self._dialect.wrong(Wrong.UNKNOWN_ACCOUNT, "no account has this id")
        return self._dialect.account(account, _url(request))

    def balances(self, request: Request) -> Answer:
        bank = self._bank
        account = bank.books.by_resource(request.path_params["resource"])
        if account is None:
            return self._dialect.wrong(Wrong.UNKNOWN_ACCOUNT, "no account has this id")
        return self._dialect.balances(told(bank.books, bank.faults, account, bank.clock()), _url(request))

    def _wrong(self, request: Request) -> Answer | None:
        grant = self._bank.tokens.look_up(request.headers.get("authorization"), self._bank.clock())
        if isinstance(grant, Wrong):
            return self._dialect.wrong(grant, f"the access token: {grant.name.lower().replace('_', ' ')}")
        found = self._dialect.check(request.headers, grant.client.consents)
        return None if found is None else self._dialect.wrong(*found)

    def _response(self, request: Request, answer: Answer, more: dict[str, str] | None = None) -> Response:
        """With the request's own correlation id, or with one of ours where it has none."""
        name = self._dialect.correlation
        headers = {name: request.headers.get(name) or self._bank.new_id(), **(more or {})}
        body = b"" if answer.body is None else _encode(answer.body)
        return Response(body, answer.status, headers, None if answer.body is None else "application/json")


class _Cut(Response):
    """Half of an answer that said how long it would be; then the connection ends."""

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        whole = self._whole
        await send({"type": "http.response.start", "status": whole.status_code, "headers": whole.raw_headers})
        body = bytes(whole.body)[: len(whole.body) // 2]
        await send({"type": "http.response.body", "body": body, "more_body": True})


def _url(request: Request) -> str:
    return str(request.url.replace(query=""))


async def _token(bank: Bank, request: Request) -> Response:
    url = _url(request)
    ours = frozenset({url, url.removesuffix(TOKEN_PATH)})
    given = bank.tokens.give(request.headers.get("authorization"), await request.body(), ours, bank.clock())
    headers = {"Cache-Control": "no-store"}
    if not isinstance(given, Refused):
        return Response(_encode(given), 200, headers, "application/json")
    refused = given.error == "invalid_client"
    if refused:
        headers["WWW-Authenticate"] = 'Basic realm="simulated bank"'
    return Response(_encode(given), 401 if refused else 400, headers, "application/json")
