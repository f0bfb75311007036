"""One engine per data directory: two would fight over the servers in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from token_engine.servers.error import ServerError

LOCK_NAME: Final = "lock"


class DataDirectory:
    """An exclusive claim on a directory. Like `open()`: whoever has the object has the directory.

    The kernel releases the claim when the process dies, however it dies, so no stale lock can
    ever keep an engine from starting. The file stays: unlinking it would let two engines lock
    two different files of the same name.
    """

    def __init__(self, path: Path) -> None:
        self._fd: int | None = None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path = path.resolve()
            # Not inheritable by a program that we start (PEP 446): a server that outlives the
            # engine must not keep the directory claimed.
            self._fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = self._holder()
            self._close()
            raise ServerError(
                f"Another token-engine (pid {holder}) is using {self.path}.\n"
                "Stop it first, or choose another data directory with --data."
            ) from error
        except OSError as error:
            self._close()
            raise ServerError(
                f"The data directory {path} cannot be used: {error.strerror}.\n"
                "Choose another with --data, or give this user the right to write there."
            ) from error
        # A fork without exec (multiprocessing) does inherit it; the copy is closed there, which
        # leaves the parent's claim untouched.
        os.register_at_fork(after_in_child=self._close)

    def release(self) -> None:
        """Give the directory up. Idempotent."""
        self._close()

    def _holder(self) -> str:
        written = os.pread(self._fd, 32, 0) if self._fd is not None else b""
        return written.decode("ascii", "replace").strip() or "unknown"

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
