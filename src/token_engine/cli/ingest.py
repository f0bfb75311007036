"""`token-engine ingest` and `token-engine replay`: the road, from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, assert_never

import typer

from token_engine.cli.options import DATA, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.progress import progress_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.closed_day import ClosedDay, WaitingPages
from token_engine.domain.receipt import AlreadyRecorded, Judgement, Receipt, Recorded, Rejected
from token_engine.domain.statement import Outcome
from token_engine.entrypoints.road import is_statement
from token_engine.storage import messages
from token_engine.storage.database import Database, pipelined_transaction
from token_engine.tiers import end_of_day, notification
from token_engine.tiers.delivery import Delivery, Door
from token_engine.tiers.intake import LARGEST_FILE, deliveries, large_statement

_BATCH: Final = 500
_COLUMNS: Final = {
    "kept_as": "No.", "source": "Source", "receipt": "Receipt", "message_id": "Message",
    "entries_recorded": "New entries", "standing": "Standing / reason",
}  # fmt: skip


def ingest(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Bank files or bundles; - is stdin.")],
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Record bank files. Exits 0 when all are recorded (now or before), also a statement that is quarantined, and 1 if
    any is rejected or cannot be read.
    """
    url = database_of(database_url, data)

    async def work(database: Database) -> bool:
        return await take_in(database, files, as_json)

    if not with_database(url, work):
        raise typer.Exit(1)


def replay(
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="[NUMBER...]", help="Message numbers; default all.")
    ] = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Try rejected messages again, oldest first. Exits 1 if any is rejected once more."""
    url = database_of(database_url, data)

    async def work(database: Database) -> bool:
        fine, after, found = True, 0, 0
        while True:
            async with database.transaction() as tx:
                rows = await messages.rejected(tx, after=after, limit=_BATCH, ids=numbers or None)
            if not rows:
                break
            after, found = rows[-1]["id"], found + len(rows)
            fine &= await record(database, [_kept(row) for row in rows], "replay", as_json)
        if numbers and found < len(set(numbers)):
            typer.echo("Some of these numbers are no whole rejected messages: see `token-engine messages`.", err=True)
            return False
        if not found:
            typer.echo("Nothing to replay.", err=True)
        return fine

    if not with_database(url, work):
        raise typer.Exit(1)


def _kept(row: dict[str, Any]) -> Delivery:
    raw = bytes(row["raw"])
    return Delivery(
        raw=raw, digest=sha256(raw).digest(), size=len(raw), door=Door(row["door"]), source=row["source"],
        received_at=row["received_at"],
    )  # fmt: skip


def _source(file: str) -> str:
    """A file name may hold bytes that are no text; a column may not."""
    return Path(file).name.encode("utf-8", "replace").decode() if file != "-" else "stdin"


async def take_in(database: Database, files: Sequence[str], as_json: bool = False, *, quiet: bool = False) -> bool:
    """Record files one after the other, showing the receipt of each message, or only of those that are rejected;
    whether all could be read and none was.
    """
    fine = True
    for number, file in enumerate(files, 1):
        title = f"{_source(file)} ({number} of {len(files)})" if len(files) > 1 else _source(file)
        try:
            found = _deliveries_of(file, title)
            fine &= found is not None and await record(database, found, title, as_json, quiet=quiet)
        except OSError as error:  # also of one that somebody writes to while it is read
            typer.echo(f"{file}: {error.strerror or error}", err=True)
            fine = False
    return fine


def _deliveries_of(file: str, title: str) -> list[Delivery] | None:
    """What a file holds; one too large to hold is a statement that is read as it lies there, or is not taken. Raises
    OSError where it cannot be read.
    """
    if file == "-":
        raw = sys.stdin.buffer.read(LARGEST_FILE + 1)
    else:
        with progress_of(title) as say:
            say("looking what it is", 0, 0)
            if (large := large_statement(Path(file), Door.CLI, now())) is not None:
                return [large]
            with open(file, "rb") as stream:
                raw = stream.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        typer.echo(f"{file}: larger than {LARGEST_FILE} bytes", err=True)
        return None
    return deliveries(raw, Door.CLI, _source(file), now())


async def record(
    database: Database, found: Sequence[Delivery], title: str, as_json: bool = False, *, quiet: bool = False
) -> bool:
    """Record deliveries, showing the receipt of each, or only of those that are rejected; whether none was. `title`
    says on a terminal what is under way.
    """
    fine = True
    notified = [d for d in found if not is_statement(d)]
    connection = await database.connect_for_the_road()
    try:
        for batch in _batches(notified):
            async with pipelined_transaction(connection) as tx:
                receipts = await notification.record(tx, batch, now())
            fine &= _shown(batch, receipts, as_json, quiet)
    finally:
        await connection.close()
    for batch in _batches([d for d in found if is_statement(d)]):
        with progress_of(title) as say:
            async with database.transaction() as tx:
                receipts = await end_of_day.record(tx, batch, now(), say)
                say("committing", 0, 0)
        fine &= _shown(batch, receipts, as_json, quiet)
    return fine


def _shown(batch: Sequence[Delivery], receipts: Sequence[Receipt], as_json: bool, quiet: bool) -> bool:
    told = [(d, r) for d, r in zip(batch, receipts, strict=True) if isinstance(r, Rejected) or not quiet]
    if told:
        show([_row(d, r) for d, r in told], _COLUMNS, as_json=as_json)
    return not any(isinstance(r, Rejected) for r in receipts)


def _batches(found: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    for start in range(0, len(found), _BATCH):
        yield found[start : start + _BATCH]


def _row(delivery: Delivery, receipt: Receipt) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kept_as": receipt.kept_as, "source": delivery.source, "receipt": type(receipt).__name__,
        "message_id": receipt.message_id,
    }  # fmt: skip
    match receipt:
        case Recorded() | AlreadyRecorded():
            told = receipt.days or receipt.judgements
            # What was new when it was recorded is told again in the days and judgements; now nothing is.
            row["entries_recorded"] = sum(e.entries_recorded for e in told) if isinstance(receipt, Recorded) else 0
            row["standing"] = "; ".join(_standing(each) for each in (*told, *receipt.waiting))
            row["days" if receipt.days else "judgements"] = told
            if receipt.waiting:
                row["waiting"] = receipt.waiting
        case Rejected():
            row["standing"] = f"{receipt.refusal.code}: {receipt.refusal.message}"
            row["error"] = receipt.refusal
        case _:
            assert_never(receipt)
    return row


def _standing(told: Judgement | ClosedDay | WaitingPages) -> str:
    if isinstance(told, Judgement):
        return f"{told.account_number} {told.threshold_level}"
    if isinstance(told, WaitingPages):
        missing = ", ".join(map(str, told.missing_pages))
        return f"{told.account_number} {told.statement_name or ''} waits for page {missing}"
    failed = "; ".join(f"{found.name}: {found.text}" for found in told.checks if found.outcome is Outcome.FAILED)
    matched = f"{told.entries_matched} of {told.entries_matched + told.entries_unmatched} matched"
    state = f"{told.state} as statement {told.statement}: {failed}" if failed else f"{matched}, {told.threshold_level}"
    return f"{told.account_number} {told.statement_date} {state}"
