"""An account's breaker under lock: what people are about, what is over, what the gates say (DESIGN 3.5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import structs

from token_engine.domain import closing as closings
from token_engine.domain import override as overrides
from token_engine.domain.account import Account
from token_engine.domain.backing import policy_for
from token_engine.domain.breaker import Breaker, Phase, phase_of
from token_engine.domain.closing import BankWord, Closing, ClosingState
from token_engine.domain.gate import Gate, mint_gate, payout_gate
from token_engine.domain.override import Override, OverrideState
from token_engine.domain.person import ENGINE, check_actor, check_reason
from token_engine.domain.receipt import Judgement
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.domain.standing import Standing
from token_engine.storage import breakers, payouts, positions
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import accounts, events
from token_engine.tiers.changes import Changes

_STEPS_SHOWN: Final = 20
_Done = TypeVar("_Done", Closing, Override)
_OVER: Final = {ClosingState.VOID: "judged Critical again", ClosingState.EXPIRED: "nobody approved it in time"}


class Act(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person says who requests, approves, withdraws or revokes."""

    actor: str
    reason: str

    def checked(self) -> Act:
        """With the blanks around its words gone. Raises RefusedError."""
        return Act(actor=check_actor(self.actor), reason=check_reason(self.reason))


class Denied(msgspec.Struct, frozen=True):
    """An act that changed nothing, and the figures where they are why."""

    refusal: Refusal
    standing: Judgement | None = None


class UnderLock:
    """An account under lock, with what people are about. Nothing of it changes but by this transaction."""

    def __init__(
        self, tx: Transaction, account: Account, word: BankWord, closing: Closing | None, override: Override | None,
        now: datetime,
    ) -> None:  # fmt: skip
        self.tx = tx
        self.account = account
        self.word = word
        self.closing = closing
        """The one that waits, if any."""
        self.override = override
        """The one that waits or is in force, if any."""
        self.now = now
        self.changes = Changes(now)

    @property
    def phase(self) -> Phase:
        """Where the automaton stands."""
        in_force = self.override is not None and self.override.state is OverrideState.IN_FORCE
        return phase_of(self.account.breaker, closing=self.closing is not None, overridden=in_force)

    def judgement(self) -> Judgement:
        """Where the account stands at this moment."""
        return Standing(self.account).judgement()

    async def keep_closing(self, settled: Closing, by: str, reason: str) -> None:
        """Write a closing in its new state, with its event and audit row."""
        if settled.state is ClosingState.PENDING:
            await breakers.insert_closing(self.tx, settled)
        else:
            await breakers.settle_closing(self.tx, settled)
        event_id = f"closing.{settled.id}.{settled.state.lower()}"
        stands = self.judgement()
        content = {**structs.asdict(stands), "closing": settled}
        self.changes.announce(events.CLOSING[settled.state], event_id, None, content)
        details = {
            "closing": str(settled.id), "reason": reason, "ledger": stands.ledger_balance,
            "bank": stands.bank_balance, "level": stands.threshold_level,
        }  # fmt: skip
        self._note(events.CLOSING[settled.state], details, by)

    async def keep_override(self, settled: Override, by: str, reason: str) -> None:
        """Write an override in its new state, with its event and audit row."""
        if settled.state is OverrideState.PENDING:
            await breakers.insert_override(self.tx, settled)
        else:
            await breakers.settle_override(self.tx, settled)
        subject = events.override(settled)
        event_id = f"override.{settled.id}.{settled.state.lower()}"
        self.changes.announce(subject, event_id, None, {**structs.asdict(self.judgement()), "override": settled})
        details = {"override": str(settled.id), "reason": reason, "expires_at": settled.expires_at.isoformat()}
        self._note(subject, details, by)

    async def end_override(self, state: OverrideState, by: str, reason: str) -> Override:
        """End the override that waits or is in force."""
        assert self.override is not None
        ended = structs.replace(self.override, state=state, ended_by=by, ended_reason=reason, ended_at=self.now)
        await self.keep_override(ended, by, reason)
        self.override = None
        return ended

    async def settle_closing(self, state: ClosingState, by: str, reason: str) -> Closing:
        """Settle the closing that waits."""
        assert self.closing is not None
        settled = structs.replace(
            self.closing, state=state, settled_by=by, settled_reason=reason, settled_at=self.now
        )  # fmt: skip
        self.closing = None
        if state is ClosingState.APPROVED:
            self.account = structs.replace(self.account, breaker=Breaker.CLOSED)
        await self.keep_closing(settled, by, reason)
        if state is ClosingState.APPROVED:
            await breakers.close_breaker(self.tx, settled)
        return settled

    def _note(self, subject: str, details: dict[str, Any], actor: str) -> None:
        action = f"breaker_{subject.rpartition('.')[2]}"
        self.changes.note(action, self.account.id, None, details, actor)


async def lock(tx: Transaction, name: str, now: datetime) -> UnderLock | Denied:
    """Lock an account, named by id or number, and write down what is over by `now` (with a time zone).

    The caller writes `changes`, also when it then refuses.
    """
    view = await accounts.show(tx, name, now)
    if view is None:
        return Denied(Refusal("unknown_account", f"no account {name!r} is known here", "account_id"))
    return await lock_id(tx, UUID(view["id"]), now)


async def at_the_breaker(
    tx: Transaction, name: str, said: Act, now: datetime, asked: str,
    do: Callable[[UnderLock, Act], Awaitable[_Done | Denied]],
) -> _Done | Denied:  # fmt: skip
    """Check who acts and why, lock the account, `do` what is asked, and write what came of it.

    What is refused changes nothing and is audited, with `asked` in words: that somebody tried is news for an auditor.
    """
    try:
        act = said.checked()
    except RefusedError as refused:
        return Denied(refused.refusal)
    locked = await lock(tx, name, now)
    if isinstance(locked, Denied):
        return locked
    outcome = await do(locked, act)
    if isinstance(outcome, Denied):
        details = {"asked": asked, "reason": act.reason, **structs.asdict(outcome.refusal)}
        locked.changes.note("breaker_act_refused", locked.account.id, None, details, act.actor)
    await locked.changes.write(tx)
    return outcome


async def lock_id(tx: Transaction, key: UUID, now: datetime) -> UnderLock:
    """As `lock`, for an account that is known to be there."""
    [account] = await positions.lock_ids(tx, [key])
    # Statements after the lock, which see what it waited for.
    policies = await positions.policies_of(tx, [account])
    policy = policy_for(policies, key, account.currency)
    locked = UnderLock(
        tx, structs.replace(account, policy=policy), await breakers.bank_word(tx, key),
        await breakers.pending_closing(tx, key), await breakers.open_override(tx, key), now,
    )  # fmt: skip
    if locked.closing is not None:
        state = closings.state_as_of(locked.closing, locked.word.critical_judgements, now)
        if state is not ClosingState.PENDING:
            await locked.settle_closing(state, ENGINE, _OVER[state])
    if locked.override is not None and overrides.state_as_of(locked.override, now) is OverrideState.EXPIRED:
        await locked.end_override(OverrideState.EXPIRED, ENGINE, "its time is over")
    return locked


async def expire(database: Database, now: datetime) -> int:
    """Write down whatever is over by `now`, account by account; how many accounts that concerned.

    Exactly once, however many engines do it: under the account's lock, each sees what the other wrote. That
    nothing outlives its time does not rest on this: gates and approvals go by the clock.
    """
    async with database.transaction() as tx:
        due = await breakers.due(tx, now)
    for key in due:
        async with database.transaction() as tx:
            locked = await lock_id(tx, key, now)
            await locked.changes.write(tx)
    return len(due)


async def show(tx: Transaction, name: str, now: datetime) -> dict[str, Any] | Denied:
    """The breaker: its state, since when and why, the closing and override under way, its latest steps."""
    view = await accounts.show(tx, name, now)
    if view is None:
        return Denied(Refusal("unknown_account", f"no account {name!r} is known here", "account_id"))
    key = UUID(view["id"])
    word = await breakers.bank_word(tx, key)
    opened = await breakers.opened(tx, key) if view["circuit_breaker"] == Breaker.OPEN else None
    closing, override = await _under_way(tx, key, word, now)
    return {
        "account_id": view["id"],
        "account_number": view["account_number"],
        "circuit_breaker": view["circuit_breaker"],
        "open_since": opened and opened[0],
        "open_because": opened and opened[1],
        "last_critical_at": word.last_critical_at,
        "bank_spoke_since_break": word.since_break,
        "closing": closing,
        "override": override,
        "steps": await breakers.steps(tx, key, _STEPS_SHOWN),
    }


async def gate(tx: Transaction, name: str, now: datetime) -> dict[str, Any] | Denied:
    """What the payout gate and the mint gate say `now`, and what stands behind it. Takes no lock: a hold
    asks again under its own.
    """
    view = await accounts.show(tx, name, now)
    if view is None:
        return Denied(Refusal("unknown_account", f"no account {name!r} is known here", "account_id"))
    key = UUID(view["id"])
    word = await breakers.bank_word(tx, key)
    closing, override = await _under_way(tx, key, word, now)
    facts = (await payouts.payer(tx, key)).facts
    return {
        "account_id": view["id"],
        "account_number": view["account_number"],
        "as_of": now,
        "payout": _gate_view(payout_gate(facts, now)),
        "mint": _gate_view(mint_gate(facts, now)),
        "circuit_breaker": view["circuit_breaker"],
        "verdict": view["verdict"],
        "last_reconciliation_at": word.at,
        "closing": closing,
        "override": override,
    }


async def _under_way(
    tx: Transaction, key: UUID, word: BankWord, now: datetime
) -> tuple[Closing | None, Override | None]:
    closing, override = await breakers.pending_closing(tx, key), await breakers.open_override(tx, key)
    if closing and closings.state_as_of(closing, word.critical_judgements, now) is not ClosingState.PENDING:
        closing = None
    if override and overrides.state_as_of(override, now) is OverrideState.EXPIRED:
        override = None
    return closing, override


def _gate_view(said: Gate) -> dict[str, Any]:
    return {"allowed": said.allowed, "reasons": said.reasons}
