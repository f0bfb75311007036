"""The real servers, a fresh database and stream for each run, and the processes that are measured.

PostgreSQL and NATS are the engine's own embedded ones with the engine's own settings: fsync on in
PostgreSQL, and NATS syncs every quarter of a second.
Their data lies beside this file, on a real disk: /tmp may be memory, where fsync costs nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import nats
import psycopg

from benchmarks.wire import fill
from benchmarks.workload import SUBJECT, open_accounts
from token_engine.entrypoints.nats.streams import ensure_notification_streams
from token_engine.servers import EmbeddedNats, EmbeddedPostgres
from token_engine.servers.bootstrap import ensure_database
from token_engine.storage.migrate import migrate

OUT: Final = Path(__file__).parent / "out"
ENGINE: Final = [sys.executable, "-m", "token_engine", "run", "--no-demo"]
NAIVE: Final = [sys.executable, "-m", "benchmarks.naive"]


class Arena:
    """One run's database and NATS, both empty at first, and what runs on them."""

    def __init__(self, home: Path, database_url: str, admin_url: str, nats_url: str) -> None:
        self.home = home
        self.database_url = database_url
        self.admin_url = admin_url
        self.nats_url = nats_url

    def engine(self, port: int) -> list[str]:
        """The command of one engine process."""
        urls = ["--database-url", self.database_url, "--nats-url", self.nats_url]
        return [*ENGINE, *urls, "--port", str(port)]

    def naive_consumer(self) -> list[str]:
        return [*NAIVE, "consume", self.database_url, self.nats_url]

    def naive_http(self, port: int) -> list[str]:
        return [*NAIVE, "serve", self.database_url, str(port)]

    @contextmanager
    def running(self, commands: Sequence[Sequence[str]]) -> Iterator[list[Process]]:
        """Start processes together; stop them, and say why if one had died."""
        processes: list[Process] = []
        try:
            for number, command in enumerate(commands):
                processes.append(Process(command, self.home / f"process{number}.log"))
            yield processes
        finally:
            for process in processes:
                process.stop()

    def mean_flush_seconds(self) -> float:
        """What a transaction took on average to have its WAL on the disk, since the server started."""
        with psycopg.connect(self.admin_url) as connection:
            row = connection.execute(
                "SELECT sum(write_time + fsync_time) / sum(fsyncs) / 1000 FROM pg_stat_io"
                " WHERE object = 'wal' AND context = 'normal' AND backend_type = 'client backend'"
            ).fetchone()
        assert row is not None
        return float(row[0])

    def messages(self) -> int:
        """About how many messages were taken in; costs nothing."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT last_value FROM bank_messages_id_seq").fetchone()
        return row[0] if row else 0

    def wait_for_messages(self, count: int, processes: Sequence[Process], within: float) -> None:
        """Until `count` messages are committed. Asks little: the sequence first, the table at the end."""
        deadline = time.monotonic() + within
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while True:
                reached = connection.execute("SELECT last_value FROM bank_messages_id_seq").fetchone()
                if reached and reached[0] >= count and _count(connection) >= count:
                    return
                for process in processes:
                    process.check()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{_count(connection)} of {count} messages after {within:.0f} s")
                time.sleep(0.2)

    def rate(self) -> float:
        """Messages from NATS committed per second, from the first commit on, by PostgreSQL's own record."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(
                "SELECT (count(*) - min(first_batch)) / extract(epoch FROM max(at) - min(at))::float8 FROM ("
                "  SELECT at, count(*) OVER (ORDER BY at) AS first_batch FROM ("
                "    SELECT pg_xact_commit_timestamp(xmin) AS at FROM bank_messages WHERE door = 'NATS'"
                "  ) AS messages) AS commits"
            ).fetchone()
        assert row is not None
        return float(row[0])


class Process:
    """A process that is measured, its output in a file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment())
        self.pid = self._child.pid

    def check(self) -> None:
        """Raise RuntimeError with the end of the log if it is no longer there."""
        if self._child.poll() is not None:
            end = self._log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{self._child.args!r} ended with {self._child.returncode}:\n{end}")

    def resident_mb(self) -> float:
        """Resident memory in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")

    def wait_for_http(self, url: str, within: float = 30) -> None:
        """Until it answers at all."""
        deadline = time.monotonic() + within
        while True:
            self.check()
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()


class Servers:
    """PostgreSQL for the whole run; `arena` gives each measurement a database and a NATS of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._arenas = 0
        self._postgres = EmbeddedPostgres(home / "postgres")

    @contextmanager
    def started(self) -> Iterator[Servers]:
        try:
            self._postgres.start(_say)
            # Commit times are how a drain is timed, and with the time of a flush a latency. They cost all the same.
            with psycopg.connect(self._postgres.admin_url, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
                connection.execute("ALTER SYSTEM SET track_wal_io_timing = on")
            self._postgres.stop()
            self._postgres.start(_say)
            yield self
        finally:
            self._postgres.stop()

    @contextmanager
    def arena(self, accounts: int, backlog: Iterable[bytes] = ()) -> Iterator[Arena]:
        """A fresh database with open accounts, and a fresh NATS whose stream holds the backlog."""
        self._arenas += 1
        home = self._home / f"arena{self._arenas}"
        home.mkdir()
        name = f"bench{self._arenas}"
        url, admin_url = (
            urlunsplit(urlsplit(one)._replace(path=f"/{name}"))
            for one in (self._postgres.url, self._postgres.admin_url)
        )
        with ExitStack() as stack:
            with psycopg.connect(self._postgres.admin_url, autocommit=True) as connection:
                ensure_database(connection, name)
            stack.callback(self._drop, name)
            migrate(url)
            open_accounts(url, accounts)
            _store(home / "nats", backlog)
            with psycopg.connect(self._postgres.admin_url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")  # what was done so far is not the measured's to write out
            broker = EmbeddedNats(home / "nats", preferred_port=None)
            stack.callback(broker.stop)
            yield Arena(home, url, admin_url, broker.start(_say))

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._postgres.admin_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def servers() -> Iterator[Servers]:
    """Start the servers in a directory that goes away with them."""
    OUT.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="data-", dir=OUT) as home:
        Path(home).chmod(0o755)  # PostgreSQL refuses root, and runs as somebody else then
        with Servers(Path(home)).started() as running:
            yield running


def run_module(module: str, *arguments: str, within: float) -> str:
    """Run a client in a process of its own; returns what it prints. Raises if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=within, env=environment())
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _store(home: Path, backlog: Iterable[bytes]) -> None:
    """Make the stream and publish the backlog, by a NATS that syncs when it stops: what is measured later
    is reading, and a sync for each message would take minutes.
    """
    broker = EmbeddedNats(home, preferred_port=None, sync_interval="2m")
    try:
        url = broker.start(_say)
        asyncio.run(_ensure_streams(url))
        fill(url, SUBJECT, backlog)
    finally:
        broker.stop()


async def _ensure_streams(url: str) -> None:
    connection = await nats.connect(url)
    try:
        await ensure_notification_streams(connection.jetstream())
    finally:
        await connection.close()


def _count(connection: psycopg.Connection[tuple[int, ...]]) -> int:
    row = connection.execute("SELECT count(*) FROM bank_messages").fetchone()
    return row[0] if row else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def environment() -> dict[str, str]:
    """So that `benchmarks` is found from wherever it was called."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
