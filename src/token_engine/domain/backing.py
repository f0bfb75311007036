"""Is every token backed? The thresholds of the specification ("Threshold Logic"; DESIGN 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from token_engine.domain.money import EXACT


class Level(StrEnum):
    """How far ledger and bank are apart, from the two balances alone."""

    OK = "Ok"
    MINOR = "Minor"
    SIGNIFICANT = "Significant"
    CRITICAL = "Critical"


class Verdict(StrEnum):
    """A level that still holds, or the lack of evidence: no evidence is not good evidence."""

    OK = "Ok"
    MINOR = "Minor"
    SIGNIFICANT = "Significant"
    CRITICAL = "Critical"
    STALE = "Stale"
    UNKNOWN = "Unknown"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the levels: percent of the bank's balance, upper bounds inclusive.

    `shortfall_tolerance` and the caps are absolute, in major units of the account's currency. A cap
    makes its level's bound the smaller of percentage and cap: 0.01 % of a billion is still 100,000.
    `auto_resolve`: a discrepancy is resolved by the engine once its difference is gone, not by a person.
    """

    ok_percent: Decimal = Decimal("0.01")
    minor_percent: Decimal = Decimal("0.05")
    significant_percent: Decimal = Decimal("0.5")
    shortfall_tolerance: Decimal = Decimal(0)
    ok_cap: Decimal | None = None
    minor_cap: Decimal | None = None
    significant_cap: Decimal | None = None
    stale_after: timedelta = timedelta(hours=24)
    auto_resolve: bool = True


DEFAULT_POLICY: Final = Policy()


def policy_for(policies: Mapping[str, Policy], account_id: object, currency: str) -> Policy:
    """The policy that holds for an account, of those set by scope: the most specific one, whole."""
    return policies.get(str(account_id)) or policies.get(currency) or policies.get("global") or DEFAULT_POLICY


def judge(ledger: Decimal, bank: Decimal, policy: Policy = DEFAULT_POLICY) -> Level:
    """Compare tokens outstanding with what the bank holds, both in major units of one currency.

    Exact: `|ledger − bank| / bank × 100 ≤ bound` is compared as `|ledger − bank| × 100 ≤ bound × bank`.

    Source: specification, "Threshold Logic"; DESIGN 3.1. Any shortfall beyond the tolerance (default
    none) is Critical, and so is a bank balance that is negative, or zero against anything.
    """
    excess = EXACT.subtract(bank, ledger)
    if -excess > policy.shortfall_tolerance or bank < 0:
        return Level.CRITICAL
    if excess == 0:
        return Level.OK
    if bank == 0 or ledger == 0:
        return Level.CRITICAL
    deviation = abs(excess)
    if _within(deviation, bank, policy.ok_percent, policy.ok_cap):
        return Level.OK
    if _within(deviation, bank, policy.minor_percent, policy.minor_cap):
        return Level.MINOR
    if _within(deviation, bank, policy.significant_percent, policy.significant_cap):
        return Level.SIGNIFICANT
    return Level.CRITICAL


def judge_observed(
    ledger: Decimal, bank: Decimal, observed_gap: Decimal, policy: Policy = DEFAULT_POLICY
) -> tuple[Level, Decimal]:
    """The worse of two verdicts, and the bank's balance that it rests on: what its messages add up to (`bank`), and
    what its own balance showed beyond that when it was last asked (`observed_gap`, signed). Major units of one
    currency.

    Source: DESIGN 3.2: a polled balance has its own verdict and replaces no position.
    """
    level = judge(ledger, bank, policy)
    if observed_gap:
        seen = EXACT.add(bank, observed_gap)
        by_sight = judge(ledger, seen, policy)
        if _RISING.index(by_sight) > _RISING.index(level):
            return by_sight, seen
    return level, bank


_RISING: Final = tuple(Level)


def _within(deviation: Decimal, bank: Decimal, percent: Decimal, cap: Decimal | None) -> bool:
    if cap is not None and deviation > cap:
        return False
    return EXACT.multiply(deviation, Decimal(100)) <= EXACT.multiply(percent, bank)


class Bound(NamedTuple):
    """A difference (bank - ledger, in major units); on its far side from 0 the level is `beyond`, or worse."""

    difference: Decimal
    beyond: Level


class Bounds(NamedTuple):
    """Where an account changes its level: `below` towards a shortfall, `above` towards an excess, nearest first."""

    below: tuple[Bound, ...]
    above: tuple[Bound, ...]


def bounds(bank: Decimal, policy: Policy = DEFAULT_POLICY) -> Bounds:
    """The bounds of an account that holds `bank` (major units); none where every difference is Critical. What `judge`
    compares, solved for the difference.
    """
    if bank <= 0:
        return Bounds((), ())
    above: list[Bound] = []
    for percent, cap, beyond in (
        (policy.ok_percent, policy.ok_cap, Level.MINOR),
        (policy.minor_percent, policy.minor_cap, Level.SIGNIFICANT),
        (policy.significant_percent, policy.significant_cap, Level.CRITICAL),
    ):
        share = EXACT.multiply(EXACT.multiply(percent, bank), Decimal("0.01"))
        until = share if cap is None else min(share, cap)
        if above and until <= above[-1].difference:  # a level that its cap leaves no room
            until = above.pop().difference
        above.append(Bound(until, beyond))
    # A shortfall that is tolerated is measured as an excess is; beyond the tolerance it is Critical.
    tolerated = [b for b in above if b.difference < policy.shortfall_tolerance]
    below = [*tolerated, Bound(policy.shortfall_tolerance, Level.CRITICAL)]
    return Bounds(tuple(Bound(EXACT.minus(b.difference), b.beyond) for b in below), tuple(above))


def verdict_as_of(
    level: Level | None, evidence_at: datetime | None, now: datetime, policy: Policy, *,
    statement_missing_since: datetime | None,
) -> Verdict:  # fmt: skip
    """What may be said `now` of a level judged on evidence of `evidence_at`, of an account whose oldest missing
    statement was due at `statement_missing_since` (times with a zone; None where none is missing).
    """
    if level is None or evidence_at is None:
        return Verdict.UNKNOWN
    if now - evidence_at > policy.stale_after or statement_overdue(statement_missing_since, now, policy):
        return Verdict.STALE
    return Verdict(level.value)


def statement_overdue(missing_since: datetime | None, now: datetime, policy: Policy) -> bool:
    """Whether a statement has been missing for longer than evidence may be old: notifications alone are then no
    proof any more, for the bank may have booked what it has not notified.
    """
    return missing_since is not None and now - missing_since > policy.stale_after


ACTION: Final[dict[Level, str]] = {
    Level.OK: "No action required",
    Level.MINOR: "Discrepancy raised, low priority; operations continue",
    Level.SIGNIFICANT: "New payouts suspended; discrepancy raised, high priority",
    Level.CRITICAL: "Circuit breaker activated; all payouts halted; Risk & Finance alerted by event",
}
"""What the engine did on a level, in the words of the answer's `action_taken`."""
