"""One server for all banks of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.bank import Bank, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def bank(server: Server) -> Iterator[Bank]:
    with server.bank() as bank:
        yield bank
