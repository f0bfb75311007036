"""Connections and transactions. Every statement of the engine runs inside a `Transaction`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from psycopg import AsyncConnection, AsyncCursor
from psycopg_pool import AsyncConnectionPool

from token_engine.storage.columns import register
from token_engine.storage.turns import Turn

# A generic plan on tables that were empty when statistics were last taken can be a hash join over a
# sequential scan, which cost 14 times the right plan in a trial. The statements of the road are index
# look-ups by construction, so the other ways are closed to them; a test guards the plans.
_PINNED_PLANS = (
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET enable_bitmapscan = off",
    "SET jit = off",
)


CONNECT_SECONDS: Final = 10
"""A server that takes the call and then says nothing is given up after this long."""


class Transaction:
    """An open transaction. Where several run at once, each has its `turn` at the accounts that it locks."""

    def __init__(self, connection: AsyncConnection[Any], turn: Turn | None = None) -> None:
        self.connection = connection
        self.turn = turn or Turn()

    async def execute(self, statement: bytes, parameters: Sequence[Any] | dict[str, Any] = ()) -> AsyncCursor[Any]:
        """Run one statement. Errors of psycopg pass through: the transaction is lost with them."""
        return await self.connection.execute(statement, parameters)


@asynccontextmanager
async def pipelined_transaction(connection: AsyncConnection[Any]) -> AsyncIterator[Transaction]:
    """A transaction that waits for the server only where an answer is read, and at its end for the commit.

    BEGIN travels with the first statements and COMMIT with the last. After any failure nothing was committed
    (or, where the server went away, nobody can tell yet) and the connection is closed: a backend that ends
    inside a pipeline leaves it stuck there for good and yet not `broken`, and no failure is so frequent that
    telling them apart would pay.
    """
    try:
        async with connection.pipeline():
            await connection.execute(b"BEGIN")
            yield Transaction(connection)
            await connection.execute(b"COMMIT")
    except BaseException:
        await connection.close()
        raise


class Database:
    """A PostgreSQL database: a pool for questions, and connections of their own for the road."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = url
        self._pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            open=False,
            timeout=10,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            kwargs={"autocommit": True, "application_name": "token-engine", "connect_timeout": CONNECT_SECONDS},
        )

    async def open(self) -> None:
        """Open the pool. Raises psycopg.Error at once, with the reason, if the database cannot be used."""
        await (await AsyncConnection.connect(self.url, connect_timeout=CONNECT_SECONDS)).close()
        await self._pool.open(wait=True, timeout=30)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, turn: Turn | None = None) -> AsyncIterator[Transaction]:
        """A transaction on a pooled connection: commits at the end, rolls back on an error."""
        async with self._pool.connection() as connection, connection.transaction():
            yield Transaction(connection, turn)

    @asynccontextmanager
    async def connection_for_the_relay(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection in autocommit, not pooled: the lock of the leader goes when it is closed."""
        async with await AsyncConnection.connect(
            self.url, autocommit=True, application_name="token-engine relay", connect_timeout=CONNECT_SECONDS
        ) as connection:
            register(connection)
            # What it does is taking out what was published. Lost with the power, that is done again, and
            # JetStream drops the second copies: no reason to wait for the disk, or to make others wait.
            await connection.execute("SET synchronous_commit = off")
            yield connection

    async def connect_for_the_road(self) -> AsyncConnection[Any]:
        """A connection of one's own whose plans are pinned to index look-ups."""
        connection = await AsyncConnection.connect(
            self.url, autocommit=True, application_name="token-engine road", prepare_threshold=0,
            connect_timeout=CONNECT_SECONDS,
        )  # fmt: skip
        register(connection)
        for statement in _PINNED_PLANS:
            await connection.execute(statement.encode())
        return connection


async def _configure(connection: AsyncConnection[Any]) -> None:
    register(connection)
