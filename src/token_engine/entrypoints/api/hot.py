"""The one path that is called thousands of times a second, taken before the framework sees it.

FastAPI's routing and middleware take more processor time a request than reading it and answering it do.
FastAPI still describes the path in /docs and answers everything else, with the same function behind it.
"""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.api import envelope, intake
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.telemetry.logs import logger

PATH: Final = "/api/v1/reconciliation/camt054"
_log = logger()


def in_front_of(app: FastAPI, rooms: Rooms) -> ASGIApp:
    """The application to serve."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        try:
            response = await intake.camt054(Request(scope, receive), rooms)
        except ClientDisconnect:  # nothing was handed in, and nobody is there to answer
            return
        except Exception as error:
            _log.exception("The HTTP door failed")
            response = envelope.error(500, Refusal("unforeseen", f"{type(error).__name__}; see the engine's log"))
        await response(scope, receive, send)

    return serve
