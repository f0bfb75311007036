"""What the embedded servers share: one child, one turn at a time, and a way to cut a start short."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from token_engine.servers import port, process
from token_engine.servers.error import ServerError, explained
from token_engine.servers.spawn import Child


class EmbeddedServer(ABC):
    """A server in `home`. `start` and `stop` may be called from any thread, also at the same time.

    The caller holds the `DataDirectory` lock: a server found running on `home` is taken for one
    that an earlier run left.
    """

    name: ClassVar[str]
    option: ClassVar[str]  # of the command line, which names a server to use instead
    stopping: ClassVar[process.Escalation]

    def __init__(self, home: Path) -> None:
        self._home = home.absolute()
        self._port: int | None = None
        self._child: Child | None = None
        self._turn = threading.Lock()  # one start or stop at a time
        self._halt = threading.Event()  # cuts a start short

    @property
    def pid(self) -> int | None:
        """The server's, while it is ours to stop."""
        child = self._child
        return child.pid if child else None

    @property
    def port(self) -> int | None:
        """Where it listens; None before the first start."""
        return self._port

    @property
    @abstractmethod
    def url(self) -> str:
        """For the engine."""

    @property
    @abstractmethod
    def log(self) -> Path:
        """The log that tells the latest."""

    def alive(self) -> bool:
        """True while the server's process runs."""
        child = self._child
        return child is not None and child.poll() is None

    def start(self, say: Callable[[str], None]) -> str:
        """Bring it up, from whatever state `home` is in; returns its URL.

        Safe to call again after `alive` turned False: the same port, if it is still free.
        """
        with self._turn:
            self._halt.clear()
            if self.alive():
                return self.url
            self._child = None
            try:
                self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._home = self._home.resolve()
                self._bring_up(say)
            except OSError as error:
                self._end()
                # Before the server said a word: its log would show the run before this one.
                raise explained(
                    f"{self.name} in {self._home} could not be started: {error}.",
                    remedy=f"Check the rights and the free space, or name a server with {self.option}.",
                ) from error
            except BaseException:
                self._end()
                raise
            return self.url

    def stop(self) -> None:
        """Shut down, and less gently if that takes too long. Idempotent; cuts a running start short."""
        self._halt.set()
        with self._turn:
            self._end()

    @abstractmethod
    def _bring_up(self, say: Callable[[str], None]) -> None:
        """Leave `_child` ready on `_port`, or raise."""

    def _end(self) -> None:
        child = self._child
        if child is not None and not process.end(child.pid, lambda: child.poll() is not None, self.stopping):
            raise self._failure(f"{self.name} (pid {child.pid}) does not stop, even when killed")
        self._child = None

    def _choose_port(self, wanted: Iterable[int], lost: set[int], say: Callable[[str], None]) -> int:
        # Within a run, clients hold the URL: the port of the last start comes first.
        wishes = [*([self._port] if self._port is not None else []), *wanted]
        number = port.choose(wish for wish in wishes if wish not in lost)
        if wishes and number != wishes[0]:
            say(f"Port {wishes[0]} is taken; {self.name} takes {number}.")
        return number

    def _failure(self, what: str) -> ServerError:
        return explained(
            f"{what}, in {self._home}.",
            remedy=f"Mend what the log names and start again, or name a server with {self.option}.",
            log=self.log,
        )

    @property
    def _start_log(self) -> Path:
        return self._home / "start.log"

    @property
    def _port_file(self) -> Path:
        return self._home / "port"
