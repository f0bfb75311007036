"""A real HTTP server on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import msgspec
import uvicorn


class Request(msgspec.Struct, frozen=True):
    """What was asked: the path after the bank's base URL, without query."""

    path: str
    query: str
    headers: Mapping[str, str]
    base: str
    """The bank's base URL, for links in answers."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered; and how, when the connection is to fail."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = {}
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    silent: bool = False
    """Never answer; wait until the asker is gone."""
    dripping: bool = False
    """A byte each 20 ms, without end."""


def as_json(content: Any) -> bytes:
    """JSON with Decimals written as numbers, digit by digit."""
    marks: dict[str, str] = {}

    def mark(value: Any) -> str:
        assert isinstance(value, Decimal)
        marks[f'"number-{len(marks)}-mark"'] = str(value)
        return f"number-{len(marks) - 1}-mark"

    text = json.dumps(content, default=mark)
    for name, number in marks.items():
        text = text.replace(name, number)
    return text.encode()


def ok(content: Any, **more: Any) -> Reply:
    return Reply(body=as_json(content), **more)


def zipped(reply: Reply) -> Reply:
    headers = {**reply.headers, "Content-Encoding": "gzip"}
    return msgspec.structs.replace(reply, body=gzip.compress(reply.body), headers=headers)


class Bank:
    """One bank of the server. `respond` may be replaced at any time."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.requests: list[Request] = []
        self.respond: Callable[[Request], Reply] = lambda request: Reply(status=404)
        self.asked = threading.Event()
        self.let_go = threading.Event()
        """Set when an asker left before the answer was complete."""


class Server:
    """All banks of a test run, on one port. Each has a base URL with a path in it, as behind banks' gateways."""

    def __init__(self) -> None:
        self._banks: dict[str, Bank] = {}
        self._names = itertools.count(1)
        # With its protocol named, asyncio sends each part of an answer at once and not 40 ms later (TCP_NODELAY).
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(128)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            loop="asyncio",
            interface="asgi3",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()
        assert not self._thread.is_alive()

    @contextmanager
    def bank(self) -> Iterator[Bank]:
        name = f"bank-{next(self._names)}"
        self._banks[name] = Bank(f"http://127.0.0.1:{self.port}/{name}/gateway")
        yield self._banks[name]
        del self._banks[name]

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        name, _, path = scope["path"].removeprefix("/").partition("/gateway")
        bank = self._banks.get(name)
        if bank is None:
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        raw = scope["raw_path"].decode().partition("/gateway")[2] if b"%" in scope["raw_path"] else path
        request = Request(raw, scope["query_string"].decode(), headers, bank.base_url)
        bank.requests.append(request)
        bank.asked.set()
        reply = bank.respond(request)
        if reply.silent:
            await _until_gone(receive)
            bank.let_go.set()
            return
        length = [] if reply.dripping or reply.status == 204 else [(b"content-length", b"%d" % len(reply.body))]
        kind = [(b"content-type", reply.content_type.encode())] if reply.content_type else []
        more = [(k.encode(), v.encode()) for k, v in reply.headers.items()]
        start = {"type": "http.response.start", "status": reply.status, "headers": length + kind + more}
        await send(start)
        if reply.dripping:
            gone = asyncio.create_task(_until_gone(receive))
            while not gone.done():
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.sleep(0.02)
            bank.let_go.set()
            return
        if reply.cut_after is not None:
            await send({"type": "http.response.body", "body": reply.body[: reply.cut_after], "more_body": True})
            return  # uvicorn closes a connection whose answer is not complete
        await send({"type": "http.response.body", "body": reply.body})


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
