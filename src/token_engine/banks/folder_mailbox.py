"""Files in a folder of this machine: what an EBICS client or a mounted share leaves there. Nothing is changed in it."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from token_engine.banks.mailbox import (
    LARGEST_FILE,
    MOST_FILES,
    FileError,
    ListedFile,
    Listing,
    MailboxError,
    may_be_fetched,
    reasons,
    shown,
)
from token_engine.domain.observation import Why


class FolderMailbox:
    """The files in `folder` whose names fit `pattern`; none below it, and no links."""

    def __init__(self, folder: Path, pattern: str = "*") -> None:
        self._folder = folder
        self._pattern = pattern

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[FolderMailbox]:
        """See Mailbox."""
        yield self

    async def files(self) -> Listing:
        """See OpenMailbox."""
        return await asyncio.to_thread(self._listing)

    def _listing(self) -> Listing:
        files: list[ListedFile] = []
        passed_over: dict[str, str] = {}
        with reasons(f"folder {self._folder}"), os.scandir(self._folder) as entries:
            for number, entry in enumerate(entries, start=1):
                if number > MOST_FILES:
                    raise MailboxError(Why.UNREADABLE, f"folder {self._folder} has more than {MOST_FILES} files")
                if not may_be_fetched(entry.name, self._pattern):
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # moved away while we looked
                if stat.S_ISLNK(found.st_mode):
                    passed_over[shown(entry.name)] = "it is a link"
                elif stat.S_ISREG(found.st_mode):
                    listed = _listed(entry.name, found)
                    if listed is None:
                        passed_over[shown(entry.name)] = "its time is in no calendar"
                    elif listed.size > LARGEST_FILE:
                        passed_over[shown(entry.name)] = f"{listed.size} bytes are more than {LARGEST_FILE}"
                    else:
                        files.append(listed)
        return Listing(tuple(files), passed_over)

    @asynccontextmanager
    async def fetched(self, file: ListedFile) -> AsyncIterator[Path]:
        """See OpenMailbox. The file is read where it lies, and looked at again once that is done."""
        path = self._folder / file.name
        before = self._as_listed(path, file)
        yield path
        if self._as_listed(path, file) != before:
            raise FileError("it was replaced while it was read")

    def _as_listed(self, path: Path, file: ListedFile) -> tuple[int, int]:
        try:
            found = os.stat(path, follow_symlinks=False)
            with path.open("rb"):
                pass
        except OSError as error:
            raise FileError(str(error.strerror)) from None
        if not stat.S_ISREG(found.st_mode) or _listed(file.name, found) != file:
            raise FileError("it has changed since it was listed")
        return found.st_dev, found.st_ino


def _listed(name: str, found: os.stat_result) -> ListedFile | None:
    try:
        return ListedFile(datetime.fromtimestamp(found.st_mtime, UTC), name, found.st_size)
    except (ValueError, OverflowError, OSError):  # some file systems keep years that no calendar has
        return None
