"""Acts on money at the command line: once for their key, as through every door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import typer

from token_engine.cli.options import database_of
from token_engine.cli.session import now, with_database
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage.database import Database, Transaction
from token_engine.tiers.once import Answer, once

Key = Annotated[str | None, typer.Option("--key", help="Idempotency key: the same again is answered, not done again.")]
_T = TypeVar("_T", bound=msgspec.Struct)


def do_once(
    url: str, key: str, operation: str, wanted: _T,
    act: Callable[[Transaction, _T, str, datetime], Awaitable[dict[str, Any]]], status: int = 201,
) -> dict[str, Any]:  # fmt: skip
    """Do it once for its key; what it came to. Exits 1 with the reason where it is refused."""

    async def ask(tx: Transaction) -> Answer:
        at = now()
        return await once(tx, key, operation, wanted, at, lambda: act(tx, wanted, key, at), status)

    return answered(url, ask)


def answered(url: str, ask: Callable[[Transaction], Awaitable[Answer]]) -> dict[str, Any]:
    """Ask in a transaction; what it came to. Exits 1 with the reason where it is refused."""

    async def work(database: Database) -> Answer:
        async with database.transaction() as tx:
            return await ask(tx)

    answer = with_database(url, work)
    if answer.status >= 400:
        fail(msgspec.json.decode(answer.content, type=Refusal))
    done: dict[str, Any] = msgspec.json.decode(answer.content)
    return done


def ask(
    url: str | None, data: Path, what: Callable[[Transaction, datetime], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Ask in a transaction of the database at `url`, or of the engine on `data`; exits 1 with the reason where it is
    refused.
    """

    async def work(database: Database) -> dict[str, Any] | Refusal:
        try:
            async with database.transaction() as tx:
                return await what(tx, now())
        except RefusedError as refused:
            return refused.refusal

    found = with_database(database_of(url, data), work)
    if isinstance(found, Refusal):
        fail(found)
    return found


def fail(refusal: Refusal) -> NoReturn:
    """Say why not, and exit 1."""
    typer.echo(f"{refusal.code}: {refusal.message}", err=True)
    raise typer.Exit(1)
