"""Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), the version that every server speaks: bytes to values."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

LARGEST_PACKET: Final = 256 * 1024 + 1024
"""What OpenSSH takes, and a little. A server that announces more is not listened to."""


class Kind(IntEnum):
    """What a packet is (section 3 of the draft)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105


class Status(IntEnum):
    """The codes of a STATUS that mean something to us (section 7)."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3


READ_ONLY: Final = 1
"""SSH_FXF_READ."""


class GarbledError(Exception):
    """The server says what the protocol does not know."""


class Attributes(NamedTuple):
    """What a server tells of a file; None where it does not."""

    size: int | None
    permissions: int | None
    modified: int | None
    """Seconds since 1970."""


class Body:
    """What follows a packet's kind, read from its beginning. Raises GarbledError where it is too short."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, size: int) -> bytes:
        found = self._raw[self._at : self._at + size]
        if len(found) != size:
            raise GarbledError("a packet ends too early")
        self._at += size
        return found

    def u32(self) -> int:
        return int.from_bytes(self.take(4))

    def u64(self) -> int:
        return int.from_bytes(self.take(8))

    def string(self) -> bytes:
        return self.take(self.u32())

    def attributes(self) -> Attributes:
        """Section 5. Users and groups are passed over, and so is what a server adds of its own."""
        flags = self.u32()
        size = self.u64() if flags & 0x1 else None
        if flags & 0x2:
            self.take(8)
        permissions = self.u32() if flags & 0x4 else None
        modified = None
        if flags & 0x8:
            self.u32()
            modified = self.u32()
        if flags & 0x80000000:
            for _ in range(self.u32()):
                self.string()
                self.string()
        return Attributes(size, permissions, modified)


def u32(number: int) -> bytes:
    return number.to_bytes(4)


def u64(number: int) -> bytes:
    return number.to_bytes(8)


def string(raw: bytes) -> bytes:
    return u32(len(raw)) + raw


def packet(kind: Kind, body: bytes) -> bytes:
    """A packet with its length."""
    return string(bytes([kind]) + body)
