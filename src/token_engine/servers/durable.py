"""Writes that are either done or not done, whenever the power goes."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace(file: Path, content: bytes) -> None:
    """Write a file of mode 0600 in one step: readers see the old content or the new, never half."""
    new = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def rename(source: Path, target: Path) -> None:
    """Rename, and make sure that the new name outlives a power cut."""
    source.rename(target)
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Flush the names in a directory."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
