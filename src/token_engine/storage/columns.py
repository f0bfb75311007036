"""Lists of values as PostgreSQL array literals, for statements that take a batch through `unnest`.

A JSON array of scalars and an array literal differ only in brackets once nothing needs a JSON escape
that PostgreSQL reads differently, so the C encoder of msgspec does the work of psycopg's
per-element dumpers, which are Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Column:
    """One column of a batch: str, Decimal, int, bool, UUID, date or datetime values, or None."""

    __slots__ = ("literal",)

    def __init__(self, values: Iterable[Any]) -> None:
        values = list(values)
        encoded = _encode(values)
        if b"\\" in encoded and _has_json_only_escape(encoded):
            encoded = _encode([_without_controls(value) for value in values])
        self.literal = b"{" + encoded[1:-1] + b"}"


class JsonColumn(Column):
    """One column of a batch of JSON texts, or None. JSON writes a control character as an escape, so that
    none can stand in the text itself and the look for one is saved.
    """

    __slots__ = ()

    def __init__(self, values: Iterable[str | None]) -> None:
        self.literal = b"{" + _encode(list(values))[1:-1] + b"}"


class BytesColumn(Column):
    """One column of a batch of bytes values, none of them None."""

    __slots__ = ()

    def __init__(self, values: Iterable[bytes]) -> None:
        quoted = b",".join(b'"\\\\x' + value.hex().encode() + b'"' for value in values)
        self.literal = b"{" + quoted + b"}"


def _has_json_only_escape(encoded: bytes) -> bool:
    r"""True if a JSON escape other than \" and \\ occurs: an array literal would read it as a letter."""
    rest = encoded.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"\\" in rest


def _without_controls(value: Any) -> Any:
    """Control characters, which no identifier of a bank may have, become blanks."""
    if isinstance(value, str):
        return "".join(" " if ord(c) < 32 else c for c in value)
    return value


class _ColumnDumper(Dumper):
    oid = 0  # the statement's cast says which array it is

    def dump(self, obj: Column) -> Buffer:
        return obj.literal


def register(connection: AsyncConnection[Any]) -> None:
    """Teach a connection to send Columns."""
    for column in (Column, JsonColumn, BytesColumn):
        connection.adapters.register_dumper(column, _ColumnDumper)
