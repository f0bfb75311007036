"""The engine's own role and database. Checked at every start, so a crash in between is repaired."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

ROLE: Final = "token_engine"
DATABASE: Final = "token_engine"


def ensure_role(connection: psycopg.Connection[tuple[object, ...]], password: str) -> None:
    """A role that can log in and nothing more, with the password that the engine's file holds."""
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
    # Hashed here, so that no statement (and no log of a statement) ever shows the password.
    verifier = connection.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256")
    connection.execute(
        sql.SQL(
            "{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {verifier}"
        ).format(
            verb=sql.SQL("ALTER" if known else "CREATE"),
            role=sql.Identifier(ROLE),
            verifier=sql.Literal(verifier.decode()),
        )
    )


def ensure_database(connection: psycopg.Connection[tuple[object, ...]], name: str = DATABASE) -> None:
    """A database that the engine's role owns, closed to other roles. Needs autocommit."""
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    database, role = sql.Identifier(name), sql.Identifier(ROLE)
    if not known:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
