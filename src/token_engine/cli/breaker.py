"""`token-engine breaker`: see a circuit breaker, close it by two persons, override it for a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from msgspec import structs

from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.closing import Closing
from token_engine.domain.override import Override
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import breakers, closings, overrides
from token_engine.tiers.breakers import Act, Denied
from token_engine.tiers.overrides import NewOverride

app = typer.Typer(help="See, close and override circuit breakers.", no_args_is_help=True)
Account = Annotated[str, typer.Argument(help="Id or number.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept for ever.")]
Outcome = dict[str, Any] | Closing | Override | Denied
_STATE: Final = {
    "account_number": "Account", "circuit_breaker": "Breaker", "open_since": "Open since", "open_because": "Because",
    "bank_spoke_since_break": "Bank spoke since", "closing": "Closing", "override": "Override",
}  # fmt: skip
_ACT: Final = {
    "id": "Id", "state": "State", "requested_by": "Asked for by", "reason": "Reason", "expires_at": "Until",
}  # fmt: skip


@app.command("show")
def show_one(
    account: Account, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Show a breaker: since when and why it is open, and what is being done about it."""
    _do(database_url, data, _STATE, as_json, lambda tx, at: breakers.show(tx, account, at))


@app.command()
def request_close(
    account: Account, reason: Reason, actor: Actor = "cli",
    data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Ask to close an open breaker; a second person approves."""
    act = Act(actor=actor, reason=reason)
    _do(database_url, data, _ACT, as_json, lambda tx, at: closings.request(tx, account, act, at))


@app.command()
def approve_close(
    account: Account, closing: UUID, reason: Reason, actor: Actor = "cli",
    data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Close the breaker as the second person: only on evidence newer than the break that judges Ok now."""
    act = Act(actor=actor, reason=reason)
    _do(database_url, data, _ACT, as_json, lambda tx, at: closings.approve(tx, account, closing, act, at))


@app.command()
def withdraw_close(
    account: Account, closing: UUID, reason: Reason, actor: Actor = "cli",
    data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take a request to close back, or refuse it."""
    act = Act(actor=actor, reason=reason)
    _do(database_url, data, _ACT, as_json, lambda tx, at: closings.withdraw(tx, account, closing, act, at))


@app.command()
def override(
    account: Account, reason: Reason, minutes: Annotated[int, typer.Option(help="For how long: 1 to 1440.")],
    actor: Actor = "cli", data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Ask to let payouts through an open breaker for a time; a second person approves."""
    wanted = NewOverride(actor=actor, reason=reason, minutes=minutes)
    _do(database_url, data, _ACT, as_json, lambda tx, at: overrides.request(tx, account, wanted, at))


@app.command()
def approve_override(
    account: Account, override_id: Annotated[UUID, typer.Argument(metavar="OVERRIDE")], reason: Reason,
    actor: Actor = "cli", data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Put an override in force as the second person."""
    act = Act(actor=actor, reason=reason)
    _do(database_url, data, _ACT, as_json, lambda tx, at: overrides.approve(tx, account, override_id, act, at))


@app.command()
def revoke(
    account: Account, override_id: Annotated[UUID, typer.Argument(metavar="OVERRIDE")], reason: Reason,
    actor: Actor = "cli", data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """End an override at once."""
    act = Act(actor=actor, reason=reason)
    _do(database_url, data, _ACT, as_json, lambda tx, at: overrides.revoke(tx, account, override_id, act, at))


def _do(
    url: str | None, data: Path, columns: dict[str, str], as_json: bool,
    act: Callable[[Transaction, datetime], Awaitable[Outcome]],
) -> None:  # fmt: skip
    async def work(database: Database) -> Outcome:
        async with database.transaction() as tx:
            return await act(tx, now())

    outcome = with_database(database_of(url, data), work)
    if isinstance(outcome, Denied):
        typer.echo(f"{outcome.refusal.code}: {outcome.refusal.message}", err=True)
        raise typer.Exit(1)
    row = outcome if isinstance(outcome, dict) else structs.asdict(outcome)
    show([row if as_json else _readable(row)], columns, as_json=as_json)


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """A closing or override inside a row, as a line."""
    return row | {
        name: f"{act.state} {act.id} by {act.requested_by} until {act.expires_at:%Y-%m-%d %H:%M:%S}"
        for name, act in row.items()
        if isinstance(act, Closing | Override)
    }
