"""Does what we know explain a balance that the bank was asked for? Asked before a difference is one (DESIGN 3.4).

The balance is of a moment of the bank's own: it may lack what was notified just before or after that moment, and hold
what is expected and was not notified yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Final
from uuid import UUID

import msgspec

from token_engine.domain.money import EXACT, sum_exactly

SLACK: Final = timedelta(minutes=5)
"""How far a bank's balance may lag behind its own notifications: what was notified within this time before its
reference time may be missing from it."""

MOST_EXPECTED: Final = 40
"""Expectations that are tried, the oldest first. With more of them nearly every difference would be a sum of some."""
_MOST_TOGETHER: Final = 2
"""Expectations that are tried together, besides all of them: the bank has booked since it last notified."""


class Change(msgspec.Struct, frozen=True):
    """A change of the position by a message (major units, signed), and when the engine had the message."""

    amount: Decimal
    at: datetime


class Expected(msgspec.Struct, frozen=True):
    """A funding (above zero) or a sent payout (below) that the bank has not booked as far as its messages go."""

    id: UUID
    amount: Decimal


class Explanation(msgspec.Struct, frozen=True):
    """`explained` is the part of balance - position that is known to be on its way, `gap` the rest (major units,
    signed). `expected` are the expectations that the balance already holds; `not_yet` how many changes it lacks.
    """

    explained: Decimal
    gap: Decimal
    expected: tuple[UUID, ...] = ()
    not_yet: int = 0


def explain(
    balance: Decimal, as_of: datetime, position: Decimal, recent: Sequence[Change], expected: Sequence[Expected]
) -> Explanation:
    """Compare a `balance` of `as_of` with the `position` of now; `recent` are its latest changes, newest first.

    Explained it is when it is the position as it stood at one moment since `as_of` - SLACK, alone or with
    expectations that the bank has booked meanwhile: one, two, or all of them. If not, it is compared with
    the position as it stood at `as_of`.
    """
    sums = _sums(expected[:MOST_EXPECTED])
    before = position
    at_reference, lacking = position, 0
    for not_yet, change in enumerate([None, *recent]):
        if change is not None:
            if change.at <= as_of - SLACK:
                break
            before = EXACT.subtract(before, change.amount)
            if change.at > as_of:
                at_reference, lacking = before, not_yet
        booked = sums.get(EXACT.subtract(balance, before))
        if booked is not None:
            return Explanation(EXACT.subtract(balance, position), Decimal(0), booked, not_yet)
    on_its_way = EXACT.subtract(at_reference, position)
    return Explanation(on_its_way, EXACT.subtract(balance, at_reference), (), lacking)


def _sums(expected: Sequence[Expected]) -> dict[Decimal, tuple[UUID, ...]]:
    """What expectations add up to: none, one, two, all. Of several with one sum those that are fewest and oldest."""
    sums: dict[Decimal, tuple[UUID, ...]] = {Decimal(0): ()}
    for together in (*range(1, _MOST_TOGETHER + 1), len(expected)):
        for some in combinations(expected, together):
            sums.setdefault(sum_exactly(one.amount for one in some), tuple(one.id for one in some))
    return sums
