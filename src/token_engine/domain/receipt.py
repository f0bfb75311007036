"""What a door answers to whoever brought a message."""

from __future__ import annotations

from uuid import UUID

import msgspec

from token_engine.domain.backing import Level
from token_engine.domain.breaker import Breaker
from token_engine.domain.closed_day import ClosedDay, WaitingPages
from token_engine.domain.refusal import Refusal


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account stood after one notification, as the specification's answer says it ("Tier 1:
    Real-Time"). Balances are decimal strings in major units with the decimals of `currency`.

    `difference` is bank − ledger: positive is excess, negative is shortfall.
    """

    account_id: UUID
    account_number: str
    currency: str
    ledger_balance: str
    bank_balance: str
    difference: str
    threshold_level: Level
    action_taken: str
    circuit_breaker: Breaker
    entries_recorded: int


class Recorded(msgspec.Struct, frozen=True):
    """The message was new; its entries are recorded and its accounts judged."""

    kept_as: int
    message_id: str
    judgements: tuple[Judgement, ...]
    days: tuple[ClosedDay, ...] = ()
    """Of a message of statements, instead of judgements: the days that they closed."""
    waiting: tuple[WaitingPages, ...] = ()
    """Of statements of which it brought pages only, and not the last that was missing."""


class AlreadyRecorded(msgspec.Struct, frozen=True):
    """The message, or everything in it, was known; nothing changed. The answer is the first one's."""

    kept_as: int
    message_id: str
    judgements: tuple[Judgement, ...]
    days: tuple[ClosedDay, ...] = ()
    waiting: tuple[WaitingPages, ...] = ()


class Rejected(msgspec.Struct, frozen=True):
    """The message is kept with its reason and moved nothing; it can be replayed after a fix."""

    kept_as: int
    message_id: str | None
    refusal: Refusal


Receipt = Recorded | AlreadyRecorded | Rejected
"""`kept_as` is the number under which the raw message is found; `message_id` is the bank's own id."""
