"""The one file that knows every room: starts them in order, watches them, stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import uvicorn
from nats.js import JetStreamContext

from token_engine.config import INTRADAY_MINUTES, Connections, Settings, write_connections
from token_engine.entrypoints.api.app import build
from token_engine.entrypoints.api.hot import in_front_of
from token_engine.entrypoints.api.questions import count_reviews
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.entrypoints.bank_door import BankDoor
from token_engine.entrypoints.batcher import Batcher
from token_engine.entrypoints.demo_bank import DemoBank, listen_on_loopback
from token_engine.entrypoints.drop_folder import DropFolder
from token_engine.entrypoints.lanes import HOLDS, MESSAGES, OBSERVATIONS, STATEMENTS
from token_engine.entrypoints.nats import client as nats_client
from token_engine.entrypoints.nats.consumer import NOTIFICATIONS, STATEMENTS_FEED, Consumer
from token_engine.entrypoints.nats.ledger_feed import LedgerFeed
from token_engine.entrypoints.nats.pull import Pull
from token_engine.entrypoints.nats.relay import Relay
from token_engine.entrypoints.nats.streams import (
    ensure_events_stream,
    ensure_ledger_stream,
    ensure_notification_streams,
    ensure_statement_streams,
)
from token_engine.entrypoints.poller import Poller
from token_engine.entrypoints.road import Road
from token_engine.entrypoints.scheduler import every
from token_engine.servers import DataDirectory, EmbeddedNats, EmbeddedPostgres, ServerError
from token_engine.storage.database import Database
from token_engine.storage.migrate import migrate
from token_engine.telemetry.logs import logger
from token_engine.tiers import breakers, calendar, demo, fundings, intraday, payout_acts

_DEMO_SECONDS: Final = 1.0
_DEMO_REPORT_SECONDS: Final = 300.0
_WATCH_SECONDS: Final = 0.25
_EXPIRY_SECONDS: Final = 5.0  # how late the news of an expiry may be; the expiry itself waits for nothing
_DROP_SECONDS: Final = 2.0
_MAILBOX_SECONDS: Final = 60.0
_BACKLOG: Final = 2048
_log = logger()


def utc_now() -> datetime:
    """The engine's clock."""
    return datetime.now(UTC)


class PortTakenError(Exception):
    """Somebody else listens where the API should."""


async def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises PortTakenError, ServerError, or what a server refused with."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(_listen(settings.host, settings.port)))
        connections = await _servers(settings, stack)
        taken = await asyncio.to_thread(migrate, connections.database_url)
        for step in taken:
            _log.info(f"Schema: applied {step.version:04d} {step.name}")
        database = Database(connections.database_url)
        await database.open()
        stack.push_async_callback(database.close)
        if settings.demo:
            async with database.transaction() as tx:
                await demo.create(tx, utc_now())
        await stack.enter_async_context(_engine(settings, database, connections, listener, stop))
        await stop.wait()
        _log.info("Stopping: finishing what is under way")
    _log.info("Stopped")


def _listen(host: str, port: int) -> socket.socket:
    """Take the API's port first: better to fail in the first second than in the last."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # bound alone, Linux would let a second engine bind it too
    except OSError as error:
        listener.close()
        raise PortTakenError(f"{host}:{port} cannot be used ({error.strerror}): choose another with --port") from error
    return listener


async def _servers(settings: Settings, stack: contextlib.AsyncExitStack) -> Connections:
    """The URLs to use; servers that have none are started here and restarted if they die."""
    database_url, nats_url = settings.database_url, settings.nats_url
    if database_url and nats_url:
        return Connections(database_url, nats_url)
    directory = await asyncio.to_thread(DataDirectory, settings.data_dir)
    stack.enter_context(directory)
    _log.info(f"Data lies in {directory.path}")
    # Innermost first: NATS stops before PostgreSQL, after everything that uses them.
    if not database_url:
        database_url = await _embedded(EmbeddedPostgres(directory.path / "postgres"), stack)
    if not nats_url:
        nats_url = await _embedded(EmbeddedNats(directory.path / "nats"), stack)
    connections = Connections(database_url, nats_url)
    write_connections(directory.path, connections)
    return connections


async def _embedded(server: EmbeddedPostgres | EmbeddedNats, stack: contextlib.AsyncExitStack) -> str:
    async def stop() -> None:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await asyncio.to_thread(server.stop)

    url = await asyncio.to_thread(server.start, _log.info)
    watch = asyncio.create_task(_watch(server), name=f"watch {server.name}")
    stack.push_async_callback(stop)
    _log.info(f"{server.name} is ready on port {server.port}")
    return url


async def _watch(server: EmbeddedPostgres | EmbeddedNats) -> None:
    """Bring a server that died back to life, on the same port."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if not server.alive():
            _log.warning(f"{server.name} died; starting it again")
            try:
                await asyncio.to_thread(server.start, _log.info)
                _log.info(f"{server.name} is back on port {server.port}")
            except ServerError as error:
                _log.error(str(error))
                await asyncio.sleep(5)


@contextlib.asynccontextmanager
async def _engine(
    settings: Settings, database: Database, connections: Connections, listener: socket.socket, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Everything that works on the two servers, started in order; stopped in reverse."""
    consumers: list[Pull] = []

    def reconnected() -> None:
        for consumer in consumers:
            consumer.reconnected()

    async with contextlib.AsyncExitStack() as stack, contextlib.AsyncExitStack() as first:
        first.callback(stop.set)  # before anything is stopped, for whatever reason: from then on rooms may end
        client = await nats_client.connect(connections.nats_url, reconnected)
        stack.push_async_callback(nats_client.close, client)
        js = client.jetstream()
        await ensure_events_stream(js)
        notified = await ensure_notification_streams(js)
        stated = await ensure_statement_streams(js)
        ledger_stream = await ensure_ledger_stream(js)

        relay = Relay(database, client)
        must_not_end(relay.start(), stop)
        stack.push_async_callback(relay.stop)
        notifications = Batcher(database, utc_now, relay.wake, MESSAGES)
        statements = Batcher(database, utc_now, relay.wake, STATEMENTS)
        for batcher in (notifications, statements):
            must_not_end(batcher.start(), stop)
            stack.push_async_callback(batcher.stop)
        road = Road(notifications, statements)
        holds = Batcher(database, utc_now, relay.wake, HOLDS)
        must_not_end(holds.start(), stop)
        stack.push_async_callback(holds.stop)
        consumers += [Consumer(client, stream, NOTIFICATIONS, road, utc_now) for stream in notified]
        consumers += [Consumer(client, stream, STATEMENTS_FEED, road, utc_now) for stream in stated]
        consumers.append(LedgerFeed(client, ledger_stream, database, utc_now, relay.wake))
        for consumer in consumers:
            must_not_end(await consumer.start(), stop)
            stack.push_async_callback(consumer.stop)

        if settings.inbox is not None:
            stack.push_async_callback(every(_DROP_SECONDS, DropFolder(settings.inbox, road, utc_now).look))

        observations = Batcher(database, utc_now, relay.wake, OBSERVATIONS)
        must_not_end(observations.start(), stop)
        stack.push_async_callback(observations.stop)
        doors = BankDoor(database, road, utc_now)
        engine = f"{socket.gethostname()}-{os.getpid()}"
        poller = Poller(database, utc_now, observations, doors.open, engine, count_reviews)
        must_not_end(poller.start(), stop)
        stack.push_async_callback(poller.stop)
        stack.push_async_callback(every(_MAILBOX_SECONDS, doors.collect))

        async def review() -> None:
            count_reviews(await intraday.review_all(database, utc_now()))
            relay.wake()

        stack.push_async_callback(every(INTRADAY_MINUTES * 60, review))

        # Each by itself: one that fails must not keep the others from what is due.
        for sweep in (breakers.expire, fundings.expire, payout_acts.expire, calendar.missing_statements):
            stack.push_async_callback(every(_EXPIRY_SECONDS, _swept(sweep, database, relay)))
        if settings.demo:
            await _demo(settings, database, js, stack, stop)
            poller.wake()
        rooms = Rooms(database, road, holds, utc_now, poller, settings.firm)
        stack.push_async_callback(await _serve(rooms, listener, stop))
        _say_ready(settings)
        yield


async def _demo(
    settings: Settings, database: Database, js: JetStreamContext, stack: contextlib.AsyncExitStack, stop: asyncio.Event
) -> None:
    """A bank that moves money, tells of it, and can be asked."""
    bank = DemoBank(settings.data_dir, js, utc_now)
    stack.callback(bank.close)
    listener = listen_on_loopback(settings.port + 1)
    stack.push_async_callback(await _run_server(bank.served(), listener, stop, "the demo's bank"))
    port = listener.getsockname()[1]
    await bank.report()
    await bank.introduce(database, port)
    stack.push_async_callback(every(_DEMO_SECONDS, bank.notify))
    stack.push_async_callback(every(_DEMO_REPORT_SECONDS, bank.report))
    _log.info(f"The demo's bank can be told what to do at http://127.0.0.1:{port}/simulated/accounts")


def _swept(
    sweep: Callable[[Database, datetime], Awaitable[int]], database: Database, relay: Relay
) -> Callable[[], Awaitable[None]]:
    """Write down what is over by now, and have the news of it published."""

    async def work() -> None:
        if await sweep(database, utc_now()):
            relay.wake()

    work.__name__ = f"{sweep.__module__.rpartition('.')[2]}.{sweep.__name__}"  # what a log calls it
    return work


def must_not_end(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    """End the process if `task` ends before `stop`: an engine without one of its rooms must not look well.

    At once and without ceremony, as a kill -9 would, which every start knows how to resume from; to stop
    in order would wait for the very room that is gone.
    """

    def ended(done: asyncio.Task[None]) -> None:
        if stop.is_set() or done.cancelled():
            return
        _log.error(f"{done.get_name()} ended; the engine cannot go on without it", exc_info=done.exception())
        sys.stdout.flush()
        os._exit(70)  # EX_SOFTWARE

    task.add_done_callback(ended)


async def _serve(rooms: Rooms, listener: socket.socket, stop: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """Start the HTTP server on `listener`; returns what stops it."""
    config = uvicorn.Config(
        in_front_of(build(rooms), rooms), log_level="warning", access_log=False, lifespan="off",
        timeout_graceful_shutdown=3, timeout_keep_alive=75, server_header=False,
    )  # fmt: skip
    return await _run_server(config, listener, stop, "http")


async def _run_server(
    config: uvicorn.Config, listener: socket.socket, stop: asyncio.Event, name: str
) -> Callable[[], Awaitable[None]]:
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name=name)
    must_not_end(task, stop)
    await server.ready.wait()

    async def close() -> None:
        server.should_exit = True
        await task

    return close


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the engine stops its rooms in order."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def _say_ready(settings: Settings) -> None:
    """The specification's start-up lines ("Startup Logs"): said once they are true."""
    for line in (
        f"Starting Token Engine on port {settings.port}",
        "Initializing 3-tier reconciliation system...",
        "✓ Tier 1 - Near Real-Time: CAMT.054 consumer active",
        f"✓ Tier 2 - Intradey: {INTRADAY_MINUTES}-minute reconciliation loop started",
        "✓ Tier 3 - EOD: CAMT.053 processing ready",
        "========================================",
        "Token Engine with 1:1 Backing Guarantee",
        "All 3 reconciliation tiers operational",
        "========================================",
    ):
        _log.info(line)
    _log.info(f"Open http://localhost:{settings.port}, stop with Ctrl-C")
