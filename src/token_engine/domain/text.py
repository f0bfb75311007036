"""Words that people and other systems bring: of a length that fits, and nothing in them that cannot be seen."""

from __future__ import annotations

from typing import Final

from token_engine.domain.refusal import RefusedError

NAME_LENGTH: Final = 140
"""Holders, references and actors at rest."""
REASON_LENGTH: Final = 500
"""Why a movement was posted, or what became of an entry."""


def check_text(text: str, field: str, length: int = NAME_LENGTH) -> str:
    """The text without blanks around it. Raises RefusedError naming `field`."""
    if len(text.strip()) >= 1 and len(text) <= length and text.isprintable():
        return text.strip()
    raise RefusedError("invalid_text", f"{field}: 1 to {length} printable characters", field)
