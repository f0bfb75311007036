"""Medians and lines that a few wild days do not move, exact: whole numbers in, whole numbers out.

Amounts are counted in 10^-8 of the major unit (what NUMERIC(26,8) holds), so that nothing is rounded but a quotient,
and that to the unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from token_engine.domain.money import EXACT, FRACTION_DIGITS

_UNITS: Final = Decimal(10**FRACTION_DIGITS)


def in_units(amount: Decimal) -> int:
    """An amount in major units as a whole number of 10^-8. Raises decimal.Inexact if it has more digits than that."""
    return int(EXACT.multiply(amount, _UNITS).to_integral_exact(context=EXACT))


def in_whole_units(amount: Decimal) -> int:
    """The same of a figure that may have more digits (a percentage of an amount): what is beyond 10^-8 is left out."""
    return int(EXACT.multiply(amount, _UNITS))


def in_major(units: int) -> Decimal:
    """The amount again."""
    return EXACT.multiply(Decimal(units), Decimal(1).scaleb(-FRACTION_DIGITS))


def median(values: Sequence[int]) -> int:
    """The middle one; of an even number the mean of the two in the middle, rounded down."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


class Line(NamedTuple):
    """`start` at x = 0 and `slope` for each 1 of x."""

    start: int
    slope: int

    def at(self, x: int) -> int:
        return self.start + self.slope * x


def line_through(xs: Sequence[int], ys: Sequence[int]) -> Line:
    """The line of Theil and Sen: the median of the slopes of all pairs, and what it leaves of the values as start.

    Up to 29 % of the points may lie anywhere. Two points at least, xs rising.
    Source: P. K. Sen, Estimates of the Regression Coefficient Based on Kendall's Tau, JASA 63 (1968).
    """
    slopes = [
        (later - value) // (x_later - x)
        for n, (x, value) in enumerate(zip(xs, ys, strict=True))
        for x_later, later in zip(xs[n + 1 :], ys[n + 1 :], strict=True)
    ]
    slope = median(slopes)
    return Line(median([y - slope * x for x, y in zip(xs, ys, strict=True)]), slope)


def concordance(ys: Sequence[int]) -> list[int]:
    """For each place, in how many pairs of it and all after it the later value is the higher one, less those in which
    it is the lower: Kendall's S of every end of the series. Equal values count nothing.
    """
    found, total = [0] * len(ys), 0
    for n in range(len(ys) - 2, -1, -1):
        value, rest = ys[n], ys[n + 1 :]
        total += sum([later > value for later in rest]) - sum([later < value for later in rest])
        found[n] = total
    return found
