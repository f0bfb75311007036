"""`token-engine receipts`: credits that nobody had announced; allocate them or send them back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from token_engine.cli.once import Key, do_once, fail
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import receipts as tier
from token_engine.tiers.receipts import Allocation, Return, ReturnDebit

app = typer.Typer(help="List, allocate and return credits that nobody had announced.", no_args_is_help=True)
_COLUMNS: Final = {
    "entry_id": "Entry", "account_number": "Account", "currency": "", "amount": "Amount", "value_date": "Value date",
    "end_to_end_id": "End-to-end id", "servicer_reference": "Bank's reference", "bank_message_id": "Message",
    "state": "State", "met": "Was", "maybe": "Maybe funding",
}  # fmt: skip
Entry = Annotated[int, typer.Argument(help="Number of the entry.")]
Reason = Annotated[str, typer.Option(help="Why; kept for ever.")]


@app.command("list")
def listing(
    account: Annotated[str | None, typer.Option(help="Id or number.")] = None,
    state: Annotated[str, typer.Option(help="unallocated, allocated, returned or all.")] = "unallocated",
    before: Annotated[int | None, typer.Option(min=1, help="Entry of the last one seen.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=tier.LARGEST_PAGE)] = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List receipts, newest first, each with the funding that it may be for."""

    async def work(database: Database) -> list[dict[str, Any]] | Refusal:
        try:
            async with database.transaction() as tx:
                return await tier.listing(tx, now(), account=account, state=state, before=before, limit=limit)
        except RefusedError as refused:
            return refused.refusal

    found = with_database(database_of(database_url, data), work)
    if isinstance(found, Refusal):
        fail(found)
    show([row if as_json else _readable(row) for row in found], _COLUMNS, as_json=as_json)


@app.command()
def allocate(
    entry: Entry,
    reason: Reason,
    holder: Annotated[str | None, typer.Option(help="Mint to this holder.")] = None,
    funding: Annotated[str | None, typer.Option(help="Meet this funding.")] = None,
    own_funds: Annotated[bool, typer.Option("--own-funds", help="The issuer's own money: mint nothing.")] = False,
    actor: Actor = "cli",
    key: Key = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say whose money it is: exactly one of --holder, --funding and --own-funds."""

    async def act(tx: Transaction, wanted: Allocation, _: str, at: datetime) -> dict[str, Any]:
        return await tier.allocate(tx, entry, wanted, at)

    wanted = Allocation(actor=actor, reason=reason, holder=holder, funding_id=funding, own_funds=own_funds)
    url = database_of(database_url, data)
    done = do_once(url, key or str(uuid4()), f"allocation of receipt {entry}", wanted, act)
    show([done if as_json else _readable(done)], _COLUMNS, as_json=as_json)


@app.command("return")
def give_back(
    entry: Entry,
    reason: Reason,
    reference: Annotated[str | None, typer.Option(help="End-to-end id of the payment that takes it back.")] = None,
    actor: Actor = "cli",
    key: Key = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Mark that it goes back to who sent it."""

    async def act(tx: Transaction, wanted: Return, _: str, at: datetime) -> dict[str, Any]:
        return await tier.give_back(tx, entry, wanted, at)

    url, wanted = database_of(database_url, data), Return(actor=actor, reason=reason, reference=reference)
    done = do_once(url, key or str(uuid4()), f"return of receipt {entry}", wanted, act)
    show([done if as_json else _readable(done)], _COLUMNS, as_json=as_json)
    if not as_json:
        typer.echo(f"Send it back under the end-to-end id {done['became']['return_reference']}")


@app.command("debited")
def tell_debit(
    entry: Entry,
    debit: Annotated[int, typer.Argument(help="Number of the debit's entry.")],
    reason: Reason,
    actor: Actor = "cli",
    key: Key = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say which debit took a returned receipt, where the bank did not book it under its reference."""

    async def act(tx: Transaction, wanted: ReturnDebit, _: str, at: datetime) -> dict[str, Any]:
        return await tier.tell_debit(tx, entry, wanted, at)

    url, wanted = database_of(database_url, data), ReturnDebit(actor=actor, reason=reason, debit_entry_id=debit)
    done = do_once(url, key or str(uuid4()), f"debit of receipt {entry}", wanted, act)
    show([done if as_json else _readable(done)], _COLUMNS, as_json=as_json)


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    became, maybe = row["became"], row["suggestion"]
    return row | {"met": became and became["met"], "maybe": maybe and f"{maybe['funding_id']} ({maybe['holder']})"}
