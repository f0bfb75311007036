"""The connector guard: its table, and what any sequence of requests and answers makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from token_engine.domain.connector_guard import (
    BANK_FAILS,
    TABLE,
    Guard,
    GuardEvent,
    GuardPolicy,
    GuardState,
    Permit,
    abandoned,
    ask,
    heard,
    waits,
)
from token_engine.domain.observation import MAY_HELP_TO_ASK_AGAIN, Why

NOW = datetime(2026, 11, 23, tzinfo=UTC)
POLICY = GuardPolicy(failures_to_open=3, first_pause_seconds=30, longest_pause_seconds=100)


def after(*whys: Why | None) -> Guard:
    guard = Guard()
    for why in whys:
        guard = heard(guard, Permit.ORDINARY, why, NOW, POLICY)
    return guard


def test_every_event_is_lawful_somewhere_and_only_a_probe_closes_what_was_open() -> None:
    assert {event for _, event in TABLE} == set(GuardEvent)
    for (state, event), end in TABLE.items():
        if state is not GuardState.CLOSED and end is GuardState.CLOSED:
            assert event is GuardEvent.PROBE_ANSWERED


@pytest.mark.parametrize("why", [None, *Why])
def test_only_what_speaks_of_the_bank_counts(why: Why | None) -> None:
    of_the_bank = {"unreachable", "timed_out", "server_error"}
    assert (after(why, why, why).state is GuardState.OPEN) == (why in of_the_bank)
    interrupted = after(Why.TIMED_OUT, Why.TIMED_OUT, why, Why.TIMED_OUT)
    assert (interrupted.state is GuardState.OPEN) == (why in of_the_bank)


def test_whys_of_a_failing_bank_may_be_asked_again() -> None:
    assert BANK_FAILS < MAY_HELP_TO_ASK_AGAIN


def test_the_pause_doubles_to_its_ceiling_and_begins_anew_after_an_answer() -> None:
    guard, now, pauses = after(*[Why.UNREACHABLE] * 3), NOW, []
    for _ in range(4):
        wait = waits(guard, now)
        assert wait is not None
        pauses.append(wait.seconds)
        assert ask(guard, now + wait - timedelta(microseconds=1))[1] is None
        now += wait
        guard, permit = ask(guard, now)
        assert permit is Permit.PROBE
        guard = heard(guard, permit, Why.SERVER_ERROR, now, POLICY)
    assert pauses == [30, 60, 100, 100]
    now += timedelta(seconds=100)
    guard, permit = ask(guard, now)
    assert permit is Permit.PROBE
    assert heard(guard, permit, Why.THROTTLED, now, POLICY) == Guard()  # "not so fast" is said by a bank that works


@pytest.mark.parametrize(
    "changed", [{"failures_to_open": 0}, {"first_pause_seconds": 0}, {"longest_pause_seconds": 29}]
)
def test_a_policy_that_never_asks_again_or_never_opens_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="failures_to_open"):
        GuardPolicy(**changed)


class AnySequence(RuleBasedStateMachine):
    """Requests that begin, end or are given up in any order, against a model that only counts."""

    @initialize(failures=st.integers(1, 4), first=st.integers(1, 50), factor=st.integers(1, 20))
    def begin(self, failures: int, first: int, factor: int) -> None:
        self.policy = GuardPolicy(
            failures_to_open=failures, first_pause_seconds=first, longest_pause_seconds=first * factor
        )
        self.guard = Guard()
        self.now = NOW
        self.under_way: list[Permit] = []
        self.row = 0  # failures since the last answer, of requests made while the bank was asked freely
        self.opened_at: datetime | None = None
        self.probes_failed = 0

    def pause(self) -> timedelta:
        seconds = min(self.policy.first_pause_seconds * 2**self.probes_failed, self.policy.longest_pause_seconds)
        return timedelta(seconds=seconds)

    @rule(seconds=st.integers(0, 200))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def somebody_asks(self) -> None:
        probing = Permit.PROBE in self.under_way
        paused = self.opened_at is not None and self.now < self.opened_at + self.pause()
        self.guard, permit = ask(self.guard, self.now)
        if probing or paused:
            assert permit is None
        else:
            assert permit is (Permit.ORDINARY if self.opened_at is None else Permit.PROBE)
            self.under_way.append(permit)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), why=st.sampled_from([None, Why.TIMED_OUT, Why.UNREACHABLE, Why.ACCESS_REFUSED]))
    def an_answer_comes(self, which: int, why: Why | None) -> None:
        permit = self.under_way.pop(which % len(self.under_way))
        self.guard = heard(self.guard, permit, why, self.now, self.policy)
        failed = why in (Why.TIMED_OUT, Why.UNREACHABLE)
        if permit is Permit.PROBE:
            self.opened_at, self.row = (self.now, self.row) if failed else (None, 0)
            self.probes_failed = self.probes_failed + 1 if failed else 0
        elif self.opened_at is None:
            self.row = self.row + 1 if failed else 0
            if self.row == self.policy.failures_to_open:
                self.opened_at = self.now

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100))
    def nobody_waits_any_more(self, which: int) -> None:
        permit = self.under_way.pop(which % len(self.under_way))
        self.guard = abandoned(self.guard, permit, self.now)

    @invariant()
    def one_probe_at_a_time_and_never_stuck(self) -> None:
        if not hasattr(self, "guard"):
            return
        assert self.under_way.count(Permit.PROBE) == (self.guard.state is GuardState.PROBING)
        if self.guard.state is not GuardState.PROBING:
            longest = timedelta(seconds=self.policy.longest_pause_seconds)
            assert waits(self.guard, self.now + longest) is None

    @invariant()
    def open_as_the_model_says(self) -> None:
        if hasattr(self, "guard"):
            assert (self.guard.state is GuardState.CLOSED) == (self.opened_at is None)


AnySequence.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_any_sequence = AnySequence.TestCase
