"""`token-engine policy`: the bounds of the verdicts, globally, by currency and by account."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

import typer
from msgspec import structs

from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.backing import DEFAULT_POLICY, Policy
from token_engine.domain.refusal import Refusal
from token_engine.storage.database import Database
from token_engine.tiers import policies

app = typer.Typer(help="The bounds of the verdicts.", no_args_is_help=True)
_COLUMNS: Final = {
    "scope": "Scope", "ok_percent": "Ok ≤ %", "minor_percent": "Minor ≤ %", "significant_percent": "Significant ≤ %",
    "shortfall_tolerance": "Shortfall tolerated", "ok_cap": "Ok cap", "minor_cap": "Minor cap",
    "significant_cap": "Significant cap", "stale_after": "Stale after", "auto_resolve": "Resolves by itself",
}  # fmt: skip


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a decimal number") from None
    if not number.is_finite():
        raise typer.BadParameter(f"{text!r} is not a decimal number")
    return number


Number = Annotated[Decimal, typer.Option(parser=_decimal, metavar="DECIMAL")]
Cap = Annotated[Decimal | None, typer.Option(parser=_decimal, metavar="DECIMAL")]


@app.command("set")
def save(
    scope: Annotated[str, typer.Argument(help="'global', a currency, or an account's id or number.")],
    ok_percent: Number = DEFAULT_POLICY.ok_percent,
    minor_percent: Number = DEFAULT_POLICY.minor_percent,
    significant_percent: Number = DEFAULT_POLICY.significant_percent,
    shortfall_tolerance: Number = DEFAULT_POLICY.shortfall_tolerance,
    ok_cap: Cap = None,
    minor_cap: Cap = None,
    significant_cap: Cap = None,
    stale_after_hours: Annotated[float, typer.Option(help="No word from the bank for so long is Stale.")] = 24,
    auto_resolve: Annotated[
        bool, typer.Option(help="The engine resolves a discrepancy once its difference is gone; else a person does.")
    ] = DEFAULT_POLICY.auto_resolve,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
) -> None:
    """Set a policy whole; what is not named takes the specification's value. Audited."""
    policy = Policy(
        ok_percent=ok_percent, minor_percent=minor_percent, significant_percent=significant_percent,
        shortfall_tolerance=shortfall_tolerance, ok_cap=ok_cap, minor_cap=minor_cap,
        significant_cap=significant_cap, stale_after=timedelta(hours=stale_after_hours),
        auto_resolve=auto_resolve,
    )  # fmt: skip

    async def work(database: Database) -> str | Refusal:
        async with database.transaction() as tx:
            return await policies.save(tx, scope, policy, actor, now())

    outcome = with_database(database_of(database_url, data), work)
    if isinstance(outcome, Refusal):
        typer.echo(f"{outcome.code}: {outcome.message}", err=True)
        raise typer.Exit(1)
    typer.echo(f"Set for {outcome}; it holds from the next judgement on.")


@app.command("list")
def listing(data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """List the policies; the most specific wins whole. Where none is set, the specification's holds."""

    async def work(database: Database) -> list[dict[str, Any]]:
        async with database.transaction() as tx:
            found = await policies.listing(tx)
        return [{"scope": scope, **structs.asdict(policy)} for scope, policy in sorted(found.items())]

    rows = with_database(database_of(database_url, data), work)
    show(rows or [{"scope": "(specification)", **structs.asdict(DEFAULT_POLICY)}], _COLUMNS, as_json=as_json)
