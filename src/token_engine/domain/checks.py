"""Does what a notification, report or statement says about itself add up? (DESIGN 3.4, tier 3)"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from token_engine.domain.entry import Entry, signed_amount
from token_engine.domain.money import EXACT
from token_engine.domain.notification import Heading, StatedBalance


class Outcome(StrEnum):
    """NOT_CHECKABLE is neither: the message lacks what the check needs."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKABLE = "not_checkable"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One named check. `expected` is what the message states, `actual` what its entries give."""

    name: str
    outcome: Outcome
    expected: Decimal | None = None
    actual: Decimal | None = None


class Tally:
    """What the entries of one heading come to, counted as they pass by, so that none need be kept."""

    __slots__ = ("amounts", "booked_entries", "booked_sum", "currencies", "entries")

    def __init__(self) -> None:
        self.entries = 0
        self.booked_entries = 0
        self.booked_sum = Decimal(0)
        """Signed, of booked entries, in major units."""
        self.amounts = Decimal(0)
        """Of all entries, without signs."""
        self.currencies: set[str] = set()

    def add(self, entry: Entry) -> None:
        self.entries += 1
        self.amounts = EXACT.add(self.amounts, entry.amount)
        self.currencies.add(entry.currency)
        if entry.booked:
            self.booked_entries += 1
            self.booked_sum = EXACT.add(self.booked_sum, signed_amount(entry))


OPENING: Final = ("OPBD", "PRCD")
"""Opening booked, or the previous closing booked, which says the same."""
CLOSING: Final = ("CLBD",)


def checks(heading: Heading, tally: Tally) -> tuple[Check, ...]:
    """Every check there is, always in the same order. Pure.

    Source: ISO 20022 camt.053, OPBD + booked entries = CLBD; `TxsSummry/TtlNtries`, which counts entries
    of every status and adds amounts without signs.
    """
    return (
        _opening_plus_booked(heading, tally),
        _compare("entry_count", heading.stated_entries, Decimal(tally.entries)),
        _compare("entry_sum", heading.stated_sum, tally.amounts),
    )


def _opening_plus_booked(heading: Heading, tally: Tally) -> Check:
    opening, closing = _only(heading, OPENING), _only(heading, CLOSING)
    expected = None if opening is None or closing is None else closing.signed
    actual = Decimal(0) if opening is None else EXACT.add(opening.signed, tally.booked_sum)
    return _compare("opening_plus_booked_equals_closing", expected, actual)


def _only(heading: Heading, codes: tuple[str, ...]) -> StatedBalance | None:
    """The balance of the first of these codes that the heading has; None where it has none, or several."""
    for code in codes:
        found = [balance for balance in heading.balances if balance.code == code]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _compare(name: str, stated: Decimal | int | None, actual: Decimal) -> Check:
    if stated is None:
        return Check(name=name, outcome=Outcome.NOT_CHECKABLE)
    expected = Decimal(stated)
    outcome = Outcome.PASSED if expected == actual else Outcome.FAILED
    return Check(name=name, outcome=outcome, expected=expected, actual=actual)
