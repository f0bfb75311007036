"""The circuit breaker's table, whole; and what any sequence of levels makes of it (DESIGN 3.5)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.backing import Level
from token_engine.domain.breaker import ON_LEVEL, Breaker, step

levels = st.lists(st.sampled_from(Level), max_size=30)


def test_every_state_has_an_answer_to_every_level() -> None:
    assert set(ON_LEVEL) == set(product(Breaker, Level))


@pytest.mark.parametrize(("breaker", "level"), list(product(Breaker, Level)))
def test_the_table_is_the_rule_of_the_design(breaker: Breaker, level: Level) -> None:
    if breaker is Breaker.OPEN or level is Level.CRITICAL:
        expected = Breaker.OPEN
    elif level is Level.SIGNIFICANT:
        expected = Breaker.SUSPENDED
    else:
        expected = Breaker.CLOSED
    assert step(breaker, level) is expected


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
