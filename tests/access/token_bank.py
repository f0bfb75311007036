"""A small real bank over HTTP on a loopback port: a token endpoint and an API, which say what the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import uvicorn

Send = Callable[[dict[str, Any]], Awaitable[None]]
Reply = tuple[int, dict[str, str], bytes]


def granted(token: str, **members: Any) -> Reply:
    said = {"access_token": token, "token_type": "Bearer", "expires_in": 600, **members}
    return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()


class TokenBank:
    """`secret` is the one that it knows; `tokens` those that its API takes."""

    def __init__(self) -> None:
        self.secret = "first-secret"
        self.tokens: set[str] = set()
        self.token_requests = 0
        self.forms: list[dict[str, str]] = []
        self.api_requests: list[dict[str, str]] = []
        self.reply: Callable[[], Reply | None] = lambda: None
        """What the token endpoint answers instead of a token; None: a token."""
        self.before_token: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.before_answer: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.url = ""

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        assert scope["type"] == "http"
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/token":
            status, answer_headers, answer = await self._token(body.decode())
        else:
            status, answer_headers, answer = await self._api(scope["path"], headers)
        lines = [(name.lower().encode(), value.encode()) for name, value in answer_headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": answer})

    async def _token(self, body: str) -> Reply:
        self.token_requests += 1
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.forms.append(form)
        number = self.token_requests
        await self.before_token()
        instead = self.reply()
        if instead is not None:
            return instead
        if form["client_secret"] != self.secret:
            # As careless as a server may be: it says what it was sent.
            return 401, {}, json.dumps({"error": "invalid_client", "error_description": f"no: {body}"}).encode()
        token = f"very-secret-token-{number}"
        self.tokens.add(token)
        return granted(token)

    async def _api(self, path: str, headers: dict[str, str]) -> Reply:
        self.api_requests.append(headers)
        taken = headers.get("authorization", "").removeprefix("Bearer ") in self.tokens
        await self.before_answer()
        if path == "/elsewhere":
            return 302, {"Location": "/accounts", "Set-Cookie": "session=1; Path=/"}, b""
        return (200, {}, b"{}") if taken else (401, {}, b"{}" * 5000)


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """The URL under which `app` is served until the end of the block."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    for listener in server.servers:
        listener.close()
    serving.cancel()  # its own way out takes a tenth of a second or two
    await asyncio.wait([serving])
