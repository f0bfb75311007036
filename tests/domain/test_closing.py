"""Two persons, a time, and evidence: the rules that closing and overriding rest on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from token_engine.domain import closing as closings
from token_engine.domain import override as overrides
from token_engine.domain.account import Account
from token_engine.domain.backing import DEFAULT_POLICY, Level
from token_engine.domain.breaker import Breaker
from token_engine.domain.closing import BankWord, Closing, ClosingState, why_not_close
from token_engine.domain.override import Override, OverrideState, expiry
from token_engine.domain.person import check_actor, check_reason, same_person
from token_engine.domain.refusal import RefusedError
from token_engine.domain.standing import Standing

NOW = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
ID = UUID(int=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    "other", ["ann lee", "ANN LEE", " Ann  Lee ", "AnnLee", "Ann\u00a0Lee", "\uff21nn Lee", "A\u0274n Lee"]
)
def test_a_person_is_the_same_however_the_name_is_written(other: str) -> None:
    assert same_person("Ann Lee", other) is (other != "A\u0274n Lee")


def test_a_letter_and_its_composition_are_one() -> None:
    assert same_person("Jos\u00e9 STRASSE", "Jose\u0301 stra\u00dfe")
    assert not same_person("ann", "bob")


@pytest.mark.parametrize("name", ["", " ", "x" * 141, "a\x00b", "an\u200bn", "a\nb"])
def test_an_actor_that_nobody_can_read_is_refused(name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_actor(name)
    assert (refused.value.refusal.code, refused.value.refusal.field) == ("invalid_actor", "actor")


@pytest.mark.parametrize("reason", ["", "a\tb", " \n ", "x" * 1001, "a\x00b"])
def test_a_reason_that_says_nothing_is_refused(reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_reason(reason)
    assert (refused.value.refusal.code, refused.value.refusal.field) == ("invalid_reason", "reason")


def closing(state: ClosingState = ClosingState.PENDING) -> Closing:
    return Closing(
        id=ID, account_id=ID, state=state, critical_judgements=3, requested_by="ann", reason="r", requested_at=NOW,
        expires_at=NOW + closings.LIFETIME,
    )  # fmt: skip


def test_a_closing_is_over_by_the_clock_and_void_by_the_next_critical() -> None:
    end = NOW + timedelta(hours=24)
    assert closings.state_as_of(closing(), 3, end - MINUTE) is ClosingState.PENDING
    assert closings.state_as_of(closing(), 3, end) is ClosingState.EXPIRED
    assert closings.state_as_of(closing(), 4, NOW) is ClosingState.VOID
    assert closings.state_as_of(closing(ClosingState.APPROVED), 4, end) is ClosingState.APPROVED


@pytest.mark.parametrize(
    ("bank", "since_break", "age", "code"),
    [
        ("100", True, timedelta(), None),
        ("100.01", True, timedelta(hours=24), None),
        ("100", True, timedelta(hours=24, seconds=1), "no_newer_evidence"),
        ("100", False, timedelta(), "no_newer_evidence"),
        ("100.04", True, timedelta(), "not_ok"),
        ("100.4", True, timedelta(), "not_ok"),
        ("99.99", True, timedelta(), "not_ok"),
        ("0", False, timedelta(), "not_ok"),
    ],
)
def test_a_breaker_closes_on_evidence_newer_than_the_break_that_judges_ok(
    bank: str, since_break: bool, age: timedelta, code: str | None
) -> None:
    account = Account(
        id=ID, number="N", currency="AED", ledger=Decimal(100), bank=Decimal(bank), breaker=Breaker.OPEN
    )  # fmt: skip
    word = BankWord(
        since_break=since_break, at=NOW - age, level=Level.OK, critical_judgements=1, last_critical_at=NOW
    )  # fmt: skip
    refusal = why_not_close(Standing(account).judgement(), word, DEFAULT_POLICY, NOW)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(("hours", "code"), [(24, None), (25, "no_newer_evidence")])
def test_a_breaker_does_not_close_while_a_statement_is_missing_for_too_long(hours: int, code: str | None) -> None:
    account = Account(
        id=ID, number="N", currency="AED", ledger=Decimal(100), bank=Decimal(100), breaker=Breaker.OPEN
    )  # fmt: skip
    word = BankWord(
        since_break=True, at=NOW, level=Level.OK, critical_judgements=1, last_critical_at=NOW,
        statement_missing_since=NOW - timedelta(hours=hours),
    )  # fmt: skip
    refusal = why_not_close(Standing(account).judgement(), word, DEFAULT_POLICY, NOW)
    assert (refusal and refusal.code) == code
    assert refusal is None or "has not come" in refusal.message


def test_an_override_is_over_at_its_time_approved_or_not() -> None:
    for state in OverrideState:
        it = Override(
            id=ID, account_id=ID, state=state, requested_by="ann", reason="r", requested_at=NOW, expires_at=NOW + MINUTE
        )
        assert overrides.state_as_of(it, NOW) is state
        ends = state in (OverrideState.PENDING, OverrideState.IN_FORCE)
        assert overrides.state_as_of(it, NOW + MINUTE) is (OverrideState.EXPIRED if ends else state)


@pytest.mark.parametrize(
    ("at", "minutes", "field"),
    [
        (None, None, "expires_at"), (NOW + MINUTE, 1, "expires_at"), (NOW, None, "expires_at"),
        (NOW - MINUTE, None, "expires_at"), (NOW + timedelta(hours=24, seconds=1), None, "expires_at"),
        ((NOW + MINUTE).replace(tzinfo=None), None, "expires_at"), (None, 0, "minutes"), (None, 1441, "minutes"),
        (None, 10**30, "minutes"),
    ],
)  # fmt: skip
def test_an_override_without_an_end_within_a_day_is_refused(
    at: datetime | None, minutes: int | None, field: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        expiry(at, minutes, NOW)
    assert refused.value.refusal.field == field


def test_an_override_may_take_a_day_and_no_more() -> None:
    assert expiry(None, 1440, NOW) == NOW + timedelta(hours=24) == expiry(NOW + timedelta(hours=24), None, NOW)
