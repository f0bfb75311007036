"""`token-engine payouts`: hold tokens for payouts, say that they were sent, cancel, list and show them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn
from uuid import UUID, uuid4

import msgspec
import typer

from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, database_of
from token_engine.cli.session import now, show, with_database
from token_engine.domain.gate import GateShut
from token_engine.domain.payout import PayoutState
from token_engine.domain.refusal import Refusal
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import payout_acts, payout_story, payouts
from token_engine.tiers.once import Answer, once
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
Key = Annotated[str | None, typer.Option(help="Idempotency key; without one each call is a request of its own.")]


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
        _fail(Refusal("unknown_account", f"no account {account!r} is known here"))
    show(found, _COLUMNS, as_json=as_json)


@app.command("show")
def show_one(payout: Payout, data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show one with its story."""

    async def work(database: Database) -> dict[str, Any] | None:
        async with database.transaction() as tx:
            return await payout_story.show(tx, payout)

    found = with_database(database_of(database_url, data), work)
    if found is None:
        _fail(Refusal("unknown_payout", f"no payout {str(payout)!r} is known here"))
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

    async def act(tx: Transaction, key: str) -> Answer:
        return (await payouts.hold(tx, [Hold(key, uuid4(), wanted)], now()))[0]

    _do(database_url, data, key, as_json, act)


@app.command()
def sent(
    payout: Payout, key: Key = None, actor: Actor = "cli",
    data: Data = DATA, database_url: DatabaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say that the order goes to the bank."""
    wanted = Sending(actor=actor)

    async def act(tx: Transaction, key: str) -> Answer:
        at = now()
        return await once(
            tx, key, f"payout {payout} sent", wanted, at, lambda: payout_acts.send(tx, payout, wanted, at), 200
        )

    _do(database_url, data, key, as_json, act)


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

    async def act(tx: Transaction, key: str) -> Answer:
        at = now()
        return await once(
            tx, key, f"payout {payout} cancelled", wanted, at,
            lambda: payout_acts.cancel(tx, payout, wanted, at), 200,
        )  # fmt: skip

    _do(database_url, data, key, as_json, act)


def _do(
    url: str | None, data: Path, key: str | None, as_json: bool, act: Callable[[Transaction, str], Awaitable[Answer]]
) -> None:
    async def work(database: Database) -> Answer:
        async with database.transaction() as tx:
            return await act(tx, key or f"cli-{uuid4()}")

    answer = with_database(database_of(url, data), work)
    if answer.status >= 400:
        _fail(msgspec.json.decode(answer.content, type=GateShut))
    show([msgspec.json.decode(answer.content)], _COLUMNS, as_json=as_json)


def _fail(refusal: Refusal) -> NoReturn:
    typer.echo(f"{refusal.code}: {refusal.message}", err=True)
    raise typer.Exit(1)
