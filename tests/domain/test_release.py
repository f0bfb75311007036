"""Releasing a quarantined statement: two persons, in time, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from token_engine.domain.closed_day import StatementState
from token_engine.domain.closing import LIFETIME
from token_engine.domain.person import same_person
from token_engine.domain.release import ReleaseStep, ReleaseTold, pending, why_not_approve, why_not_request

NOW = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
HELD = StatementState.QUARANTINED
ASKED = ReleaseTold(
    id=1, act=ReleaseStep.REQUESTED, actor="ann", reason="the bank confirmed", at=NOW, expires_at=NOW + LIFETIME
)
LAST_MOMENT = NOW + timedelta(hours=24) - timedelta(microseconds=1)


@pytest.mark.parametrize("state", [each for each in StatementState if each is not HELD])
def test_only_what_is_quarantined_is_released(state: StatementState) -> None:
    for story in ([], [ASKED]):
        for refusal in (why_not_request(state, story, "bob", "r", NOW), why_not_approve(state, story, "bob", NOW)):
            assert refusal is not None
            assert refusal.code == "not_quarantined"
            assert state in refusal.message


def test_a_request_waits_a_day_and_is_over_by_the_clock() -> None:
    assert pending([ASKED], NOW) is pending([ASKED], LAST_MOMENT) is ASKED
    assert pending([ASKED], NOW + timedelta(hours=24)) is None
    late = why_not_approve(HELD, [ASKED], "bob", NOW + timedelta(hours=24))
    assert late is not None
    assert (late.code, "2025-11-19T12:00:00Z" in late.message) == ("no_release_pending", True)
    assert why_not_approve(HELD, [ASKED], "bob", LAST_MOMENT) is None
    # Then anybody may ask anew, also who had asked.
    assert why_not_request(HELD, [ASKED], "ann", "again", NOW + timedelta(hours=24)) is None


def test_nobody_approves_what_nobody_asked_for_or_what_was_approved() -> None:
    for story in ([], [ASKED, structs.replace(ASKED, id=2, act=ReleaseStep.APPROVED, actor="bob")]):
        refusal = why_not_approve(HELD, story, "carol", NOW)
        assert refusal is not None
        assert refusal.code == "no_release_pending"


def test_while_one_waits_nobody_else_asks_and_the_same_again_is_no_second_request() -> None:
    assert why_not_request(HELD, [ASKED], " ANN", "the bank confirmed", NOW) is None
    for actor, reason in (("ann", "another reason"), ("bob", "the bank confirmed")):
        refusal = why_not_request(HELD, [ASKED], actor, reason, NOW)
        assert refusal is not None
        assert (refusal.code, "ann" in refusal.message) == ("release_pending", True)


names = st.sampled_from(["ann", " Ann", "ANN", "a n n", "bob", "Ann Lee", "annlee", "\uff21nn"])


@given(names, names, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_release_is_approved_by_another_person_in_time_and_never_else(
    asker: str, approver: str, later: timedelta
) -> None:
    story = [structs.replace(ASKED, actor=asker)]
    allowed = why_not_approve(HELD, story, approver, NOW + later) is None
    assert allowed is (not same_person(asker, approver) and later < timedelta(hours=24))
