"""The SFTP protocol against peers that answer as no test server would: out of order, in crumbs, or garbage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from token_engine.banks.sftp_packets import Attributes, Body, GarbledError, Kind, packet, string, u32, u64
from token_engine.banks.sftp_session import SftpSession, StatusError

VERSION = packet(Kind.VERSION, u32(3) + string(b"vendor-id@x") + string(b"y"))
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def against(peer: Peer, story: Callable[[SftpSession], Awaitable[Any]], patience: float = 5) -> Any:
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            session = SftpSession(reader, writer, patience)
            await session.start()
            return await story(session)
        finally:
            writer.close()


async def asked(reader: asyncio.StreamReader) -> tuple[int, int, Body]:
    raw = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
    body = Body(raw[1:])
    return raw[0], body.u32(), body


def contrary(content: bytes, random: Random) -> Peer:
    """Serves one file: answers what it has been asked in any order, with fewer bytes than asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(VERSION)
        waiting: list[bytes] = []
        while True:
            try:
                async with asyncio.timeout(0.01 if waiting else None):
                    kind, number, body = await asked(reader)
            except TimeoutError:
                random.shuffle(waiting)
                writer.write(b"".join(waiting))
                waiting.clear()
                continue
            except asyncio.IncompleteReadError:
                return
            match kind:
                case Kind.OPEN:
                    writer.write(packet(Kind.HANDLE, u32(number) + string(b"h")))
                case Kind.READ:
                    assert body.string() == b"h"
                    start, length = body.u64(), body.u32()
                    data = content[start : start + random.randint(1, length)]
                    waiting.append(packet(Kind.DATA, u32(number) + string(data)))
                case Kind.FSTAT:
                    told = u32(0x80000001) + u64(len(content)) + u32(1) + string(b"ext") + string(b"z")
                    writer.write(packet(Kind.ATTRS, u32(number) + told))

    return serve


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 200_000), st.integers(0, 2**32))
def test_answers_in_any_order_and_in_crumbs_make_the_file(size: int, seed: int) -> None:
    random = Random(seed)
    content = random.randbytes(size)
    into = BytesIO()
    after = asyncio.run(against(contrary(content, random), lambda session: session.read(b"f", size, into)))
    assert into.getvalue() == content
    assert after == Attributes(size, None, None)


def saying(*answers: Callable[[int], bytes]) -> Peer:
    """Gives these answers, one for each question, and then waits."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(VERSION)
        for answer in answers:
            _, number, _ = await asked(reader)
            writer.write(answer(number))
        await reader.read()
        writer.close()

    return serve


def handle(number: int) -> bytes:
    return packet(Kind.HANDLE, u32(number) + string(b"h"))


def _names(count: int, *names: bytes) -> Callable[[int], bytes]:
    told = b"".join(string(name) + string(b"-rw") + u32(0) for name in names)
    return lambda number: packet(Kind.NAME, u32(number) + u32(count) + told)


@pytest.mark.parametrize(
    "answers",
    [
        (lambda n: u32(2**31) + b"\x65",),  # a length that would fill the memory
        (lambda n: u32(0),),
        (lambda n: b"Welcome to the bank's shell\r\n",),  # what a login script prints is no packet
        (lambda n: handle(n + 7),),
        (lambda n: packet(Kind.HANDLE, u32(n) + u32(99) + b"short"),),
        (lambda n: packet(Kind.DATA, u32(n) + string(b"x")),),
        (handle, _names(0)),  # an answer without names, over and over, would never end
        (handle, _names(2**31, b"a")),
        (handle, _names(6, *b"abcdef".split())),
        (handle, handle),
    ],
)
def test_garbage_ends_the_conversation(answers: tuple[Callable[[int], bytes], ...]) -> None:
    with pytest.raises(GarbledError):
        asyncio.run(against(saying(*answers), lambda session: session.listed(b".", 5)))


@pytest.mark.parametrize("data", [b"", b"four+"])
def test_more_than_was_asked_for_or_nothing_is_garbage(data: bytes) -> None:
    peer = saying(handle, lambda n: packet(Kind.DATA, u32(n) + string(data)))
    with pytest.raises(GarbledError):
        asyncio.run(against(peer, lambda session: session.read(b"f", 4, BytesIO())))


def test_a_file_that_the_server_stops_giving_is_not_whole() -> None:
    """Also where it says afterwards that all is well with it."""
    peer = saying(
        handle, lambda n: packet(Kind.STATUS, u32(n) + u32(4)), lambda n: packet(Kind.ATTRS, u32(n) + u32(0)),
    )  # fmt: skip
    with pytest.raises(StatusError, match="status 4"):
        asyncio.run(against(peer, lambda session: session.read(b"f", 4, BytesIO())))


def test_more_names_than_are_taken() -> None:
    def names(number: int) -> bytes:
        return _names(3, b"a", b"b", b"c")(number)

    with pytest.raises(GarbledError, match="more than 5 names"):
        asyncio.run(against(saying(handle, names, names), lambda session: session.listed(b".", 5)))


@pytest.mark.parametrize("greeting", [packet(Kind.VERSION, u32(2)), packet(Kind.STATUS, u32(3)), b"SSH-2.0-x\r\n"])
def test_another_version_is_not_spoken(greeting: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(greeting)
        await reader.read()
        writer.close()

    async def nothing(_: SftpSession) -> None:
        raise AssertionError("it was spoken to")

    with pytest.raises(GarbledError):
        asyncio.run(against(serve, nothing))


def test_a_refusal_is_told_in_the_servers_words_without_what_is_no_text() -> None:
    peer = saying(lambda n: packet(Kind.STATUS, u32(n) + u32(3) + string(b"no\x1b[31m entry") + string(b"en")))
    with pytest.raises(StatusError, match=r"^no\[31m entry$") as caught:
        asyncio.run(against(peer, lambda session: session.listed(b".", 5)))
    assert caught.value.status == 3


def test_a_server_that_falls_silent_or_hangs_up() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(against(saying(handle), lambda session: session.listed(b".", 5), patience=0.2))

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(VERSION[:7])
        writer.close()

    with pytest.raises(asyncio.IncompleteReadError):
        asyncio.run(against(hangs_up, lambda session: session.listed(b".", 5)))


@given(st.binary(max_size=80))
def test_any_bytes_are_attributes_or_garbage(raw: bytes) -> None:
    try:
        found = Body(raw).attributes()
    except GarbledError:
        return
    assert found.size is None or 0 <= found.size < 2**64
