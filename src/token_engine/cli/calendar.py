"""`token-engine calendar`: when an account's bank closes its days, and when its statements are due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from token_engine.cli.once import ask
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl
from token_engine.cli.session import show
from token_engine.storage.database import Transaction
from token_engine.tiers import calendar
from token_engine.tiers.calendar import NewCalendar

app = typer.Typer(help="When statements are due.", no_args_is_help=True)
_COLUMNS: Final = {
    "time_zone": "Time zone", "cut_off": "Cut-off", "due": "Due after (min)", "weekend": "Weekend",
    "holidays": "Holidays of", "next": "Next statement", "due_at": "Due at (UTC)", "missing": "Missing",
}  # fmt: skip
Account = Annotated[str, typer.Argument(help="Id or number.")]


@app.command("set")
def save(
    account: Account,
    time_zone: Annotated[str, typer.Option(help="Of the bank: Asia/Dubai.")],
    cut_off: Annotated[str, typer.Option(help="When its day ends, on its clock: 17:00.")],
    due_after_minutes: Annotated[int, typer.Option(help="How long after that the statement may take.")],
    ends_next_day: Annotated[bool, typer.Option(help="The cut-off lies after midnight; 00:00 is midnight.")] = False,
    weekend: Annotated[str, typer.Option(help="Such as SA,SU; 2SA is the second Saturday of a month.")] = "SA,SU",
    holidays: Annotated[str | None, typer.Option(help="Whose published ones: AE, IN, IN-MH, TARGET.")] = None,
    extra_holiday: Annotated[
        list[datetime] | None, typer.Option(formats=["%Y-%m-%d"], help="One more; may be given again.")
    ] = None,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Set an account's calendar whole; from then on each of its statements is waited for. Audited."""
    days: tuple[date, ...] = tuple(day.date() for day in extra_holiday or ())
    wanted = NewCalendar(
        actor=actor, time_zone=time_zone, cut_off=cut_off, due_after_minutes=due_after_minutes,
        ends_next_day=ends_next_day, weekend=tuple(weekend.split(",")) if weekend else (), holidays=holidays,
        extra_holidays=days,
    )  # fmt: skip
    _print(database_url, data, as_json, lambda tx, at: calendar.save(tx, account, wanted, at))


@app.command("show")
def show_one(
    account: Account, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Show it, the statement that is due next, and those that are missing."""
    _print(database_url, data, as_json, lambda tx, at: calendar.show(tx, account, at))


def _print(
    url: str | None, data: Path, as_json: bool, what: Callable[[Transaction, datetime], Awaitable[dict[str, Any]]]
) -> None:
    found = ask(url, data, what)
    show([found if as_json else _readable(found)], _COLUMNS, as_json=as_json)


def _readable(view: dict[str, Any]) -> dict[str, Any]:
    return view | {
        "cut_off": f"{view['cut_off']}{' next day' if view['ends_next_day'] else ''}",
        "due": view["due_after_minutes"],
        "weekend": ",".join(view["weekend"]),
        "next": view["next_due"]["statement_date"],
        "due_at": view["next_due"]["due_at"],
        "missing": ", ".join(each["statement_date"] for each in view["missing"]),
    }
