"""Versioned migrations: `migrations/NNNN_name.sql`, applied in order, each in its own transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

import psycopg

from token_engine.storage.database import CONNECT_SECONDS

_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_LOCK: Final = 0x746F6B656E  # "token": one migrator at a time, however many engines start


class Migration(NamedTuple):
    """One step of the schema."""

    version: int
    name: str
    sql: str


class MigrationError(Exception):
    """The database's schema and this engine do not fit; the message says why and what to do."""


def migrations() -> list[Migration]:
    """All steps that this engine knows, in order."""
    return sorted(_find())


def _find() -> Iterator[Migration]:
    for file in (files("token_engine.storage") / "migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            yield Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))


def migrate(url: str, *, up_to: int | None = None) -> list[Migration]:
    """Bring the database at `url` to the newest schema (or `up_to`); return the steps taken.

    Raises MigrationError if the database is newer than this engine or an applied step was altered,
    and psycopg.Error if a step fails; that step is rolled back whole.
    """
    steps = [m for m in migrations() if up_to is None or m.version <= up_to]
    with psycopg.connect(
        url, autocommit=True, application_name="token-engine migrate", connect_timeout=CONNECT_SECONDS
    ) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        connection.execute(
            """CREATE TABLE IF NOT EXISTS schema_migrations (
                version INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL,
                applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"""
        )
        rows = connection.execute("SELECT version, digest FROM schema_migrations").fetchall()
        applied: dict[int, str] = dict(rows)
        _check(applied)
        taken = [m for m in steps if m.version not in applied]
        for step in taken:
            with connection.transaction():
                connection.execute(step.sql.encode())
                connection.execute(
                    "INSERT INTO schema_migrations (version, name, digest) VALUES (%s, %s, %s)",
                    [step.version, step.name, _digest(step)],
                )
        return taken


def _check(applied: dict[int, str]) -> None:
    known = {m.version: _digest(m) for m in migrations()}
    for version, digest in applied.items():
        if version not in known:
            raise MigrationError(
                f"the database has schema version {version}, newer than the {max(known)} of this engine: "
                "run the engine that made it, or a newer one"
            )
        if known[version] != digest:
            raise MigrationError(f"migration {version} was altered after it was applied to this database")


def _digest(step: Migration) -> str:
    return sha256(step.sql.encode()).hexdigest()
