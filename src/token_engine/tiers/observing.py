"""Tier 2's judgement: balances that banks were asked for, a batch of them in one transaction (DESIGN 3.2, 3.4).

An observation is kept, explained by what is known to be on its way, and judged. It moves no position, except of an
account that sends no messages; what it shows beyond the position stays with the account (`observed_gap`) and is judged
with it from then on, until messages tell of it or the bank is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import Level, judge_observed, policy_for
from token_engine.domain.explaining import Explanation, explain
from token_engine.domain.money import EXACT
from token_engine.domain.observation import NoObservation, Observation
from token_engine.domain.receipt import Judgement
from token_engine.domain.standing import Evidence, Standing
from token_engine.storage import observing, polling, positions
from token_engine.storage.database import Transaction
from token_engine.storage.observing import Facts, ObservationRow
from token_engine.storage.polling import SettledRow
from token_engine.tiers import trend
from token_engine.tiers.changes import Changes
from token_engine.tiers.differing import settle_differing

SOURCE: Final = "BANK_API"
_TEXT: Final = 500


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking a bank: the number of the claim, the answer, how many requests it took, and when it came
    (with a time zone).
    """

    poll_id: int
    account_id: UUID
    connection: str
    answer: Observation | NoObservation
    requests: int
    at: datetime


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """An observation that is kept. `standing` is where the account stands now; None where a later observation had been
    judged already, or the account is closed. `drift` is what was raised of the account's trend with it, for the log.
    """

    account: Account
    answered: Answered
    observation: Observation
    explanation: Explanation
    level: Level
    difference: Decimal
    standing: Judgement | None
    drift: dict[str, Any] | None = None


async def observe(tx: Transaction, answered: Sequence[Answered], now: datetime) -> list[Observed | NoObservation]:
    """Keep and judge these answers, in this order; what came of each at its place."""
    await polling.settle(tx, [_settled(one) for one in answered])
    said = [(one, one.answer) for one in answered if isinstance(one.answer, Observation)]
    if not said:
        return [one.answer for one in answered if isinstance(one.answer, NoObservation)]
    ids = {one.account_id for one, _ in said}
    locked = {account.id: account for account in await positions.lock_ids(tx, ids)}
    policies = await positions.policies_of(tx, locked.values())
    open_breaks = await positions.open_discrepancies(tx, ids)
    oldest: dict[UUID, datetime] = {}
    for one, observation in said:
        oldest[one.account_id] = min(observation.as_of, oldest.get(one.account_id, observation.as_of))
    facts = await observing.facts(tx, oldest.items(), now)
    bench = _Bench(Changes(now), now)
    kept: dict[int, Observed] = {}
    for one, observation in said:
        account = locked[one.account_id]
        policy = policy_for(policies, account.id, account.currency)
        account = structs.replace(account, policy=policy, open_discrepancy=open_breaks.get(account.id))
        kept[one.poll_id] = await bench.take(tx, account, one, observation, facts)
    await observing.record(tx, bench.rows, bench.newest)
    # Late ones and those of closed accounts too: a day is the fold of all that is kept of it.
    extended = await trend.extend(tx, bench.changes, [_of_trend(o) for o in kept.values()], now)
    drifts = {alarm["account_id"]: alarm for alarm in extended.alarms}
    for poll_id, one_kept in reversed(list(kept.items())):
        if raised := drifts.pop(one_kept.account.id, None):
            kept[poll_id] = structs.replace(one_kept, drift=raised)
    if bench.newest:
        await settle_differing(tx, bench.changes, [o for o in kept.values() if o.standing], facts, now)
        suspected = {o.account.id: _suspected(o) for o in kept.values() if o.standing}
        await observing.suspect(tx, suspected | {key: True for key, drifts in extended.suspected.items() if drifts})
    await bench.changes.write(tx)
    return [kept[one.poll_id] if isinstance(one.answer, Observation) else one.answer for one in answered]


class _Bench:
    """Judges one observation after the other, as each leaves the account to the next."""

    def __init__(self, changes: Changes, now: datetime) -> None:
        self.changes = changes
        self.rows: list[ObservationRow] = []
        self.newest: dict[UUID, datetime] = {}
        self._now = now

    async def take(
        self, tx: Transaction, account: Account, one: Answered, observation: Observation, facts: dict[UUID, Facts]
    ) -> Observed:
        known = facts[account.id]
        standing = self.changes.standing(account) if account.closed_at is None else Standing(account)
        replaces = known.unheard or known.replaces
        found = explain(
            observation.balance, observation.as_of, standing.bank, [] if replaces else known.recent, known.expected
        )  # fmt: skip
        position = standing.bank
        if replaces and found.gap:
            position, found = observation.balance, Explanation(Decimal(0), Decimal(0))
        seen = EXACT.subtract(observation.balance, found.explained)
        level, _ = judge_observed(account.ledger, position, found.gap, account.policy)
        difference = EXACT.subtract(seen, account.ledger)
        self.rows.append(
            ObservationRow(
                account.id, one.poll_id, one.at, observation.as_of, observation.balance, observation.balance_type[:40],
                account.ledger, position, found.explained, difference, level.value,
            )
        )  # fmt: skip
        latest = max((at for at in (known.observed_at, self.newest.get(account.id)) if at), default=None)
        judgement = None
        if account.closed_at is None and (latest is None or observation.as_of >= latest):
            self.newest[account.id] = observation.as_of
            if position != standing.bank or known.unheard:
                change = EXACT.subtract(position, standing.bank)
                await observing.reopen_position(tx, account.id, position, change, observation.as_of)
            judgement = self._judge(standing, one, observation, position, found.gap, known)
        return Observed(
            account=account, answered=one, observation=observation, explanation=found, level=level,
            difference=difference, standing=judgement,
        )  # fmt: skip

    def _judge(
        self, standing: Standing, one: Answered, observation: Observation, position: Decimal, gap: Decimal,
        known: Facts,
    ) -> Judgement:  # fmt: skip
        # What the bank knew before the last break is no word on it (DESIGN 3.5).
        breaks = [at for at in (known.last_critical_at, standing.critical_at) if at is not None]
        newer = not breaks or observation.as_of > max(breaks)
        evidence = Evidence("tier2", SOURCE, f"poll {one.poll_id} of {one.connection}", self._now, fresh=newer)
        judgement, moved = standing.observe(position, gap, evidence, uuid4)
        self.changes.judged(judgement, moved, evidence, f"observation.{one.poll_id}", None)
        return judgement


def _settled(one: Answered) -> SettledRow:
    if isinstance(one.answer, Observation):
        return SettledRow(one.poll_id, one.at, one.requests, None, None)
    return SettledRow(one.poll_id, one.at, one.requests, one.answer.why.value, one.answer.text[:_TEXT])


def _of_trend(observed: Observed) -> trend.Observed:
    seen = EXACT.subtract(observed.observation.balance, observed.explanation.explained)
    return trend.Observed(observed.account, observed.observation.as_of, seen, observed.difference)


def _suspected(observed: Observed) -> bool:
    """Whether to ask again as soon as the budget allows: it is not as it should be, or not as its messages say."""
    return observed.level is not Level.OK or observed.explanation.gap != 0
