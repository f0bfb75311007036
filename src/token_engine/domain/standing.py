"""An account's standing while messages are taken in: load it, judge after each, save what it became."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec import structs

from token_engine.domain.account import Account, OpenDiscrepancy
from token_engine.domain.backing import ACTION, Level, judge_observed
from token_engine.domain.breaker import Breaker, step
from token_engine.domain.discrepancy import BALANCE_MISMATCH, Happening, Told
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.person import ENGINE
from token_engine.domain.receipt import Judgement


class BreakerStep(msgspec.Struct, frozen=True):
    """The breaker moved."""

    account_id: UUID
    before: Breaker
    after: Breaker
    level: Level


class Discrepancy(msgspec.Struct):
    """A break between ledger (expected) and bank (actual), as last seen. Open until `resolution`; with
    `gone_since` the difference is gone and a person is still to say so. Whose it is, is not judged.

    `subject` is what one of another type is about: the id of a funding or payout, whose announced or held amount
    is then the ledger's side, and the entry's the bank's.
    """

    id: UUID
    account_id: UUID
    ledger: Decimal
    bank: Decimal
    severity: Level
    source_system: str
    source_reference: str
    at: datetime
    message_id: int | None
    gone_since: datetime | None = None
    resolution: str | None = None
    type: str = BALANCE_MISMATCH
    subject: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """What a judgement rests on. `at` is when it is judged (with a time zone); `fresh` says that the bank
    has just spoken, as against judging again what it said before. `kept_as` is the number of the message.
    """

    tier: str
    source_system: str
    source_reference: str
    at: datetime
    fresh: bool = True
    kept_as: int | None = None


class Standing:
    """One account, moved by notifications in the order they are taken in.

    Judging after every message, never once per batch, makes a batch of n the same as n batches of one.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.bank = account.bank
        self.observed_gap = account.observed_gap
        self.held = account.bank
        """What the last judgement took the bank to hold: the position, or its own balance where that is worse."""
        self.breaker = account.breaker
        self.level: Level | None = None
        self.evidence: Evidence | None = None
        self._open: OpenDiscrepancy | None = account.open_discrepancy
        self.criticals = 0
        """How often it was judged Critical here."""
        self.critical_at: datetime | None = None
        self.spoke_since_break: bool | None = None
        """Whether the bank has spoken after the last Critical; None if nothing here changes what was."""
        self.discrepancies: dict[UUID, Discrepancy] = {}
        """How each was last seen; `take_story` has what happened to them on the way."""
        self._story: list[Told] = []

    def issue(self, change: Decimal) -> None:
        """Move the ledger balance by `change` (major units; below zero for tokens that cease to be). The next
        judgement sees it.
        """
        self.account = structs.replace(self.account, ledger=EXACT.add(self.account.ledger, change))

    def take(
        self, change: Decimal, recorded: int, evidence: Evidence, new_id: Callable[[], UUID]
    ) -> tuple[Judgement, BreakerStep | None]:
        """Move the position by `change` (major units, signed), judge, step the breaker, keep the break.

        `new_id` names the discrepancy that this may open.
        """
        self.bank = EXACT.add(self.bank, change)
        if self.observed_gap:
            self.observed_gap = _told_of(self.observed_gap, change)
        self.level, self.held = judge_observed(
            self.account.ledger, self.bank, self.observed_gap, self.account.policy
        )  # fmt: skip
        self.evidence = evidence
        self._keep_discrepancy(new_id, evidence)
        self._keep_break(evidence)
        moved: BreakerStep | None = None
        after = step(self.breaker, self.level)
        if after is not self.breaker:
            moved = BreakerStep(self.account.id, self.breaker, after, self.level)
            self.breaker = after
        return self.judgement(recorded), moved

    def observe(
        self, position: Decimal, gap: Decimal, evidence: Evidence, new_id: Callable[[], UUID]
    ) -> tuple[Judgement, BreakerStep | None]:
        """Judge on a balance that the bank was asked for: `gap` is what it shows beyond `position` and what is
        expected.
        """
        self.bank, self.observed_gap = position, gap
        return self.take(Decimal(0), 0, evidence, new_id)

    def stated(self, until: datetime) -> None:
        """A statement was accepted that tells of everything until then (with a time zone): also of what the bank's
        balance had shown by that time.
        """
        if self.account.observed_at is not None and self.account.observed_at <= until:
            self.observed_gap = Decimal(0)

    def judgement(self, recorded: int = 0) -> Judgement:
        """Where the account stands now, whether or not anything was taken."""
        account = self.account
        level, bank = judge_observed(account.ledger, self.bank, self.observed_gap, account.policy)
        return Judgement(
            account_id=account.id,
            account_number=account.number,
            currency=account.currency,
            ledger_balance=in_currency(account.ledger, account.currency),
            bank_balance=in_currency(bank, account.currency),
            difference=in_currency(EXACT.subtract(bank, account.ledger), account.currency),
            threshold_level=level,
            action_taken=ACTION[level],
            circuit_breaker=self.breaker,
            entries_recorded=recorded,
        )

    def take_story(self) -> list[Told]:
        """What happened to the account's discrepancies since this was last asked."""
        taken, self._story = self._story, []
        return taken

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
        known = self._open
        if known is None:
            if self.level is not Level.OK:
                self._touch(OpenDiscrepancy(new_id(), self.level), evidence, Happening.OPENED)
        elif self.level is not Level.OK:
            happening = None
            if known.gone_since is not None:
                happening = Happening.DIFFERENCE_RETURNED
            elif known.severity is not self.level:
                happening = Happening.SEVERITY_CHANGED
            self._touch(msgspec.structs.replace(known, severity=self.level, gone_since=None), evidence, happening)
        elif self.account.policy.auto_resolve and not known.reopened:
            # It keeps the severity that it had.
            gone = msgspec.structs.replace(known, gone_since=None)
            resolution = f"difference within bounds again by {evidence.source_system} {evidence.source_reference}"
            self._touch(gone, evidence, Happening.RESOLVED, resolution)
            self._open = None
        else:
            happening = Happening.DIFFERENCE_GONE if known.gone_since is None else None
            since = known.gone_since or evidence.at
            self._touch(msgspec.structs.replace(known, gone_since=since), evidence, happening)

    def _touch(
        self, seen: OpenDiscrepancy, evidence: Evidence, happening: Happening | None, resolution: str | None = None
    ) -> None:
        self._open = seen
        self.discrepancies[seen.id] = Discrepancy(
            seen.id, self.account.id, self.account.ledger, self.held, seen.severity, evidence.source_system,
            evidence.source_reference, evidence.at, evidence.kept_as, seen.gone_since, resolution,
        )  # fmt: skip
        if happening is not None:
            told = Told(
                discrepancy_id=seen.id, happening=happening, at=evidence.at, actor=ENGINE, severity=seen.severity,
                text=resolution or f"{evidence.source_system} {evidence.source_reference}",
                ledger=self.account.ledger, bank=self.held, assignee=seen.assignee, message_id=evidence.kept_as,
            )  # fmt: skip
            self._story.append(told)


def _told_of(gap: Decimal, change: Decimal) -> Decimal:
    """What is left of a gap once a message moved the position by `change`.

    Credits are taken to tell of what the bank's balance had shown before, else a notification that is late would count
    twice until the bank is asked again. Of money that left unseen only a debit of that very amount is: were any debit,
    then payouts that settle, and burn as much, would soon hide what is missing.
    """
    if gap > 0:
        return max(EXACT.subtract(gap, max(change, Decimal(0))), Decimal(0))
    return Decimal(0) if change == gap else gap
