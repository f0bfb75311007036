"""The real servers, once for the whole run; a database of its own for each test that asks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from token_engine.servers import EmbeddedNats, EmbeddedPostgres
from token_engine.servers.bootstrap import DATABASE, ensure_database


@pytest.fixture(scope="session")
def embedded_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("servers") / "postgres")
    server.start(print)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url(embedded_postgres: EmbeddedPostgres) -> str:
    """The engine's own role on its own database, shared by the whole run."""
    return embedded_postgres.url


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JetStream server, shared by the whole run. Not on 4222: that may be somebody's own."""
    server = EmbeddedNats(tmp_path_factory.mktemp("servers") / "nats", preferred_port=None)
    yield server.start(print)
    server.stop()


@pytest.fixture
def database(embedded_postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a fresh, empty database that the engine's role owns. Gone after the test."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(embedded_postgres.admin_url, autocommit=True) as admin:
        ensure_database(admin, name)
        yield embedded_postgres.url.replace(f"/{DATABASE}?", f"/{name}?")
        # FORCE: a test that failed may have left its connections open.
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
