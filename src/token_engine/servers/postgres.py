"""The embedded PostgreSQL: a real server, in a directory, on a loopback port."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Final

import psycopg

from token_engine.servers import bootstrap, cluster, port, process, secret
from token_engine.servers.binaries import postgres_bin
from token_engine.servers.durable import replace
from token_engine.servers.error import ServerError, explained
from token_engine.servers.identity import Identity
from token_engine.servers.leftover import clear_postgres
from token_engine.servers.settings import settings
from token_engine.servers.settle import settle
from token_engine.servers.spawn import Child, spawn

# Fast: refuse new work, roll back, write a checkpoint. Immediate: stop now, recover at the next start.
STOP: Final = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
_READY_WITHIN: Final = 600.0  # crash recovery of a full 2 GB of WAL on a slow disk, and some
_FREED_WITHIN: Final = 30.0
_PORTS_TRIED: Final = 5


class _Outcome(Enum):
    READY = auto()
    PORT_LOST = auto()
    MEMORY_IN_USE = auto()


class EmbeddedPostgres:
    """PostgreSQL in `home`, with a superuser that the engine's own connections never use.

    `start` and `stop` may be called from any thread. The caller holds the `DataDirectory` lock.
    """

    def __init__(self, home: Path, *, port: int | None = None) -> None:
        self._home = home.absolute()
        self._wanted = port
        self._port: int | None = None
        self._child: Child | None = None
        self._turn = threading.Lock()  # one start or stop at a time
        self._halt = threading.Event()  # cuts a start short

    @property
    def pid(self) -> int | None:
        """The postmaster's, while it is ours to stop."""
        return self._child.pid if self._child else None

    @property
    def port(self) -> int | None:
        """Where it listens; None before the first start."""
        return self._port

    @property
    def url(self) -> str:
        """For the engine: its own database, as a role that is no superuser. Holds a password."""
        return self._url(bootstrap.ROLE, "engine.password", bootstrap.DATABASE)

    @property
    def admin_url(self) -> str:
        """For backups, upgrades and tests: the superuser. Holds a password."""
        return self._url(cluster.SUPERUSER, "superuser.password", "postgres")

    @property
    def log(self) -> Path:
        """The newest log: the day's, or the start log when it never got as far as that."""
        logs = [self._start_log, *(self._home / "log").glob("*.log")]
        return max((log for log in logs if log.exists()), key=_age_and_use, default=self._start_log)

    def alive(self) -> bool:
        """True while the postmaster runs. It restarts its backends by itself."""
        return self._child is not None and self._child.poll() is None

    def start(self, say: Callable[[str], None]) -> str:
        """Bring it up, from whatever state the directory is in; returns the engine's URL.

        Safe to call again after `alive` turned False: the same port, with crash recovery.
        """
        with self._turn:
            self._halt.clear()
            if self.alive():
                return self.url
            self._child = None
            try:
                self._bring_up(say)
            except BaseException:
                self._end()
                raise
            return self.url

    def stop(self) -> None:
        """Shut down: fast, and if that takes too long, at once. Idempotent; cuts a running start short."""
        self._halt.set()
        with self._turn:
            self._end()

    def _bring_up(self, say: Callable[[str], None]) -> None:
        programs = postgres_bin()
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._home = self._home.resolve()
            identity = settle(self._home, self._data, programs / "postgres")
            for name in ("superuser.password", "engine.password"):
                if name.startswith("superuser") and cluster.check(self._data):
                    self._require_superuser_password()
                secret.kept(self._home / name)
                identity.give(self._home / name)
            if not cluster.check(self._data):
                cluster.make(
                    self._data,
                    postgres_bin=programs,
                    identity=identity,
                    password_file=self._home / "superuser.password",
                    say=say,
                    halt=self._halt,
                )
            clear_postgres(self._data, STOP, say)
            self._launch(programs, identity, say)
            self._ensure_role_and_database()
        except OSError as error:
            raise explained(
                f"PostgreSQL in {self._home} could not be started: {error}.",
                remedy="Check the rights and the free space there, or name a server with --database-url.",
            ) from error

    def _require_superuser_password(self) -> None:
        file = self._home / "superuser.password"
        if not file.exists():
            raise ServerError(
                f"The database in {self._data} is there, and its superuser's password file {file} is gone.\n"
                "Put it back from a backup. To set a new one, see ALTER ROLE in a single-user postgres."
            )

    def _launch(self, programs: Path, identity: Identity, say: Callable[[str], None]) -> None:
        """Start the postmaster, again if somebody took the port or the memory is still in use."""
        lost: set[int] = set()
        freed_by = time.monotonic() + _FREED_WITHIN
        while True:
            number = self._choose_port(lost, say)
            replace(self._home / "engine.conf", settings(number, programs))
            identity.give(self._home / "engine.conf")
            self._child = spawn(
                [str(programs / "postgres"), "-D", str(self._data)],
                identity=identity,
                directory=self._home,
                log=self._start_log,
                death_signal=signal.SIGINT,
            )
            self._port = number
            outcome = self._await_ready(self._child, say)
            if outcome is _Outcome.READY:
                port.remember(self._port_file, number)
                identity.give(self._port_file)
                return
            if outcome is _Outcome.PORT_LOST and len(lost) < _PORTS_TRIED:
                lost.add(number)
            elif outcome is _Outcome.MEMORY_IN_USE and time.monotonic() < freed_by:
                self._halt.wait(0.25)
            else:
                raise self._failure("PostgreSQL did not start")

    def _choose_port(self, lost: set[int], say: Callable[[str], None]) -> int:
        wanted = [self._wanted] if self._wanted is not None else port.remembered(self._port_file)
        # Within a run, clients hold the URL: the port of the last start comes first.
        if self._port is not None:
            wanted.insert(0, self._port)
        number = port.choose(w for w in wanted if w not in lost)
        if wanted and number != wanted[0]:
            say(f"Port {wanted[0]} is taken; PostgreSQL takes {number}.")
        return number

    def _await_ready(self, child: Child, say: Callable[[str], None]) -> _Outcome:
        """The server itself says when: it writes `ready` into postmaster.pid, below its own pid."""
        started = time.monotonic()
        told = started
        while child.poll() is None:
            if self._ready(child.pid):
                return _Outcome.READY
            if self._halt.wait(0.02):
                raise ServerError("PostgreSQL was stopped while it started. Start it again.")
            now = time.monotonic()
            if now - told > 10:
                told = now
                say(f"PostgreSQL is recovering from a crash ({now - started:.0f} s so far)…")
            if now - started > _READY_WITHIN:
                raise self._failure(f"PostgreSQL was not ready within {_READY_WITHIN:.0f} s")
        if not port.is_free(self._port or 0):
            return _Outcome.PORT_LOST
        if "shared memory block" in self._start_log.read_text("utf-8", "replace"):
            return _Outcome.MEMORY_IN_USE
        raise self._failure(f"PostgreSQL did not start (exit code {child.returncode})")

    def _ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _ensure_role_and_database(self) -> None:
        password = secret.kept(self._home / "engine.password")
        try:
            with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=30) as connection:
                bootstrap.ensure_role(connection, password)
                bootstrap.ensure_database(connection)
        except psycopg.Error as error:
            raise self._failure(f"PostgreSQL started, and its set-up failed: {error}") from error

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None or process.end(child.pid, lambda: child.poll() is not None, STOP):
            return
        self._child = child
        raise self._failure(f"PostgreSQL (pid {child.pid}) does not stop, even when killed")

    def _failure(self, what: str) -> ServerError:
        return explained(
            f"{what}, in {self._home}.",
            remedy="Mend what the log names and start again, or name a server with --database-url.",
            log=self.log,
        )

    def _url(self, role: str, password_file: str, database: str) -> str:
        if self._port is None:
            raise ServerError("PostgreSQL has no URL before its first start.")
        password = secret.kept(self._home / password_file)
        # Said outright, so that a PGSSLMODE in the environment does not ask for what loopback has not.
        return f"postgresql://{role}:{password}@{port.HOST}:{self._port}/{database}?sslmode=disable"

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _start_log(self) -> Path:
        return self._home / "start.log"

    @property
    def _port_file(self) -> Path:
        return self._home / "port"


def _age_and_use(log: Path) -> tuple[bool, float]:
    with contextlib.suppress(OSError):
        found = log.stat()
        return found.st_size > 0, found.st_mtime
    return False, 0.0
