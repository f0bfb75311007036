"""`token-engine fundings`: announce expected credits, cancel them, see what met them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import typer

from token_engine.cli.once import Key, do_once, fail
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import fundings as tier
from token_engine.tiers.fundings import Cancellation, NewFunding

app = typer.Typer(help="Announce, list and cancel expected credits.", no_args_is_help=True)
_COLUMNS: Final = {
    "id": "Id", "announced_at": "Announced (UTC)", "account_number": "Account", "currency": "", "amount": "Amount",
    "holder": "Holder", "end_to_end_id": "End-to-end id", "state": "State", "expires_at": "Until (UTC)",
    "settled_by": "Settled by",
}  # fmt: skip
Account = Annotated[str, typer.Argument(help="Id or number.")]
Id = Annotated[str, typer.Argument(metavar="FUNDING", help="Id of the funding.")]


@app.command("list")
def listing(
    account: Account,
    state: Annotated[str, typer.Option(help="expected, met, cancelled, expired or all.")] = "all",
    before: Annotated[UUID | None, typer.Option(help="Id of the last one seen.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=tier.LARGEST_PAGE)] = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List an account's fundings, newest first."""

    async def work(database: Database) -> list[dict[str, Any]] | Refusal:
        try:
            async with database.transaction() as tx:
                return await tier.listing(tx, account, now(), state=state, before=before, limit=limit)
        except RefusedError as refused:
            return refused.refusal

    found = with_database(database_of(database_url, data), work)
    if isinstance(found, Refusal):
        fail(found)
    show(found, _COLUMNS, as_json=as_json)


@app.command("show")
def show_one(funding: Id, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show one, with what met it."""

    async def work(database: Database) -> dict[str, Any] | None:
        async with database.transaction() as tx:
            return await tier.show(tx, funding, now())

    found = with_database(database_of(database_url, data), work)
    if found is None:
        fail(Refusal("unknown_funding", f"no funding {funding!r} is known here"))
    show([found], _COLUMNS, as_json=as_json)


@app.command()
def announce(
    account: Account,
    amount: Annotated[str, typer.Argument(help="In major units.")],
    end_to_end_id: Annotated[str, typer.Argument(help="What the payer puts on the payment.")],
    holder: Annotated[str, typer.Argument(help="Who gets the tokens.")],
    currency: Annotated[str | None, typer.Option(help="Where the number is kept in several.")] = None,
    expires_in_minutes: Annotated[int, typer.Option(help="How long it is expected; 30 days.")] = 30 * 24 * 60,
    actor: Actor = "cli",
    key: Key = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Announce an expected credit; one that was booked before is minted for at once."""
    wanted = NewFunding(
        account_id=account, amount=amount, end_to_end_id=end_to_end_id, holder=holder, actor=actor, currency=currency,
        expires_in_minutes=expires_in_minutes,
    )  # fmt: skip
    done = do_once(database_of(database_url, data), key or str(uuid4()), "funding", wanted, tier.announce)
    show([done], _COLUMNS, as_json=as_json)
    if done["waiting"] is not None and not as_json:
        typer.echo(f"Its credit is there, and nothing was minted: {done['waiting']['message']}", err=True)


@app.command()
def cancel(
    funding: Id,
    reason: Annotated[str, typer.Option(help="Why; kept for ever.")],
    actor: Actor = "cli",
    key: Key = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Expect it no more."""

    async def act(tx: Transaction, wanted: Cancellation, _: str, at: datetime) -> dict[str, Any]:
        return await tier.cancel(tx, funding, wanted, at)

    wanted = Cancellation(actor=actor, reason=reason)
    url = database_of(database_url, data)
    show([do_once(url, key or str(uuid4()), f"cancel of funding {funding}", wanted, act)], _COLUMNS, as_json=as_json)
