"""Closing an open breaker: request, a second person's approval, withdrawal (DESIGN 3.5)."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from token_engine.domain.breaker import TABLE, Event
from token_engine.domain.closing import LIFETIME, Closing, ClosingState, why_not_close
from token_engine.domain.override import OverrideState
from token_engine.domain.person import same_person
from token_engine.domain.refusal import Refusal
from token_engine.storage import breakers
from token_engine.storage.database import Transaction
from token_engine.tiers.breakers import Act, Denied, UnderLock, at_the_breaker

_OVER: Final = {
    ClosingState.APPROVED: "it was approved",
    ClosingState.WITHDRAWN: "it was withdrawn",
    ClosingState.EXPIRED: "nobody approved it in time; ask anew",
    ClosingState.VOID: "the account was judged Critical again since; ask anew",
}


async def request(tx: Transaction, name: str, act: Act, now: datetime) -> Closing | Denied:
    """Ask to close an account's open breaker. The same person asking again in the same words is answered
    with the request that waits.
    """
    return await at_the_breaker(tx, name, act, now, "a closing", _request)


async def _request(locked: UnderLock, act: Act) -> Closing | Denied:
    if locked.account.closed_at is not None:
        return Denied(Refusal("account_closed", f"account {locked.account.number} is closed", "account_id"))
    if (known := locked.closing) is not None:
        if same_person(known.requested_by, act.actor) and known.reason == act.reason:
            return known
        return Denied(Refusal("closing_pending", f"closing {known.id} of {known.requested_by} waits for approval"))
    if (locked.phase, Event.CLOSE_REQUESTED) not in TABLE:
        return Denied(Refusal("breaker_not_open", f"the breaker is {locked.account.breaker}: nothing to close"))
    wanted = Closing(
        id=uuid4(), account_id=locked.account.id, state=ClosingState.PENDING,
        critical_judgements=locked.word.critical_judgements, requested_by=act.actor, reason=act.reason,
        requested_at=locked.now, expires_at=locked.now + LIFETIME,
    )  # fmt: skip
    await locked.keep_closing(wanted, act.actor, act.reason)
    return wanted


async def approve(tx: Transaction, name: str, key: UUID, act: Act, now: datetime) -> Closing | Denied:
    """Close the breaker as the second person, if the evidence of this moment lets it close.

    A refusal for want of evidence leaves the closing waiting.
    """
    settle = partial(_settle, key=key, wanted=ClosingState.APPROVED)
    return await at_the_breaker(tx, name, act, now, f"approval of closing {key}", settle)


async def withdraw(tx: Transaction, name: str, key: UUID, act: Act, now: datetime) -> Closing | Denied:
    """Take a request back, or refuse it: anybody may, for nothing opens by it."""
    settle = partial(_settle, key=key, wanted=ClosingState.WITHDRAWN)
    return await at_the_breaker(tx, name, act, now, f"withdrawal of closing {key}", settle)


async def _settle(locked: UnderLock, act: Act, key: UUID, wanted: ClosingState) -> Closing | Denied:
    known = await breakers.closing(locked.tx, locked.account.id, key)
    if known is None:
        return Denied(Refusal("unknown_closing", f"no closing {key} of this account is known here", "closing_id"))
    if known.state is not ClosingState.PENDING:
        if known.state is wanted and same_person(known.settled_by or "", act.actor):
            return known  # the answer was lost on its way
        return Denied(Refusal(f"closing_{known.state.lower()}", f"closing {key} is settled: {_OVER[known.state]}"))
    if wanted is ClosingState.WITHDRAWN:
        return await locked.settle_closing(ClosingState.WITHDRAWN, act.actor, act.reason)
    if same_person(known.requested_by, act.actor):
        return Denied(Refusal("same_person", f"actor: {known.requested_by} asked; another person approves", "actor"))
    if locked.account.closed_at is not None:
        return Denied(Refusal("account_closed", f"account {locked.account.number} is closed", "account_id"))
    if (locked.phase, Event.CLOSE_APPROVED) not in TABLE:
        return Denied(Refusal("breaker_not_open", f"the breaker is {locked.account.breaker}: nothing to close"))
    judgement = locked.judgement()
    if refusal := why_not_close(judgement, locked.word, locked.account.policy, locked.now):
        return Denied(refusal, judgement)
    approved = await locked.settle_closing(ClosingState.APPROVED, act.actor, act.reason)
    if locked.override is not None:
        # It was agreed on for this break; the next is another.
        await locked.end_override(OverrideState.VOID, act.actor, f"the breaker was closed by closing {key}")
    return approved
