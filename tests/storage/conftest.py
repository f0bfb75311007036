"""As many empty databases as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import token_hex

import psycopg
import pytest
from psycopg import sql

from token_engine.servers import EmbeddedPostgres
from token_engine.servers.bootstrap import DATABASE, ensure_database

Databases = Callable[[], str]


@contextmanager
def _databases(server: EmbeddedPostgres) -> Iterator[Databases]:
    names: list[str] = []
    with psycopg.connect(server.admin_url, autocommit=True) as admin:

        def make() -> str:
            names.append(f"test_{token_hex(6)}")
            ensure_database(admin, names[-1])
            return server.url.replace(f"/{DATABASE}?", f"/{names[-1]}?")

        yield make
        for name in names:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def another(embedded_postgres: EmbeddedPostgres) -> Iterator[Databases]:
    """Each call makes a database, gone after the test."""
    with _databases(embedded_postgres) as make:
        yield make


@pytest.fixture(scope="module")
def another_for_all(embedded_postgres: EmbeddedPostgres) -> Iterator[Databases]:
    """Each call makes a database, gone after the module's tests."""
    with _databases(embedded_postgres) as make:
        yield make
