"""The folder that a bank's transfer client drops files into: each is taken in and put aside by what became of it.

A file is looked at once it is no longer written to. It is locked while it is taken in, so that of several engines one
takes it; whoever dies meanwhile loses the lock, and the next finds the file recorded or not, as the database has it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from token_engine.banks.mailbox import UNFINISHED
from token_engine.domain.receipt import Receipt, Rejected
from token_engine.entrypoints.lanes import STATEMENTS
from token_engine.entrypoints.road import Road
from token_engine.telemetry.logs import logger
from token_engine.tiers.delivery import Delivery, Door
from token_engine.tiers.intake import file_deliveries

DONE: Final = "done"
REJECTED: Final = "rejected"
_TOGETHER: Final = 100
"""Files at most that are held in memory at once."""
_BYTES_TOGETHER: Final = STATEMENTS.at_once * STATEMENTS.batch_bytes
"""Bytes of them: what the engine works on at a time."""
_log = logger()


class DropFolder:
    """Takes in what lies in `path`, oldest first."""

    def __init__(self, path: Path, road: Road, clock: Callable[[], datetime]) -> None:
        """Makes the folder. Raises OSError where it cannot be used."""
        self._path = path
        self._road = road
        self._clock = clock
        self._seen: dict[Path, tuple[int, int]] = {}
        for folder in (path, path / DONE, path / REJECTED):
            folder.mkdir(parents=True, exist_ok=True)

    async def look(self) -> None:
        """Take in every file that has not changed since the last look."""
        found = {path: (stat.st_size, stat.st_mtime_ns) for path, stat in self._files()}
        settled = [path for path, seen in found.items() if self._seen.get(path) == seen]
        self._seen = found
        settled.sort(key=lambda path: found[path][1])
        for together in _batches(settled, found):
            await self._take(together)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for entry in os.scandir(self._path):
            if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                path = Path(entry.path)
                if path.suffix.lower() not in UNFINISHED:
                    yield path, entry.stat(follow_symlinks=False)

    async def _take(self, paths: Sequence[Path]) -> None:
        """Take in several at once: they share a commit, and statements of several days find their order in it."""
        with ExitStack() as locks:
            found: list[tuple[Path, list[Delivery]]] = []
            for path in paths:
                try:
                    if locks.enter_context(_locked(path)):
                        found.append((path, await asyncio.to_thread(self._deliveries, path)))
                except OSError as error:  # one that cannot be read keeps no other from being taken in
                    _log.warning("A dropped file cannot be read", file=path.name, reason=str(error))
            if not found:
                return
            outcomes = iter(await self._road.submit([delivery for _, of_file in found for delivery in of_file]))
            for path, of_file in found:
                self._settle(path, [next(outcomes) for _ in of_file])

    def _settle(self, path: Path, outcomes: Sequence[Receipt | Exception]) -> None:
        """Put a file aside by what became of it; one that nothing came of stays for the next look."""
        failed = next((o for o in outcomes if isinstance(o, Exception)), None)
        if failed is not None:
            _log.warning("A dropped file waits", file=path.name, reason=str(failed))
            return
        receipts = [o for o in outcomes if not isinstance(o, Exception)]
        refused = [o for o in receipts if isinstance(o, Rejected)]
        for rejected in refused:
            why = rejected.refusal
            _log.warning("A dropped file was rejected", file=path.name, kept_as=rejected.kept_as, reason=why.message)
        try:
            # Under the number that its first message is kept as: a bank may use a name every day.
            number = receipts[0].kept_as if receipts else 0
            path.rename(self._path / (REJECTED if refused else DONE) / f"{number}-{path.name}")
        except OSError as error:
            _log.warning("A dropped file cannot be put aside", file=path.name, reason=str(error))

    def _deliveries(self, path: Path) -> list[Delivery]:
        name = path.name.encode("utf-8", "replace").decode()
        return file_deliveries(path, Door.FILE, name, self._clock())


def _batches(paths: Sequence[Path], found: Mapping[Path, tuple[int, int]]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in paths:
        if batch and (len(batch) == _TOGETHER or size + found[path][0] > _BYTES_TOGETHER):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += found[path][0]
    if batch:
        yield batch


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether the file is ours meanwhile: not where another engine has it, or has put it aside."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        # Between our look and the lock another engine may have put it aside.
        yield path.exists() and os.stat(path).st_ino == os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
