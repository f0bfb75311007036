"""Writes a bundle from beginning to end, keeping none of it in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from token_engine.archive.blocks import BLOCK, END, header, padding
from token_engine.domain.bundle import MANIFEST, SEAL, Manifest, Member, Seal, check_name
from token_engine.domain.note import Signer

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_PIECE: Final = 1024 * 1024


class GrowingFile:
    """A file of the bundle that is written piece by piece."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._hash = sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        self._out.write(piece)
        self._hash.update(piece)
        self.size += len(piece)

    def sha256(self) -> str:
        return self._hash.hexdigest()


class BundleWriter:
    """A bundle under its temporary name. Used with `with`; it is whole after `finish`, and on disk."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as open_so_far:
            # What people paid whom is in it: whoever else is to read it is given it.
            self._out = open_so_far.enter_context(open(path, "xb+", opener=partial(os.open, mode=0o600)))
            # Of a day with a million messages the list alone would fill the memory.
            self._lines = open_so_far.enter_context(tempfile.TemporaryFile(dir=path.parent))
            self._open = open_so_far.pop_all()
        self.files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    @contextmanager
    def file(self, name: str) -> Iterator[GrowingFile]:
        """A file whose size nobody knows yet."""
        with self._growing(check_name(name)) as growing:
            yield growing
        self._list(Member(name, growing.size, growing.sha256()))

    def add(self, name: str, content: bytes) -> None:
        """A file that is at hand."""
        self._put(check_name(name), content)
        self._list(Member(name, len(content), sha256(content).hexdigest()))

    def finish(self, manifest: Manifest, signer: Signer) -> str:
        """Write the manifest, seal it and flush all to disk; the manifest's SHA-256."""
        self._lines.seek(0)
        with self._growing(MANIFEST) as listed:
            listed.write(_encode(manifest) + b"\n")
            while piece := self._lines.read(_PIECE):
                listed.write(piece)
        seal = Seal(manifest.day, manifest.edition, listed.size, listed.sha256())
        self._put(SEAL, signer.sign(seal.text()).encode())
        self._out.write(END)
        self._out.flush()
        os.fsync(self._out.fileno())
        return seal.sha256

    @contextmanager
    def _growing(self, name: str) -> Iterator[GrowingFile]:
        """The block before the file is written when it is whole."""
        start = self._out.tell()
        self._out.write(bytes(BLOCK))
        growing = GrowingFile(self._out)
        yield growing
        self._out.write(bytes(padding(growing.size)))
        end = self._out.tell()
        self._out.seek(start)
        self._out.write(header(name, growing.size))
        self._out.seek(end)

    def _put(self, name: str, content: bytes) -> None:
        self._out.write(header(name, len(content)) + content + bytes(padding(len(content))))

    def _list(self, member: Member) -> None:
        self._lines.write(_encode(member) + b"\n")
        self.files += 1
