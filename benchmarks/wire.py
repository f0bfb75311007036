"""A publisher as lean as the protocol allows, so that what is measured is never the client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

_CHUNK: Final = 2000


class Wire:
    """One NATS connection over a plain socket. Single-threaded; answers the server's PING when it reads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        while b"\r\n" not in self._unread:
            self._unread += self.socket.recv(65536)
        self._unread = b""  # the greeting
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false,"lang":"bench"}\r\n')

    def close(self) -> None:
        self.socket.close()

    def subscribe(self, subject: str) -> None:
        self.socket.sendall(f"SUB {subject} 1\r\nPING\r\n".encode())
        while not self._line().startswith(b"PONG"):
            pass

    def publish(self, subject: str, body: bytes) -> None:
        self.socket.sendall(_pub(subject, body))

    def received(self) -> list[tuple[str, bytes]]:
        """Subject and reply-less body of the messages at hand, after at least one read."""
        self._unread += self._read()
        found = []
        while (end := self._unread.find(b"\r\n")) >= 0:
            line = self._unread[:end]
            if not line.startswith(b"MSG "):
                if line.startswith(b"PING"):
                    self.socket.sendall(b"PONG\r\n")
                self._unread = self._unread[end + 2 :]
                continue
            size = int(line.rsplit(b" ", 1)[1])
            if len(self._unread) < end + 4 + size:
                break
            found.append((line.split(b" ", 2)[1].decode(), self._unread[end + 2 : end + 2 + size]))
            self._unread = self._unread[end + 4 + size :]
        return found

    def _read(self) -> bytes:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("NATS closed the connection")
        return data

    def _line(self) -> bytes:
        while b"\r\n" not in self._unread:
            self._unread += self._read()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line


def _pub(subject: str, body: bytes, reply: str = "") -> bytes:
    return b"PUB %s %d\r\n%s\r\n" % (f"{subject} {reply}".strip().encode(), len(body), body)


def fill(url: str, subject: str, bodies: Iterable[bytes]) -> None:
    """Publish to JetStream, in order. The last of each chunk asks for the stream's word, so that no more
    is under way than the server keeps in memory, and every message is known to be stored.
    """
    wire = Wire(url)
    try:
        wire.subscribe("_INBOX.fill")
        waiting, sent = iter(bodies), 0
        while chunk := list(islice(waiting, _CHUNK)):
            sent += len(chunk)
            parts = [_pub(subject, one) for one in chunk[:-1]]
            wire.socket.sendall(b"".join([*parts, _pub(subject, chunk[-1], "_INBOX.fill")]))
            while not (answers := wire.received()):
                pass
            answer = json.loads(answers[0][1])
            assert answer.get("seq") == sent, f"the stream says {answer} after {sent} messages"
    finally:
        wire.close()
