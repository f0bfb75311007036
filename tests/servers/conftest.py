"""Servers of their own for the tests that break them, and what they said while they started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from token_engine.servers import EmbeddedNats, EmbeddedPostgres


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    with contextlib.closing(_Stopping(server)):
        yield server


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[EmbeddedNats]:
    server = EmbeddedNats(tmp_path / "nats", preferred_port=None)
    with contextlib.closing(_Stopping(server)):
        yield server


class _Stopping:
    def __init__(self, server: EmbeddedPostgres | EmbeddedNats) -> None:
        self._server = server

    def close(self) -> None:
        self._server.stop()
