"""Credentials by reference: the engine is told where one lies, and its value stays out of settings, logs and errors."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class SecretMissingError(Exception):
    """A reference leads nowhere. The message names the reference, never a value."""


class SecretReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a credential lies: in the environment variable `env`, or in the file `file` (one of the two)."""

    env: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError("a credential is named by env or by file: one of the two")

    def read(self) -> bytes:
        """The credential as it lies there now, so that a rotated one is found. One trailing line end is none of it.

        Raises SecretMissingError.
        """
        if self.env is not None:
            value = os.environb.get(self.env.encode())
            if not value:
                raise SecretMissingError(f"environment variable {self.env} is not set")
            return value
        assert self.file is not None
        try:
            content = Path(self.file).read_bytes()
        except OSError as error:
            raise SecretMissingError(f"file {self.file}: {error.strerror}") from None
        return content.removesuffix(b"\n").removesuffix(b"\r")
