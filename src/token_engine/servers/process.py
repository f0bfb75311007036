"""Other processes: whether one is a server of ours, and how to end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

_POLL: Final = 0.02
_HAS_PROC: Final = Path("/proc/self/cmdline").exists()  # macOS has none

Escalation = Sequence[tuple[signal.Signals, float]]  # what to send, and how long to wait for it to work


def end(pid: int, gone: Callable[[], bool], escalation: Escalation) -> bool:
    """Send each signal in turn until the process is gone. False if it outlived them all."""
    for number, patience in escalation:
        if gone():
            return True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
        if wait_until(gone, patience):
            return True
    return gone()


def wait_until(done: Callable[[], bool], patience: float) -> bool:
    """Poll until done or out of patience."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def is_server_on(pid: int, directory: Path, program: str) -> bool:
    """True if `pid` is alive and runs `program` on `directory`.

    A pid alone proves nothing: after a crash or a reboot it may be anybody's. The directory
    among its arguments, or (where the system tells) as its working directory, does.
    """
    if pid <= 1 or pid == os.getpid():
        return False
    if _HAS_PROC:
        arguments = _arguments(pid)
        if not arguments or Path(arguments[0]).name != program:
            return False
        return any(_names(argument, directory) for argument in arguments) or works_in(pid, directory)
    command = _ps_command(pid)
    return f"/{program} " in command and f" {directory}" in command


def is_alive(pid: int) -> bool:
    """True if some process has this pid, whoever it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def working_in(directory: Path, program: str) -> Iterator[int]:
    """The processes of `program` with this working directory. Knows none where there is no /proc."""
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            with contextlib.suppress(OSError):
                if Path(os.readlink(f"/proc/{pid}/exe")).name == program and works_in(pid, directory):
                    yield pid


def works_in(pid: int, directory: Path) -> bool:
    """Compares the directory itself, not its name, so that a moved one is still recognised."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cwd").samefile(directory)
    return False


def _names(argument: str, directory: Path) -> bool:
    return argument == str(directory) or argument.startswith(f"{directory}{os.sep}")


def _arguments(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for a zombie
    except OSError:
        return []
    return [os.fsdecode(part) for part in raw.split(b"\0") if part]


def _ps_command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run(  # noqa: S603
            ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    return ""
