"""Large messages of a batch: a thread compresses each while it is read, and that is what is kept of it.

Reading leaves a core to it; the database's work after that does not.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from token_engine.storage import parts
from token_engine.storage.database import Transaction
from token_engine.tiers.delivery import Delivery

_Stamp = tuple[int, int, int]


class Squeezing:
    """What is compressed of one batch."""

    def __init__(self, home: Path, thread: ThreadPoolExecutor) -> None:
        self._home = home
        self._thread = thread
        self._under_way: dict[bytes, asyncio.Future[bytes]] = {}
        self._stamps: dict[bytes, _Stamp | None] = {}

    def begin(self, delivery: Delivery) -> None:
        """Compress a message that is read from now on, whatever is to become of it."""
        self._stamps[delivery.digest] = _stamp(delivery)
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, _squeeze, delivery, self._into(delivery))
        self._under_way[delivery.digest] = work

    async def keep(self, tx: Transaction, number: int, delivery: Delivery) -> None:
        """Keep a message that was begun and is read, under this number, which is that of a row.

        Raises OSError where its file is not what it was when it was taken in, or was written to since it was begun:
        what was digested, read and kept must be the same.
        """
        digest = await self._under_way[delivery.digest]
        if digest != delivery.digest or self._stamps[delivery.digest] != _stamp(delivery):
            raise OSError(f"{delivery.source} changed while it was read")
        with self._into(delivery).open("rb") as squeezed:
            await parts.keep(tx, number, squeezed)

    async def end(self) -> None:
        """Wait for the thread: it cannot be cancelled, and would write where nothing is any more."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _into(self, delivery: Delivery) -> Path:
        return self._home / delivery.digest.hex()


@asynccontextmanager
async def squeezing() -> AsyncIterator[Squeezing]:
    """For one batch; its files and its thread go with it."""
    with tempfile.TemporaryDirectory() as home, ThreadPoolExecutor(1, "squeezing") as thread:
        under_way = Squeezing(Path(home), thread)
        try:
            yield under_way
        finally:
            await under_way.end()


def _squeeze(delivery: Delivery, into: Path) -> bytes:
    with delivery.opened() as source, into.open("wb") as squeezed:
        return parts.squeeze(source, squeezed)


def _stamp(delivery: Delivery) -> _Stamp | None:
    """Which file it is, how long, and when it changed last, in nanoseconds: a time that nobody can set."""
    if delivery.file is None:
        return None
    stat = delivery.file.stat()
    return stat.st_ino, stat.st_size, stat.st_ctime_ns
