"""`token-engine read`: say what bank files hold, without recording anything."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import Annotated, Any, cast

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from token_engine.domain.checks import Check, Tally, checks
from token_engine.domain.entry import Entry
from token_engine.domain.money import UNSTATED, in_currency
from token_engine.domain.notification import Heading, StatedBalance
from token_engine.domain.refusal import RefusedError
from token_engine.domain.statement import Outcome
from token_engine.iso20022 import bundle, reader
from token_engine.iso20022.utf8 import Readable


def read(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Bank files or bundles; - is stdin.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON line per notification, report or statement.")
    ] = False,
) -> None:
    """Say what bank files hold, without recording anything. Exits 1 if any of them cannot be read."""
    rows: list[dict[str, Any]] = []
    unreadable = False
    for file in files:
        for found in _rows_of(file):
            if isinstance(found, str):
                unreadable = True
                print(f"{file}: {found}", file=sys.stderr)
            elif as_json:
                sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
            else:
                rows.append(found)
    if rows:
        Console().print(_table(rows))
    if unreadable:
        raise typer.Exit(1)


def _rows_of(file: str) -> Iterator[dict[str, Any] | str]:
    """What is to be said of each heading in a file, or why the file or a member of it cannot be read."""
    try:
        with _opened(file) as stream:
            members = bundle.members(stream, file)
            while True:
                try:
                    path, member = next(members)
                except StopIteration:
                    return
                except RefusedError as error:
                    yield _reason(error)
                    return
                try:
                    # A message is read whole or not at all, so its rows wait for its end.
                    yield from _rows_of_member(member, file, path)
                except RefusedError as error:
                    yield _reason(error, _member(file, path))
    except OSError as error:
        yield error.strerror or str(error)


def _opened(file: str) -> AbstractContextManager[io.BufferedReader]:
    if file == "-":
        return nullcontext(cast("io.BufferedReader", sys.stdin.buffer))
    return open(file, "rb")


def _reason(error: RefusedError, member: str | None = None) -> str:
    """ "reason (where)", and in a bundle which member."""
    refusal = error.refusal
    reason = refusal.message
    if refusal.field:
        reason = f"{reason.removeprefix(f'{refusal.field}: ')} ({refusal.field})"
    return f"{member}: {reason}" if member else reason


def _member(file: str, path: str) -> str | None:
    """The path inside a bundle; None for a file that is no bundle, or one message compressed."""
    return path.removeprefix(file.removesuffix(".gz")).removeprefix("/") or None


def _writable(path: str) -> str:
    """A file name may hold bytes that are no text; JSON may not."""
    return path.encode("utf-8", "replace").decode()


def _rows_of_member(member: Readable, file: str, path: str) -> list[dict[str, Any]]:
    """One row per heading. Only the tallies of the entries are kept, never the entries."""
    told: list[tuple[Heading, Tally]] = []
    for part in reader.sections(member):
        if isinstance(part, Entry):
            told[-1][1].add(part)
        elif isinstance(part, Heading):
            told.append((part, Tally()))
        else:
            heading, tally = told[-1]
            told[-1] = heading.ended(part), tally
    return [_row(heading, tally, file, path) for heading, tally in told]


def _row(heading: Heading, tally: Tally, file: str, path: str) -> dict[str, Any]:
    currency = heading.currency or _one(tally.currencies) or _one({b.currency for b in heading.balances})
    currency = None if currency == UNSTATED else currency
    row: dict[str, Any] = {"file": _writable(file)}
    if member := _member(file, path):
        row["member"] = _writable(member)
    return row | {
        "type": heading.type,
        "message_id": heading.message_id,
        "id": heading.notification_id,
        "account": heading.account_number,
        "currency": currency,
        "entries": tally.entries,
        "booked_entries": tally.booked_entries,
        "booked_sum": _plain(tally.booked_sum, currency),
        "balances": _balances(heading.balances),
        "checks": [_check(check, currency) for check in checks(heading, tally)],
    }


def _one(currencies: set[str]) -> str | None:
    return next(iter(currencies)) if len(currencies) == 1 else None


def _plain(amount: Decimal, currency: str | None) -> str:
    return in_currency(amount, currency) if currency else f"{amount:f}"


def _balances(balances: tuple[StatedBalance, ...]) -> dict[str, Any]:
    by_code: dict[str, list[dict[str, str | None]]] = {}
    for balance in balances:
        by_code.setdefault(balance.code, []).append(
            {
                "amount": _plain(balance.signed, balance.currency),
                "currency": None if balance.currency == UNSTATED else balance.currency,
                "date": balance.as_of.isoformat() if balance.as_of else None,
            }
        )
    return {code: told if len(told) > 1 else told[0] for code, told in by_code.items()}


def _check(check: Check, currency: str | None) -> dict[str, str]:
    told = {"name": check.name, "outcome": check.outcome.value}
    if check.expected is not None and check.actual is not None and check.outcome is Outcome.FAILED:
        unit = None if check.name == "entry_count" else currency
        told |= {"expected": _plain(check.expected, unit), "actual": _plain(check.actual, unit)}
    return told


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("message", "entries", "booked sum", "balances", "checks", show_lines=True)
    for row in rows:
        cells = (
            "\n".join(filter(None, (row["file"], row.get("member"), row["type"], row["id"], row["account"]))),
            f"{row['entries']}, {row['booked_entries']} booked",
            f"{row['booked_sum']} {row['currency'] or ''}",
            _lines_of_balances(row["balances"]),
            "\n".join(_line_of_check(check) for check in row["checks"]),
        )
        table.add_row(*(Text(cell) for cell in cells))  # the bank's words are no markup
    return table


def _lines_of_balances(balances: dict[str, Any]) -> str:
    return "\n".join(
        f"{code} {each['amount']} {each['currency'] or ''}"
        for code, told in balances.items()
        for each in (told if isinstance(told, list) else [told])
    )


def _line_of_check(check: dict[str, str]) -> str:
    line = f"{check['name'].replace('_', ' ')}: {check['outcome'].replace('_', ' ')}"
    if "expected" in check:
        line += f", {check['expected']} stated, {check['actual']} found"
    return line
