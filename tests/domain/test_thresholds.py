"""The verdict on two balances: exact at every bound, and the same as an oracle of fractions says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.backing import ACTION, DEFAULT_POLICY, Level, Policy, Verdict, judge, verdict_as_of

OK, MINOR, SIGNIFICANT, CRITICAL = Level.OK, Level.MINOR, Level.SIGNIFICANT, Level.CRITICAL
ORDER = list(Level)
SMALLEST = Decimal("0.00000001")
LARGEST = Decimal("999999999999999999.99999999")

balances = st.integers(0, 10**26 - 1).map(lambda units: Decimal(units).scaleb(-8)) | st.decimals(
    0, 1000, places=8, allow_nan=False, allow_infinity=False
)
bank_balances = balances | balances.map(lambda balance: -balance)


def bounds(rising: list[Decimal]) -> dict[str, Decimal]:
    return dict(zip(("ok_percent", "minor_percent", "significant_percent"), sorted(rising), strict=True))


percents = st.lists(st.decimals(0, 100, places=8), min_size=3, max_size=3).map(bounds)
caps = st.none() | st.decimals(0, 1000, places=8)
policies = st.builds(
    lambda rising, tolerance, ok, minor, significant: Policy(
        **rising, shortfall_tolerance=tolerance, ok_cap=ok, minor_cap=minor, significant_cap=significant
    ),
    percents, st.decimals(0, 10, places=8), caps, caps, caps,
)  # fmt: skip


def oracle(ledger: Decimal, bank: Decimal, policy: Policy = DEFAULT_POLICY) -> Level:
    """DESIGN 3.1 in fractions, written in the order of its sentences."""
    tokens, b = Fraction(ledger), Fraction(bank)
    if tokens - b > Fraction(policy.shortfall_tolerance):
        return CRITICAL
    if b < 0:
        return CRITICAL
    if b == 0:
        return OK if tokens == 0 else CRITICAL
    if tokens == 0:
        return CRITICAL
    deviation = abs(tokens - b) / b * 100
    steps = (
        (OK, policy.ok_percent, policy.ok_cap),
        (MINOR, policy.minor_percent, policy.minor_cap),
        (SIGNIFICANT, policy.significant_percent, policy.significant_cap),
    )
    for level, percent, cap in steps:
        if deviation <= Fraction(percent) and (cap is None or abs(tokens - b) <= Fraction(cap)):
            return level
    return CRITICAL


@pytest.mark.parametrize("bank", ["1000000", "100000000000000000", "0.02"])
@pytest.mark.parametrize(
    ("share", "at", "above"),
    [("0.0001", OK, MINOR), ("0.0005", MINOR, SIGNIFICANT), ("0.005", SIGNIFICANT, CRITICAL)],
)
def test_a_bound_belongs_to_the_level_below_it_and_the_smallest_unit_more_to_the_one_above(
    bank: str, share: str, at: Level, above: Level
) -> None:
    held = Decimal(bank)
    excess = held * Decimal(share)
    assert judge(held - excess, held) is at
    assert judge(held - excess + SMALLEST, held) in ORDER[: ORDER.index(at) + 1]
    assert judge(held - excess - SMALLEST, held) is above


@pytest.mark.parametrize(
    ("ledger", "bank", "level"),
    [
        ("0", "0", OK),
        ("0.00", "-0.00000000", OK),
        ("100", "100.00000000", OK),
        ("0.00000001", "0", CRITICAL),
        ("0", "0.00000001", CRITICAL),
        ("0", "100", CRITICAL),
        ("0", "-0.00000001", CRITICAL),
        ("100", "-100", CRITICAL),
        ("100.00000001", "100", CRITICAL),
        ("999999999999999999.99999999", "999999999999999999.99999998", CRITICAL),
        ("999999999999999999.99999998", "999999999999999999.99999999", OK),
        ("999999999999999999.99999999", "-999999999999999999.99999999", CRITICAL),
    ],
)
def test_the_special_cases(ledger: str, bank: str, level: Level) -> None:
    assert judge(Decimal(ledger), Decimal(bank)) is level


def test_the_examples_of_the_specification() -> None:
    assert judge(Decimal("5100000.00"), Decimal("5100000.00")) is OK
    assert judge(Decimal("5000000"), Decimal("5100000")) is CRITICAL  # 1.96 %


@given(balances, bank_balances)
def test_every_verdict_is_what_fractions_say(ledger: Decimal, bank: Decimal) -> None:
    assert judge(ledger, bank) is oracle(ledger, bank)


@given(balances, st.sampled_from(["0.0001", "0.0005", "0.005", "1"]), st.integers(-3, 3))
def test_every_verdict_near_a_bound_is_what_fractions_say(bank: Decimal, share: str, units: int) -> None:
    ledger = max(Decimal(0), (bank - bank * Decimal(share)).quantize(SMALLEST) + units * SMALLEST)
    assert judge(ledger, bank) is oracle(ledger, bank)


@given(balances, bank_balances, policies)
def test_every_verdict_under_every_policy_is_what_fractions_say(ledger: Decimal, bank: Decimal, policy: Policy) -> None:
    assert judge(ledger, bank, policy) is oracle(ledger, bank, policy)


@given(st.decimals(0, 1000, places=2), st.decimals(0, 1000, places=2), policies)
def test_every_verdict_of_small_balances_under_every_policy_is_what_fractions_say(
    ledger: Decimal, bank: Decimal, policy: Policy
) -> None:
    assert judge(ledger, bank, policy) is oracle(ledger, bank, policy)


@given(balances, balances, balances, policies)
def test_a_larger_difference_is_never_judged_milder(
    bank: Decimal, one: Decimal, other: Decimal, policy: Policy
) -> None:
    near, far = sorted((one, other), key=lambda ledger: abs(bank - ledger))
    same_side = (near - bank) * (far - bank) >= 0
    if same_side:
        assert ORDER.index(judge(near, bank, policy)) <= ORDER.index(judge(far, bank, policy))


@given(balances, balances, balances)
def test_more_money_than_tokens_is_never_judged_milder_for_being_more(
    ledger: Decimal, one: Decimal, other: Decimal
) -> None:
    less, more = sorted((ledger + one, ledger + other))
    assert ORDER.index(judge(ledger, less)) <= ORDER.index(judge(ledger, more))


@given(balances, balances)
def test_any_shortfall_is_critical(bank: Decimal, missing: Decimal) -> None:
    assert judge(bank + missing + SMALLEST, bank) is CRITICAL


def test_a_tolerated_shortfall_is_judged_by_its_size_and_not_for_being_one() -> None:
    policy = Policy(shortfall_tolerance=Decimal(10))
    assert judge(Decimal(1_000_000), Decimal(999_990), policy) is OK
    assert judge(Decimal("1000000.00000001"), Decimal(999_990), policy) is CRITICAL
    assert judge(Decimal(20_010), Decimal(20_000), policy) is MINOR
    assert judge(Decimal(10), Decimal(0), policy) is CRITICAL
    assert judge(Decimal(0), Decimal(-10), policy) is CRITICAL


def test_a_cap_is_a_bound_of_its_own_inclusive_as_the_percentage_is() -> None:
    policy = Policy(ok_cap=Decimal(100), minor_cap=Decimal(200), significant_cap=Decimal(300))
    bank = Decimal(10**12)
    for cap, at, above in ((100, OK, MINOR), (200, MINOR, SIGNIFICANT), (300, SIGNIFICANT, CRITICAL)):
        assert judge(bank - cap, bank, policy) is at
        assert judge(bank - cap - SMALLEST, bank, policy) is above


def test_without_a_cap_a_ten_thousandth_of_a_billion_is_ok() -> None:
    assert judge(Decimal(10**9 - 10**5), Decimal(10**9)) is OK


NOW = datetime(2025, 11, 18, 12, tzinfo=UTC)
JUST_TOO_LONG = timedelta(hours=1, microseconds=1)


def verdict(level: Level | None, evidence_at: datetime | None, missing_since: datetime | None = None) -> Verdict:
    policy = Policy(stale_after=timedelta(hours=1))
    return verdict_as_of(level, evidence_at, NOW, policy, statement_missing_since=missing_since)


@pytest.mark.parametrize("level", list(Level))
def test_a_level_holds_until_its_evidence_is_older_than_the_policy_allows(level: Level) -> None:
    assert verdict(level, NOW - timedelta(hours=1)) == level.value
    assert verdict(level, NOW) == level.value
    assert verdict(level, NOW - JUST_TOO_LONG) is Verdict.STALE


@pytest.mark.parametrize("level", list(Level))
def test_a_level_holds_until_a_statement_is_missing_for_longer_than_that(level: Level) -> None:
    assert verdict(level, NOW, NOW) == level.value
    assert verdict(level, NOW, NOW - timedelta(hours=1)) == level.value
    assert verdict(level, NOW, NOW - JUST_TOO_LONG) is Verdict.STALE


@pytest.mark.parametrize("missing_since", [None, NOW - timedelta(days=2)])
def test_without_a_judgement_or_its_evidence_nothing_is_known(missing_since: datetime | None) -> None:
    assert verdict(None, NOW, missing_since) is Verdict.UNKNOWN
    assert verdict(OK, None, missing_since) is Verdict.UNKNOWN
    assert verdict(None, None, missing_since) is Verdict.UNKNOWN


def test_every_level_is_a_verdict_and_has_its_action() -> None:
    assert {level.value for level in Level} < {verdict.value for verdict in Verdict}
    assert set(ACTION) == set(Level)
    assert ACTION[OK] == "No action required"  # the specification's answer
