"""What a door answers to whoever brought a message."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.backing import Level
from token_engine.domain.refusal import Refusal


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account stood after one notification. Balances in major units of `currency`.

    `difference` is bank − ledger: positive is excess, negative is shortfall.
    """

    account_id: UUID
    account_number: str
    currency: str
    ledger_balance: Decimal
    bank_balance: Decimal
    difference: Decimal
    level: Level
    entries_recorded: int


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """The message was new; its entries are recorded and its accounts judged."""

    message_id: str
    judgements: tuple[Judgement, ...]


class AlreadyRecorded(msgspec.Struct, frozen=True, tag=True):
    """The message, or everything in it, was known; nothing changed. The answer is the first one's."""

    message_id: str
    judgements: tuple[Judgement, ...]


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """The message is kept with its reason and moved nothing; it can be replayed after a fix."""

    message_id: str | None
    refusal: Refusal


Receipt = Recorded | AlreadyRecorded | Rejected
