"""Receipts: credits that nobody had announced, until a person says whose money each is, or sends it back.

All under the account's lock, in one transaction: the movement, what the entry was, the events, the audit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.backing import Verdict, judge_observed, policy_for, verdict_as_of
from token_engine.domain.ledger import Kind, Mode, Movement
from token_engine.domain.meeting import Met
from token_engine.domain.money import in_currency
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.domain.text import REASON_LENGTH, check_text
from token_engine.domain.unallocated import Credit, check_excess
from token_engine.storage import ledger, meetings, positions, receipts
from token_engine.storage.database import Transaction
from token_engine.tiers import accounts, events, fundings
from token_engine.tiers.changes import Changes
from token_engine.tiers.ledger import post

LARGEST_PAGE: Final = 1000
_STATES: Final = ("unallocated", "allocated", "returned", "all")
_LARGEST_NUMBER: Final = 2**63


class Allocation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose money it is: exactly one of `holder`, who gets its tokens; `funding_id`, which it meets; `own_funds`: the
    issuer's own, which backs tokens and mints none.
    """

    actor: str
    reason: str
    holder: str | None = None
    funding_id: str | None = None
    own_funds: bool = False


class Return(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """It goes back to who sent it. `reference` is the end-to-end id of the payment that takes it back, and so of the
    bank's debit; without one it is the receipt's own, or RETURN- and the number of the entry.
    """

    actor: str
    reason: str
    reference: str | None = None


class ReturnDebit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The entry of the debit that took a returned receipt, where the bank did not book it under its reference."""

    actor: str
    reason: str
    debit_entry_id: int


async def allocate(tx: Transaction, entry_id: int, wanted: Allocation, now: datetime) -> dict[str, Any]:
    """Say whose money a receipt is; its view, with the movement that this posted. `now` has a time zone.

    Raises RefusedError, as `give_back` does, and has then written nothing.
    """
    actor, reason = check_actor(wanted.actor), check_text(wanted.reason, "reason", REASON_LENGTH)
    if (wanted.holder is not None) + (wanted.funding_id is not None) + wanted.own_funds != 1:
        raise RefusedError("invalid_allocation", "exactly one of holder, funding_id and own_funds says whose it is")
    holder = None if wanted.holder is None else check_text(wanted.holder, "holder")
    funding = None if wanted.funding_id is None else await fundings.find(tx, wanted.funding_id)
    account, credit = await _lock(tx, entry_id)
    if funding is not None:
        if funding.account_id != account.id:
            text = f"funding_id: funding {funding.id} is one of another account"
            raise RefusedError("unknown_funding", text, "funding_id")
        funding = await fundings.awaited(tx, funding, now)
        movement = await fundings.meet(tx, account, funding, credit, actor, reason, now)
        met = Met.FUNDING
    else:
        met = Met.OWN_FUNDS if wanted.own_funds else Met.ALLOCATION
        moved = Movement(
            kind=Kind.REPLENISHMENT if wanted.own_funds else Kind.MINT, amount=credit.booked, to_holder=holder,
            reason=reason, actor=actor, cause=credit.reference, key=credit.movement_key,
        )  # fmt: skip
        [movement] = await post(tx, [(account.id, moved)], Mode.ENGINE, now)
        await meetings.keep(tx, [fundings.meeting(credit, met, movement["id"], actor, reason, now)])
    more = {"met": met, "holder": movement["to_holder"], "funding_id": wanted.funding_id, "movement_id": movement["id"]}
    await _tell(tx, account, credit, events.RECEIPT_ALLOCATED, actor, reason, more, now)
    return await _shown(tx, entry_id, now) | {"movement": movement}


async def give_back(tx: Transaction, entry_id: int, wanted: Return, now: datetime) -> dict[str, Any]:
    """Mark that a receipt goes back to who sent it; its view. No token moves: none was minted for it.

    Refused where bank − ledger − other returns not yet debited would not cover it, and on evidence that is not fresh:
    the money of a return must not be money that backs tokens. An open breaker does not refuse it: an excess that
    opened one is healed by sending it back.
    """
    actor, reason = check_actor(wanted.actor), check_text(wanted.reason, "reason", REASON_LENGTH)
    named = None if wanted.reference is None else check_text(wanted.reference, "reference")
    account, credit = await _lock(tx, entry_id)
    reference = named or credit.return_reference
    if await receipts.return_taken(tx, account.id, reference):
        text = f"reference: a debit with {reference!r} would be another return's or a payout's; give one of its own"
        raise RefusedError("reference_taken", text, "reference")
    await _check_evidence(tx, account, now)
    check_excess(
        credit.booked, bank=account.bank, ledger=account.ledger, returning=await receipts.returning(tx, account.id),
        currency=account.currency,
    )  # fmt: skip
    said = fundings.meeting(credit, Met.RETURN, None, actor, reason, now, return_reference=reference)
    await meetings.keep(tx, [said])
    more = {"return_reference": reference}
    await _tell(tx, account, credit, events.RECEIPT_RETURNED, actor, reason, more, now)
    return await _shown(tx, entry_id, now)


async def tell_debit(tx: Transaction, entry_id: int, wanted: ReturnDebit, now: datetime) -> dict[str, Any]:
    """Say which debit took a returned receipt; its view. From then on its money is not counted as on its way back.

    Not every bank gives a return our end-to-end id, and one whose debit is never found would be counted for ever.
    Raises RefusedError, and has then written nothing.
    """
    actor, reason = check_actor(wanted.actor), check_text(wanted.reason, "reason", REASON_LENGTH)
    known = 0 < entry_id < _LARGEST_NUMBER and 0 < wanted.debit_entry_id < _LARGEST_NUMBER
    credit = await receipts.credit(tx, entry_id) if known else None
    if credit is None:
        raise RefusedError("unknown_receipt", f"entry {entry_id} is no receipt that is known here", "entry_id")
    [account] = await positions.lock_ids(tx, [credit.account_id])
    back = await receipts.return_of(tx, entry_id)
    if back is None or back[1] is not None:
        how = "was not returned" if back is None else f"was debited by entry {back[1]}"
        raise RefusedError("receipt_settled", f"receipt {entry_id} {how}", "entry_id")
    debit = await receipts.debit(tx, account.id, wanted.debit_entry_id)
    if debit is None:
        text = f"debit_entry_id: entry {wanted.debit_entry_id} is no debit of this account that waits to be explained"
        raise RefusedError("unknown_debit", text, "debit_entry_id")
    said = fundings.meeting(debit, Met.RETURN_DEBIT, None, actor, reason, now, return_reference=back[0])
    await meetings.keep(tx, [said])
    more = {"return_reference": back[0], "debit_entry_id": debit.entry_id}
    await _tell(tx, account, credit, events.RECEIPT_DEBITED, actor, reason, more, now)
    return await _shown(tx, entry_id, now)


async def show(tx: Transaction, entry_id: int, now: datetime) -> dict[str, Any] | None:
    """One receipt by the number of its entry; what became of it, or the funding that it may be for."""
    row = await receipts.show(tx, entry_id, now) if 0 < entry_id < _LARGEST_NUMBER else None
    return _view(row) if row else None


async def listing(
    tx: Transaction, now: datetime, *, account: str | None = None, state: str | None = None, before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:  # fmt: skip
    """Receipts, newest first; `before` is the entry of the last one seen. Raises RefusedError."""
    word = (state or "unallocated").lower()
    if word not in _STATES:
        raise RefusedError("invalid_request", f"state: {word[:20]!r} is none of {', '.join(_STATES)}", "state")
    account_id = None
    if account is not None:
        found = await accounts.show(tx, account, now)
        if found is None:
            text = f"account_id: no account {account[:50]!r} is known here"
            raise RefusedError("unknown_account", text, "account_id")
        account_id = UUID(found["id"])
    rows = await receipts.listing(
        tx, now, account_id=account_id, state=None if word == "all" else word.upper(), before=before,
        limit=min(limit, LARGEST_PAGE),
    )  # fmt: skip
    return [_view(row) for row in rows]


async def _lock(tx: Transaction, entry_id: int) -> tuple[Account, Credit]:
    """Lock the account of a receipt that waits. Raises RefusedError."""
    credit = await receipts.credit(tx, entry_id) if 0 < entry_id < _LARGEST_NUMBER else None
    if credit is None:
        raise RefusedError("unknown_receipt", f"entry {entry_id} is no receipt that is known here", "entry_id")
    account = await fundings.lock_open(tx, credit.account_id)
    done = await receipts.meeting_of(tx, credit)  # a statement after the lock sees what it waited for
    if done is not None:
        text = f"receipt {entry_id} was settled by {done.actor} at {done.at:%Y-%m-%dT%H:%M:%SZ}: {done.met}"
        raise RefusedError("receipt_settled", text, "entry_id")
    return account, credit


async def _check_evidence(tx: Transaction, account: Account, now: datetime) -> None:
    opened = (await ledger.books(tx, [(account.id, None)]))[account.id]
    policy = policy_for(await positions.policies_of(tx, [account]), account.id, account.currency)
    verdict = verdict_as_of(
        judge_observed(account.ledger, account.bank, account.observed_gap, policy)[0], opened.evidence_at, now, policy,
        statement_missing_since=account.statement_missing_since,
    )  # fmt: skip
    if verdict in (Verdict.STALE, Verdict.UNKNOWN):
        raise RefusedError("no_fresh_evidence", f"what the bank holds is {verdict}: nothing is sent back on that")


async def _tell(
    tx: Transaction, account: Account, credit: Credit, subject: str, actor: str, reason: str, more: dict[str, Any],
    now: datetime,
) -> None:  # fmt: skip
    amount = in_currency(credit.booked, account.currency)
    content = {
        "entry_id": credit.entry_id, "account_id": account.id, "account_number": account.number,
        "currency": account.currency, "amount": amount, "end_to_end_id": credit.end_to_end_id,
        "servicer_reference": credit.servicer_reference, "actor": actor, "reason": reason, **more,
    }  # fmt: skip
    changes, word = Changes(now), subject.rpartition(".")[2]
    changes.announce(subject, f"receipt.{credit.entry_id}.{word}", credit.bank_message_id, content)
    details = {"entry": credit.entry_id, "amount": amount, "reason": reason, **more}
    changes.note(f"receipt_{word}", account.id, credit.message_id, details, actor)
    await changes.write(tx)


async def _shown(tx: Transaction, entry_id: int, now: datetime) -> dict[str, Any]:
    view = await show(tx, entry_id, now)
    assert view is not None  # no entry is ever deleted
    return view


def _view(row: dict[str, Any]) -> dict[str, Any]:
    currency, became, suggestion = row["currency"], None, None
    state = "UNALLOCATED"
    if row["met"] is not None:
        state = "RETURNED" if row["met"] == Met.RETURN else "ALLOCATED"
        said = ("met", "funding_id", "movement_id", "return_reference", "debit_id", "actor", "reason", "at")
        became = {name: row[name] for name in said}
    if row["suggested_id"] is not None:
        suggestion = {
            "funding_id": row["suggested_id"],
            "end_to_end_id": row["suggested_end_to_end_id"],
            "amount": in_currency(row["suggested_amount"], currency),
            "holder": row["suggested_holder"],
            "state": row["suggested_state"],
        }
    names = ("booking_date", "value_date", "end_to_end_id", "servicer_reference", "entry_reference", "uetr",
             "instruction_id", "transaction_id", "bank_message_id", "message_id")  # fmt: skip
    return {
        "entry_id": row["entry_id"],
        "account_id": str(row["account_id"]),
        "account_number": row["account_number"],
        "currency": currency,
        "amount": in_currency(row["amount"], currency),
        "state": state,
        **{name: row[name] for name in names},
        "became": became,
        "suggestion": suggestion,
    }
