"""`token-engine payouts`: hold tokens for payouts, say that they were sent, cancel, list and show them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import typer

from token_engine.cli.once import Key, answered, do_once, fail
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.payout import PayoutState
from token_engine.domain.refusal import Refusal
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import payout_acts, payout_story, payouts
from token_engine.tiers.once import Answer
from token_engine.tiers.payout_acts import Cancelling, Sending
from token_engine.tiers.payouts import Hold, NewPayout

app = typer.Typer(help="Hold, send, cancel, list and show payouts.", no_args_is_help=True)
_COLUMNS: Final = {
    "id": "Id", "state": "State", "account_number": "Account", "amount": "Amount", "currency": "", "holder": "Holder",
    "end_to_end_id": "End-to-end id", "beneficiary": "Beneficiary", "requested_by": "Asked for by",
    "requested_at": "Asked for (UTC)", "expires_at": "To be sent by",
}  # fmt: skip
_STORY: Final = {
    "at": "When (UTC)", "state": "What", "actor": "Who", "amount": "Tokens", "movement_id": "Movement", "reason": "",
}  # fmt: skip
Payout = Annotated[UUID, typer.Argument(help="Id of the payout.")]


@app.command("list")
def listing(
    account: Annotated[str, typer.Argument(help="Id or number.")],
    state: Annotated[PayoutState | None, typer.Option(case_sensitive=False)] = None,
    before: Annotated[UUID | None, typer.Option(help="Id of the last one seen.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List an account's payouts, newest first."""

    async def work(database: Database) -> list[dict[str, Any]] | None:
        async with database.transaction() as tx:
            return await payout_story.listing(tx, account, state, before, limit, now())

    found = with_database(database_of(database_url, data), work)
    if found is None:
        fail(Refusal("unknown_account", f"no account {account!r} is known here"))
    show(found, _COLUMNS, as_json=as_json)


@app.command("show")
def show_one(payout: Payout, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show one with its story."""

    async def work(database: Database) -> dict[str, Any] | None:
        async with database.transaction() as tx:
            return await payout_story.show(tx, payout)

    found = with_database(database_of(database_url, data), work)
    if found is None:
        fail(Refusal("unknown_payout", f"no payout {str(payout)!r} is known here"))
    show([found], _COLUMNS, as_json=as_json)
    if not as_json:
        show(found["story"], _STORY, as_json=False)


@app.command()
def hold(
    account: Annotated[str, typer.Argument(help="Id or number.")],
    amount: Annotated[str, typer.Argument(help="In major units: 100.00.")],
    holder: Annotated[str, typer.Option(help="Whose tokens.")],
    currency: Annotated[str | None, typer.Option(help="Needed where a number is kept in several.")] = None,
    end_to_end_id: Annotated[str | None, typer.Option(help="What the order to the bank will carry.")] = None,
    beneficiary: Annotated[str | None, typer.Option(help="Who is to be paid.")] = None,
    expires_in_minutes: Annotated[int, typer.Option(help="Until when it must be sent.")] = 24 * 60,
    key: Key = None,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Hold tokens for a payout."""
    wanted = NewPayout(
        account_id=account, amount=amount, holder=holder, actor=actor, currency=currency, beneficiary=beneficiary,
        end_to_end_id=end_to_end_id, expires_in_minutes=expires_in_minutes,
    )  # fmt: skip

    async def ask(tx: Transaction) -> Answer:
        return (await payouts.hold(tx, [Hold(key or str(uuid4()), uuid4(), wanted)], now()))[0]

    show([answered(database_of(database_url, data), ask)], _COLUMNS, as_json=as_json)


@app.command()
def sent(
    payout: Payout, key: Key = None, actor: Actor = "cli",
    data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say that the order goes to the bank."""
    wanted = Sending(actor=actor)

    async def act(tx: Transaction, wanted: Sending, _: str, at: datetime) -> dict[str, Any]:
        return await payout_acts.send(tx, payout, wanted, at)

    url = database_of(database_url, data)
    show([do_once(url, key or str(uuid4()), f"payout {payout} sent", wanted, act, 200)], _COLUMNS, as_json=as_json)


@app.command()
def cancel(
    payout: Payout,
    reason: Annotated[str, typer.Option(help="Why; kept for ever.")],
    rejected_by_bank: Annotated[bool, typer.Option("--rejected-by-bank", help="The bank rejected the order.")] = False,
    key: Key = None,
    actor: Actor = "cli",
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Release what is held; one that was sent, only where the bank has rejected the order."""
    wanted = Cancelling(actor=actor, reason=reason, rejected_by_bank=rejected_by_bank)

    async def act(tx: Transaction, wanted: Cancelling, _: str, at: datetime) -> dict[str, Any]:
        return await payout_acts.cancel(tx, payout, wanted, at)

    url = database_of(database_url, data)
    show([do_once(url, key or str(uuid4()), f"payout {payout} cancelled", wanted, act, 200)], _COLUMNS, as_json=as_json)
