"""The folder that a bank's transfer client drops files into: each is taken in and put aside by what became of it.

A file is looked at once it is no longer written to. It is locked while it is taken in, so that of several engines one
takes it; whoever dies meanwhile loses the lock, and the next finds the file recorded or not, as the database has it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final

from msgspec import structs

from token_engine.domain.receipt import Receipt, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.entrypoints.road import Road
from token_engine.telemetry.logs import logger
from token_engine.tiers.delivery import Delivery, Door, delivery
from token_engine.tiers.intake import LARGEST_FILE, deliveries, large_statement

DONE: Final = "done"
REJECTED: Final = "rejected"
_UNFINISHED: Final = (".part", ".tmp", ".filepart", ".crdownload", ".writing")
"""What transfer clients call a file while they write it."""
_KEPT_OF_TOO_LARGE: Final = 64 * 1024
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
        for path in sorted(settled, key=lambda path: found[path][1]):
            try:
                with _locked(path) as ours:
                    if ours:
                        await self._take(path)
            except OSError as error:  # one that cannot be read or moved keeps no other from being taken in
                _log.warning("A dropped file cannot be taken in", file=path.name, reason=str(error))

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for entry in os.scandir(self._path):
            if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                path = Path(entry.path)
                if path.suffix.lower() not in _UNFINISHED:
                    yield path, entry.stat(follow_symlinks=False)

    async def _take(self, path: Path) -> None:
        found = await asyncio.to_thread(self._deliveries, path)
        outcomes = await self._road.submit(found)
        failed = next((o for o in outcomes if isinstance(o, Exception)), None)
        if failed is not None:  # it stays where it is, for the next look
            _log.warning("A dropped file waits", file=path.name, reason=str(failed))
            return
        refused = [o for o in outcomes if isinstance(o, Rejected)]
        self._put_aside(path, REJECTED if refused else DONE, [o for o in outcomes if not isinstance(o, Exception)])
        for rejected in refused:
            why = rejected.refusal
            _log.warning("A dropped file was rejected", file=path.name, kept_as=rejected.kept_as, reason=why.message)

    def _deliveries(self, path: Path) -> list[Delivery]:
        now = self._clock()
        large = large_statement(path, Door.FILE, now)
        if large is not None:
            return [large]
        name = path.name.encode("utf-8", "replace").decode()
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
            if len(raw) <= LARGEST_FILE:
                return deliveries(raw, Door.FILE, name, now)
            file.seek(0)
            digest, size = file_digest(file, "sha256").digest(), file.tell()
        why = Refusal("too_large", f"{name[:100]}: {size} bytes; no statement, and larger than {LARGEST_FILE}", "file")
        beginning = delivery(raw[:_KEPT_OF_TOO_LARGE], Door.FILE, name, now)
        return [structs.replace(beginning, digest=digest, size=size, refused=why)]

    def _put_aside(self, path: Path, folder: str, receipts: Sequence[Receipt]) -> None:
        """Under the number that its first message is kept as: a bank may use a name every day."""
        number = receipts[0].kept_as if receipts else 0
        path.rename(self._path / folder / f"{number}-{path.name}")


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
