"""May this account pay out, may it mint? Whatever says no says why, in words a program can act on (DESIGN 3.5)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, assert_never

import msgspec

from token_engine.domain.backing import Level, Policy, Verdict, statement_overdue, verdict_as_of
from token_engine.domain.breaker import Breaker, step
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.refusal import Refusal


class Reason(StrEnum):
    """Why a gate is shut."""

    ACCOUNT_CLOSED = "account_closed"
    OPEN = "open"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"
    STALE = "stale"
    STATEMENT_MISSING = "statement_missing"
    INSUFFICIENT = "insufficient"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate looks at. `level` and `evidence_at` are None until the bank has spoken; `override_until`
    is the end of an override that was approved, whether or not it is over; `statement_missing_since` when
    the oldest statement that has not come was due. Times with a zone.
    """

    breaker: Breaker
    level: Level | None
    evidence_at: datetime | None
    policy: Policy
    override_until: datetime | None = None
    closed_at: datetime | None = None
    statement_missing_since: datetime | None = None


class Gate(msgspec.Struct, frozen=True):
    """Open if there is no reason against it."""

    reasons: tuple[Reason, ...]

    @property
    def allowed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold is taken from, in major units: an account's tokens, and those of a holder where one is named.
    What is reserved is held for other payouts.
    """

    ledger: Decimal
    reserved: Decimal
    holder: Decimal | None = None
    holder_reserved: Decimal = Decimal(0)

    @property
    def available(self) -> Decimal:
        """The account's tokens that no payout holds."""
        return EXACT.subtract(self.ledger, self.reserved)

    @property
    def free(self) -> Decimal:
        """The most that can be held: of the holder's tokens, and of the account's."""
        if self.holder is None:
            return self.available
        return min(self.available, EXACT.subtract(self.holder, self.holder_reserved))


class GateShut(Refusal, frozen=True):
    """Refused by a gate: for all of these reasons."""

    reasons: tuple[str, ...] = ()


_WORSE: Final = {Breaker.CLOSED: 0, Breaker.SUSPENDED: 1, Breaker.OPEN: 2}
_HALTS: Final = frozenset({Reason.ACCOUNT_CLOSED, Reason.OPEN})
"""What stops a payout that is held already."""


def payout_gate(facts: Facts, now: datetime) -> Gate:
    """Whether a payout may be held or sent `now`, its amount aside.

    An override in force lets it through an open breaker, and through nothing else: no evidence, or old
    evidence, is no break that somebody could have looked at and accepted.
    """
    reasons = _of_account(facts)
    match _breaker(facts):
        case Breaker.OPEN:
            if facts.breaker is not Breaker.OPEN or not overridden(facts, now):
                reasons.append(Reason.OPEN)
        case Breaker.SUSPENDED:
            reasons.append(Reason.SUSPENDED)
        case Breaker.CLOSED:
            pass
        case other:
            assert_never(other)
    return Gate((*reasons, *_of_evidence(facts, now)))


def hold_gate(facts: Facts, cover: Cover, amount: Decimal, now: datetime) -> Gate:
    """Whether a payout of `amount` (major units, more than nothing) may be held `now`."""
    gate = payout_gate(facts, now)
    return gate if amount <= cover.free else Gate((*gate.reasons, Reason.INSUFFICIENT))


def shut(gate: Gate, cover: Cover, amount: Decimal, currency: str) -> GateShut:
    """The refusal of a gate that is not open: the first reason in a sentence, and all of them for a program."""
    match gate.reasons[0]:
        case Reason.ACCOUNT_CLOSED:
            why = Refusal("account_closed", "account_id: the account is closed", "account_id")
        case Reason.OPEN:
            why = Refusal("breaker_open", "the circuit breaker is open: nothing is paid out until people close it")
        case Reason.SUSPENDED:
            why = Refusal("breaker_suspended", "payouts are suspended until the difference is within bounds again")
        case Reason.STATEMENT_MISSING:
            text = "the bank's statement is missing for longer than evidence may be old: nothing is held on that"
            why = Refusal("no_fresh_evidence", text)
        case Reason.UNKNOWN | Reason.STALE as lack:
            text = f"what the bank holds is {lack.capitalize()}: nothing is held for a payout on that"
            why = Refusal("no_fresh_evidence", text)
        case Reason.INSUFFICIENT if cover.holder is not None and cover.holder < amount:
            text = f"amount: the holder has {in_currency(cover.holder, currency)} against this account"
            why = Refusal("insufficient_holder_balance", text, "amount")
        case Reason.INSUFFICIENT:
            text = f"amount: {in_currency(cover.free, currency)} are available; the rest is held for other payouts"
            why = Refusal("insufficient_available", text, "amount")
        case other:
            assert_never(other)
    return GateShut(why.code, why.message, why.field, reasons=tuple(gate.reasons))


def most_to_pay_out(facts: Facts, cover: Cover, now: datetime) -> Decimal:
    """The largest amount that `hold_gate` lets through `now`; zero if it lets none through."""
    return cover.free if payout_gate(facts, now).allowed else Decimal(0)


def most_to_mint(facts: Facts, ledger: Decimal, bank: Decimal, now: datetime) -> Decimal:
    """How many tokens may come to be `now` so that the bank holds no less than are outstanding."""
    return max(EXACT.subtract(bank, ledger), Decimal(0)) if mint_gate(facts, now).allowed else Decimal(0)


def sending_gate(facts: Facts, now: datetime) -> Gate:
    """Whether a payout that is held may go to the bank `now`. It was held on good evidence, so a suspension and
    evidence that has aged since stop new ones and not it; an open breaker halts it (DESIGN 3.5).
    """
    return Gate(tuple(reason for reason in payout_gate(facts, now).reasons if reason in _HALTS))


def mint_gate(facts: Facts, now: datetime) -> Gate:
    """Whether tokens may be minted `now`. No override opens it: a token without its money is what all this
    is there to prevent. Suspended does not shut it: that stops money from leaving.
    """
    reasons = _of_account(facts)
    if _breaker(facts) is Breaker.OPEN:
        reasons.append(Reason.OPEN)
    return Gate((*reasons, *_of_evidence(facts, now)))


def overridden(facts: Facts, now: datetime) -> bool:
    """Whether an override is in force: told by the clock, so that none outlives a timer that did not run."""
    return facts.override_until is not None and now < facts.override_until


def _breaker(facts: Facts) -> Breaker:
    """The breaker, or what the level alone would make of a closed one if that is worse."""
    by_level = step(Breaker.CLOSED, facts.level) if facts.level is not None else Breaker.CLOSED
    return max(facts.breaker, by_level, key=lambda breaker: _WORSE[breaker])


def _of_account(facts: Facts) -> list[Reason]:
    return [Reason.ACCOUNT_CLOSED] if facts.closed_at is not None else []


def _of_evidence(facts: Facts, now: datetime) -> list[Reason]:
    """What the bank has not said: its last word is too old, or the statement of a day has not come."""
    overdue = statement_overdue(facts.statement_missing_since, now, facts.policy)
    without = [Reason.STATEMENT_MISSING] if overdue else []
    match verdict_as_of(facts.level, facts.evidence_at, now, facts.policy, statement_missing_since=None):
        case Verdict.UNKNOWN:
            return [Reason.UNKNOWN, *without]
        case Verdict.STALE:
            return [Reason.STALE, *without]
        case Verdict.OK | Verdict.MINOR | Verdict.SIGNIFICANT | Verdict.CRITICAL:
            return without
        case other:
            assert_never(other)
