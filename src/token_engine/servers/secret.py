"""Passwords that the engine makes up, and keeps in files that only its user reads."""

from __future__ import annotations

import secrets
from pathlib import Path

from token_engine.servers.durable import replace
from token_engine.servers.error import ServerError


def kept(file: Path) -> str:
    """The secret in `file`, made up the first time."""
    try:
        secret = file.read_text("ascii").strip()
    except FileNotFoundError:
        secret = ""
    except (OSError, ValueError) as error:
        raise ServerError(
            f"The password file {file} cannot be read: {error}.\nGive this user the right to read it."
        ) from error
    if not secret:
        # Letters, digits, - and _: the same in a URL, and 256 bits.
        secret = secrets.token_urlsafe(32)
        replace(file, f"{secret}\n".encode())
    return secret
