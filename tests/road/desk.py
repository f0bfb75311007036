"""People at the desk of fundings and receipts, for the tests of them: each act once for its key, as through a door."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import msgspec

from road.bench import NOW, NUMBER, Road
from token_engine.storage import payouts
from token_engine.storage import receipts as stored
from token_engine.tiers import fundings, receipts
from token_engine.tiers.fundings import Cancellation, NewFunding
from token_engine.tiers.once import Answer, once
from token_engine.tiers.receipts import Allocation, Return, ReturnDebit

_keys = count(1)


async def do(
    road: Road, operation: str, wanted: msgspec.Struct, work: Callable[[str], Awaitable[dict[str, Any]]],
    key: str | None, at: datetime,
) -> Answer:  # fmt: skip
    name = key or f"desk-{next(_keys)}"
    return await once(road.tx, name, operation, wanted, at, lambda: work(name))


async def announce(
    road: Road, tag: str = "E1", amount: str = "100", *, number: str = NUMBER, holder: str = "BANKAEAD",
    actor: str = "ann", minutes: int = 60, currency: str | None = None, key: str | None = None, at: datetime = NOW,
) -> Answer:  # fmt: skip
    wanted = NewFunding(
        account_id=number, amount=amount, end_to_end_id=tag, holder=holder, actor=actor, currency=currency,
        expires_in_minutes=minutes,
    )  # fmt: skip
    return await do(road, "funding", wanted, lambda name: fundings.announce(road.tx, wanted, name, at), key, at)


async def cancel(road: Road, funding: str, *, actor: str = "bob", key: str | None = None, at: datetime = NOW) -> Answer:
    wanted = Cancellation(actor=actor, reason="it will not come")
    work = fundings.cancel
    return await do(road, f"cancel {funding}", wanted, lambda _: work(road.tx, funding, wanted, at), key, at)


async def allocate(
    road: Road, entry: int, *, holder: str | None = None, funding: str | None = None, own_funds: bool = False,
    actor: str = "ann", key: str | None = None, at: datetime = NOW,
) -> Answer:  # fmt: skip
    wanted = Allocation(actor=actor, reason="seen the payer", holder=holder, funding_id=funding, own_funds=own_funds)
    work = receipts.allocate
    return await do(road, f"allocation {entry}", wanted, lambda _: work(road.tx, entry, wanted, at), key, at)


async def give_back(
    road: Road, entry: int, *, reference: str | None = None, actor: str = "ann", key: str | None = None,
    at: datetime = NOW,
) -> Answer:  # fmt: skip
    wanted = Return(actor=actor, reason="not ours", reference=reference)
    return await do(road, f"return {entry}", wanted, lambda _: receipts.give_back(road.tx, entry, wanted, at), key, at)


async def tell_debit(
    road: Road, entry: int, debit: int, *, actor: str = "bob", key: str | None = None, at: datetime = NOW
) -> Answer:
    wanted = ReturnDebit(actor=actor, reason="seen on the statement", debit_entry_id=debit)
    work = receipts.tell_debit
    return await do(road, f"debit {entry}", wanted, lambda _: work(road.tx, entry, wanted, at), key, at)


def view(answer: Answer) -> dict[str, Any]:
    """What was done."""
    assert answer.status == 201, answer
    content: dict[str, Any] = json.loads(answer.content)
    return content


def code(answer: Answer) -> str | None:
    """Why not; None for what was done."""
    return None if answer.status < 400 else str(json.loads(answer.content)["code"])


async def entry_of(road: Road, message_id: str) -> int:
    """The number of the entry that a message brought."""
    row = await road.row("SELECT id FROM bank_entries WHERE bank_message_id = %s", message_id)
    return int(row["id"])


async def state_of(road: Road, entry: int) -> str:
    """UNALLOCATED, ALLOCATED or RETURNED."""
    shown = await receipts.show(road.tx, entry, NOW)
    assert shown is not None
    return str(shown["state"])


async def held(road: Road, account: UUID) -> dict[str, Decimal]:
    """What each holder holds."""
    rows = await road.rows("SELECT holder, balance FROM ledger_holders WHERE account_id = %s", account)
    return {row["holder"]: row["balance"] for row in rows}


async def faults(road: Road) -> list[dict[str, Any]]:
    """What `token-engine check` would find in the meetings."""
    return [
        *await stored.unlike_their_movements(road.tx),
        *await stored.met_without_meeting(road.tx),
        *await stored.mints_without_meeting(road.tx),
        *await payouts.unlike_their_meetings(road.tx),
    ]
