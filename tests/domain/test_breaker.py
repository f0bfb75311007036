"""The circuit breaker's table, whole; and what any sequence of events makes of it (DESIGN 3.5)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.backing import Level
from token_engine.domain.breaker import JUDGED, SHOWN, TABLE, Breaker, Event, Phase, phase_of, step

levels = st.lists(st.sampled_from(Level), max_size=30)
PEOPLE = set(Event) - set(JUDGED.values())


def test_every_phase_has_an_answer_to_every_level_and_every_event_is_lawful_somewhere() -> None:
    assert set(TABLE) >= set(product(Phase, JUDGED.values()))
    assert {event for _, event in TABLE} == set(Event)
    assert set(SHOWN) == set(Phase)


@pytest.mark.parametrize(("breaker", "level"), list(product(Breaker, Level)))
def test_the_table_is_the_rule_of_the_design(breaker: Breaker, level: Level) -> None:
    if breaker is Breaker.OPEN or level is Level.CRITICAL:
        expected = Breaker.OPEN
    elif level is Level.SIGNIFICANT:
        expected = Breaker.SUSPENDED
    else:
        expected = Breaker.CLOSED
    assert step(breaker, level) is expected


@pytest.mark.parametrize(("breaker", "closing", "overridden"), list(product(Breaker, [False, True], [False, True])))
def test_a_phase_shows_the_breaker_that_it_is_of(breaker: Breaker, closing: bool, overridden: bool) -> None:
    assert SHOWN[phase_of(breaker, closing=closing, overridden=overridden)] is breaker


def test_people_have_nothing_to_do_about_a_breaker_that_is_not_open() -> None:
    for phase, event in product((Phase.CLOSED, Phase.SUSPENDED), PEOPLE):
        assert (phase, event) not in TABLE


def test_only_an_approval_leads_from_open_to_closed_and_nothing_to_suspended() -> None:
    for (phase, event), after in TABLE.items():
        if SHOWN[phase] is Breaker.OPEN and SHOWN[after] is not Breaker.OPEN:
            assert (event, after) == (Event.CLOSE_APPROVED, Phase.CLOSED)


def test_a_critical_takes_the_closing_with_it_and_leaves_the_override() -> None:
    for phase in Phase:
        overridden = phase in (Phase.OVERRIDDEN, Phase.OVERRIDDEN_CLOSING)
        assert TABLE[phase, Event.JUDGED_CRITICAL] is (Phase.OVERRIDDEN if overridden else Phase.OPEN)


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_any_lawful_sequence_against_three_facts_kept_apart(events: list[Event]) -> None:
    """An independent model: is it open, does a closing wait, is it overridden; no phases."""
    phase = Phase.CLOSED
    opened = closing = overridden = suspended = False
    for event in events:
        lawful = {
            Event.CLOSE_REQUESTED: opened and not closing,
            Event.CLOSE_APPROVED: closing,
            Event.CLOSE_WITHDRAWN: closing,
            Event.CLOSE_EXPIRED: closing,
            Event.OVERRIDE_GRANTED: opened and not overridden,
            Event.OVERRIDE_REVOKED: overridden,
            Event.OVERRIDE_EXPIRED: overridden,
        }.get(event, True)
        assert ((phase, event) in TABLE) is lawful
        if not lawful:
            continue
        phase = TABLE[phase, event]
        if event is Event.JUDGED_CRITICAL:
            opened, closing, suspended = True, False, False
        elif event is Event.CLOSE_APPROVED:
            opened = closing = overridden = suspended = False
        elif event in JUDGED.values():
            suspended = not opened and event is Event.JUDGED_SIGNIFICANT
        elif event is Event.CLOSE_REQUESTED:
            closing = True
        elif event is Event.OVERRIDE_GRANTED:
            overridden = True
        elif event in (Event.CLOSE_WITHDRAWN, Event.CLOSE_EXPIRED):
            closing = False
        else:
            overridden = False
        shown = Breaker.OPEN if opened else Breaker.SUSPENDED if suspended else Breaker.CLOSED
        assert phase is phase_of(shown, closing=closing, overridden=overridden)


@given(st.sampled_from(Breaker), levels)
def test_open_is_never_left_by_a_level_and_otherwise_only_the_last_level_counts(
    start: Breaker, sequence: list[Level]
) -> None:
    breaker = start
    for level in sequence:
        breaker = step(breaker, level)
    if start is Breaker.OPEN or Level.CRITICAL in sequence:
        assert breaker is Breaker.OPEN
    elif sequence:
        assert breaker is step(Breaker.CLOSED, sequence[-1])
    else:
        assert breaker is start
