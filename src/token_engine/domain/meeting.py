"""What a booked entry turns out to be: the funding or payout that was expected, and the movement it causes.

In the entry's own transaction, so that ledger and bank never come apart by it (DESIGN 3.3). What meets nothing, or may
not become tokens now, stays what it is: money on the account that no token stands for, for a person to look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from token_engine.domain.breaker import Breaker
from token_engine.domain.entry import Entry
from token_engine.domain.known import NewEntry
from token_engine.domain.ledger import Kind, Legs, Movement, legs_of
from token_engine.domain.money import EXACT
from token_engine.domain.payout import RESERVING, TABLE, PayoutEvent, PayoutState
from token_engine.domain.person import ENGINE


class Met(StrEnum):
    """What an entry was. FUNDING, PAYOUT and PAYOUT_RETURN were expected; the others are what people made of a
    credit that nobody had announced, and RETURN_DEBIT is the debit that took a returned one.
    """

    FUNDING = "funding"
    PAYOUT = "payout"
    PAYOUT_RETURN = "payout_return"
    ALLOCATION = "allocation"
    OWN_FUNDS = "own_funds"
    RETURN = "return"
    RETURN_DEBIT = "return_debit"


class ExpectedFunding(msgspec.Struct, gc=False):
    """A funding that a credit may meet. `number` is the movement's, should it come to one."""

    id: UUID
    amount: Decimal
    holder: str
    expires_at: datetime
    number: int


class OpenPayout(msgspec.Struct, gc=False):
    """A payout that a debit may settle, or a credit return. `burnt` is what its settlement burnt; the numbers are
    of the movements that it may come to.
    """

    id: UUID
    amount: Decimal
    holder: str
    state: PayoutState
    burnt: Decimal
    settlement_number: int
    return_number: int


class Meeting(msgspec.Struct, frozen=True, gc=False):
    """An entry that met what was expected, and the movement that it causes, with its legs. `expected` is what was
    announced, held or burnt, `booked` what the bank has moved: both positive, in major units. `issued` is what the
    movement adds to the tokens outstanding; below zero for what it burns.
    """

    met: Met
    entry: NewEntry
    expectation: UUID
    expected: Decimal
    booked: Decimal
    movement: Movement
    number: int
    legs: Legs
    issued: Decimal


def _meeting(
    met: Met, entry: NewEntry, expectation: UUID, expected: Decimal, booked: Decimal, movement: Movement, number: int
) -> Meeting:
    legs = legs_of(movement)
    issued = EXACT.multiply(movement.amount, Decimal(legs.issues))
    return Meeting(met, entry, expectation, expected, booked, movement, number, legs, issued)


class Backing(msgspec.Struct, gc=False):
    """What decides whether tokens may come to be: what is outstanding, what the bank holds once the whole
    notification counts (major units), and the breaker as it was before it. `stale`: a statement is missing for
    longer than evidence may be old, whatever the bank has just said.
    """

    ledger: Decimal
    bank: Decimal
    breaker: Breaker
    stale: bool = False

    def allows(self, amount: Decimal) -> bool:
        """Whether `amount` may be minted. The bank has just spoken, so there is evidence, and it is fresh."""
        return self.breaker is not Breaker.OPEN and not self.stale and EXACT.add(self.ledger, amount) <= self.bank


class Expectations:
    """What a batch of notifications may meet, by account and end-to-end id. Each meets once."""

    def __init__(
        self, fundings: Mapping[tuple[UUID, str], ExpectedFunding], payouts: Mapping[tuple[UUID, str], OpenPayout]
    ) -> None:
        self._fundings = dict(fundings)
        self._payouts = dict(payouts)

    def __bool__(self) -> bool:
        return bool(self._fundings or self._payouts)

    def meet(
        self, account: UUID, moved: Sequence[tuple[NewEntry, Decimal]], backing: Backing, now: datetime
    ) -> list[Meeting]:
        """What the entries of one notification meet, each with what it added to the position (signed, major units).

        Debits first, whatever the order in the message: what they burn makes room under the bank's balance. A
        mint that would not be backed, or under an open breaker, does not happen.
        """
        meetings = []
        for new, change in moved:
            if change < 0 and not new.entry.reversal and (met := self._settle(account, new, -change)) is not None:
                meetings.append(met)
                backing.ledger = EXACT.add(backing.ledger, met.issued)
        for new, change in moved:
            if change > 0:
                met = self._fund(account, new, change, backing, now) or self._return(account, new, change, backing)
                if met is not None:
                    meetings.append(met)
                    backing.ledger = EXACT.add(backing.ledger, met.issued)
        return meetings

    def _settle(self, account: UUID, new: NewEntry, booked: Decimal) -> Meeting | None:
        """The bank has paid: burn what was held, no more than the bank took."""
        payout = self._payouts.get((account, new.entry.end_to_end_id or ""))
        if payout is None or payout.state not in RESERVING:
            return None
        payout.state = TABLE[payout.state, PayoutEvent.DEBITED]
        payout.burnt = min(booked, payout.amount)
        movement = Movement(
            kind=Kind.PAYOUT_SETTLEMENT, amount=payout.burnt, from_holder=payout.holder,
            reason=f"the bank's debit of payout {payout.id}", actor=ENGINE, cause=name_of(new.entry),
        )  # fmt: skip
        return _meeting(Met.PAYOUT, new, payout.id, payout.amount, booked, movement, payout.settlement_number)

    def _fund(
        self, account: UUID, new: NewEntry, booked: Decimal, backing: Backing, now: datetime
    ) -> Meeting | None:  # fmt: skip
        """What was announced has come: mint what was booked. What undoes a debit is no funding."""
        key = account, new.entry.end_to_end_id or ""
        funding = self._fundings.get(key)
        if funding is None or new.entry.reversal or now >= funding.expires_at or not backing.allows(booked):
            return None
        del self._fundings[key]
        movement = Movement(
            kind=Kind.MINT, amount=booked, to_holder=funding.holder, actor=ENGINE, cause=name_of(new.entry),
            reason=f"the bank's credit of funding {funding.id}",
        )  # fmt: skip
        return _meeting(Met.FUNDING, new, funding.id, funding.amount, booked, movement, funding.number)

    def _return(self, account: UUID, new: NewEntry, booked: Decimal, backing: Backing) -> Meeting | None:
        """A payout has come back: mint again what was burnt, or what is left of it after others' fees."""
        payout = self._payouts.get((account, new.entry.end_to_end_id or ""))
        if payout is None or (payout.state, PayoutEvent.RETURNED) not in TABLE:
            return None
        if booked > payout.burnt or not backing.allows(booked):
            return None
        payout.state = TABLE[payout.state, PayoutEvent.RETURNED]
        movement = Movement(
            kind=Kind.MINT, amount=booked, to_holder=payout.holder, actor=ENGINE, cause=name_of(new.entry),
            reason=f"payout {payout.id} came back",
        )  # fmt: skip
        return _meeting(Met.PAYOUT_RETURN, new, payout.id, payout.burnt, booked, movement, payout.return_number)


def name_of(entry: Entry) -> str | None:
    """How the bank names an entry, for people: the most telling reference that it gave."""
    return entry.servicer_reference or entry.entry_reference or entry.end_to_end_id
