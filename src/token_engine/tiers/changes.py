"""What judging accounts changes besides their positions: verdicts, breaks, breakers, events, audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.receipt import Judgement
from token_engine.domain.standing import BreakerStep, Discrepancy, Evidence, Standing
from token_engine.storage import positions, recording
from token_engine.storage.database import Transaction
from token_engine.storage.entries import EntryRow
from token_engine.storage.messages import Settled
from token_engine.storage.positions import AuditRow, EventRow, StepRow
from token_engine.tiers import events

ENGINE: Final = "engine"
_encode = msgspec.json.Encoder().encode


class Changes:
    """Collects, judgement by judgement, and writes once at the end of the transaction."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._standings: dict[UUID, Standing] = {}
        self._steps: list[StepRow] = []
        self._events: list[EventRow] = []
        self._audit: list[AuditRow] = []

    def standing(self, account: Account) -> Standing:
        """The account's standing as all judgements so far have left it."""
        standing = self._standings.get(account.id)
        if standing is None:
            standing = self._standings[account.id] = Standing(account)
        return standing

    def judged(
        self,
        judgement: Judgement,
        moved: BreakerStep | None,
        evidence: Evidence,
        event_id: str,
        kept_as: int | None,
    ) -> None:
        """Announce a judgement, and the step of the breaker where it took one."""
        subject = events.judged(evidence.tier, judgement.threshold_level)
        self.announce(subject, event_id, evidence.source_reference, judgement)
        if moved is None:
            return
        cause = f"{evidence.source_system} {evidence.source_reference} judged {moved.level}"[:140]
        self.announce(events.BREAKER[moved.after], f"{event_id}.breaker", evidence.source_reference, judgement)
        self._steps.append(StepRow(moved.account_id, moved.before, moved.after, cause, kept_as, ENGINE, self._now))
        details = {"from": moved.before, "cause": cause}
        self.note(f"breaker_{moved.after}", moved.account_id, kept_as, details)

    def announce(self, subject: str, event_id: str, message_id: str | None, content: Any) -> None:
        """Put an event into the outbox."""
        self._events.append(events.event(subject, event_id, self._now, message_id, content))

    def note(
        self,
        action: str,
        account_id: UUID | None,
        kept_as: int | None,
        details: dict[str, Any],
        actor: str = ENGINE,
    ) -> None:
        """Append to the audit log."""
        self._audit.append(AuditRow(self._now, actor, action, account_id, kept_as, _encode(details).decode()))

    def take_events(self) -> list[EventRow]:
        """The events so far, for a caller that writes them itself."""
        taken, self._events = self._events, []
        return taken

    async def write(self, tx: Transaction, settled: Sequence[Settled] = (), entries: Sequence[EntryRow] = ()) -> None:
        """Send all that was collected, with messages and entries that it came of."""
        standings = list(self._standings.values())
        discrepancies = [d for s in standings for d in s.discrepancies.values()]
        self._note_discrepancies(standings)
        if self._steps:
            # Also one that is back where it was: alone, each message would have written its flags.
            stepped = {step.account_id for step in self._steps}
            moved = [(s.account.id, s.breaker.value) for s in standings if s.account.id in stepped]
            await positions.save_breakers(tx, moved)
        await recording.record(tx, settled, entries, self._events, standings)
        if self._steps:
            await positions.append_breaker_steps(tx, self._steps)
        if discrepancies:
            await positions.save_discrepancies(tx, discrepancies)
        if self._audit:
            await positions.append_audit(tx, self._audit)

    def _note_discrepancies(self, standings: Sequence[Standing]) -> None:
        """Opening and resolving are changes of state; what happens between them is in the row."""
        for standing in standings:
            for d in standing.opened:
                self._note_discrepancy("discrepancy_opened", d)
            for d in standing.discrepancies.values():
                if d.resolution:
                    self._note_discrepancy("discrepancy_resolved", d)

    def _note_discrepancy(self, action: str, d: Discrepancy) -> None:
        details = {"discrepancy": str(d.id), "ledger": str(d.ledger), "bank": str(d.bank), "severity": d.severity}
        self.note(action, d.account_id, None, details)
