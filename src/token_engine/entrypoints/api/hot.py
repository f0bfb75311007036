"""The paths that are called thousands of times a second, taken before the framework sees them.

FastAPI's routing and middleware take more processor time a request than reading it and answering it do.
FastAPI still describes these paths in /docs and answers everything else, with the same functions behind them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.api import envelope, intake, payouts
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.telemetry.logs import logger

POSTS: Final[dict[str, Callable[[Request, Rooms], Awaitable[Response]]]] = {
    intake.CAMT054: intake.camt054,
    payouts.PATH: payouts.hold,
}
_log = logger()


def in_front_of(app: FastAPI, rooms: Rooms) -> ASGIApp:
    """The application to serve."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        answer = POSTS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if answer is None:
            await app(scope, receive, send)
            return
        try:
            response = await answer(Request(scope, receive), rooms)
        except ClientDisconnect:  # nothing was handed in, and nobody is there to answer
            return
        except Exception as error:
            _log.exception("The HTTP door failed")
            response = envelope.error(500, Refusal("unforeseen", f"{type(error).__name__}; see the engine's log"))
        await response(scope, receive, send)

    return serve
