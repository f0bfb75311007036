"""`token-engine statement`: list statements, see what their checks found, release one by two persons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import structs

from token_engine.cli.once import fail
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.progress import progress_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import released_day, releases, statement_story
from token_engine.tiers.releases import ReleaseAct

app = typer.Typer(help="List, show and release statements.", no_args_is_help=True)
_COLUMNS: Final = {
    "id": "Id", "statement_date": "Day", "account_number": "Account", "currency": "", "state": "State",
    "ledger_balance": "Tokens", "closing_balance": "Bank holds", "difference": "Difference", "failed": "Failed checks",
    "statement_id": "Bank's name",
}  # fmt: skip
_CHECKS: Final = {"name": "Check", "outcome": "Outcome", "expected": "Expected", "actual": "Actual", "text": ""}
_STORY: Final = {"act": "Release", "at": "When (UTC)", "actor": "Who", "reason": "Why", "expires_at": "Until (UTC)"}
Id = Annotated[int, typer.Argument(metavar="STATEMENT", help="Its number here.")]
Reason = Annotated[str, typer.Option(help="Why; kept for ever.")]
_Found = dict[str, Any] | Refusal


@app.command("list")
def listing(
    account: Annotated[str | None, typer.Option(help="Id or number.")] = None,
    state: Annotated[str, typer.Option(help="accepted, quarantined, released, replaced or all.")] = "all",
    before: Annotated[int | None, typer.Option(help="Number of the last one seen.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=statement_story.LARGEST_PAGE)] = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List statements, newest first, with the checks that failed."""

    async def work(database: Database) -> list[dict[str, Any]] | Refusal:
        try:
            async with database.transaction() as tx:
                return await statement_story.listing(
                    tx, now(), account=account, state=state, before=before, limit=limit
                )  # fmt: skip
        except RefusedError as refused:
            return refused.refusal

    found = with_database(database_of(database_url, data), work)
    if isinstance(found, Refusal):
        fail(found)
    show(found if as_json else [_readable(row) for row in found], _COLUMNS, as_json=as_json)


@app.command("show")
def show_one(statement: Id, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show one with all of its checks, and who asked to release it and approved."""

    async def ask(tx: Transaction) -> _Found:
        found = await statement_story.show(tx, statement, now())
        return found or Refusal("unknown_statement", f"no statement {statement} is known here")

    _print(database_url, data, as_json, ask)


@app.command()
def release(
    statement: Id, reason: Reason, actor: Actor = "cli", data: Data = DATA, database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Ask to take in a statement that failed a check; a second person approves."""
    said = ReleaseAct(actor=actor, reason=reason)
    _print(database_url, data, as_json, lambda tx: releases.request(tx, statement, said, now()))


@app.command()
def approve(
    statement: Id, reason: Reason, actor: Actor = "cli", data: Data = DATA, database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take it in as the second person."""
    said = ReleaseAct(actor=actor, reason=reason)

    async def ask(tx: Transaction) -> _Found:
        with progress_of(f"statement {statement}") as say:
            return await releases.approve(tx, statement, said, now(), partial(released_day.release, say=say))

    _print(database_url, data, as_json, ask)


def _print(
    url: str | None, data: Path, as_json: bool, ask: Callable[[Transaction], Awaitable[_Found]]
) -> None:  # fmt: skip
    async def work(database: Database) -> _Found:
        try:
            async with database.transaction() as tx:
                return await ask(tx)
        except RefusedError as refused:
            return refused.refusal

    found = with_database(database_of(url, data), work)
    if isinstance(found, Refusal):
        fail(found)
    show([found if as_json else _readable(found)], _COLUMNS, as_json=as_json)
    if not as_json:
        show(found["checks"], _CHECKS, as_json=False)
        if found["release"]["story"]:
            show([structs.asdict(told) for told in found["release"]["story"]], _STORY, as_json=False)


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"failed": ", ".join(row["failed_checks"])}
