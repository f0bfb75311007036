"""What an earlier run left behind: a server that still runs, or a note about one that does not."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from token_engine.servers import process
from token_engine.servers.error import ServerError

_BACKENDS_FINISH: Final = 2.0
_BACKENDS_QUIT: Final = 20.0


def clear_postgres(data: Path, stop: process.Escalation, say: Callable[[str], None]) -> None:
    """Leave no process on `data`, and no pid file that would keep the next postmaster from starting."""
    note = data / "postmaster.pid"
    pid = _first_line_pid(note)
    if pid is not None:
        stop_server("PostgreSQL", pid, lambda: process.is_server_on(pid, data, "postgres"), stop, say)
    _clear_backends(data, say)
    _defuse(note)


def stop_server(
    name: str, pid: int, running: Callable[[], bool], stop: process.Escalation, say: Callable[[str], None]
) -> None:
    """Stop a server of ours that outlived its engine."""
    if not running():
        return
    say(f"Stopping a {name} that an earlier run left (pid {pid})…")
    if not process.end(pid, lambda: not running(), stop):
        raise ServerError(
            f"A {name} of an earlier run (pid {pid}) does not stop.\n"
            f"Stop it by hand (kill -9 {pid}, as its own user or root) and start again."
        )


def _clear_backends(data: Path, say: Callable[[str], None]) -> None:
    """A killed postmaster's backends finish what they are at, and until then no new one may start."""

    def gone() -> bool:
        return not any(process.working_in(data, "postgres"))

    if process.wait_until(gone, _BACKENDS_FINISH):
        return
    say("Stopping the sessions of a PostgreSQL that was killed…")
    # What the postmaster itself sends when it must stop at once; recovery undoes their work.
    for pid in process.working_in(data, "postgres"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGQUIT)
    if not process.wait_until(gone, _BACKENDS_QUIT):
        pids = " ".join(str(pid) for pid in process.working_in(data, "postgres"))
        raise ServerError(
            f"Sessions of a killed PostgreSQL still use {data} (pids {pids}).\n"
            f"Stop them by hand (kill -QUIT {pids}) and start again."
        )


def _defuse(note: Path) -> None:
    """Keep a stale pid file from blocking the start, without losing what protects the data.

    PostgreSQL refuses to start while the pid in the file is alive, even as somebody else's. To
    remove the file would also remove the key of the shared memory by which it notices backends
    that still run. So only the pid changes: to ours, because it overlooks its parent's pid.
    """
    try:
        lines = note.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    pid = _first_line_pid(note)
    if pid is None:  # empty or torn: PostgreSQL would refuse it, and there is no key to keep
        note.unlink()
    elif process.is_alive(pid):
        lines[0] = str(os.getpid()).encode()
        note.write_bytes(b"\n".join(lines))


def _first_line_pid(note: Path) -> int | None:
    try:
        pid = abs(int(note.read_bytes().split(b"\n")[0]))  # negative: a single-user server
    except (OSError, ValueError):
        return None
    return pid or None
