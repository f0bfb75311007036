"""Where bundles are put away: a folder, or a bucket of a store that speaks S3. Neither ever has half a bundle under its
name, and another bundle under a name that is taken is refused.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from token_engine.domain.bundle import BundleError

_PART: Final = 8 * 1024 * 1024


class Store(Protocol):
    """Somewhere to put bundles."""

    @property
    def place(self) -> str:
        """As people name it."""

    def staging(self) -> Path:
        """The folder to write a bundle in before it is put away. Raises BundleError if it cannot be used."""

    def put(self, staged: Path, name: str) -> bool:
        """Put it away under this name; False if it was there, the same to the byte. Raises BundleError if something
        else is, or if the store refuses.
        """


def store_at(to: str) -> Store:
    """`s3://bucket/prefix`, or else a folder."""
    if not to.startswith("s3://"):
        return Folder(Path(to))
    parts = urlsplit(to)
    if not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise BundleError(f"{to!r} is no place in a bucket: s3://bucket/prefix")
    return Bucket(parts.netloc, parts.path.strip("/"))


@contextmanager
def staged(store: Store) -> Iterator[Path]:
    """A name for a bundle that is not whole yet; what is left of it is deleted."""
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=store.staging()) as folder:
        yield Path(folder) / "bundle.tar"


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        return str(self.path)

    def staging(self) -> Path:
        # On the same disk: a name is given to a whole file at once.
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BundleError(f"{self.path}: {error.strerror}") from None
        return self.path

    def put(self, staged: Path, name: str) -> bool:
        target = self.path / name
        try:
            os.link(staged, target)  # unlike a rename, it never takes a name that is taken
        except FileExistsError:
            if _digest(target) != _digest(staged):
                raise BundleError(f"{target} is there already, and is another: it stays as it is") from None
            return False
        except OSError as error:
            raise BundleError(f"{target}: {error.strerror}") from None
        _sync(self.path)
        return True


class Bucket:
    """A bucket, and a prefix in it. Who we are there is told by the environment alone (AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …): a command line is seen by all.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        try:
            self._store = S3Store(bucket, prefix=prefix or None)
        except (BaseError, ValueError) as error:
            raise self._refused(error) from None

    @property
    def place(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def staging(self) -> Path:
        return Path(tempfile.gettempdir())

    def put(self, staged: Path, name: str) -> bool:
        # An upload in parts shows nothing until its last word, so the name is the whole bundle's or nobody's. Two
        # engines do not come here at once: one archives at a time.
        try:
            if (there := self._digest(name)) is None:
                obstore.put(self._store, name, staged, use_multipart=True, chunk_size=_PART, max_concurrency=2)
                there = self._digest(name)
                if there != _digest(staged):
                    raise BundleError(f"{self.place}/{name}: what the store gives back is not what it was given")
                return True
        except (BaseError, OSError) as error:
            raise self._refused(error) from None
        if there != _digest(staged):
            raise BundleError(f"{self.place}/{name} is there already, and is another: it stays as it is")
        return False

    def _digest(self, name: str) -> str | None:
        """Of what is there under this name, read back."""
        digest = sha256()
        try:
            for piece in obstore.get(self._store, name).stream(min_chunk_size=_PART):
                digest.update(piece)
        except FileNotFoundError:
            return None
        return digest.hexdigest()

    def _refused(self, error: Exception) -> BundleError:
        """The first line says why; what follows is for those who debug the client."""
        return BundleError(f"{self.place}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
