"""What closing a day raises: each finding open once, kept at its latest figures, and resolved when it is gone."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from token_engine.domain.account import Account
from token_engine.domain.backing import Level
from token_engine.domain.discrepancy import EOD_DIFFERENCE, NOTIFIED_NOT_STATED, STATED_NOT_NOTIFIED
from token_engine.domain.standing import Discrepancy
from token_engine.storage import unresolved
from token_engine.storage.database import Transaction
from token_engine.storage.unresolved import Unresolved
from token_engine.tiers import resolving
from token_engine.tiers.changes import Changes

TYPES: Final = (EOD_DIFFERENCE, NOTIFIED_NOT_STATED, STATED_NOT_NOTIFIED)


class Finding(NamedTuple):
    """What is wrong with a day: what the ledger's side expects and the bank's says, in major units."""

    expected: Decimal
    actual: Decimal
    severity: Level
    text: str

    def is_of(self, known: Unresolved) -> bool:
        """Whether it has the figures that one already has."""
        return (self.expected, self.actual, self.severity) == (known.expected, known.actual, known.severity)


class Source(NamedTuple):
    """The message that findings come of."""

    system: str
    reference: str
    kept_as: int
    at: datetime


async def settle(
    tx: Transaction, changes: Changes, account: Account, found: Mapping[tuple[str, str], Finding], day: date,
    source: Source,
) -> None:  # fmt: skip
    """Open, update or resolve the findings of an account: `found` is all that is wrong with `day`, and with days before
    it what the bank has still not stated, by type and subject (a day). A policy with `auto_resolve` off leaves
    resolving to a person.
    """
    open_now = {(f.type, f.subject): f for f in await unresolved.of_types(tx, [account.id], TYPES)}
    for key, finding in found.items():
        known = open_now.get(key)
        if known is None:
            raised = _discrepancy(key, finding, account, source)
            changes.raised(raised, account, finding.text, f"finding.{raised.id}")
        elif known.gone_since is not None or not finding.is_of(known):
            resolving.keep(changes, known, _discrepancy(key, finding, account, source, known.id), finding.text)
    for key, known in open_now.items():
        judged = known.subject == str(day) or (known.type == NOTIFIED_NOT_STATED and known.subject < str(day))
        if judged and key not in found:
            _resolve(changes, account, known, source)


async def resolve(
    tx: Transaction, changes: Changes, account: Account, type_: str, subjects: Container[str], source: Source
) -> None:
    """Resolve what is open of one kind about these subjects."""
    for known in await unresolved.of_types(tx, [account.id], [type_]):
        if known.subject in subjects:
            _resolve(changes, account, known, source)


def _resolve(changes: Changes, account: Account, known: Unresolved, source: Source) -> None:
    last = known.last_seen(source.system, source.reference, source.at, source.kept_as)
    text = f"gone by {source.system} {source.reference}"
    resolving.resolve(changes, account, known, last, text, f"finding.{known.id}.gone")


def _discrepancy(
    key: tuple[str, str], finding: Finding, account: Account, source: Source, known: UUID | None = None
) -> Discrepancy:  # fmt: skip
    return Discrepancy(
        known or uuid4(), account.id, finding.expected, finding.actual, finding.severity,
        source.system, source.reference, source.at, source.kept_as, type=key[0], subject=key[1],
    )  # fmt: skip
