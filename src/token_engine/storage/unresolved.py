"""Discrepancies of other types than judging an account opens, as long as nobody has resolved them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from token_engine.domain.backing import Level
from token_engine.domain.standing import Discrepancy
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("unresolved")


class Unresolved(NamedTuple):
    """One that is open or investigated. Amounts in major units, times with a zone; `gone_since`: its ground is gone,
    and it waits for a person to say so. `reopened`: a person took it up again.
    """

    account_id: UUID
    type: str
    subject: str
    id: UUID
    severity: Level
    expected: Decimal
    actual: Decimal
    source_reference: str
    assignee: str | None
    reopened: bool
    gone_since: datetime | None

    def last_seen(self, system: str, reference: str, at: datetime, kept_as: int | None) -> Discrepancy:
        """The same with the figures that it had, as this source (a message has a number) leaves it `at`."""
        return Discrepancy(
            self.id, self.account_id, self.expected, self.actual, self.severity, system, reference, at, kept_as,
            type=self.type, subject=self.subject,
        )  # fmt: skip


async def of_types(tx: Transaction, ids: Iterable[UUID], types: Iterable[str]) -> list[Unresolved]:
    """Those of these accounts and types; certain only under the accounts' locks."""
    rows = await (await tx.execute(_sql.of_types, [Column(ids), Column(types)])).fetchall()
    return [Unresolved(*row)._replace(severity=Level(row[4])) for row in rows]
