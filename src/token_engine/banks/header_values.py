"""Credentials as values of request headers."""

from __future__ import annotations

from token_engine.banks.secrets import SecretMissingError, SecretReference


def header_value(reference: SecretReference) -> str:
    """The credential as it lies there now. Raises SecretMissingError, also for one that no header can carry."""
    value = reference.read()
    if not value.isascii() or not (text := value.decode().strip()).isprintable() or not text:
        raise SecretMissingError(f"{reference.env or reference.file} holds no value for a header: printable ASCII")
    return text
