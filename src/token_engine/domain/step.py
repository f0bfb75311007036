"""One jump in a series that otherwise rests: the other thing than a drift that brings an account from here to there."""

from __future__ import annotations

from collections.abc import Sequence

from token_engine.domain.robust import median


def left_by_a_jump(ys: Sequence[int]) -> int:
    """The distances that the best single jump leaves over, two values at least on either side of it; four at least."""
    return min(_jumps(ys))[0]


def jump_in(ys: Sequence[int]) -> int | None:
    """The first place after a jump, if one explains what no rest does: three quarters of the distances, and twice what
    the values spread on either side. Four values at least.
    """
    rest = median(ys)
    left, place = min(_jumps(ys))
    before, after = ys[:place], ys[place:]
    plain = left * 4 <= sum([abs(y - rest) for y in ys])
    return place if plain and abs(median(after) - median(before)) > 2 * max(_spread(before), _spread(after)) else None


def _jumps(ys: Sequence[int]) -> list[tuple[int, int]]:
    """What a jump before each place leaves over."""
    found = []
    for n in range(2, len(ys) - 1):
        before, after = median(ys[:n]), median(ys[n:])
        found.append((sum([abs(y - before) for y in ys[:n]]) + sum([abs(y - after) for y in ys[n:]]), n))
    return found


def _spread(values: Sequence[int]) -> int:
    """From the lowest to the highest, but for one in fourteen at either end, which may be anything."""
    ordered = sorted(values)
    wild = len(ordered) // 14
    return ordered[-1 - wild] - ordered[wild]
