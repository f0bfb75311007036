"""`token-engine discrepancies`: list, show, assign, comment, resolve and reopen them."""

from __future__ import annotations

from typing import Annotated, Any, Final, NoReturn

import typer

from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.refusal import Refusal
from token_engine.storage.database import Database
from token_engine.tiers import discrepancies as tier
from token_engine.tiers.discrepancies import Act, Assignment, Comment, Question, Reopening, Resolution

app = typer.Typer(help="List, show, assign, comment, resolve and reopen discrepancies.", no_args_is_help=True)
_COLUMNS: Final = {
    "id": "Id", "opened_at": "Opened (UTC)", "age_seconds": "Age (s)", "account_number": "Account", "currency": "",
    "discrepancy_type": "Type", "severity": "Severity", "difference": "Difference", "status": "Status",
    "assignee": "Owner", "resolution": "Resolution",
}  # fmt: skip
_HISTORY: Final = {
    "at": "When (UTC)", "happening": "What", "actor": "Who", "severity": "Severity", "expected_value": "Tokens",
    "actual_value": "Bank holds", "assignee": "Owner", "message_id": "Message", "text": "",
}  # fmt: skip
Id = Annotated[str, typer.Argument(help="Id of the discrepancy.")]
Reason = Annotated[str, typer.Option(help="Why; kept for ever.")]


@app.command("list")
def listing(
    status: Annotated[str, typer.Option(help="open (nobody's), investigating, resolved, unresolved.")] = "unresolved",
    account: Annotated[str | None, typer.Option(help="Id or number.")] = None,
    type_: Annotated[str | None, typer.Option("--type")] = None,
    severity: Annotated[str | None, typer.Option(help="minor, significant or critical.")] = None,
    assignee: Annotated[str | None, typer.Option()] = None,
    older_than: Annotated[str | None, typer.Option(help="Open for at least so long: 90m, 36h, 7d.")] = None,
    order: Annotated[str, typer.Option(help="newest or oldest first.")] = "oldest",
    after: Annotated[str | None, typer.Option(help="Id of the last one seen.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=tier.LARGEST_PAGE)] = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List discrepancies with their age and owner."""
    question = Question(
        status=status, account=account, type=type_, severity=severity, assignee=assignee, older_than=older_than,
        order=order, after=after, limit=limit,
    )  # fmt: skip

    async def work(database: Database) -> list[dict[str, Any]] | Refusal:
        async with database.transaction() as tx:
            return await tier.listing(tx, question, now())

    found = with_database(database_of(database_url, data), work)
    if isinstance(found, Refusal):
        _fail(found)
    else:
        show(found, _COLUMNS, as_json=as_json)


@app.command("show")
def show_one(discrepancy: Id, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show one with its whole history."""

    async def work(database: Database) -> dict[str, Any] | Refusal:
        async with database.transaction() as tx:
            found = await tier.show(tx, discrepancy, now())
        return found or Refusal("unknown_discrepancy", f"no discrepancy {discrepancy!r} is known here")

    _print(with_database(database_of(database_url, data), work), as_json)


@app.command()
def assign(
    discrepancy: Id,
    assignee: Annotated[str | None, typer.Argument(help="Whose it is; without it: nobody's.")] = None,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say whose it is."""
    _do(discrepancy, Assignment(actor=actor, assignee=assignee), database_of(database_url, data), as_json)


@app.command()
def comment(
    discrepancy: Id,
    text: Annotated[str, typer.Argument(help="What was found; kept for ever.")],
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write down what was found."""
    _do(discrepancy, Comment(actor=actor, text=text), database_of(database_url, data), as_json)


@app.command()
def resolve(
    discrepancy: Id,
    reason: Reason,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say that it is done; refused while ledger and bank are apart."""
    _do(discrepancy, Resolution(actor=actor, reason=reason), database_of(database_url, data), as_json)


@app.command()
def reopen(
    discrepancy: Id,
    reason: Reason,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Take it up again; from then on only a person resolves it."""
    _do(discrepancy, Reopening(actor=actor, reason=reason), database_of(database_url, data), as_json)


def _do(discrepancy: str, act: Act, url: str, as_json: bool) -> None:
    async def work(database: Database) -> dict[str, Any] | Refusal:
        async with database.transaction() as tx:
            return await tier.do(tx, discrepancy, act, now())

    _print(with_database(url, work), as_json)


def _print(outcome: dict[str, Any] | Refusal, as_json: bool) -> None:
    if isinstance(outcome, Refusal):
        _fail(outcome)
    show([outcome], _COLUMNS, as_json=as_json)
    if not as_json:
        show(outcome["history"], _HISTORY, as_json=False)


def _fail(refusal: Refusal) -> NoReturn:
    typer.echo(f"{refusal.code}: {refusal.message}", err=True)
    raise typer.Exit(1)
