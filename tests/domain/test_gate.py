"""What the payout gate and the mint gate say, for every combination of what they look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from token_engine.domain.backing import Level, Policy
from token_engine.domain.breaker import Breaker
from token_engine.domain.gate import Facts, Reason, mint_gate, payout_gate

NOW = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
POLICY = Policy(stale_after=timedelta(hours=2))
AGES = (None, timedelta(), timedelta(hours=2), timedelta(hours=2, microseconds=1))
ENDS = (None, timedelta(microseconds=1), timedelta(), timedelta(hours=-1))
WORST = [Breaker.CLOSED, Breaker.SUSPENDED, Breaker.OPEN]
OF_LEVEL = {Level.SIGNIFICANT: Breaker.SUSPENDED, Level.CRITICAL: Breaker.OPEN}


@pytest.mark.parametrize(("breaker", "level"), list(product(Breaker, [None, *Level])))
def test_each_reason_is_given_where_it_holds_and_nowhere_else(breaker: Breaker, level: Level | None) -> None:
    by_level = OF_LEVEL.get(level, Breaker.CLOSED) if level else Breaker.CLOSED
    worse = max(breaker, by_level, key=WORST.index)
    for age, end, closed in product(AGES, ENDS, [False, True]):
        facts = Facts(
            breaker=breaker, level=level, evidence_at=None if age is None else NOW - age, policy=POLICY,
            override_until=None if end is None else NOW + end, closed_at=NOW if closed else None,
        )  # fmt: skip
        common = {Reason.ACCOUNT_CLOSED} if closed else set()
        if age is None or level is None:
            common.add(Reason.UNKNOWN)
        elif age > timedelta(hours=2):
            common.add(Reason.STALE)
        in_force = end is not None and end > timedelta() and breaker is Breaker.OPEN
        payout, mint = set(common), set(common)
        if worse is Breaker.OPEN:
            mint.add(Reason.OPEN)
            if not in_force:
                payout.add(Reason.OPEN)
        if worse is Breaker.SUSPENDED:
            payout.add(Reason.SUSPENDED)
        assert set(payout_gate(facts, NOW).reasons) == payout, facts
        assert set(mint_gate(facts, NOW).reasons) == mint, facts
        assert payout_gate(facts, NOW).allowed == (not payout)
        assert mint_gate(facts, NOW).allowed == (not mint)
