"""The token ledger: what each kind of movement moves from where to where, and what may not be posted.

Double entry: a movement takes its amount from one ledger account and puts it into another, so its two legs
sum to zero. Holders' legs add up to what an EMI account has outstanding, and `issued` is the opposite of
them. A mistake is corrected by a reversal, never by an edit (DESIGN 3.3).

A hold is no movement: it reserves for a payout, moves `reserved`, and posts no leg. The movement that settles one
releases it.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from token_engine.domain.backing import Verdict
from token_engine.domain.breaker import Breaker
from token_engine.domain.money import EXACT, INTEGER_DIGITS, check_decimals, in_currency
from token_engine.domain.refusal import RefusedError

UNATTRIBUTED: Final = "unattributed"
"""Who holds the tokens of which nobody has said who holds them: those an account was taken on with."""

_TOO_LARGE: Final = Decimal(10) ** INTEGER_DIGITS


class Kind(StrEnum):
    """What a movement is."""

    OPENING = "opening"
    MINT = "mint"
    BURN = "burn"
    EMERGENCY_BURN = "emergency_burn"
    PAYOUT_SETTLEMENT = "payout_settlement"
    TRANSFER = "transfer"
    REPLENISHMENT = "replenishment"
    ADJUSTMENT = "adjustment"
    REVERSAL = "reversal"


class LedgerAccount(StrEnum):
    """Where legs are posted, for each EMI account.

    ISSUED is what the issuer owes; HOLDER what one holder holds. OWN_FUNDS and REPLENISHED tell of the
    issuer's own money on the bank account: it backs tokens and mints none, so it touches neither of the others.
    """

    ISSUED = "issued"
    HOLDER = "holder"
    OWN_FUNDS = "own_funds"
    REPLENISHED = "replenished"


class Mode(StrEnum):
    """Who keeps an account's token ledger: this engine, or its issuer elsewhere."""

    ENGINE = "engine"
    EXTERNAL = "external"


class Legs(msgspec.Struct, frozen=True, gc=False):
    """The ledger account that an amount leaves, and the one that it enters."""

    leaves: LedgerAccount
    enters: LedgerAccount

    @property
    def turned(self) -> Legs:
        return Legs(self.enters, self.leaves)

    @property
    def issues(self) -> int:
        """1 if tokens come to be, -1 if they cease, else 0."""
        return (self.leaves is LedgerAccount.ISSUED) - (self.enters is LedgerAccount.ISSUED)


_ISSUE: Final = Legs(LedgerAccount.ISSUED, LedgerAccount.HOLDER)
_REDEEM: Final = _ISSUE.turned
_PASS: Final = Legs(LedgerAccount.HOLDER, LedgerAccount.HOLDER)
_REPLENISH: Final = Legs(LedgerAccount.OWN_FUNDS, LedgerAccount.REPLENISHED)

LEGS: Final[dict[Kind, tuple[Legs, ...]]] = {
    Kind.OPENING: (_ISSUE,),
    Kind.MINT: (_ISSUE,),
    Kind.BURN: (_REDEEM,),
    Kind.EMERGENCY_BURN: (_REDEEM,),
    Kind.PAYOUT_SETTLEMENT: (_REDEEM,),
    Kind.TRANSFER: (_PASS,),
    Kind.REPLENISHMENT: (_REPLENISH,),
    Kind.ADJUSTMENT: (_ISSUE, _REDEEM),
    Kind.REVERSAL: (_REDEEM, _ISSUE, _PASS, _REPLENISH.turned),
}
"""Every way that a kind may post; the holders that a movement names tell which it is."""


class References(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a movement answers for at the bank, in the words that the bank's line will carry, as far as whoever posts it
    knows: matching goes by it (DESIGN 3.4). `batch_reference` is shared by all that are booked in one sum.
    """

    end_to_end_id: str | None = None
    uetr: str | None = None
    bank_reference: str | None = None
    instruction_id: str | None = None
    creditor_reference: str | None = None
    batch_reference: str | None = None
    counterparty: str | None = None
    value_date: date | None = None


NO_REFERENCES: Final = References()


class Movement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A movement to post. `amount` is positive, in major units of the account's currency.

    `key` is the name under which it can be posted once; `cause` what it came of, where that is not a person
    alone: a bank entry, a payout, the bank's reference of a credit.
    """

    kind: Kind
    amount: Decimal
    from_holder: str | None = None
    to_holder: str | None = None
    reason: str
    actor: str
    cause: str | None = None
    reverses: int | None = None
    key: str | None = None
    references: References = NO_REFERENCES


def legs_of(movement: Movement) -> Legs:
    """Where a movement's amount leaves and enters. Raises RefusedError: it names a holder too many or too few."""
    gives, gets = movement.from_holder is not None, movement.to_holder is not None
    for legs in LEGS[movement.kind]:
        if (legs.leaves is LedgerAccount.HOLDER, legs.enters is LedgerAccount.HOLDER) == (gives, gets):
            return legs
    wanted = LEGS[movement.kind][0]
    field = "from_holder" if gives is not (wanted.leaves is LedgerAccount.HOLDER) else "to_holder"
    text = f"{field}: a movement of kind {movement.kind} does not go from {movement.from_holder!r} "
    raise RefusedError("wrong_holders", f"{text}to {movement.to_holder!r}", field)


def check_issuance(breaker: Breaker, verdict: Verdict) -> None:
    """Raise RefusedError if no token may come to be now: no evidence is not good evidence (DESIGN 3.5)."""
    if breaker is Breaker.OPEN:
        raise RefusedError("breaker_open", "the circuit breaker is open: nothing is minted until people close it")
    if verdict in (Verdict.STALE, Verdict.UNKNOWN):
        raise RefusedError("no_fresh_evidence", f"what the bank holds is {verdict}: nothing is minted on that")


def reversal_of(original: Movement, number: int, reason: str, actor: str, key: str | None) -> Movement:
    """The movement that undoes movement `number`. Raises RefusedError: that is a reversal itself."""
    if original.kind is Kind.REVERSAL:
        text = f"movement {number} is a reversal; post anew what it took back"
        raise RefusedError("not_reversible", text, "reverses")
    return Movement(
        kind=Kind.REVERSAL, amount=original.amount, from_holder=original.to_holder, to_holder=original.from_holder,
        reason=reason, actor=actor, cause=original.cause, reverses=number, key=key,
    )  # fmt: skip


class Book(msgspec.Struct, kw_only=True):
    """One EMI account's ledger under its lock, while movements are posted one after the other.

    `holders` has the balance of every holder that the movements name, and `held` what of it is held for payouts;
    one not in them has nothing.
    Balances in major units of `currency`; `bank` is what the bank holds.
    """

    account_id: UUID
    number: str
    currency: str
    mode: Mode
    closed: bool
    ledger: Decimal
    reserved: Decimal
    bank: Decimal
    holders: dict[str, Decimal]
    held: dict[str, Decimal] = {}

    def post(self, movement: Movement, poster: Mode) -> Legs:
        """Post one movement and say by which legs; what it does not allow leaves the book as it was.

        Raises RefusedError naming the field. An external ledger is not ours to keep backed: what its issuer
        has minted is posted whatever the bank holds, and judged.
        """
        self.check_open_to(poster)
        legs = legs_of(movement)
        self._check_amount(movement)
        after = EXACT.add(self.ledger, EXACT.multiply(movement.amount, Decimal(legs.issues)))
        if legs.issues > 0:
            self._check_issue(after, poster)
        balance = self.holders.get(movement.from_holder or "", Decimal(0))
        if movement.from_holder is not None and balance < movement.amount:
            text = f"amount: {movement.from_holder} holds {in_currency(balance, self.currency)} against this account"
            raise RefusedError("insufficient_holder_balance", text, "amount")
        free = EXACT.subtract(balance, self.held.get(movement.from_holder or "", Decimal(0)))
        if movement.from_holder is not None and free < movement.amount:
            text = f"amount: {movement.from_holder} has {in_currency(free, self.currency)} that no payout holds"
            raise RefusedError("insufficient_available", text, "amount")
        if legs.issues < 0 and after < self.reserved:
            available = in_currency(EXACT.subtract(self.ledger, self.reserved), self.currency)
            text = f"amount: {available} are available; the rest is reserved for payouts in flight"
            raise RefusedError("insufficient_available", text, "amount")
        self.ledger = after
        if movement.from_holder is not None:
            self.holders[movement.from_holder] = EXACT.subtract(balance, movement.amount)
        if movement.to_holder is not None:
            before = self.holders.get(movement.to_holder, Decimal(0))
            self.holders[movement.to_holder] = EXACT.add(before, movement.amount)
        return legs

    def check_open_to(self, poster: Mode) -> None:
        """Raise RefusedError if `poster` does not keep this ledger, or nobody does any more."""
        if self.closed:
            raise RefusedError("account_closed", f"account_id: account {self.number} is closed", "account_id")
        if poster is self.mode:
            return
        keeper = "this engine" if self.mode is Mode.ENGINE else "its issuer, elsewhere"
        text = f"account_id: the token ledger of account {self.number} is kept by {keeper}"
        raise RefusedError("wrong_ledger_mode", text, "account_id")

    def _check_amount(self, movement: Movement) -> None:
        if movement.amount <= 0:
            raise RefusedError("invalid_amount", "amount: must be more than nothing", "amount")
        check_decimals(movement.amount, self.currency)
        if movement.from_holder is not None and movement.from_holder == movement.to_holder:
            raise RefusedError("same_holder", "to_holder: is the holder that gives", "to_holder")

    def _check_issue(self, after: Decimal, poster: Mode) -> None:
        if after >= _TOO_LARGE:
            text = f"amount: the ledger balance would pass {INTEGER_DIGITS} digits"
            raise RefusedError("ledger_too_large", text, "amount")
        if poster is Mode.ENGINE and after > self.bank:
            held = in_currency(self.bank, self.currency)
            text = f"amount: tokens outstanding would pass the {held} that the bank holds"
            raise RefusedError("not_backed", text, "amount")
