"""Reads a bundle as what it claims to be: first its seal, then its manifest, then file by file. Nothing is unpacked and
nothing is believed that is not signed, so names that lead elsewhere and sizes that are lies do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from token_engine.archive.blocks import BLOCK, END, header, padding, read_header
from token_engine.domain.bundle import FORMAT, MANIFEST, SEAL, BundleError, Manifest, Member, Seal

_PIECE: Final = 1024 * 1024
_LARGEST_SEAL: Final = 64 * 1024
_LONGEST_LINE: Final = 16 * 1024 * 1024
"""The manifest's first line names accounts and proofs: 100,000 accounts fit."""


class Found(NamedTuple):
    """A file as it stands in the bundle. `sound`: the block before it is as we write it."""

    name: str
    size: int
    start: int
    """Where its content begins."""
    sound: bool

    @property
    def end(self) -> int:
        """Where the next file begins."""
        return self.start + self.size + padding(self.size)


class Bundle:
    """An open bundle. Raises OSError if the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._stream: BinaryIO = path.open("rb")
        self.size = path.stat().st_size

    def close(self) -> None:
        self._stream.close()

    def seal(self) -> tuple[str, int]:
        """The signed note at the end, and where the file of it begins. Raises BundleError if the end is not sound."""
        start = max(0, self.size - _LARGEST_SEAL - self.size % BLOCK)
        tail = self._at(start, self.size - start)
        at = tail.rfind(f"{SEAL}\0".encode())
        while at > 0 and at % BLOCK:
            at = tail.rfind(f"{SEAL}\0".encode(), 0, at)
        read = read_header(tail[at : at + BLOCK]) if at >= 0 else None
        if read is None:
            raise BundleError(f"{SEAL}, the seal at the end, is missing or damaged: the file is cut or altered there")
        size = read[1]
        content = tail[at + BLOCK : at + BLOCK + size]
        if tail[at:] != header(SEAL, size) + content + bytes(padding(size)) + END:
            raise BundleError(f"{SEAL}, or what follows it, is damaged: the file is cut or altered at its end")
        try:
            return content.decode(), start + at
        except UnicodeDecodeError:
            raise BundleError(f"{SEAL} is altered: it is no text") from None

    def manifest(self, seal: Seal, before: int) -> int:
        """Where the manifest begins that was sealed; it ends at `before`. Raises BundleError if it is another."""
        at = before - padding(seal.size) - seal.size - BLOCK
        if at < 0 or self._at(at, BLOCK) != header(MANIFEST, seal.size):
            raise BundleError(f"{MANIFEST} does not stand where its seal says: it is missing, cut or altered")
        if self.sha256(at + BLOCK, seal.size) != seal.sha256 or not self.padded(at + BLOCK, seal.size):
            raise BundleError(f"{MANIFEST} is not the one that was signed")
        return at

    def head(self, at: int, seal: Seal) -> Manifest:
        """The manifest's first line. Raises BundleError if this engine does not know its format."""
        self._stream.seek(at + BLOCK)
        try:
            manifest = msgspec.json.decode(self._stream.readline(min(_LONGEST_LINE, seal.size)), type=Manifest)
        except msgspec.MsgspecError as error:
            raise BundleError(f"{MANIFEST} is of no format that is known here ({error})") from None
        if manifest.format != FORMAT:
            raise BundleError(f"{MANIFEST} is of the format {manifest.format!r}; known here is {FORMAT!r}")
        if (manifest.day, manifest.edition) != (seal.day, seal.edition):
            raise BundleError(f"{MANIFEST} is of {manifest.day} and its seal of {seal.day}")
        return manifest

    def signed(self, at: int, seal: Seal) -> Iterator[Member]:
        """The files that were signed, in order. Raises BundleError where a line names none."""
        start = at + BLOCK
        position, end = start + len(self._line(start, seal)), start + seal.size
        while position < end:
            line = self._line(position, seal)
            position += len(line)
            try:
                yield msgspec.json.decode(line, type=Member)
            except msgspec.MsgspecError as error:
                raise BundleError(f"{MANIFEST} has a line that names no file ({error})") from None

    def _line(self, position: int, seal: Seal) -> bytes:
        # Others read in between.
        self._stream.seek(position)
        return self._stream.readline(min(_LONGEST_LINE, seal.size))

    def found(self, at: int, end: int, expected: Member | None) -> Found | None:
        """The file that begins at `at`. Where the block before it is unreadable, it is taken for the one expected."""
        block = self._at(at, BLOCK)
        read = read_header(block)
        if read is None:
            if expected is None:
                return None
            return Found(expected.name, min(expected.size, max(0, end - at - BLOCK)), at + BLOCK, sound=False)
        name, size = read
        try:
            sound = block == header(name, size)
        except (BundleError, ValueError, UnicodeError):
            sound = False
        return Found(name, min(size, max(0, end - at - BLOCK)), at + BLOCK, sound)

    def sha256(self, start: int, size: int) -> str:
        """Of the bytes from `start` on."""
        digest = sha256()
        for piece in self.pieces(start, size):
            digest.update(piece)
        return digest.hexdigest()

    def padded(self, start: int, size: int) -> bool:
        """Whether zeros, and only zeros, fill the last block of a file."""
        return self._at(start + size, padding(size)) == bytes(padding(size))

    def lines(self, start: int, size: int) -> Iterator[bytes]:
        """The lines of a file, without their ends."""
        rest = b""
        for piece in self.pieces(start, size):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def pieces(self, start: int, size: int) -> Iterator[bytes]:
        """The bytes from `start` on, a megabyte at a time."""
        end = start + size
        while start < end:
            piece = self._at(start, min(_PIECE, end - start))
            if not piece:
                return
            start += len(piece)
            yield piece

    def _at(self, start: int, size: int) -> bytes:
        self._stream.seek(start)
        return self._stream.read(size)
