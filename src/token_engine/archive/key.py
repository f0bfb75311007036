"""The private key that seals bundles: a file that its user alone may read. It is never printed, logged or stored."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from token_engine.domain.bundle import BundleError
from token_engine.domain.note import NoteError, Signer, Verifier, read_signer, read_verifier


def new_key(path: Path, name: str) -> Verifier:
    """Make a key under this name; its public part. Raises BundleError if the file is there: what it sealed would have
    nobody to vouch for it; NoteError for a name that a key cannot have; OSError if it cannot be written.
    """
    signer = Signer(name, secrets.token_bytes(32))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BundleError(f"{path} is there already, and stays as it is") from None
    with os.fdopen(fd, "w", encoding="utf-8") as out:
        os.fchmod(fd, 0o600)
        out.write(f"{signer.secret()}\n")
        out.flush()
        os.fsync(fd)
    return signer.verifier


def load_key(path: Path) -> Signer:
    """The key in the file. Raises BundleError if there is none, or others may read it."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise BundleError(f"{path} may be read by others than its user: chmod 600 it, or make another key")
        return read_signer(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"there is no key {path}: make one with `token-engine archive-key new NAME`") from None
    except (NoteError, ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error if isinstance(error, NoteError) else "no text"
        raise BundleError(f"{path}: {why}") from None


def public_key(given: str) -> Verifier:
    """The public key that was given, as text or as the name of a file that holds it. Raises BundleError if neither."""
    try:
        return read_verifier(given if "+" in given else Path(given).read_text("utf-8"))
    except NoteError as error:
        raise BundleError(str(error)) from None
    except (OSError, ValueError):
        raise BundleError(f"{given!r} is no public key (name+id+base64), and no file that holds one") from None
