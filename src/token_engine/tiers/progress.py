"""How far an act has come that takes minutes, as the act itself says it, to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is under way, in words, and how many bytes of how many are done: 0 of 0 where none are counted."""


def unheard(what: str, done: int, of: int) -> None:
    """For whoever does not look."""
