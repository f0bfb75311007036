"""Work that recurs while the engine runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from token_engine.telemetry.logs import logger

_log = logger()


def every(seconds: float, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Do `work` every so many seconds, the first time after the first of them; returns what stops it.

    A failure is logged and the next turn comes all the same.
    """

    async def turns() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception as error:
                _log.warning(f"{work.__name__} failed; next try in {seconds:g} s", reason=str(error).strip())

    task = asyncio.create_task(turns(), name=work.__name__)

    async def stop() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return stop
