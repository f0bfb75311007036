"""Start a server as a child that neither hears the terminal's Ctrl-C nor outlives the engine."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from token_engine.servers import launch
from token_engine.servers.error import ServerError
from token_engine.servers.identity import Identity

Child = subprocess.Popen[bytes]
_LAUNCHER: Final = str(Path(launch.__file__).resolve())


class _Forks:
    """One thread that starts every child and lives as long as the process.

    Linux sends a child its parent-death signal when the *thread* that forked it ends. The engine
    starts its servers from worker threads that come and go; a server forked by one of them would
    be shut down when the pool lets that thread go. A daemon thread, because Python joins the
    others before the exit hooks run, which would stop the servers under the hooks' feet.
    """

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Future[Child], list[str], int]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)  # threads do not survive a fork

    def _forget(self) -> None:
        self._thread, self._start = None, threading.Lock()

    def popen(self, command: list[str], output: int) -> Child:
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="servers-fork", daemon=True)
                self._thread.start()
        done: Future[Child] = Future()
        self._orders.put((done, command, output))
        return done.result()

    def _work(self) -> None:
        while True:
            done, command, output = self._orders.get()
            try:
                done.set_result(
                    subprocess.Popen(  # noqa: S603  our own launcher
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,  # a file, never a pipe: nobody has to read for the child to live
                        stderr=subprocess.STDOUT,
                        cwd="/",  # ours may be gone, or closed to the child's user
                        env=_environment(),
                        start_new_session=True,
                    )
                )
            except BaseException as error:  # the caller's to handle, and this thread must go on
                done.set_exception(error)


_forks: Final = _Forks()


def spawn(
    command: Sequence[str], *, identity: Identity, directory: Path, log: Path, death_signal: signal.Signals
) -> Child:
    """Start `command` in `directory`; its output replaces `log`; it gets `death_signal` if we die."""
    launcher = [sys.executable, "-I", "-S", _LAUNCHER]
    setting = [str(os.getpid()), str(int(death_signal)), identity.spec, str(directory)]
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            identity.give(log)
            return _forks.popen([*launcher, *setting, *command], output)
        finally:
            os.close(output)
    except OSError as error:
        raise ServerError(
            f"{Path(command[0]).name} could not be started: {error}.\n"
            "Check the rights and the free space of the data directory."
        ) from error


def _environment() -> dict[str, str]:
    """Ours, without what would change a server's behaviour behind its configuration file."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LC_", "NATS_")) and name not in ("LANG", "LANGUAGE", "TZ")
    }
    # nats-server takes every core it is given to look for work, also where two cores are all there is for it,
    # PostgreSQL and the engine: half of them is plenty for what passes here.
    half = max(1, (os.cpu_count() or 1) // 2)
    return {"GOMAXPROCS": str(half)} | kept | {"LC_ALL": "C"}
