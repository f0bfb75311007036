"""A NATS connection that never gives up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from token_engine.telemetry.logs import logger

_log = logger()


async def connect(url: str, reconnected: Callable[[], None]) -> Client:
    """Connect to `url`; from then on reconnect for ever, calling `reconnected` each time.

    Raises nats.errors.NoServersError if the first connection fails.
    """

    async def on_disconnect() -> None:
        if not client.is_closed:  # closing it ourselves is no loss
            _log.warning("NATS connection lost; reconnecting")

    async def on_reconnect() -> None:
        _log.info("NATS connection is back")
        reconnected()

    async def on_error(error: Exception) -> None:
        _log.warning("NATS", error=f"{type(error).__name__}: {error}".strip())

    try:
        first = await nats.connect(
            url, connect_timeout=5, max_reconnect_attempts=3, allow_reconnect=False, error_cb=_told_by_the_exception
        )
    except OSError as error:
        raise NoServersError from error
    await first.close()
    client = Client()
    await client.connect(
        url,
        name="token-engine",
        connect_timeout=5,
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        error_cb=on_error,
    )
    return client


async def close(client: Client) -> None:
    """Close it, whether or not the server is there: what could not be sent is said again after a restart."""
    with contextlib.suppress(NatsError, OSError, RuntimeError):  # RuntimeError is uvloop's closed transport
        await client.close()


async def _told_by_the_exception(_: Exception) -> None:
    """nats-py would log a traceback for each attempt."""
