"""The command line: `token-engine COMMAND`. One file per command; each translates and decides nothing."""

from __future__ import annotations

import typer

from token_engine.cli import (
    accounts,
    archive,
    breaker,
    calendar,
    close_day,
    connection,
    discrepancies,
    fundings,
    ingest,
    matches,
    messages,
    payouts,
    policy,
    polling,
    read,
    receipts,
    report,
    run,
    statement,
    trend,
    upkeep,
)

app = typer.Typer(
    name="token-engine",
    help="Proves that every token is backed by money at a bank, and stops payouts when it is not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("read")(read.read)
app.command("ingest")(ingest.ingest)
app.command("replay")(ingest.replay)
app.command("close-day")(close_day.close_day)
app.command("messages")(messages.messages)
app.add_typer(accounts.app, name="accounts")
app.add_typer(discrepancies.app, name="discrepancies")
app.add_typer(fundings.app, name="fundings")
app.add_typer(receipts.app, name="receipts")
app.add_typer(matches.app, name="matches")
app.command("open-items")(matches.open_items)
app.add_typer(payouts.app, name="payouts")
app.add_typer(statement.app, name="statement")
app.add_typer(calendar.app, name="calendar")
app.add_typer(connection.app, name="connection")
app.add_typer(polling.app, name="polling")
app.add_typer(policy.app, name="policy")
app.add_typer(breaker.app, name="breaker")
app.command("report")(report.report)
app.command("sign-report")(report.sign_report)
app.command("incidents")(report.list_incidents)
app.command("incident")(report.incident)
app.command("archive")(archive.archive)
app.command("verify")(archive.verify_bundles)
app.add_typer(archive.keys, name="archive-key")
app.command("trend")(trend.trend)
app.command("recompute-trends")(trend.recompute_trends)
app.command("check")(upkeep.check)
app.command("migrate")(upkeep.migrate)


def main() -> None:
    """Entry point of the console script."""
    app()
