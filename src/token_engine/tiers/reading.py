"""An order's JSON read into its struct, or a refusal that names the member."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from token_engine.domain.refusal import Refusal, RefusedError

Order = TypeVar("Order", bound=msgspec.Struct)


def read_order(raw: bytes, of: type[Order]) -> Order:
    """The order. Raises RefusedError: it is no JSON, or has a member that is wrong."""
    try:
        return msgspec.json.decode(raw, type=of)
    except msgspec.ValidationError as wrong:
        why = _unreadable(str(wrong))
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        why = Refusal("invalid_json", str(wrong))
    raise RefusedError(why.code, why.message, why.field)


def _unreadable(wrong: str) -> Refusal:
    """The member that a body lacks or has wrong, as its reader says it."""
    text, _, place = wrong.partition(" - at `$")
    field = place.rstrip("`").lstrip(".") or None
    if "`" in text and ("missing required field" in text or "unknown field" in text):
        member = text.split("`")[1]
        field = f"{field}.{member}" if field else member
    return Refusal("invalid_request", f"{field}: {text}" if field else text, field)
