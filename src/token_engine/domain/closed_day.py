"""What closing an account's day came to, as the specification's answer says it ("Tier 3: EOD")."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec

from token_engine.domain.backing import Level
from token_engine.domain.breaker import Breaker
from token_engine.domain.statement import Check


class StatementState(StrEnum):
    """QUARANTINED: a check failed, and nothing moved; RELEASED: two people took it all the same. REPLACED: a corrected
    one stands for the day.
    """

    ACCEPTED = "ACCEPTED"
    QUARANTINED = "QUARANTINED"
    RELEASED = "RELEASED"
    REPLACED = "REPLACED"


class WaitingPages(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a statement whose other pages have not all come: there is no statement yet, and no day is closed."""

    account_id: UUID
    account_number: str
    statement_name: str | None
    state: Literal["PENDING"] = "PENDING"
    missing_pages: tuple[int, ...]


class ClosedDay(msgspec.Struct, frozen=True, kw_only=True):
    """One statement's day. Balances are decimal strings in major units with the decimals of `currency`; the ledger's is
    as of the bank's cut-off, the bank's the closing balance. `difference` is bank - ledger.

    `snapshot_id` is that of the day's snapshot, or of the revision that this statement added beside it.
    """

    snapshot_id: UUID
    account_id: UUID
    account_number: str
    currency: str
    statement: int
    statement_date: date
    state: StatementState
    ledger_balance: str
    bank_balance: str
    difference: str
    reconciled: bool
    entries_matched: int
    entries_unmatched: int
    entries_recorded: int
    threshold_level: Level
    circuit_breaker: Breaker
    checks: tuple[Check, ...]
