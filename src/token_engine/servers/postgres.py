"""The embedded PostgreSQL: a real server, in a directory, on a loopback port."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Final

import psycopg

from token_engine.servers import bootstrap, cluster, port, secret
from token_engine.servers.binaries import postgres_bin
from token_engine.servers.durable import replace
from token_engine.servers.embedded import EmbeddedServer
from token_engine.servers.error import ServerError
from token_engine.servers.identity import Identity
from token_engine.servers.leftover import clear_postgres
from token_engine.servers.settings import settings
from token_engine.servers.settle import settle
from token_engine.servers.spawn import Child, spawn

_READY_WITHIN: Final = 600.0  # crash recovery of a full 2 GB of WAL on a slow disk, and some
_FREED_WITHIN: Final = 30.0
_PORTS_TRIED: Final = 5
_LOGS_KEPT_FOR: Final = 6 * 86400.0


class _Outcome(Enum):
    READY = auto()
    PORT_LOST = auto()
    MEMORY_IN_USE = auto()


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL in `home`, with a superuser that the engine's own connections never use.

    `alive` is about the postmaster, which restarts its backends by itself.
    """

    name = "PostgreSQL"
    option = "--database-url"
    # Fast: refuse new work, roll back, write a checkpoint. Immediate: stop now, recover at the next start.
    stopping = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

    def __init__(self, home: Path, *, port: int | None = None) -> None:
        super().__init__(home)
        self._wanted = port
        self._engine_password = self._superuser_password = ""

    @property
    def url(self) -> str:
        """For the engine: its own database, as a role that is no superuser. Holds a password."""
        return self._url(bootstrap.ROLE, self._engine_password, bootstrap.DATABASE)

    @property
    def admin_url(self) -> str:
        """For backups, upgrades and tests: the superuser. Holds a password."""
        return self._url(cluster.SUPERUSER, self._superuser_password, "postgres")

    @property
    def log(self) -> Path:
        """The newest log: the day's, or the start log when it never got as far as that."""
        logs = [self._start_log, *self._day_logs()]
        return max((log for log in logs if log.exists()), key=_use_and_age, default=self._start_log)

    def _bring_up(self, say: Callable[[str], None]) -> None:
        programs = postgres_bin()
        identity = settle(self._home, self._data, programs / "postgres")
        exists = cluster.check(self._data)
        self._read_passwords(identity, exists=exists)
        if not exists:
            cluster.make(
                self._data,
                postgres_bin=programs,
                identity=identity,
                password_file=self._superuser_file,
                say=say,
                halt=self._halt,
            )
        clear_postgres(self._data, self.stopping, say)
        self._forget_old_logs()
        self._launch(programs, identity, say)
        self._ensure_role_and_database()

    def _read_passwords(self, identity: Identity, *, exists: bool) -> None:
        if exists and not self._superuser_file.exists():
            raise ServerError(
                f"The database in {self._data} is there, and its superuser's password file"
                f" {self._superuser_file} is gone.\n"
                "Put it back from a backup. To set a new one, see ALTER ROLE in a single-user postgres."
            )
        self._superuser_password = secret.kept(self._superuser_file)
        self._engine_password = secret.kept(self._engine_file)
        identity.give(self._superuser_file)  # initdb reads it
        identity.give(self._engine_file)

    def _launch(self, programs: Path, identity: Identity, say: Callable[[str], None]) -> None:
        """Start the postmaster, again if somebody took the port or the memory is still in use."""
        lost: set[int] = set()
        freed_by = time.monotonic() + _FREED_WITHIN
        while True:
            wanted = [self._wanted] if self._wanted is not None else port.remembered(self._port_file)
            number = self._choose_port(wanted, lost, say)
            replace(self._home / "engine.conf", settings(number, programs))
            identity.give(self._home / "engine.conf")
            self._port = number
            self._child = spawn(
                [str(programs / "postgres"), "-D", str(self._data)],
                identity=identity,
                directory=self._home,
                log=self._start_log,
                death_signal=signal.SIGINT,
            )
            outcome = self._await_ready(self._child, number, say)
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

    def _await_ready(self, child: Child, number: int, say: Callable[[str], None]) -> _Outcome:
        """The server itself says when: it writes `ready` into postmaster.pid, below its own pid."""
        started = told = time.monotonic()
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
        if not port.is_free(number):
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
        try:
            with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=30) as connection:
                bootstrap.ensure_role(connection, self._engine_password)
                bootstrap.ensure_database(connection)
        except psycopg.Error as error:
            raise self._failure(f"PostgreSQL started, and its set-up failed: {error}") from error

    def _forget_old_logs(self) -> None:
        """The server overwrites a weekday's log at midnight; if it was down then, we do it."""
        oldest = time.time() - _LOGS_KEPT_FOR
        for log in self._day_logs():
            if log.stat().st_mtime < oldest:
                log.unlink()

    def _day_logs(self) -> list[Path]:
        return list((self._home / "log").glob("*.log"))

    def _url(self, role: str, password: str, database: str) -> str:
        if self._port is None:
            raise ServerError("PostgreSQL has no URL before its first start.")
        # Said outright, so that a PGSSLMODE in the environment does not ask for what loopback has not.
        return f"postgresql://{role}:{password}@{port.HOST}:{self._port}/{database}?sslmode=disable"

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _superuser_file(self) -> Path:
        return self._home / "superuser.password"

    @property
    def _engine_file(self) -> Path:
        return self._home / "engine.password"


def _use_and_age(log: Path) -> tuple[bool, float]:
    with contextlib.suppress(OSError):
        found = log.stat()
        return found.st_size > 0, found.st_mtime
    return False, 0.0
