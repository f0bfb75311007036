"""Lists of values sent as array literals come back as they were, whatever a sender put into them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from token_engine.storage.columns import BytesColumn, Column, JsonColumn, register

HOSTILE = [
    "", " ", "NULL", "null", "nil", '"', '""', "'", "''", "\\", "\\\\", '\\"', "\\n", "\\\\n", "\\u0041", "\\x41", "{",
    "}", "{}", "{,}", ",", "a,b", '{"a"}', "(1)", "a\\", '"\\', "é", "漢字", "🏦", "\u202e", "\u2028", "\ufeff", "\x7f",
    "\x80", "$1", "%s", "--", "; DROP TABLE", "E'\\x'", "$$", "\\b", "\\\\\\", 'x"y\\z,{w}', "a\\\\b\\\\\\c",
]  # fmt: skip


class Echo:
    """Sends a column as a parameter of a type and reads it back."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection: AsyncConnection[Any] = self._runner.run(AsyncConnection.connect(url, autocommit=True))
        register(self._connection)

    def __call__(self, column: Column, of: str) -> list[Any]:
        async def ask() -> list[Any]:
            cursor = await self._connection.execute(f"SELECT x FROM unnest(%s::{of}[]) x".encode(), [column])
            return [row[0] for row in await cursor.fetchall()]

        return self._runner.run(ask())

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


@pytest.fixture(scope="module")
def echo(postgres_url: str) -> Iterator[Echo]:
    echo = Echo(postgres_url)
    yield echo
    echo.close()


def test_hostile_texts_come_back_as_they_were_alone_and_together(echo: Echo) -> None:
    assert echo(Column(HOSTILE), "text") == HOSTILE
    for word in HOSTILE:
        assert echo(Column([word]), "varchar") == [word]
        assert echo(Column([None, word, None]), "text") == [None, word, None]


def test_a_text_comes_back_the_same_whatever_stands_beside_it(echo: Echo) -> None:
    assert echo(Column(["\n", *HOSTILE]), "text") == [" ", *HOSTILE]


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.sampled_from(HOSTILE)))
@settings(max_examples=60, deadline=None)
def test_any_text_without_controls_comes_back_as_it_was(echo: Echo, texts: list[str | None]) -> None:
    assert echo(Column(texts), "text") == texts


@given(st.lists(st.text(max_size=8), max_size=5))
@settings(max_examples=60, deadline=None)
def test_control_characters_become_blanks_and_nothing_else_changes(echo: Echo, texts: list[str]) -> None:
    assert echo(Column(texts), "text") == ["".join(" " if c < " " else c for c in text) for text in texts]


texts_of_json = st.text(st.characters(exclude_categories=["Cs"]))
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts_of_json,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts_of_json, inner),
    max_leaves=5,
).map(json.dumps) | st.sampled_from([json.dumps(HOSTILE), json.dumps(HOSTILE, ensure_ascii=False)])  # fmt: skip


@given(st.lists(st.none() | json_texts, max_size=5))
@settings(max_examples=60, deadline=None)
def test_json_texts_come_back_to_the_letter(echo: Echo, texts: list[str | None]) -> None:
    assert echo(JsonColumn(texts), "text") == texts
    expected = [None if text is None else json.loads(text) for text in texts]
    assert echo(JsonColumn(texts), "json") == expected


@pytest.mark.parametrize(
    ("values", "of"),
    [
        ([True, False, None], "boolean"),
        ([0, -1, 2**62, None], "bigint"),
        ([*map(Decimal, ("0E-8", "1E+3", "-0.00000001", "999999999999999999.99999999")), None], "numeric"),
        ([date(1, 1, 1), date(9999, 12, 31), date(2025, 11, 18), None], "date"),
        ([UUID(int=0), UUID(int=2**128 - 1), None], "uuid"),
        (
            [
                datetime(2025, 11, 18, 12, tzinfo=UTC),
                datetime(2025, 11, 18, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
                datetime(1, 1, 2, tzinfo=UTC),
                None,
            ],
            "timestamptz",
        ),
        ([None, None], "text"),
        ([], "uuid"),
    ],
)  # fmt: skip
def test_values_of_every_type_come_back_as_they_were(echo: Echo, values: Sequence[Any], of: str) -> None:
    assert echo(Column(values), of) == list(values)


@given(st.lists(st.decimals(-(10**17), 10**17, places=8), max_size=10))
@settings(max_examples=40, deadline=None)
def test_amounts_come_back_to_the_digit(echo: Echo, amounts: list[Decimal]) -> None:
    assert echo(Column(amounts), "numeric") == amounts


@given(st.lists(st.binary(max_size=300), max_size=5))
@settings(max_examples=40, deadline=None)
def test_bytes_come_back_as_they_were(echo: Echo, values: list[bytes]) -> None:
    assert echo(BytesColumn(values), "bytea") == values


def test_every_byte_and_none_at_all(echo: Echo) -> None:
    assert echo(BytesColumn([bytes(range(256)), b"", b"\\x41"]), "bytea") == [bytes(range(256)), b"", b"\\x41"]
    assert echo(BytesColumn([]), "bytea") == []
