"""`token-engine accounts`: take accounts on, list, show and close them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import typer

from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.ledger import Mode
from token_engine.domain.refusal import Refusal
from token_engine.storage.database import Database
from token_engine.tiers import accounts as tier
from token_engine.tiers.accounts import NewAccount

app = typer.Typer(help="Take accounts on, list, show and close them.", no_args_is_help=True)
_COLUMNS: Final = {
    "account_number": "Account",
    "currency": "",
    "ledger_balance": "Tokens",
    "bank_reported_balance": "Bank holds",
    "difference": "Difference",
    "verdict": "Verdict",
    "circuit_breaker": "Breaker",
}  # fmt: skip


@app.command()
def create(
    number: Annotated[str, typer.Argument(help="IBAN or the bank's own account number.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")],
    bank: Annotated[str, typer.Option(help="The bank's name.")],
    bic: Annotated[str | None, typer.Option()] = None,
    ledger_balance: Annotated[str, typer.Option(help="Tokens outstanding, in major units.")] = "0",
    bank_balance: Annotated[str | None, typer.Option(help="What the bank holds; without it: Unknown.")] = None,
    as_of: Annotated[datetime | None, typer.Option(help="When the bank held it (UTC).")] = None,
    inverts_reversals: Annotated[
        bool, typer.Option(help="This bank sends a reversal with the indicator of what it undoes.")
    ] = False,
    ledger_mode: Annotated[
        Mode, typer.Option(help="Who keeps its token ledger: this engine, or the issuer elsewhere.")
    ] = Mode.ENGINE,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Take an account on."""
    wanted = NewAccount(
        account_number=number, currency=currency, bank=bank, bic=bic, ledger_balance=ledger_balance,
        bank_balance=bank_balance, as_of=as_of and as_of.replace(tzinfo=now().tzinfo),
        inverts_reversals=inverts_reversals, ledger_mode=ledger_mode,
    )  # fmt: skip

    async def work(database: Database) -> dict[str, Any] | Refusal:
        async with database.transaction() as tx:
            return await tier.create(tx, wanted, actor, now())

    _print(with_database(database_of(database_url, data), work), as_json)


@app.command("list")
def listing(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1000,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List accounts with position and verdict."""

    async def work(database: Database) -> list[dict[str, Any]]:
        async with database.transaction() as tx:
            return await tier.listing(tx, now(), limit=limit)

    show(with_database(database_of(database_url, data), work), _COLUMNS, as_json=as_json)


@app.command("show")
def show_one(
    account: Annotated[str, typer.Argument(help="Id or number.")],
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one account with position and verdict."""

    async def work(database: Database) -> dict[str, Any] | Refusal:
        async with database.transaction() as tx:
            found = await tier.show(tx, account, now())
        return found or Refusal("unknown_account", f"no account {account!r} is known here")

    _print(with_database(database_of(database_url, data), work), as_json)


@app.command()
def close(
    account: Annotated[str, typer.Argument(help="Id or number.")],
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Close an account: messages for it are rejected from then on."""

    async def work(database: Database) -> dict[str, Any] | Refusal:
        async with database.transaction() as tx:
            return await tier.close(tx, account, actor, now())

    _print(with_database(database_of(database_url, data), work), as_json)


def _print(outcome: dict[str, Any] | Refusal, as_json: bool) -> None:
    if isinstance(outcome, Refusal):
        typer.echo(f"{outcome.code}: {outcome.message}", err=True)
        raise typer.Exit(1)
    for warning in outcome.pop("warnings", []):
        typer.echo(f"Warning: {warning}", err=True)
    show([outcome], _COLUMNS, as_json=as_json)
