"""What the payout gate and the mint gate say, for every combination of what they look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.backing import Level, Policy
from token_engine.domain.breaker import Breaker
from token_engine.domain.gate import (
    Cover,
    Facts,
    Gate,
    Reason,
    hold_gate,
    mint_gate,
    most_to_mint,
    most_to_pay_out,
    payout_gate,
    sending_gate,
    shut,
)  # fmt: skip

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
    for age, end, missing, closed in product(AGES, ENDS, AGES, [False, True]):
        facts = Facts(
            breaker=breaker, level=level, evidence_at=None if age is None else NOW - age, policy=POLICY,
            override_until=None if end is None else NOW + end, closed_at=NOW if closed else None,
            statement_missing_since=None if missing is None else NOW - missing,
        )  # fmt: skip
        common = {Reason.ACCOUNT_CLOSED} if closed else set()
        if age is None or level is None:
            common.add(Reason.UNKNOWN)
        elif age > timedelta(hours=2):
            common.add(Reason.STALE)
        if missing is not None and missing > timedelta(hours=2):
            common.add(Reason.STATEMENT_MISSING)
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
        # What is held goes out unless an open breaker or a closed account halts it.
        assert set(sending_gate(facts, NOW).reasons) == payout & {Reason.OPEN, Reason.ACCOUNT_CLOSED}


amounts = st.integers(0, 10**9).map(lambda cents: Decimal(cents) / 100)
every_facts = st.builds(
    Facts, breaker=st.sampled_from(Breaker), level=st.sampled_from([None, *Level]),
    evidence_at=st.sampled_from([None, NOW, NOW - timedelta(days=1)]), policy=st.just(POLICY),
    override_until=st.sampled_from([None, NOW + timedelta(hours=1)]), closed_at=st.sampled_from([None, NOW]),
    statement_missing_since=st.sampled_from([None, NOW, NOW - timedelta(days=1)]),
)  # fmt: skip
CENT = Decimal("0.01")


@given(every_facts, amounts, amounts, st.none() | amounts, amounts)
def test_headroom_is_the_largest_amount_that_may_be_held(
    facts: Facts, ledger: Decimal, reserved: Decimal, holder: Decimal | None, holder_reserved: Decimal
) -> None:
    reserved = min(ledger, reserved)
    cover = Cover(
        ledger=ledger, reserved=reserved, holder=holder, holder_reserved=min(holder or Decimal(0), holder_reserved)
    )
    most = most_to_pay_out(facts, cover, NOW)
    assert not hold_gate(facts, cover, most + CENT, NOW).allowed
    if most:
        assert hold_gate(facts, cover, most, NOW).allowed
        assert most <= ledger - reserved
        assert holder is None or most <= holder - cover.holder_reserved
    # An amount adds one reason and takes none away.
    gate, without = hold_gate(facts, cover, ledger + CENT, NOW), payout_gate(facts, NOW)
    assert gate.reasons == (*without.reasons, Reason.INSUFFICIENT)


@given(every_facts, amounts, amounts)
def test_what_may_be_minted_leaves_every_token_backed(facts: Facts, ledger: Decimal, bank: Decimal) -> None:
    most = most_to_mint(facts, ledger, bank, NOW)
    assert most == (max(bank - ledger, Decimal(0)) if mint_gate(facts, NOW).allowed else 0)
    assert not most or ledger + most == bank


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.ACCOUNT_CLOSED, "account_closed"), (Reason.OPEN, "breaker_open"),
        (Reason.SUSPENDED, "breaker_suspended"), (Reason.UNKNOWN, "no_fresh_evidence"),
        (Reason.STALE, "no_fresh_evidence"), (Reason.STATEMENT_MISSING, "no_fresh_evidence"),
        (Reason.INSUFFICIENT, "insufficient_available"),
    ],
)  # fmt: skip
def test_a_refusal_is_named_by_its_first_reason_and_tells_all(reason: Reason, code: str) -> None:
    cover = Cover(ledger=Decimal(100), reserved=Decimal(90), holder=Decimal(50), holder_reserved=Decimal(45))
    refusal = shut(Gate((reason, Reason.INSUFFICIENT)), cover, Decimal(10), "AED")
    assert (refusal.code, refusal.reasons) == (code, (reason, Reason.INSUFFICIENT))
    if reason is Reason.INSUFFICIENT:
        assert "5.00 are available" in refusal.message
        assert shut(Gate((reason,)), cover, Decimal(51), "AED").code == "insufficient_holder_balance"
