"""`token-engine polling`: how an account's bank is asked through the day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from token_engine.cli.once import ask
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl
from token_engine.cli.session import show
from token_engine.storage.database import Transaction
from token_engine.tiers import polling
from token_engine.tiers.polling import NewPolling

app = typer.Typer(help="How banks are asked through the day.", no_args_is_help=True)
_COLUMNS: Final = {
    "account_number": "Account", "connection": "Connection", "every_minutes": "Every (min)", "polls_a_day": "Budget",
    "asked_in_24_hours": "Asked in 24 h", "next_slot_at": "Next (UTC)", "last": "Last answer",
}  # fmt: skip
Account = Annotated[str, typer.Argument(help="Id or number.")]


@app.command("set")
def save(
    account: Account,
    connection: Annotated[str, typer.Option(help="Name of the access to its bank.")],
    every: Annotated[int, typer.Option(help="Minutes between slots: 15, 30 or 60.")] = 30,
    polls_a_day: Annotated[int | None, typer.Option(help="What the bank allows in any 24 hours; PSD2: 4.")] = None,
    resource: Annotated[str | None, typer.Option(help="The bank's name for the account in its API.")] = None,
    business_days_only: Annotated[bool, typer.Option(help="By the account's statement calendar.")] = False,
    replaces_position: Annotated[bool, typer.Option(help="The bank sends no messages of this account.")] = False,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Ask an account's bank from now on. Audited."""
    wanted = NewPolling(
        actor=actor, connection=connection, every_minutes=every, polls_a_day=polls_a_day, resource=resource,
        business_days_only=business_days_only, replaces_position=replaces_position,
    )  # fmt: skip
    _print(database_url, data, as_json, lambda tx, at: polling.save(tx, account, wanted, at))


@app.command("show")
def show_one(
    account: Account, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """How it is asked, when next, and what it said the last times (all of them with --json)."""
    _print(database_url, data, as_json, lambda tx, at: polling.show(tx, account, at))


@app.command("end")
def end(
    account: Account, actor: Actor = "cli", data: Data = DATA, database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Ask its bank no more. Audited."""
    _print(database_url, data, as_json, lambda tx, at: polling.end(tx, account, actor, at))


def _print(
    url: str | None, data: Path, as_json: bool, what: Callable[[Transaction, datetime], Awaitable[dict[str, Any]]]
) -> None:
    found = ask(url, data, what)
    show([found if as_json else _readable(found)], _COLUMNS, as_json=as_json)


def _readable(view: dict[str, Any]) -> dict[str, Any]:
    last = view["polls"][0] if view.get("polls") else None
    said = None
    if last is not None:
        said = last["refusal_code"] or last.get("level") or "being asked"
    return view | (view["polling"] or {}) | {"last": said}
