"""A bank's mailbox: files in a folder or an SFTP directory, which others write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import msgspec

from token_engine.domain.observation import Why

UNFINISHED: Final = (".part", ".tmp", ".filepart", ".crdownload", ".writing")
"""What transfer clients call a file while they write it."""
MOST_FILES: Final = 100_000
LARGEST_FILE: Final = 4 * 1024**3
"""Bytes. A statement of ten million entries has fewer; what is larger fills a disk and is no message."""


class ListedFile(msgspec.Struct, frozen=True, order=True):
    """A file as the mailbox lists it. Another size or time makes it another file, whatever its name.

    In order of time and name. `name` is as it came, undecodable bytes escaped (PEP 383): only for the mailbox.
    """

    modified_at: datetime
    name: str
    size: int

    @property
    def shown(self) -> str:
        """The name for people and logs: on one line, and Unicode."""
        return shown(self.name)

    @property
    def identity(self) -> bytes:
        """SHA-256 of name, size and time."""
        told = f"{self.size} {self.modified_at.timestamp():.6f} ".encode()
        return sha256(told + self.name.encode(errors="surrogateescape")).digest()


class Listing(msgspec.Struct, frozen=True):
    """What lies in a mailbox: files that may be fetched, and those that never are, with why, for people."""

    files: tuple[ListedFile, ...]
    passed_over: dict[str, str]


class MailboxError(Exception):
    """The mailbox cannot be used now. The message holds no credential."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why


class FileError(Exception):
    """This file cannot be had as it was listed: gone, changed, or refused. Others may be."""


class OpenMailbox(Protocol):
    """A mailbox while it is open."""

    async def files(self) -> Listing:
        """What lies there now. Raises MailboxError."""
        ...

    def fetched(self, file: ListedFile) -> AbstractAsyncContextManager[Path]:
        """The file on this machine, inside the context only. Raises FileError at either end of it where what was read
        is not what was listed, and MailboxError.
        """
        ...


class Mailbox(Protocol):
    """Where a bank leaves files. One look is one opening."""

    def opened(self) -> AbstractAsyncContextManager[OpenMailbox]:
        """Raises MailboxError."""
        ...


def may_be_fetched(name: str, pattern: str) -> bool:
    """Whether a name is of a finished file that is asked for: `pattern` as in a shell, capitals matter."""
    return not name.startswith(".") and not name.lower().endswith(UNFINISHED) and fnmatchcase(name, pattern)


def shown(name: str) -> str:
    """A name for people: what is no printable character is shown as its escape, and a long one is cut."""
    readable = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in readable)[:300]


@contextmanager
def reasons(place: str) -> Iterator[None]:
    """What the operating system says of a folder, as a MailboxError."""
    try:
        yield
    except PermissionError as error:
        raise MailboxError(Why.ACCESS_REFUSED, f"{place}: {error.strerror}") from None
    except OSError as error:
        raise MailboxError(Why.UNREACHABLE, f"{place}: {error.strerror}") from None
