"""The embedded NATS: a real nats-server with JetStream on file storage, on a loopback port."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from token_engine.servers import port, process
from token_engine.servers.binaries import nats_server
from token_engine.servers.durable import replace
from token_engine.servers.embedded import EmbeddedServer
from token_engine.servers.error import ServerError
from token_engine.servers.identity import SAME
from token_engine.servers.leftover import stop_server
from token_engine.servers.spawn import Child, spawn

_READY_WITHIN: Final = 120.0  # a big stream store is checked before the port opens
_PORTS_TRIED: Final = 5

# Paths are relative to the home, which the server is started in: nothing to quote, nor to go stale.
_CONFIGURATION: Final = """\
# Written by token-engine at each start.
server_name: "{name}"

# Loopback and no credentials: this server is for development and small installations on one
# machine. Production names its own cluster, with TLS and credentials, by --nats-url.
# No http_port: the monitoring pages stay off.
listen: "127.0.0.1:{port}"
max_payload: 8MB

pid_file: "./nats.pid"
log_file: "./nats.log"
logfile_size_limit: 10MB
logfile_max_num: 5

jetstream {{
  store_dir: "./store"
  # kill -9 loses nothing; a power cut loses what came in this last while. The default is two minutes.
  sync_interval: {sync_interval}
}}
"""


class EmbeddedNats(EmbeddedServer):
    """nats-server in `home`, with JetStream."""

    name = "NATS"
    option = "--nats-url"
    stopping = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0))

    def __init__(self, home: Path, *, preferred_port: int | None = 4222, sync_interval: str = "250ms") -> None:
        """`preferred_port=None` takes any free one, as PostgreSQL does. `sync_interval` is nats-server's:
        a duration, or `always` (docs/adr/0003).
        """
        super().__init__(home)
        self._preferred = preferred_port
        self._sync_interval = sync_interval

    @property
    def url(self) -> str:
        """For every client on this machine."""
        if self._port is None:
            raise ServerError("NATS has no URL before its first start.")
        return f"nats://{port.HOST}:{self._port}"

    @property
    def log(self) -> Path:
        """The server's log, or what it said before it opened one."""
        with contextlib.suppress(OSError):
            if self._start_log.stat().st_size > 0:
                return self._start_log
        return self._home / "nats.log"

    def _bring_up(self, say: Callable[[str], None]) -> None:
        program = nats_server()
        self._stop_leftover(say)
        self._launch(program, say)

    def _stop_leftover(self, say: Callable[[str], None]) -> None:
        note = self._home / "nats.pid"
        try:
            pid = int(note.read_text("ascii"))
        except (OSError, ValueError):
            return
        stop_server("NATS", pid, lambda: process.is_server_on(pid, self._home, "nats-server"), self.stopping, say)
        note.unlink(missing_ok=True)

    def _launch(self, program: Path, say: Callable[[str], None]) -> None:
        lost: set[int] = set()
        while True:
            # Across runs the preferred port comes first: it is the one that people and tools expect.
            wanted = [*([self._preferred] if self._preferred else []), *port.remembered(self._port_file)]
            number = self._choose_port(wanted, lost, say)
            configuration = self._home / "nats.conf"
            replace(configuration, self._configuration(number))
            self._port = number
            self._child = spawn(
                [str(program), "-c", str(configuration)],
                identity=SAME,
                directory=self._home,
                log=self._start_log,
                death_signal=signal.SIGTERM,
            )
            if self._await_ready(self._child, number, say):
                port.remember(self._port_file, number)
                return
            lost.add(number)
            if len(lost) > _PORTS_TRIED:
                raise self._failure("NATS found no port that stays free")

    def _configuration(self, number: int) -> bytes:
        return _CONFIGURATION.format(name=self._name, port=number, sync_interval=self._sync_interval).encode()

    @property
    def _name(self) -> str:
        """Tells our server from another one that took the port; the same at every start."""
        return "token-engine-" + hashlib.sha256(str(self._home).encode()).hexdigest()[:12]

    def _await_ready(self, child: Child, number: int, say: Callable[[str], None]) -> bool:
        """True when it greets us with JetStream on; False if somebody else has the port."""
        started = told = time.monotonic()
        while child.poll() is None:
            greeting = _greeting(number)
            if greeting.get("server_name") == self._name and greeting.get("jetstream") is True:
                return True
            if self._halt.wait(0.02):
                raise ServerError("NATS was stopped while it started. Start it again.")
            now = time.monotonic()
            if now - told > 10:
                told = now
                say(f"NATS is recovering its streams ({now - started:.0f} s so far)…")
            if now - started > _READY_WITHIN:
                raise self._failure(f"NATS was not ready within {_READY_WITHIN:.0f} s")
        if not port.is_free(number):
            return False
        raise self._failure(f"NATS did not start (exit code {child.returncode})")


def _greeting(number: int) -> dict[str, object]:
    """The INFO line that a NATS server sends to whoever connects; empty if there is none."""
    with contextlib.suppress(OSError, ValueError):
        with socket.create_connection((port.HOST, number), timeout=1) as caller:
            line = caller.makefile("rb").readline(65536)
        if line.startswith(b"INFO "):
            greeting = json.loads(line[5:])
            return greeting if isinstance(greeting, dict) else {}
    return {}
