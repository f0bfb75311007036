"""An account's standing while messages are taken in: load it, judge after each, save what it became."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.backing import ACTION, Level, judge
from token_engine.domain.breaker import Breaker, step
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.receipt import Judgement


class BreakerStep(msgspec.Struct, frozen=True):
    """The breaker moved."""

    account_id: UUID
    before: Breaker
    after: Breaker
    level: Level


class Discrepancy(msgspec.Struct):
    """A break between ledger (expected) and bank (actual), as last seen. Open until `resolution`."""

    id: UUID
    account_id: UUID
    ledger: Decimal
    bank: Decimal
    severity: Level
    source_system: str
    source_reference: str
    at: datetime
    resolution: str | None = None


class Evidence(msgspec.Struct, frozen=True):
    """What a judgement rests on. `at` is when it is judged (with a time zone); `fresh` says that the bank
    has just spoken, as against judging again what it said before.
    """

    tier: str
    source_system: str
    source_reference: str
    at: datetime
    fresh: bool = True


class Standing:
    """One account, moved by notifications in the order they are taken in.

    Judging after every message, never once per batch, makes a batch of n the same as n batches of one.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.bank = account.bank
        self.breaker = account.breaker
        self.level: Level | None = None
        self.evidence: Evidence | None = None
        self.criticals = 0
        """How often it was judged Critical here."""
        self.critical_at: datetime | None = None
        self.spoke_since_break: bool | None = None
        """Whether the bank has spoken after the last Critical; None if nothing here changes what was."""
        known = account.open_discrepancy
        self._open: UUID | None = known.id if known else None
        self._severity: Level | None = known.severity if known else None
        self.discrepancies: dict[UUID, Discrepancy] = {}
        self.opened: list[Discrepancy] = []
        """As they were when they opened; `discrepancies` has how each was last seen."""

    def take(
        self, change: Decimal, recorded: int, evidence: Evidence, new_id: Callable[[], UUID]
    ) -> tuple[Judgement, BreakerStep | None]:
        """Move the position by `change` (major units, signed), judge, step the breaker, keep the break.

        `new_id` names the discrepancy that this may open.
        """
        self.bank = EXACT.add(self.bank, change)
        self.level = judge(self.account.ledger, self.bank, self.account.policy)
        self.evidence = evidence
        self._keep_discrepancy(new_id, evidence)
        self._keep_break(evidence)
        moved: BreakerStep | None = None
        after = step(self.breaker, self.level)
        if after is not self.breaker:
            moved = BreakerStep(self.account.id, self.breaker, after, self.level)
            self.breaker = after
        return self.judgement(recorded), moved

    def judgement(self, recorded: int = 0) -> Judgement:
        """Where the account stands now, whether or not anything was taken."""
        account = self.account
        level = self.level or judge(account.ledger, self.bank, account.policy)
        return Judgement(
            account_id=account.id,
            account_number=account.number,
            currency=account.currency,
            ledger_balance=in_currency(account.ledger, account.currency),
            bank_balance=in_currency(self.bank, account.currency),
            difference=in_currency(EXACT.subtract(self.bank, account.ledger), account.currency),
            threshold_level=level,
            action_taken=ACTION[level],
            circuit_breaker=self.breaker,
            entries_recorded=recorded,
        )

    def _keep_break(self, evidence: Evidence) -> None:
        """What closing an open breaker will rest on (DESIGN 3.5): order, for which no clock is needed."""
        if self.level is Level.CRITICAL:
            self.criticals += 1
            self.critical_at = evidence.at
            self.spoke_since_break = False
        elif evidence.fresh:
            self.spoke_since_break = True

    def _keep_discrepancy(self, new_id: Callable[[], UUID], evidence: Evidence) -> None:
        assert self.level is not None
        if self.level is Level.OK:
            if self._open is not None:
                # It keeps the severity that it had.
                self._touch(
                    self._open, self._severity or Level.MINOR, evidence
                ).resolution = f"difference within bounds again by {evidence.source_system} {evidence.source_reference}"
                self._open = None
            return
        self._severity = self.level
        if self._open is None:
            self._open = new_id()
            self.opened.append(self._touch(self._open, self.level, evidence))
        else:
            self._touch(self._open, self.level, evidence)

    def _touch(self, key: UUID, severity: Level, evidence: Evidence) -> Discrepancy:
        self.discrepancies[key] = touched = Discrepancy(
            key, self.account.id, self.account.ledger, self.bank, severity,
            evidence.source_system, evidence.source_reference, evidence.at,
        )  # fmt: skip
        return touched
