"""`token-engine matches`: what answers for what; match and unmatch by hand, unequal sums by two people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import uuid4

import msgspec
import typer

from token_engine.cli.once import Key, do_once, fail
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import match_acts, match_views
from token_engine.tiers.match_acts import MatchWord, NewMatch

app = typer.Typer(help="What answers for what, and what people say of it.", no_args_is_help=True)
_COLUMNS: Final = {
    "match_id": "Match", "account_number": "Account", "currency": "", "pass": "Pass", "confidence": "Sure",
    "entry_ids": "Entries", "movement_ids": "Movements", "statement_id": "Statement",
}  # fmt: skip
_SIDES: Final = {
    "side": "Side", "number": "Number", "amount": "Amount", "value_date": "Value date",
    "end_to_end_id": "End-to-end id", "bank_reference": "Bank's reference", "counterparty": "Counterparty",
}  # fmt: skip
_REQUESTS: Final = {
    "id": "Request", "account_number": "Account", "currency": "", "difference": "Difference", "entry_ids": "Entries",
    "movement_ids": "Movements", "state": "State", "requested_by": "Asked by", "reason": "Because",
}  # fmt: skip
_ITEMS: Final = {
    "id": "Item", "account_number": "Account", "currency": "", "side": "Side", "kind": "Kind", "amount": "Amount",
    "dated": "Dated", "age_days": "Days", "reason": "Maybe", "counterparty": "Counterparty",
    "end_to_end_id": "End-to-end id", "entry_id": "Entry", "movement_id": "Movement",
}  # fmt: skip
_T = TypeVar("_T")
_O = TypeVar("_O", bound=msgspec.Struct)
Number = Annotated[int, typer.Argument(help="Number of the match.")]
Request = Annotated[int, typer.Argument(help="Number of the request.")]
Reason = Annotated[str, typer.Option(help="Why; kept for ever.")]
AccountOption = Annotated[str | None, typer.Option("--account", help="Id or number.")]
Limit = Annotated[int, typer.Option(min=1, max=match_views.LARGEST_PAGE)]


def _ask(url: str, question: Callable[[Transaction], Awaitable[_T]]) -> _T:
    async def work(database: Database) -> _T | Refusal:
        try:
            async with database.transaction() as tx:
                return await question(tx)
        except RefusedError as refused:
            return refused.refusal

    found = with_database(url, work)
    if isinstance(found, Refusal):
        fail(found)
    return found


def _do(
    url: str, key: str | None, operation: str, wanted: _O,
    act: Callable[[Transaction, _O, datetime], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:  # fmt: skip
    async def do(tx: Transaction, order: _O, _: str, at: datetime) -> dict[str, Any]:
        return await act(tx, order, at)

    return do_once(url, key or str(uuid4()), operation, wanted, do)


@app.command("list")
def listing(
    account: AccountOption = None,
    statement: Annotated[int | None, typer.Option(min=1, help="The statement whose matching made it.")] = None,
    rule: Annotated[str | None, typer.Option("--pass", help="uetr, end_to_end, …, manual, forced.")] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Number of the last one seen.")] = None,
    limit: Limit = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List matches, newest first."""
    found = _ask(
        database_of(database_url, data),
        lambda tx: match_views.listing(
            tx, account=account, statement_id=statement, rule=rule, before=before, limit=limit
        ),
    )
    show(found, _COLUMNS, as_json=as_json)


@app.command("show")
def one(match: Number, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Explain a match: its pass, what agreed, how sure it is, both sides, what else could have been meant."""
    view = _ask(database_of(database_url, data), lambda tx: match_views.show(tx, match))
    if view is None:
        fail(Refusal("unknown_match", f"no match {match} is known here"))
    _tell(view, as_json=as_json)


@app.command("match")
def make(
    reason: Reason,
    entry: Annotated[list[int] | None, typer.Option(help="Number of an entry; may be said again.")] = None,
    movement: Annotated[list[int] | None, typer.Option(help="Number of a movement; may be said again.")] = None,
    force: Annotated[bool, typer.Option("--force", help="The sums differ: ask, and another person approves.")] = False,
    actor: Actor = "cli",
    key: Key = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say that entries answer for movements."""
    url = database_of(database_url, data)
    wanted = NewMatch(entry_ids=entry or [], movement_ids=movement or [], actor=actor, reason=reason)
    if force:
        show([_do(url, key, "match request", wanted, match_acts.request)], _REQUESTS, as_json=as_json)
    else:
        _tell(_do(url, key, "match", wanted, match_acts.make), as_json=as_json)


@app.command()
def unmatch(
    match: Number, reason: Reason, actor: Actor = "cli", key: Key = None, data: Data = DATA,
    database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take a match apart. Only people match its items from then on."""

    async def act(tx: Transaction, wanted: MatchWord, at: datetime) -> dict[str, Any]:
        return await match_acts.unmatch(tx, match, wanted, at)

    word = MatchWord(actor=actor, reason=reason)
    _tell(_do(database_of(database_url, data), key, f"unmatch {match}", word, act), as_json=as_json)


@app.command("requests")
def requests(
    account: AccountOption = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are settled.")] = False,
    limit: Limit = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List requests to match unequal sums, newest first."""
    found = _ask(
        database_of(database_url, data),
        lambda tx: match_views.requests(tx, account=account, pending=not every, limit=limit),
    )
    show(found, _REQUESTS, as_json=as_json)


@app.command()
def approve(
    request: Request, reason: Reason, actor: Actor = "cli", key: Key = None, data: Data = DATA,
    database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Match unequal sums as the second person."""

    async def act(tx: Transaction, wanted: MatchWord, at: datetime) -> dict[str, Any]:
        return await match_acts.approve(tx, request, wanted, at)

    word, operation = MatchWord(actor=actor, reason=reason), f"approval of match request {request}"
    _tell(_do(database_of(database_url, data), key, operation, word, act), as_json=as_json)


@app.command()
def withdraw(
    request: Request, reason: Reason, actor: Actor = "cli", key: Key = None, data: Data = DATA,
    database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take a request back, or refuse it."""

    async def act(tx: Transaction, wanted: MatchWord, at: datetime) -> dict[str, Any]:
        return await match_acts.withdraw(tx, request, wanted, at)

    word, operation = MatchWord(actor=actor, reason=reason), f"withdrawal of match request {request}"
    show([_do(database_of(database_url, data), key, operation, word, act)], _REQUESTS, as_json=as_json)


def open_items(
    account: AccountOption = None,
    side: Annotated[str | None, typer.Option(help="bank or ledger.")] = None,
    reason: Annotated[str | None, typer.Option(help="fee, interest, return, duplicate, amount_differs, …")] = None,
    older_than_days: Annotated[int | None, typer.Option(min=0, max=100_000)] = None,
    after: Annotated[int | None, typer.Option(min=1, help="Item of the last one seen.")] = None,
    limit: Limit = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List what nothing answers for, oldest first."""
    found = _ask(
        database_of(database_url, data),
        lambda tx: match_views.open_items(
            tx, now(), account=account, side=side, reason=reason, older_than_days=older_than_days, after=after,
            limit=limit,
        ),
    )  # fmt: skip
    show(found, _ITEMS, as_json=as_json)


def _tell(view: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show([view], {}, as_json=True)
        return
    agreed = ", ".join(f"{name} {value}" for name, value in view["agreed"].items())
    typer.echo(f"Match {view['match_id']} of {view['account_number']} {view['currency']}: {view['state']}")
    typer.echo(f"{view['pass']} ({view['confidence']}): {view['rule']}")
    typer.echo(f"Agreed: {agreed or 'nothing but the sums'}; difference {view['difference']}")
    sides = [{**e, "side": "bank", "number": e["entry_id"]} for e in view["entries"]]
    sides += [{**m, "side": "ledger", "number": m["movement_id"]} for m in view["movements"]]
    show(sides, _SIDES, as_json=False)
    for other in view["alternatives"]:
        what = f"entry {other['entry_id']}" if other["entry_id"] else f"movement {other['movement_id']}"
        typer.echo(f"Could be meant too: {what} of {other['amount']}, {other['dated']} ({', '.join(other['shares'])})")
    for event in view["story"]:
        typer.echo(f"{event['at']} {event['happening']} by {event['actor']}: {event['reason']}")
