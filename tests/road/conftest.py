"""A migrated database for the road. What `void` does is rolled back: a thousand examples share it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from road.bench import Bench
from token_engine.servers import EmbeddedPostgres
from token_engine.servers.bootstrap import DATABASE, ensure_database
from token_engine.storage.migrate import migrate


@pytest.fixture(scope="session")
def shared_database(embedded_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A migrated database for tests that commit nothing."""
    name = f"void_{secrets.token_hex(6)}"
    url = embedded_postgres.url.replace(f"/{DATABASE}?", f"/{name}?")
    with psycopg.connect(embedded_postgres.admin_url, autocommit=True) as admin:
        ensure_database(admin, name)
        migrate(url)
        yield url
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def bench(shared_database: str) -> Iterator[Bench]:
    """A connection for the road, and a loop to run it in."""
    with asyncio.Runner() as runner:
        bench = Bench(runner, shared_database)
        yield bench
        bench.close()


@pytest.fixture
def migrated(database: str) -> str:
    """A fresh database of this test's own, with the schema: for tests that commit."""
    migrate(database)
    return database
