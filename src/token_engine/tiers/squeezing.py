"""Large messages of a batch: while one is read, a thread compresses what is read of it, and that is what is kept.

So what is kept was read, also where somebody writes to the file meanwhile. Reading leaves a core to it; the database's
work after that does not.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from queue import Queue
from typing import BinaryIO, Final

from token_engine.storage import parts
from token_engine.storage.database import Transaction
from token_engine.tiers.delivery import Delivery

_BLOCK: Final = 4 * 1024 * 1024
"""Bytes that are handed on at once: for each, the thread waits until reading lets go of the interpreter."""
_BLOCKS: Final = 2
_END: Final = b""


class Squeezing:
    """What is compressed of one batch."""

    def __init__(self, home: Path, thread: ThreadPoolExecutor) -> None:
        self._home = home
        self._thread = thread
        self._under_way: dict[bytes, asyncio.Future[bytes]] = {}
        self._stamps: dict[bytes, _Stamp | None] = {}

    @asynccontextmanager
    async def reading(self, delivery: Delivery) -> AsyncIterator[Copied]:
        """The message, opened: all of it is compressed, also where it is read to its middle only."""
        blocks: Queue[bytes] = Queue(_BLOCKS)
        loop = asyncio.get_running_loop()
        self._under_way[delivery.digest] = loop.run_in_executor(self._thread, _squeeze, blocks, self._file(delivery))
        try:
            self._stamps[delivery.digest] = _stamp(delivery)
            with delivery.opened() as source:
                copied = Copied(source, blocks)
                yield copied
                await asyncio.to_thread(copied.rest)
        finally:
            blocks.put(_END)

    async def keep(self, tx: Transaction, number: int, delivery: Delivery) -> None:
        """Keep a message that was read under this number, which is that of a row.

        Raises OSError where that is not what it was when it came, or not what its file is by now: somebody writes to it.
        """
        read = await self._under_way[delivery.digest]
        if read != delivery.digest or self._stamps[delivery.digest] != _stamp(delivery):
            raise OSError(f"{delivery.source} changed while it was read")
        with self._file(delivery).open("rb") as squeezed:
            await parts.keep(tx, number, squeezed)

    async def end(self) -> None:
        """Wait for the thread: it cannot be cancelled, and would write where nothing is any more."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _file(self, delivery: Delivery) -> Path:
        return self._home / delivery.digest.hex()


class Copied:
    """A source of which all that is read is handed on."""

    def __init__(self, source: BinaryIO, blocks: Queue[bytes]) -> None:
        self._source = source
        self._blocks = blocks
        self._block: list[bytes] = []
        self._size = 0

    def read(self, size: int = -1, /) -> bytes:
        """As of any source."""
        data = self._source.read(size)
        self._block.append(data)
        self._size += len(data)
        if self._size >= _BLOCK:
            self._hand_on()
        return data

    def tell(self) -> int:
        """Bytes read."""
        return self._source.tell()

    def rest(self) -> None:
        """Read what nobody has read."""
        while self.read(_BLOCK):
            pass
        self._hand_on()

    def _hand_on(self) -> None:
        if self._size:
            self._blocks.put(b"".join(self._block))
        self._block, self._size = [], 0


@asynccontextmanager
async def squeezing() -> AsyncIterator[Squeezing]:
    """For one batch; its files and its thread go with it."""
    with tempfile.TemporaryDirectory() as home, ThreadPoolExecutor(1, "squeezing") as thread:
        under_way = Squeezing(Path(home), thread)
        try:
            yield under_way
        finally:
            await under_way.end()


_Stamp = tuple[int, int]


def _stamp(delivery: Delivery) -> _Stamp | None:
    """Size of a file, and when it was written to last, in nanoseconds."""
    if delivery.file is None:
        return None
    stat = delivery.file.stat()
    return stat.st_size, stat.st_mtime_ns


def _squeeze(blocks: Queue[bytes], into: Path) -> bytes:
    handed_on = iter(blocks.get, _END)
    try:
        with into.open("wb") as squeezed:
            return parts.squeeze(handed_on, squeezed)
    finally:
        for _ in handed_on:  # who reads would wait for room for ever
            pass
