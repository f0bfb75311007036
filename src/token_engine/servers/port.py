"""Loopback ports: which one to take, and which one was taken last time."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
# Below the ports that systems hand out to outgoing connections (32768 and up on Linux, 49152 on
# macOS): a client that retries while the server restarts must not be given the server's own port.
_OURS: Final = range(20000, 32768)
_TRIES: Final = 200


def is_free(port: int) -> bool:
    """True if nobody listens there and we may bind it. It may still be lost before the server binds."""
    if not 0 < port < 65536:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # The servers set it too. Without it, connections in TIME_WAIT would cost us our port at
        # every quick restart.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # BSD and macOS let us bind 127.0.0.1 beside somebody who listens on 0.0.0.0; ask him.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.settimeout(1)
        return caller.connect_ex((HOST, port)) != 0


def choose(wanted: Iterable[int]) -> int:
    """The first free port among the wanted ones, else any free one of our range."""
    for port in (*wanted, *_some_of_ours()):
        if is_free(port):
            return port
    raise OSError("no free port found on 127.0.0.1")


def _some_of_ours() -> Iterator[int]:
    return (_OURS[secrets.randbelow(len(_OURS))] for _ in range(_TRIES))


def remembered(file: Path) -> list[int]:
    """The port of the last start, or none if there was none or the file is damaged."""
    try:
        return [int(file.read_text("ascii"))]
    except (OSError, ValueError):
        return []


def remember(file: Path, port: int) -> None:
    """Note the port for the next start. A convenience: losing it costs a new port, nothing else."""
    file.write_text(f"{port}\n", "ascii")
