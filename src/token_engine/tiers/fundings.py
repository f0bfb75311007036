"""Fundings: announce an expected credit, and mint for it what the bank has booked (DESIGN 3.3).

A credit that comes after its announcement is met by the road, in its own transaction. One that was there before
is met here, in the transaction of the announcement.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import Level
from token_engine.domain.discrepancy import FUNDING_AMOUNT_DIFFERS
from token_engine.domain.funding import Funding, FundingState, check_awaited, expiry
from token_engine.domain.ledger import Kind, Mode, Movement
from token_engine.domain.meeting import Met
from token_engine.domain.money import check_decimals, in_currency, parse_amount
from token_engine.domain.person import ENGINE, check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.domain.standing import Discrepancy
from token_engine.domain.text import NAME_LENGTH, REASON_LENGTH, check_text
from token_engine.domain.unallocated import Credit
from token_engine.iso20022.words import reference
from token_engine.storage import fundings, ledger, meetings, positions, receipts
from token_engine.storage.database import Database, Transaction
from token_engine.storage.meetings import MeetingRow
from token_engine.tiers import accounts, events
from token_engine.tiers.acceptance import as_account_id
from token_engine.tiers.changes import Changes
from token_engine.tiers.ledger import post
from token_engine.tiers.orders import find_account

LARGEST_PAGE: Final = 1000


class NewFunding(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A credit that is expected. `account_id` is our id or the bank's number; `currency` is needed where a number is
    kept in several. `amount` is a decimal string in major units, `end_to_end_id` what the payer puts on the payment,
    `holder` who gets the tokens.
    """

    account_id: str
    amount: str
    end_to_end_id: str
    holder: str
    actor: str
    currency: str | None = None
    expires_in_minutes: int = 30 * 24 * 60


class Cancellation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """It is not expected any more."""

    actor: str
    reason: str


async def announce(tx: Transaction, wanted: NewFunding, _: str, now: datetime) -> dict[str, Any]:
    """Expect a credit; the funding's view, with `minted` where the credit was there already.

    Where nothing may be minted now the funding is kept, and `waiting` says why: the receipt can be allocated to it
    later. Raises RefusedError, as all of these do, and has then written nothing. `now` has a time zone.
    """
    tag, holder = _end_to_end_id(wanted.end_to_end_id), check_text(wanted.holder, "holder")
    actor, amount = check_actor(wanted.actor), parse_amount(wanted.amount)
    expires_at = expiry(now, wanted.expires_in_minutes)
    account_id = await find_account(tx, wanted.account_id, wanted.currency)
    account = await lock_open(tx, account_id)
    check_decimals(amount, account.currency)
    if amount <= 0:
        raise RefusedError("invalid_amount", "amount: must be more than nothing", "amount")
    if await fundings.is_of_payout(tx, account_id, tag):
        text = f"end_to_end_id: a credit with {tag!r} would be a payout that comes back"
        raise RefusedError("reference_taken", text, "end_to_end_id")
    changes = Changes(now)
    before = await fundings.expected(tx, account_id, tag)
    if before is not None and before.awaited(now):
        text = f"end_to_end_id: funding {before.id} is expected under it already"
        raise RefusedError("funding_exists", text, "end_to_end_id")
    if before is not None:
        await _settle(tx, changes, account, before, FundingState.EXPIRED, ENGINE, "its time is over", now)
    funding = Funding(
        id=uuid4(), account_id=account_id, end_to_end_id=tag, amount=amount, holder=holder,
        state=FundingState.EXPECTED, announced_by=actor, announced_at=now, expires_at=expires_at,
    )  # fmt: skip
    await fundings.insert(tx, funding)
    _tell(changes, account, funding, actor, {})
    await changes.write(tx)
    minted = waiting = None
    credit = await receipts.oldest_unallocated(tx, account_id, tag)
    if credit is not None:
        try:
            minted = await meet(tx, account, funding, credit, ENGINE, f"the bank's entry {credit.reference}", now)
        except RefusedError as refused:
            waiting = {"code": refused.refusal.code, "message": refused.refusal.message, "entry_id": credit.entry_id}
    view = await show(tx, str(funding.id), now)
    assert view is not None  # announced in this transaction
    return view | {"minted": minted, "waiting": waiting}


async def cancel(tx: Transaction, name: str, wanted: Cancellation, now: datetime) -> dict[str, Any]:
    """Expect it no more; its view. A credit that comes all the same is a receipt for a person."""
    actor, reason = check_actor(wanted.actor), check_text(wanted.reason, "reason", REASON_LENGTH)
    named = await find(tx, name)
    [account] = await positions.lock_ids(tx, [named.account_id])
    funding = await awaited(tx, named, now)
    changes = Changes(now)
    await _settle(tx, changes, account, funding, FundingState.CANCELLED, actor, reason, now)
    await changes.write(tx)
    view = await show(tx, name, now)
    assert view is not None
    return view


async def expire(database: Database, now: datetime) -> int:
    """Write down which fundings' time is over by `now`, account by account; how many accounts that concerned.

    That none is met after its time does not rest on this: who looks one up goes by the clock.
    """
    async with database.transaction() as tx:
        keys = await fundings.accounts_due(tx, now)
    for key in keys:
        async with database.transaction() as tx:
            await end(tx, key, now)
    return len(keys)


async def end(tx: Transaction, account_id: UUID, now: datetime) -> None:
    """Do what `expire` does to the fundings of one account."""
    [account] = await positions.lock_ids(tx, [account_id])
    changes = Changes(now)
    for funding in await fundings.due(tx, account_id, now):
        await _settle(tx, changes, account, funding, FundingState.EXPIRED, ENGINE, "its time is over", now)
    await changes.write(tx)


async def meet(
    tx: Transaction, account: Account, funding: Funding, credit: Credit, actor: str, reason: str, now: datetime
) -> dict[str, Any]:
    """Mint to the funding's holder what the bank booked, and say that this was it; the movement's view.

    Call under the account's lock, with a funding that is awaited and a credit that nothing has met. Raises RefusedError
    where nothing may be minted now, and has then written nothing.
    """
    movement = Movement(
        kind=Kind.MINT, amount=credit.booked, to_holder=funding.holder, actor=actor, cause=credit.reference,
        reason=f"the bank's credit of funding {funding.id}", key=credit.movement_key,
    )  # fmt: skip
    [minted] = await post(tx, [(account.id, movement)], Mode.ENGINE, now)
    await meetings.keep(tx, [meeting(credit, Met.FUNDING, minted["id"], actor, reason, now, funding_id=funding.id)])
    changes = Changes(now)
    booked = {
        "entry_id": credit.entry_id, "movement_id": minted["id"], "booked": in_currency(credit.booked, account.currency)
    }  # fmt: skip
    await _settle(tx, changes, account, funding, FundingState.MET, actor, reason, now, **booked)
    if credit.booked != funding.amount:
        found = Discrepancy(
            uuid4(), account.id, funding.amount, credit.booked, Level.MINOR, credit.source_system,
            credit.bank_message_id, now, credit.message_id, type=FUNDING_AMOUNT_DIFFERS, subject=str(funding.id),
        )  # fmt: skip
        announced = in_currency(funding.amount, account.currency)
        text = f"funding {funding.id}: {announced} expected, {booked['booked']} booked"
        changes.raised(found, account, text, f"movement.{minted['id']}")
    await changes.write(tx)
    return minted


def meeting(
    credit: Credit, met: Met, movement_id: int | None, actor: str, reason: str, now: datetime, *,
    funding_id: UUID | None = None, return_reference: str | None = None,
) -> MeetingRow:  # fmt: skip
    """What a credit was, to be kept once for ever."""
    return MeetingRow(
        credit.account_id, credit.amount, credit.identity, credit.occurrence, met, funding_id, None, movement_id, actor,
        reason, now, return_reference,
    )  # fmt: skip


async def lock_open(tx: Transaction, account_id: UUID) -> Account:
    """Lock an account whose token ledger is ours to post to. Raises RefusedError: it is closed, or kept elsewhere."""
    [account] = await positions.lock_ids(tx, [account_id])
    book = (await ledger.books(tx, [(account_id, None)]))[account_id].book
    book.check_open_to(Mode.ENGINE)
    return account


async def find(tx: Transaction, name: str) -> Funding:
    """The funding of this id, as far as can be said without its account's lock. Raises RefusedError."""
    key = as_account_id(name)
    found = await fundings.of_id(tx, key) if key else None
    if found is None:
        raise RefusedError("unknown_funding", f"no funding {name[:40]!r} is known here", "funding_id")
    return found


async def awaited(tx: Transaction, funding: Funding, now: datetime) -> Funding:
    """The funding as it is under its account's lock. Raises RefusedError: no credit may meet it any more."""
    again = await fundings.of_id(tx, funding.id)  # a statement after the lock sees what it waited for
    assert again is not None  # none is ever deleted
    check_awaited(again, now)
    return again


async def show(tx: Transaction, name: str, now: datetime) -> dict[str, Any] | None:
    """One funding, with the entry that met it and the movement that came of it; its state by the clock."""
    key = as_account_id(name)
    row = await fundings.show(tx, key, now) if key else None
    return _view(row) if row else None


async def listing(
    tx: Transaction, name: str, now: datetime, *, state: str | None = None, before: UUID | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """An account's fundings, newest first; `before` is the last one seen. Raises RefusedError."""
    account = await accounts.show(tx, name, now)
    if account is None:
        text = f"account_id: no account {name[:50]!r} is known here"
        raise RefusedError("unknown_account", text, "account_id")
    words = [word.value.lower() for word in FundingState]
    if state is not None and state.lower() not in (*words, "all"):
        raise RefusedError("invalid_request", f"state: {state[:20]!r} is none of all, {', '.join(words)}", "state")
    wanted = FundingState(state.upper()) if state and state.lower() != "all" else None
    rows = await fundings.listing(
        tx, UUID(account["id"]), now, state=wanted, before=before, limit=min(limit, LARGEST_PAGE)
    )
    return [_view(row) for row in rows]


def _end_to_end_id(text: str) -> str:
    """Raises RefusedError: NOTPROVIDED and its kin are on payments of everybody, and would meet any of them."""
    tag = reference(check_text(text, "end_to_end_id", NAME_LENGTH))
    if tag is None:
        raise RefusedError("invalid_end_to_end_id", f"end_to_end_id: {text!r} tells no payment apart", "end_to_end_id")
    return tag


async def _settle(
    tx: Transaction, changes: Changes, account: Account, funding: Funding, state: FundingState, by: str, reason: str,
    now: datetime, **more: Any,
) -> None:  # fmt: skip
    await fundings.settle(tx, funding.id, state, by, now, reason)
    settled = structs.replace(funding, state=state)
    _tell(changes, account, settled, by, {"settled_by": by, "settled_reason": reason, **more})


def _tell(changes: Changes, account: Account, funding: Funding, actor: str, more: dict[str, Any]) -> None:
    subject = events.FUNDING[funding.state]
    word = subject.rpartition(".")[2]
    content = events.funding(funding, account)
    changes.announce(subject, f"funding.{funding.id}.{word}", funding.end_to_end_id, content | more)
    names = ("end_to_end_id", "amount", "holder")
    details = {"funding": str(funding.id), **{name: content[name] for name in names}, **more}
    changes.note(f"funding_{word}", account.id, None, details, actor)


def _view(row: dict[str, Any]) -> dict[str, Any]:
    currency, entry, movement = row["currency"], None, None
    if row["entry_id"] is not None:
        told = ("booking_date", "value_date", "servicer_reference", "bank_message_id", "message_id")
        booked = in_currency(row["booked"], currency)
        entry = {"entry_id": row["entry_id"], "amount": booked, **{name: row[name] for name in told}}
        movement = {"id": row["movement_id"], "kind": Kind.MINT, "amount": booked, "at": row["met_at"]}
    names = ("end_to_end_id", "holder", "state", "announced_by", "announced_at", "expires_at", "settled_by",
             "settled_at", "settled_reason")  # fmt: skip
    return {
        "id": str(row["id"]),
        "account_id": str(row["account_id"]),
        "account_number": row["account_number"],
        "currency": currency,
        "token": f"x{currency}",
        "amount": in_currency(row["amount"], currency),
        **{name: row[name] for name in names},
        "entry": entry,
        "movement": movement,
    }
