"""The blocks of a tar (POSIX ustar) as a bundle has them: for a name and a size there is one spelling, so a byte that
is another is found wherever it stands, and `tar xf` opens what we wrote.
"""

from __future__ import annotations

from tarfile import USTAR_FORMAT, HeaderError, TarError, TarInfo
from typing import Final

from token_engine.domain.bundle import BundleError

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
LARGEST: Final = 8**11 - 1
"""Eleven octal digits: 8 GiB."""


def header(name: str, size: int) -> bytes:
    """The block before a file of `size` bytes. Raises BundleError if it is too large for a ustar."""
    if size > LARGEST:
        raise BundleError(f"{name}: {size} bytes are more than a file of a bundle can have ({LARGEST})")
    of = TarInfo(name)
    of.size = size
    return of.tobuf(USTAR_FORMAT)


def padding(size: int) -> int:
    """How many zeros follow a file of `size` bytes."""
    return -size % BLOCK


def read_header(block: bytes) -> tuple[str, int] | None:
    """Name and size in a block, as loosely as any tar reads them; None if it is no header."""
    try:
        of = TarInfo.frombuf(block, "utf-8", "backslashreplace")
    except (HeaderError, TarError, ValueError):
        return None
    return (of.name, of.size) if of.size >= 0 else None
