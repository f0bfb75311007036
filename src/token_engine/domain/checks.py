"""Does what a notification, report or statement says about itself add up? (DESIGN 3.4, tier 3)"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from token_engine.domain.entry import Entry, signed_amount
from token_engine.domain.money import EXACT
from token_engine.domain.notification import Heading
from token_engine.domain.statement import Outcome
from token_engine.domain.statement_balances import closing_of, opening_of


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
    opening, closing = opening_of(heading), closing_of(heading)
    name = "opening_plus_booked_equals_closing"
    if opening is None or closing is None or opening.currency != closing.currency:
        return _compare(name, None, Decimal(0))
    return _compare(name, closing.signed, EXACT.add(opening.signed, tally.booked_sum))


def _compare(name: str, stated: Decimal | int | None, actual: Decimal) -> Check:
    if stated is None:
        return Check(name=name, outcome=Outcome.NOT_CHECKABLE)
    expected = Decimal(stated)
    outcome = Outcome.PASSED if expected == actual else Outcome.FAILED
    return Check(name=name, outcome=outcome, expected=expected, actual=actual)
