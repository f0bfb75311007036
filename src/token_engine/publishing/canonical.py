"""Values as JSON that is the same, byte for byte, whenever the data is (the form of RFC 8785).

Members in order, no blanks, UTF-8. Amounts are decimal strings in their currency's decimals, never numbers; times are
UTC with a Z.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec

from token_engine.domain.dataset import Dataset
from token_engine.domain.money import in_currency

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def digest(dataset: Dataset) -> str:
    """SHA-256, in hexadecimal, of the dataset's bytes as JSON."""
    hashed = sha256()
    for piece in pieces(dataset):
        hashed.update(piece)
    return hashed.hexdigest()


def as_json(dataset: Dataset) -> bytes:
    """The whole of it."""
    return b"".join(pieces(dataset))


def pieces(dataset: Dataset) -> Iterator[bytes]:
    """Its bytes, account by account, so that nobody holds two copies of a large one."""
    for number, name in enumerate(sorted(_members(Dataset))):
        yield f"{',' if number else '{'}{_encode(name)}:".encode()
        member = getattr(dataset, name)
        if not isinstance(member, list):
            yield _encode(plain(member)).encode()
            continue
        yield b"["
        for place, value in enumerate(member):
            yield (("," if place else "") + _encode(plain(value))).encode()
        yield b"]"
    yield b"}"


def compact(value: Any) -> bytes:
    """Any value of structs, lists and words in the same form."""
    return _encode(plain(value)).encode()


def plain(value: Any, currency: str = "") -> Any:
    """A value in words that JSON has. An amount is written in the currency of the struct that it stands in."""
    match value:
        case None | bool() | int() if not isinstance(value, Enum):
            return value
        case Decimal():
            return in_currency(value, currency)
        case Enum():
            return value.value
        case str():
            return value
        case datetime():
            text = value.astimezone(UTC).isoformat()
            return text.removesuffix("+00:00") + "Z"
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case msgspec.Struct():
            own = currency_of(value) or currency
            return {name: plain(getattr(value, name), own) for name in _members(type(value))}
        case dict():
            own = value.get("currency") or currency
            return {str(name): plain(member, own) for name, member in value.items()}
        case list() | tuple():
            return [plain(member, currency) for member in value]
        case _:
            raise TypeError(f"no form for {type(value).__name__}")


def currency_of(value: msgspec.Struct) -> str | None:
    """The currency that a struct's amounts are in, where it says one: itself, or its closing line."""
    found: str | None = getattr(value, "currency", None) or getattr(getattr(value, "closing", None), "currency", None)
    return found


@cache
def _members(of: type[msgspec.Struct]) -> tuple[str, ...]:
    return of.__struct_fields__
