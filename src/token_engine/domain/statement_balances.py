"""Which of the balances that a statement states open and close it (DESIGN 3.2, 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    stated = _booked_in(currency or heading.currency, heading.balances)
    for code in OPENING:
        if found := [b for b in stated if b.code == code]:
            return _outermost(found, min)
    return None


def closing_of(heading: Heading, currency: str | None = None) -> StatedBalance | None:
    """The booked balance after the last entry, of several days' the latest; otherwise as `opening_of`.

    Where the only ones include a credit line, or are in another currency, it is one of those all the same: the
    checks of the statement say so, and fail it.
    """
    stated = [b for b in heading.balances if b.code in CLOSING]
    return _outermost(_booked_in(currency or heading.currency, stated) or stated, max)


def _booked_in(currency: str | None, stated: Iterable[StatedBalance]) -> list[StatedBalance]:
    return [
        b for b in stated if not b.includes_credit_line and (currency is None or b.currency in (currency, UNSTATED))
    ]


def _outermost(stated: list[StatedBalance], choose: Callable[[Iterable[date]], date]) -> StatedBalance | None:
    # A statement's own balances, where it has them: those of its pages lie between.
    stated = [b for b in stated if not b.interim] or stated
    days = [b.as_of for b in stated if b.as_of is not None]
    if len(stated) > 1 and len(days) == len(stated):
        stated = [b for b in stated if b.as_of == choose(days)]
    told = {(b.signed, b.currency, b.includes_credit_line) for b in stated}
    return stated[0] if len(told) == 1 else None
