"""Which of the balances that a statement states open and close it (DESIGN 3.2, 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Final

from token_engine.domain.money import UNSTATED
from token_engine.domain.notification import Heading, StatedBalance

OPENING: Final = ("OPBD", "PRCD")
"""Opening booked, or the previous closing booked, which says the same. Available balances (OPAV) are none."""
CLOSING: Final = ("CLBD",)


def opening_of(heading: Heading, currency: str | None = None) -> StatedBalance | None:
    """The booked balance before the first entry; None where the heading states none, or several that contradict
    each other.

    Of balances of several days the earliest opens. One that is `interim` opens a page. `currency` is the
    account's: balances in another one say nothing of it; where it is None, the heading's is taken. A balance that
    includes a credit line is none (DESIGN 3.2). Source: ISO 20022 ExternalBalanceType1Code.
    """
    return _of(heading, OPENING, currency, min)


def closing_of(heading: Heading, currency: str | None = None) -> StatedBalance | None:
    """The booked balance after the last entry, of several days' the latest; otherwise as `opening_of`."""
    return _of(heading, CLOSING, currency, max)


def _of(
    heading: Heading,
    codes: Sequence[str],
    currency: str | None,
    outermost: Callable[[Iterable[date]], date],
) -> StatedBalance | None:
    wanted = currency or heading.currency
    stated = [
        b
        for b in heading.balances
        if not b.includes_credit_line and (wanted is None or b.currency in (wanted, UNSTATED))
    ]
    for code in codes:
        ours = [b for b in stated if b.code == code]
        # A statement's own balances, where it has them: those of its pages lie between.
        ours = [b for b in ours if not b.interim] or ours
        if ours:
            return _agreed(ours, outermost)
    return None


def _agreed(stated: list[StatedBalance], outermost: Callable[[Iterable[date]], date]) -> StatedBalance | None:
    days = {b.as_of for b in stated if b.as_of is not None}
    if len(stated) > 1 and all(b.as_of is not None for b in stated):
        stated = [b for b in stated if b.as_of == outermost(days)]
    told = {(b.signed, b.currency) for b in stated}
    return stated[0] if len(told) == 1 else None
