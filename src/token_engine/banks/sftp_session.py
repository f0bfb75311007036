"""One conversation with an SFTP server: list a directory, read files. Nothing is ever written there."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import IO, Final

from token_engine.banks.sftp_packets import (
    LARGEST_PACKET,
    READ_ONLY,
    Attributes,
    Body,
    GarbledError,
    Kind,
    Status,
    packet,
    string,
    u32,
    u64,
)

_VERSION: Final = 3
_CHUNK: Final = 32 * 1024
"""What every server gives in one answer."""
_AT_ONCE: Final = 32
"""Questions under way while a file is read: a megabyte, so that a distant server is no slow one."""


class StatusError(Exception):
    """The server refuses; `status` says why, in its own number."""

    def __init__(self, status: int, message: bytes) -> None:
        words = message[:200].decode(errors="replace")
        super().__init__("".join(c for c in words if c.isprintable()) or f"status {status}")
        self.status = status


class SftpSession:
    """Raises GarbledError, TimeoutError, and IncompleteReadError or ConnectionError where the server goes away."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float) -> None:
        """`patience` is how many seconds any answer may take."""
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self._last = 0
        self._let_go_of: set[int] = set()

    async def start(self) -> None:
        """Agree on the version, which is the lower of both sides'."""
        self._writer.write(packet(Kind.INIT, u32(_VERSION)))
        await self._writer.drain()
        kind, body = await self._packet()
        if kind != Kind.VERSION or (version := body.u32()) < _VERSION:
            told = f"version {version}" if kind == Kind.VERSION else f"a packet {kind}"
            raise GarbledError(f"it answers {told} where SFTP version 3 is asked for")

    async def listed(self, directory: bytes, most: int) -> list[tuple[bytes, Attributes]]:
        """Every name in the directory, with what the server tells of it; links are not followed."""
        handle = await self._handle(Kind.OPENDIR, string(directory))
        names: list[tuple[bytes, Attributes]] = []
        try:
            while True:
                kind, body = await self._ask(Kind.READDIR, string(handle))
                if kind == Kind.STATUS:
                    if (error := _status(body)).status == Status.EOF:
                        return names
                    raise error
                if kind != Kind.NAME or not (count := body.u32()):
                    raise GarbledError("it lists a directory with something else than names")
                for _ in range(count):
                    name = body.string()
                    body.string()  # the same as `ls -l` writes it, for people
                    names.append((name, body.attributes()))
                    if len(names) > most:
                        raise GarbledError(f"the directory has more than {most} names")
        finally:
            await self._let_go(handle)

    async def read(self, path: bytes, size: int, into: IO[bytes]) -> Attributes:
        """Write the first `size` bytes of the file to `into`; what the server tells of the file afterwards."""
        handle = await self._handle(Kind.OPEN, string(path) + u32(READ_ONLY) + u32(0))
        try:
            await self._read(handle, size, into)
            kind, body = await self._ask(Kind.FSTAT, string(handle))
            if kind == Kind.STATUS:
                raise _status(body)
            if kind != Kind.ATTRS:
                raise GarbledError(f"it answers a packet {kind} where attributes are asked for")
            return body.attributes()
        finally:
            await self._let_go(handle)

    async def _read(self, handle: bytes, size: int, into: IO[bytes]) -> None:
        """Several questions at a time; answers come in any order, and may be shorter than asked for."""
        wanted = deque([(0, size)] if size else [])
        asked: dict[int, tuple[int, int]] = {}
        refused: StatusError | None = None
        while asked or (wanted and refused is None):
            while wanted and refused is None and len(asked) < _AT_ONCE:
                start, length = wanted.popleft()
                if length > _CHUNK:
                    wanted.appendleft((start + _CHUNK, length - _CHUNK))
                    length = _CHUNK
                asked[self._send(Kind.READ, string(handle) + u64(start) + u32(length))] = start, length
            number, kind, body = await self._answer()
            if number not in asked:
                raise GarbledError("it answers what was not asked")
            start, length = asked.pop(number)
            if kind == Kind.STATUS:
                refused = _status(body)
                continue
            data = body.string() if kind == Kind.DATA else b""
            if not 0 < len(data) <= length:
                raise GarbledError("it answers with more than was asked for, or with nothing")
            into.seek(start)
            into.write(data)
            if len(data) < length:
                wanted.append((start + len(data), length - len(data)))
        if refused is not None:
            raise refused

    async def _handle(self, kind: Kind, body: bytes) -> bytes:
        answer, told = await self._ask(kind, body)
        if answer == Kind.STATUS:
            raise _status(told)
        if answer != Kind.HANDLE:
            raise GarbledError(f"it answers a packet {answer} where a handle is asked for")
        return told.string()

    async def _let_go(self, handle: bytes) -> None:
        if not self._writer.is_closing() and not self._reader.at_eof():
            self._let_go_of.add(self._send(Kind.CLOSE, string(handle)))

    async def _ask(self, kind: Kind, body: bytes) -> tuple[int, Body]:
        number = self._send(kind, body)
        answered, answer, told = await self._answer()
        if answered != number:
            raise GarbledError("it answers what was not asked")
        return answer, told

    def _send(self, kind: Kind, body: bytes) -> int:
        self._last += 1
        self._writer.write(packet(kind, u32(self._last) + body))
        return self._last

    async def _answer(self) -> tuple[int, int, Body]:
        async with asyncio.timeout(self._patience):
            await self._writer.drain()
        while True:
            kind, body = await self._packet()
            number = body.u32()
            if number not in self._let_go_of:
                return number, kind, body
            self._let_go_of.remove(number)  # nobody waits for it

    async def _packet(self) -> tuple[int, Body]:
        async with asyncio.timeout(self._patience):
            size = int.from_bytes(await self._reader.readexactly(4))
            if not 0 < size <= LARGEST_PACKET:
                raise GarbledError(f"it announces a packet of {size} bytes")
            raw = await self._reader.readexactly(size)
        return raw[0], Body(raw[1:])


def _status(body: Body) -> StatusError:
    code = body.u32()
    try:
        return StatusError(code, body.string())
    except GarbledError:  # old servers send no words
        return StatusError(code, b"")
