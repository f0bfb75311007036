"""What judging accounts changes besides their positions: verdicts, breaks, breakers, events, audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.discrepancy import Happening, Told
from token_engine.domain.person import ENGINE
from token_engine.domain.receipt import Judgement
from token_engine.domain.standing import BreakerStep, Discrepancy, Evidence, Standing
from token_engine.storage import positions, recording
from token_engine.storage.database import Transaction
from token_engine.storage.entries import EntryRow
from token_engine.storage.messages import Settled
from token_engine.storage.positions import AuditRow, EventRow, StepRow
from token_engine.tiers import events

_encode = msgspec.json.Encoder().encode


class Changes:
    """Collects, judgement by judgement, and writes once at the end of the transaction."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._standings: dict[UUID, Standing] = {}
        self._steps: list[StepRow] = []
        self._events: list[EventRow] = []
        self._audit: list[AuditRow] = []
        self._story: list[Told] = []
        self._raised: list[Discrepancy] = []

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
        """Announce a judgement, what it opened or resolved, and the step of the breaker where it took one."""
        subject = events.judged(evidence.tier, judgement.threshold_level)
        self.announce(subject, event_id, evidence.source_reference, judgement)
        standing = self._standings[judgement.account_id]
        for told in standing.take_story():
            self._story.append(told)
            # Opening and resolving are changes of state; what lies between them is in the story.
            if told.happening in (Happening.OPENED, Happening.RESOLVED):
                self._tell(told, standing.account, event_id, evidence.source_reference)
        if moved is None:
            return
        cause = f"{evidence.source_system} {evidence.source_reference} judged {moved.level}"[:140]
        self.announce(events.BREAKER[moved.after], f"{event_id}.breaker", evidence.source_reference, judgement)
        self._steps.append(StepRow(moved.account_id, moved.before, moved.after, cause, kept_as, ENGINE, self._now))
        details = {"from": moved.before, "cause": cause}
        self.note(f"breaker_{moved.after}", moved.account_id, kept_as, details)

    def raised(self, found: Discrepancy, account: Account, text: str, event_id: str) -> None:
        """Open a discrepancy of another type than judging an account does, and announce it. `text` is the evidence."""
        self._raised.append(found)
        told = Told(
            discrepancy_id=found.id, type=found.type, happening=Happening.OPENED, at=found.at, actor=ENGINE,
            severity=found.severity, text=text, ledger=found.ledger, bank=found.bank, message_id=found.message_id,
        )  # fmt: skip
        self.told(told, account, event_id)

    def updated(self, found: Discrepancy) -> None:
        """Keep one that `raised` opened with the figures of now."""
        self._raised.append(found)

    def resolved(self, found: Discrepancy, account: Account, assignee: str | None, event_id: str) -> None:
        """Resolve one that `raised` opened: `resolution` says by what evidence."""
        self._raised.append(found)
        told = Told(
            discrepancy_id=found.id, type=found.type, happening=Happening.RESOLVED, at=found.at, actor=ENGINE,
            severity=found.severity, text=found.resolution, ledger=found.ledger, bank=found.bank, assignee=assignee,
        )  # fmt: skip
        self.told(told, account, event_id)

    def gone(self, found: Discrepancy, told: Told) -> None:
        """The ground of one that `raised` opened is gone (`gone_since`), and a person is still to say so."""
        self._raised.append(found)
        self._story.append(told)

    def returned(self, found: Discrepancy, told: Told) -> None:
        """The ground of one that nobody has resolved is there again."""
        self._raised.append(found)
        self._story.append(told)

    def told(self, told: Told, account: Account, event_id: str) -> None:
        """What a person did with a discrepancy of `account`: into its story, the outbox and the audit log."""
        self._story.append(told)
        self._tell(told, account, event_id, None)

    def _tell(self, told: Told, account: Account, event_id: str, message_id: str | None) -> None:
        content = events.discrepancy(told, account)
        self.announce(events.DISCREPANCY[told.happening], f"{event_id}.discrepancy", message_id, content)
        details = {
            "discrepancy": told.discrepancy_id, "ledger": str(told.ledger), "bank": str(told.bank),
            "severity": told.severity, "text": told.text, "assignee": told.assignee,
        }  # fmt: skip
        self.note(f"discrepancy_{told.happening}", account.id, told.message_id, details, told.actor)

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

    def take_audit(self) -> list[AuditRow]:
        """The audit rows so far, for a caller that writes them itself."""
        taken, self._audit = self._audit, []
        return taken

    async def write(self, tx: Transaction, settled: Sequence[Settled] = (), entries: Sequence[EntryRow] = ()) -> None:
        """Send all that was collected, with messages and entries that it came of."""
        standings = list(self._standings.values())
        if self._steps:
            # Also one that is back where it was: alone, each message would have written its flags.
            stepped = {step.account_id for step in self._steps}
            moved = [(s.account.id, s.breaker.value) for s in standings if s.account.id in stepped]
            await positions.save_breakers(tx, moved)
        await recording.record(tx, settled, entries, self._events, standings)
        if self._steps:
            await positions.append_breaker_steps(tx, self._steps)
        await self.write_discrepancies(tx)
        if self._audit:
            await positions.append_audit(tx, self._audit)

    async def write_discrepancies(self, tx: Transaction) -> None:
        """Send those so far, for whoever asks the database what is open before all is written. The messages that they
        came of must be kept.
        """
        judged = [d for s in self._standings.values() for d in s.discrepancies.values()]
        if judged or self._raised or self._story:
            await positions.save_discrepancies(tx, judged + self._raised, self._story)
        self._raised, self._story = [], []
