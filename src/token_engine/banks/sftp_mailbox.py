"""Files in a directory of an SFTP server. What it says is not trusted: names, sizes and answers are checked."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from token_engine.banks.host_to_host_settings import Sftp
from token_engine.banks.mailbox import (
    LARGEST_FILE,
    MOST_FILES,
    FileError,
    ListedFile,
    Listing,
    MailboxError,
    may_be_fetched,
    shown,
)
from token_engine.banks.sftp_packets import Attributes, Status
from token_engine.banks.sftp_session import SftpSession, StatusError
from token_engine.banks.ssh import sftp_session
from token_engine.domain.observation import Why

PATIENCE_SECONDS: Final = 30.0
_SLOWEST: Final = 32 * 1024
"""Bytes a second. A file that comes slower than this is given up."""


class SftpMailbox:
    """The files in a server's directory whose names fit `pattern`; none below it, and no links."""

    def __init__(self, place: Sftp, pattern: str = "*", patience: float = PATIENCE_SECONDS) -> None:
        """`patience` is how many seconds the server may take for an answer."""
        self._place = place
        self._pattern = pattern
        self._patience = patience

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[_OpenSftp]:
        """See Mailbox: one connection, for everything until the end of the context."""
        async with sftp_session(self._place, self._patience) as session:
            yield _OpenSftp(session, os.fsencode(self._place.directory), self._pattern, self._patience)


class _OpenSftp:
    def __init__(self, session: SftpSession, directory: bytes, pattern: str, patience: float) -> None:
        self._session = session
        self._directory = directory
        self._pattern = pattern
        self._patience = patience

    async def files(self) -> Listing:
        """See OpenMailbox."""
        try:
            found = await self._session.listed(self._directory, MOST_FILES)
        except StatusError as error:
            why = Why.UNREACHABLE if error.status == Status.NO_SUCH_FILE else Why.ACCESS_REFUSED
            raise MailboxError(why, f"directory {shown(os.fsdecode(self._directory))}: {error}") from None
        files: dict[bytes, ListedFile] = {}
        passed_over: dict[str, str] = {}
        for raw, told in found:
            name = os.fsdecode(raw)
            if not may_be_fetched(name, self._pattern) or _is_directory(told):
                continue
            refused = _refused(raw, told)
            listed = _listed(name, told)
            if refused or listed is None:
                passed_over[shown(name)] = refused or "its size or time is not told"
            else:
                files[raw] = listed
        return Listing(tuple(files.values()), passed_over)

    @asynccontextmanager
    async def fetched(self, file: ListedFile) -> AsyncIterator[Path]:
        """See OpenMailbox. A copy, under a name of ours."""
        with TemporaryDirectory(prefix="token-engine-") as folder:
            path = Path(folder) / "file"
            await self._fetch(file, path)
            yield path

    async def _fetch(self, file: ListedFile, path: Path) -> None:
        remote = self._directory.removesuffix(b"/") + b"/" + os.fsencode(file.name)
        try:
            async with asyncio.timeout(self._patience + file.size / _SLOWEST):
                with path.open("wb") as into:
                    after = await self._session.read(remote, file.size, into)
        except StatusError as error:
            raise FileError(f"the server does not give it: {error}") from None
        except OSError as error:
            if isinstance(error, TimeoutError | ConnectionError):
                raise
            raise FileError(f"it cannot be kept here: {error.strerror}") from None  # no room on our disk
        if _listed(file.name, after) != file:
            raise FileError("it has changed since it was listed")


def _refused(raw: bytes, told: Attributes) -> str:
    """Why a listed name is never fetched; empty where it may be."""
    if b"/" in raw or b"\0" in raw:
        return "its name leads out of the directory"
    if told.permissions is not None and stat.S_IFMT(told.permissions) not in (0, stat.S_IFREG):
        return "it is no plain file"  # also a link: where it leads is not ours to follow
    if told.size is not None and told.size > LARGEST_FILE:
        return f"{told.size} bytes are more than {LARGEST_FILE}"
    return ""


def _is_directory(told: Attributes) -> bool:
    return told.permissions is not None and stat.S_ISDIR(told.permissions)


def _listed(name: str, told: Attributes) -> ListedFile | None:
    if told.size is None or told.modified is None:
        return None
    return ListedFile(datetime.fromtimestamp(told.modified, UTC), name, told.size)
