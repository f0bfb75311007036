"""The simulated bank's own controls, under `/simulated`: book, let things go wrong, write files, look at the books.

No bank has these; they are for whoever tests an engine against this one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import wraps
from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from token_engine.banks.simulated import camt
from token_engine.banks.simulated.app import Bank
from token_engine.banks.simulated.faults import Fault, Kind
from token_engine.banks.simulated.tokens import Client
from token_engine.banks.simulated.words import Account, Order
from token_engine.domain.refusal import RefusedError

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_HOLDER: Final = "Token Engine safeguarding"


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to be opened."""

    number: str
    currency: str
    balance: Decimal = Decimal(0)


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to be written: a statement closes `day` (today where none is named). Notifications are all that are due,
    of every account, and count as sent then.
    """

    kind: Literal["statement", "report", "notifications"]
    account: str | None = None
    day: date | None = None


def routes(bank: Bank) -> list[Route]:
    """All controls."""
    made = _Controls(bank)
    account = "/simulated/accounts/{account}"
    return [
        Route("/simulated/accounts", _said(made.accounts), methods=["GET"]),
        Route("/simulated/accounts", _said(made.open_accounts), methods=["POST"]),
        Route(account, _said(made.account), methods=["GET"]),
        Route(account + "/entries", _said(made.book), methods=["POST"]),
        Route("/simulated/files", _said(made.write), methods=["POST"]),
        Route("/simulated/faults", _said(made.faults), methods=["GET"]),
        Route("/simulated/faults", _said(made.cause), methods=["POST"]),
        Route("/simulated/faults", _said(made.clear), methods=["DELETE"]),
        Route("/simulated/clients", _said(made.register), methods=["POST"]),
        Route("/simulated/tokens", _said(made.revoke), methods=["DELETE"]),
    ]


def _said(work: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    """As JSON; a refusal is 400, what is not there 404."""

    @wraps(work)
    async def endpoint(request: Request) -> Response:
        status = 200
        try:
            answer = await work(request)
        except RefusedError as error:
            answer, status = error.refusal, 404 if error.refusal.code == "unknown_account" else 400
        except msgspec.MsgspecError as error:
            answer, status = {"code": "invalid", "message": str(error)}, 400
        return Response(_encode(answer), status, media_type="application/json")

    return endpoint


class _Controls:
    def __init__(self, bank: Bank) -> None:
        self._bank = bank

    async def accounts(self, _: Request) -> Any:
        now = self._bank.clock()
        return [_shown(account, self._bank.books.balance(account, now)) for account in self._bank.books.accounts()]

    async def open_accounts(self, request: Request) -> Any:
        wanted = msgspec.json.decode(await request.body(), type=list[NewAccount])
        self._bank.books.open_accounts(
            [(each.number, each.currency, each.balance) for each in wanted], _HOLDER, self._bank.clock()
        )
        return {"accounts": self._bank.books.count_accounts()}

    async def account(self, request: Request) -> Any:
        account = self._account(request.path_params["account"])
        shown = _shown(account, self._bank.books.balance(account, self._bank.clock()))
        return shown | {"entries": self._bank.books.entries(account)}

    async def book(self, request: Request) -> Any:
        account = self._account(request.path_params["account"])
        order = msgspec.json.decode(await request.body(), type=Order)
        orders = self._bank.faults.on_booking(order, account.resource)
        return self._bank.books.book(account, orders, self._bank.clock())

    async def write(self, request: Request) -> Any:
        asked = msgspec.json.decode(await request.body(), type=File)
        if self._bank.drop_folder is None:
            raise RefusedError("no_folder", "this bank has no folder to drop files into")
        written = self._notifications() if asked.kind == "notifications" else [self._file(asked)]
        return {"files": [str(camt.drop(self._bank.drop_folder, name, content)) for name, content in written]}

    async def faults(self, _: Request) -> Any:
        return list(self._bank.faults)

    async def cause(self, request: Request) -> Any:
        fault = msgspec.json.decode(await request.body(), type=Fault)
        if fault.account is not None:
            fault = msgspec.structs.replace(fault, account=self._account(fault.account).resource)
        self._bank.faults.cause(fault)
        return fault

    async def clear(self, request: Request) -> Any:
        kind, account = request.query_params.get("kind"), request.query_params.get("account")
        self._bank.faults.clear(
            None if account is None else self._account(account).resource,
            None if kind is None else msgspec.convert(kind, Kind),
        )
        return list(self._bank.faults)

    async def register(self, request: Request) -> Any:
        client = msgspec.json.decode(await request.body(), type=Client)
        self._bank.tokens.register(client)
        return {"id": client.id}

    async def revoke(self, _: Request) -> Any:
        self._bank.tokens.revoke()
        return {}

    def _account(self, name: str) -> Account:
        account = self._bank.books.account(name)
        if account is None:
            raise RefusedError("unknown_account", f"no account has the id {name}, or more than one that number")
        return account

    def _file(self, asked: File) -> tuple[str, bytes]:
        now, books = self._bank.clock(), self._bank.books
        account = self._account(asked.account or "")
        if asked.kind == "statement":
            closed = books.state(account, asked.day or now.date(), now)
            return f"camt.053-{account.resource}-{closed.day}.xml", camt.statement(closed)
        opening, entries = books.unstated(account)
        content = camt.report(account, opening, books.balance(account, now), entries, now)
        return f"camt.052-{account.resource}-{now:%Y%m%d%H%M%S%f}.xml", content

    def _notifications(self) -> Iterator[tuple[str, bytes]]:
        """Each is told once it was dropped: a crash between the two drops the same file again."""
        books = self._bank.books
        while notice := books.next_notice():
            yield f"camt.054-{notice.id:09}.xml", camt.notification(notice)
            books.told(notice, self._bank.clock())


def _shown(account: Account, balance: Decimal) -> dict[str, Any]:
    return {"resource": account.resource, "number": account.number, "currency": account.currency, "balance": balance}
