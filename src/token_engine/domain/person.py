"""Who acts, and why: two words that every act of a person carries.

That two persons differ is a rule of the domain; that they are who they say is the access layer's.
"""

from __future__ import annotations

from typing import Final
from unicodedata import normalize

from token_engine.domain.refusal import RefusedError

ENGINE: Final = "engine"
"""The actor of what the engine does by itself; nobody else may go by this name."""

ACTOR_LENGTH: Final = 140
REASON_LENGTH: Final = 1000


def check_actor(text: str, field: str = "actor") -> str:
    """The name as given, without blanks around it. Raises RefusedError naming `field`.

    Printable only: a character that cannot be seen would make two persons of one.
    """
    name = text.strip()
    if not 1 <= len(name) <= ACTOR_LENGTH or not name.isprintable():
        raise RefusedError(f"invalid_{field}", f"{field}: 1 to {ACTOR_LENGTH} printable characters", field)
    if same_person(name, ENGINE):
        raise RefusedError(f"invalid_{field}", f"{field}: {ENGINE!r} is what the engine does by itself", field)
    return name


def check_reason(text: str, field: str = "reason") -> str:
    """The reason without blanks around it. Raises RefusedError naming `field`; lines may be several."""
    reason = text.strip()
    if not 1 <= len(reason) <= REASON_LENGTH or not "".join(reason.splitlines()).isprintable():
        raise RefusedError("invalid_reason", f"{field}: 1 to {REASON_LENGTH} printable characters", field)
    return reason


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: case, blanks and forms of a letter make no difference."""
    return _key(one) == _key(other)


def _key(name: str) -> str:
    return "".join(normalize("NFKC", normalize("NFKC", name).casefold()).split())
