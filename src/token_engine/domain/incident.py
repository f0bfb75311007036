"""An incident: a breaker opened. What happened, on what evidence, what was done about it and by whom (DESIGN 3.5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from token_engine.domain.closing import Closing
from token_engine.domain.override import Override


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that opened the breaker, in major units. `difference` is below zero for a shortfall."""

    discrepancy_id: UUID
    severity: str
    ledger: Decimal
    bank: Decimal
    difference: Decimal


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The bank's message that the judgement rests on: its number here, and the hash of its bytes."""

    message: int
    bank_message_id: str | None
    door: str
    source: str
    received_at: datetime
    size: int
    sha256: str


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit log about the account while the breaker was open."""

    at: datetime
    actor: str
    action: str
    details: dict[str, Any]


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """An event that told of it. `published`: JetStream has it; else it waits to be handed over."""

    subject: str
    at: datetime
    published: bool


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """The report of an incident. It is over with the step that left the open breaker; until then `until` is None.

    `judgement` and `evidence` are None where a person, or a judgement without a message, opened it.
    `refused_requests` are mints and payouts refused meanwhile because a breaker was open: of all accounts, for a
    refused request is kept by its key and not by its account. `audit_cut` says that the audit log has more.
    """

    report: str = "incident"
    version: int = 1
    id: int
    account_id: UUID
    account_number: str
    currency: str
    opened_at: datetime
    opened_from: str
    opened_by: str
    cause: str
    until: datetime | None
    seconds: int | None
    closed_by: str | None
    judgement: Judgement | None
    evidence: Evidence | None
    announced: list[Announced]
    refused_acts: list[Noted]
    refused_requests: int
    audit: list[Noted]
    audit_cut: bool
    closings: list[Closing]
    overrides: list[Override]

    @property
    def lasted(self) -> timedelta | None:
        """How long the breaker was open; None while it is."""
        return None if self.until is None else self.until - self.opened_at
