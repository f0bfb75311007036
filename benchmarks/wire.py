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
        self._subscriptions = 0
        self._unread = b""
        while b"\r\n" not in self._unread:
            self._unread += self.socket.recv(65536)
        self._unread = b""  # the greeting
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false,"lang":"bench"}\r\n')

    def close(self) -> None:
        self.socket.close()

    def subscribe(self, subject: str) -> None:
        self._subscriptions += 1
        self.socket.sendall(f"SUB {subject} {self._subscriptions}\r\nPING\r\n".encode())
        while not self._line().startswith(b"PONG"):
            pass

    def received(self) -> list[tuple[str, bytes]]:
        """Subject and body of the messages at hand, after one read."""
        return self.messages(self.read())

    def messages(self, data: bytes) -> list[tuple[str, bytes]]:
        """Subject and body of the messages that `data`, the next that was read, completes."""
        data = self._unread + data
        found, at = [], 0
        while (end := data.find(b"\r\n", at)) >= 0:
            line, after = data[at:end], end + 2
            if line.startswith(b"MSG "):
                after += int(line.rsplit(b" ", 1)[1]) + 2
                if after > len(data):
                    break
                found.append((line.split(b" ", 2)[1].decode(), data[end + 2 : after - 2]))
            elif line.startswith(b"PING"):
                self.socket.sendall(b"PONG\r\n")
            elif line.startswith(b"-ERR"):
                raise ConnectionError(line.decode())
            at = after
        self._unread = data[at:]
        return found

    def read(self) -> bytes:
        """What there is to read, not looked at. Raises ConnectionError at the end."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("NATS closed the connection")
        return data

    def _line(self) -> bytes:
        while b"\r\n" not in self._unread:
            self._unread += self.read()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line


def publication(subject: str, body: bytes, reply: str = "") -> bytes:
    """The command that publishes `body`."""
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
            parts = [publication(subject, one) for one in chunk[:-1]]
            wire.socket.sendall(b"".join([*parts, publication(subject, chunk[-1], "_INBOX.fill")]))
            while not (answers := wire.received()):
                pass
            answer = json.loads(answers[0][1])
            assert answer.get("seq") == sent, f"the stream says {answer} after {sent} messages"
    finally:
        wire.close()
