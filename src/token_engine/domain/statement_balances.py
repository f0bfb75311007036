"""Which of a statement's balances open and close it."""

from __future__ import annotations

from token_engine.domain.checks import CLOSING, OPENING
from token_engine.domain.notification import Heading, StatedBalance


def opening_of(heading: Heading) -> StatedBalance | None:
    """The booked balance that the statement opens with."""
    return _one(heading, OPENING)


def closing_of(heading: Heading) -> StatedBalance | None:
    """The booked balance that the statement closes with."""
    return _one(heading, CLOSING)


def _one(heading: Heading, codes: tuple[str, ...]) -> StatedBalance | None:
    return next((b for b in heading.balances if b.code in codes and not b.interim), None)
