"""`token-engine report`, `sign-report`, `incidents` and `incident`: what an auditor or a regulator is given."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
from rich.console import Console

from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, Firm, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.period import Span
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.publishing.canonical import plain
from token_engine.publishing.forms import Form
from token_engine.storage.database import Database
from token_engine.tiers import documents, incidents
from token_engine.tiers import report as tier
from token_engine.tiers.report import Asked, SignOff

_T = TypeVar("_T")
_SAID_EVERY: Final = 2_000
_LISTED: Final = {
    "incident_id": "No.", "opened_at": "Opened", "cause": "Because", "closed_at": "Closed",
    "closing_requested_by": "Asked for by", "closing_approved_by": "Approved by",
}  # fmt: skip
_SIGNED: Final = {"actor": "Who", "at": "When", "reason": "Reason", "sha256": "Dataset", "current": "Current"}
_Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it; else standard output.")]
_Currency = Annotated[str | None, typer.Option(help="Where the account's number is kept in several.")]


def report(
    day: Annotated[str | None, typer.Option(help="2025-11-18")] = None,
    month: Annotated[str | None, typer.Option(help="2025-11")] = None,
    account: Annotated[str | None, typer.Option(help="Id or number: the report of one account.")] = None,
    token: Annotated[str | None, typer.Option(help="xAED: the report of one token. Neither: of the firm.")] = None,
    currency: _Currency = None,
    form: Annotated[Form, typer.Option("--format", help="json, pdf, xlsx or csv.")] = Form.JSON,
    output: _Output = None,
    firm: Firm = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
) -> None:
    """Write the safeguarding report of a day or a month."""
    if (day is None) == (month is None):
        raise typer.BadParameter("give --day or --month, and not both")
    span = Span.DAY if day is not None else Span.MONTH
    asked = Asked(span=span, date=day or month or "", account=account, token=token, currency=currency)
    console = Console(stderr=True)

    async def work(database: Database) -> documents.Document:
        with console.status("asking the database …") as status:
            seen = 0

            def progress(_: date) -> None:
                nonlocal seen
                seen += 1
                if seen % _SAID_EVERY == 0:
                    status.update(f"{seen:,} account days …")

            found, cover = await documents.report_of(database, asked, now(), firm, progress)
            status.update(f"{seen:,} account days read; writing the {form.upper()} …")
            return await documents.printed_report(found, cover, form)

    _write(_run(database_url, data, work), output, console)


def sign_report(
    report_id: Annotated[str, typer.Argument(help="Such as month.2025-11.firm")],
    reason: Annotated[str, typer.Option(help="Why; it is kept for ever.")],
    actor: Actor = "cli",
    sha256: Annotated[str | None, typer.Option(help="Of the dataset that was read.")] = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Stand for a report as its data is now."""

    async def work(database: Database) -> dict[str, Any]:
        async with database.transaction() as tx:
            return await tier.sign_off(tx, report_id, SignOff(actor=actor, reason=reason, sha256=sha256), now())

    signed = _run(database_url, data, work)
    show([plain(signature) for signature in signed["sign_offs"]], _SIGNED, as_json=as_json)


def list_incidents(
    account: Annotated[str, typer.Argument(help="Id or number.")],
    currency: _Currency = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show each time that an account's circuit breaker opened."""

    async def work(database: Database) -> list[dict[str, Any]]:
        async with database.transaction() as tx:
            return await incidents.listing(tx, account, currency, now())

    show(_run(database_url, data, work), _LISTED, as_json=as_json)


def incident(
    number: Annotated[int, typer.Argument(min=1)],
    form: Annotated[Form, typer.Option("--format", help="json or pdf.")] = Form.JSON,
    output: _Output = None,
    firm: Firm = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
) -> None:
    """Write the report of an incident."""
    if form not in (Form.JSON, Form.PDF):
        raise typer.BadParameter("--format: json or pdf")

    async def work(database: Database) -> documents.Document:
        return documents.printed_incident(*await documents.incident_of(database, number, now(), firm), form)

    _write(_run(database_url, data, work), output, Console(stderr=True))


def _run(url: str | None, data: Path, work: Callable[[Database], Awaitable[_T]]) -> _T:
    async def guarded(database: Database) -> _T | Refusal:
        try:
            return await work(database)
        except RefusedError as refused:
            return refused.refusal

    outcome = with_database(database_of(url, data), guarded)
    if isinstance(outcome, Refusal):
        _fail(f"{outcome.code}: {outcome.message}")
    return outcome


def _write(document: documents.Document, output: Path | None, console: Console) -> None:
    if output is None:
        sys.stdout.buffer.write(document.content)
        return
    # Whole or not at all: a report that was cut is worse than none.
    partial = output.with_name(f"{output.name}.partial")
    try:
        partial.write_bytes(document.content)
        partial.replace(output)
    except OSError as error:
        _fail(f"{output}: {error.strerror}")
    console.print(f"{output}: {len(document.content):,} bytes, dataset SHA-256 {document.sha256}", soft_wrap=True)


def _fail(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
