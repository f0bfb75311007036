"""Why something was not accepted, in words a person and a program can both use."""

from __future__ import annotations

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """A reason: a stable machine `code`, a sentence, and the `field` (or place) that it is about."""

    code: str
    message: str
    field: str | None = None


class RefusedError(Exception):
    """Carries a `Refusal` out of the depths of a reader to the function that returns it as a result."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, field)

    @classmethod
    def of(cls, refusal: Refusal) -> RefusedError:
        """One that carries a refusal as it is, with all that it says."""
        made = cls(refusal.code, refusal.message, refusal.field)
        made.refusal = refusal
        return made
