"""Closing an open breaker: one person asks, another approves, and the bank must have spoken since (DESIGN 3.5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from token_engine.domain.backing import Level, Policy, Verdict, statement_overdue, verdict_as_of
from token_engine.domain.receipt import Judgement
from token_engine.domain.refusal import Refusal

LIFETIME: Final = timedelta(hours=24)
"""How long a request waits for its second person: every shift has a turn, and nobody approves next week
what was judged today.
"""


class ClosingState(StrEnum):
    """PENDING until settled, once. VOID: the account was judged Critical again after the request."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    VOID = "VOID"


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """A request to close, and how it was settled. Times with a zone.

    `critical_judgements` is how often the account had been judged Critical when it was asked for. A count
    and not a time, for the clocks of several engines differ and a batch has one time for all its messages.
    """

    id: UUID
    account_id: UUID
    state: ClosingState
    critical_judgements: int
    requested_by: str
    reason: str
    requested_at: datetime
    expires_at: datetime
    settled_by: str | None = None
    settled_reason: str | None = None
    settled_at: datetime | None = None


class BankWord(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank has said of an account, as far as a closing and the gate rest on it.

    `since_break`: it has spoken after the breaker opened and after the last Critical.
    """

    since_break: bool
    at: datetime | None
    level: Level | None
    critical_judgements: int
    last_critical_at: datetime | None
    statement_missing_since: datetime | None = None


def state_as_of(closing: Closing, critical_judgements: int, now: datetime) -> ClosingState:
    """The state that is true `now`, also before anybody has written it down."""
    if closing.state is not ClosingState.PENDING:
        return closing.state
    if critical_judgements != closing.critical_judgements:
        return ClosingState.VOID
    return ClosingState.PENDING if now < closing.expires_at else ClosingState.EXPIRED


def why_not_close(judgement: Judgement, word: BankWord, policy: Policy, now: datetime) -> Refusal | None:
    """Why the evidence does not let a breaker close `now`; None if it does.

    `judgement` is of this moment, under the account's lock. Source: DESIGN 3.5.
    """
    if judgement.threshold_level is not Level.OK:
        return Refusal(
            "not_ok",
            f"the account judges {judgement.threshold_level} now: ledger {judgement.ledger_balance}, "
            f"bank {judgement.bank_balance}, difference {judgement.difference} {judgement.currency}",
        )
    if not word.since_break:
        since = f"{word.last_critical_at:%Y-%m-%dT%H:%M:%SZ}" if word.last_critical_at else "it opened"
        return Refusal(
            "no_newer_evidence", f"the bank has not spoken since the break ({since}): Ok rests on what it said before"
        )
    if statement_overdue(word.statement_missing_since, now, policy):
        text = f"a statement that was due at {word.statement_missing_since:%Y-%m-%dT%H:%M:%SZ} has not come"
        return Refusal("no_newer_evidence", text)
    said = verdict_as_of(
        judgement.threshold_level, word.at, now, policy, statement_missing_since=word.statement_missing_since
    )
    if said is not Verdict.OK:
        return Refusal("no_newer_evidence", f"the bank last spoke at {word.at}: longer ago than {policy.stale_after}")
    return None
