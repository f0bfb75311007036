"""Opens zip and gzip bundles of messages, distrusting every size they declare."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Final, NoReturn

from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.utf8 import Readable

EXPANDED_BYTES: Final = 256 * 1024 * 1024
"""The most that all members of one bundle may expand to, together, where the caller sets no other bound."""
MEMBERS: Final = 1_000
NESTING: Final = 2
"""A bundle in a bundle is opened; a bundle in that one is not."""

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP: Final = b"\x1f\x8b"
_ENCRYPTED: Final = 0x1
_CHUNK: Final = 65_536
_PATH_LENGTH: Final = 300  # a name in an archive may have 65,535 bytes
# A thousand members need far less; a longer directory is refused before it is parsed.
_DIRECTORY_BYTES: Final = 4 * 1024 * 1024
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError)


def is_bundle(head: bytes) -> bool:
    """Whether a text that begins with these (at least four) bytes is a zip or gzip bundle."""
    return head[:2] == _GZIP or head[:4] in _ZIP


def members(file: io.BufferedReader, name: str, expanded_bytes: int = EXPANDED_BYTES) -> Iterator[tuple[str, Readable]]:
    """Each message in a bundle with its path ("month.zip/day.xml"), to be read before the next is asked for.

    What is no bundle is its own single member. Raises RefusedError `bundle_refused` or `too_large`, here
    or from the member's `read`, naming the member that is encrypted, corrupt or over a limit.
    """
    return _Opening(expanded_bytes).members(file, name, 0)


class _Opening:
    """One bundle being opened: what is left of its allowances, over all levels of nesting."""

    def __init__(self, expanded_bytes: int) -> None:
        self.expanded_bytes = self.bytes_left = expanded_bytes
        self.members_left = MEMBERS

    def members(self, file: io.BufferedReader, name: str, depth: int) -> Iterator[tuple[str, Readable]]:
        head = file.peek(4)[:4]
        if not is_bundle(head):
            yield name, file
            return
        if depth == NESTING:
            _refuse(name, f"bundles are nested more than {NESTING} deep")
        if head[:2] == _GZIP:
            unzipped = _Metered(gzip.GzipFile(fileobj=file), name, self)
            yield from self.members(io.BufferedReader(unzipped), name.removesuffix(".gz"), depth + 1)
            return
        # The directory of a zip stands at its end.
        archive = _open_zip(file if file.seekable() else io.BytesIO(file.read(EXPANDED_BYTES + 1)), name)
        for info in archive.infolist():
            if info.is_dir() or _is_junk(info.filename):
                continue
            path = f"{name}/{info.filename}"[:_PATH_LENGTH]
            self.members_left -= 1
            if self.members_left < 0:
                _refuse(name, f"holds more than {MEMBERS} members")
            with _open_member(archive, info, path) as opened:
                yield from self.members(io.BufferedReader(_Metered(opened, path, self)), path, depth + 1)


class _Metered(io.RawIOBase):
    """The expanded bytes of one member, counted against what the whole bundle may expand to."""

    def __init__(self, source: Readable, name: str, opening: _Opening) -> None:
        self._source = source
        self._name = name
        self._opening = opening

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            data = self._source.read(min(len(buffer), _CHUNK))
        except _BROKEN as error:
            _refuse(self._name, f"is corrupt: {error}", error)
        self._opening.bytes_left -= len(data)
        if self._opening.bytes_left < 0:
            raise RefusedError(
                "too_large",
                f"{self._name}: the bundle expands to more than {self._opening.expanded_bytes // 2**20} MiB",
                self._name,
            )
        buffer[: len(data)] = data
        return len(data)


class _Archive(io.BufferedReader):
    """A zip file that does not read a directory of millions of members into memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is too long")
        return super().read(size)


def _open_zip(file: io.BufferedReader | io.BytesIO, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(_Archive(file))
    except _BROKEN as error:
        _refuse(name, f"is no readable zip archive: {error}", error)


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> IO[bytes]:
    if info.flag_bits & _ENCRYPTED:
        _refuse(path, "is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(path, "is compressed by a method other than deflate")
    try:
        return archive.open(info)
    except _BROKEN as error:
        _refuse(path, f"is corrupt: {error}", error)


def _is_junk(path: str) -> bool:
    """What desktop systems add to an archive: resource forks and folder settings."""
    return path.startswith("__MACOSX/") or path.rsplit("/", 1)[-1] in (".DS_Store", "Thumbs.db")


def _refuse(name: str, why: str, cause: Exception | None = None) -> NoReturn:
    raise RefusedError("bundle_refused", f"{name}: {why}", name) from cause
