"""All that a safeguarding report says, in one value: each of its forms is made of this and of nothing else."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.period import Period, Scope
from token_engine.domain.report import AccountPart, CurrencyPart
from token_engine.domain.safeguarding import Line

VERSION = 1
"""Of the dataset's form: a member that changes its meaning makes another."""


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True):
    """A break that was open in the period, as it stood at the report's `until`. Amounts in major units.

    `age_days` until it was signed off, else until `until`. `remedy` and who signed off only where it is resolved.
    """

    id: UUID
    account_id: UUID
    account_number: str
    currency: str
    type: str
    subject: str
    severity: str
    status: str
    expected: Decimal | None
    actual: Decimal | None
    opened_at: datetime
    age_days: int
    owner: str | None
    cause: str
    remedy: str | None
    signed_off_by: str | None
    signed_off_at: datetime | None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that was open in the period, as known at the report's `until`; its incident report has the rest."""

    id: int
    account_id: UUID
    account_number: str
    currency: str
    opened_at: datetime
    cause: str
    closed_at: datetime | None
    closing_requested_by: str | None
    closing_approved_by: str | None
    closing_reason: str | None
    overrides: int


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """The report. `until` is when the day after the period's last had its chance to close it (D+1): what happened later
    is not in it, so that a past report stays as it is unless its evidence changes.
    """

    report: str = "safeguarding"
    version: int = VERSION
    id: str
    period: Period
    scope: Scope
    as_of: date
    until: datetime
    currencies: list[CurrencyPart]
    accounts: list[AccountPart]
    lines: list[Line]
    discrepancies: list[Discrepancy]
    incidents: list[Opening]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A person who stands for a report. `current`: the dataset is still the one that was signed."""

    actor: str
    reason: str
    at: datetime
    sha256: str
    current: bool


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says of itself beside its dataset. One that an archive keeps does not say when it was made."""

    sha256: str
    generated_at: datetime | None = None
    firm: str | None = None
    signatures: tuple[Signature, ...] = ()
