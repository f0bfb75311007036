"""The fixtures that the other rooms' tests stand on."""

from __future__ import annotations

import asyncio

import nats
import psycopg
import pytest


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_database_of_its_own(database: str, turn: int) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE fresh AS SELECT 1")


def test_the_shared_servers_answer(postgres_url: str, nats_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT current_user, current_setting('fsync')").fetchone() == (
            "token_engine",
            "on",
        )

    async def ask() -> int:
        connection = await nats.connect(nats_url)
        streams = (await connection.jetstream().account_info()).streams
        await connection.close()
        return streams

    assert asyncio.run(ask()) >= 0
