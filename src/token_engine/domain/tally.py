"""Sums over accounts on a day, and over the days of a period: exact, whatever the order of what is added."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import msgspec

from token_engine.domain.money import EXACT, FRACTION_DIGITS
from token_engine.domain.safeguarding import Line, Role, Standing, Timeliness

_UNIT: Final = Decimal(1).scaleb(-FRACTION_DIGITS)
_ROUNDING: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts of a currency on a day. Amounts in major units; `excess` is below zero for a shortfall.

    `resource` is what evidence shows, `unproven` the requirement of accounts whose resource nothing shows. So `excess`
    takes what nobody has shown for missing: too low until the evidence is there, never too high.
    `accounts_carried` stand with the figures of the day before, for their banks were closed.
    """

    currency: str
    day: date
    accounts: int
    accounts_reconciled: int
    accounts_not_reconciled: int
    accounts_without_evidence: int
    accounts_carried: int
    accounts_in_shortfall: int
    closed_in_time: int
    closed_late: int
    closing_missed: int
    closing_waited_for: int
    tokens_outstanding: Decimal
    uncredited: Decimal
    unpaid: Decimal
    requirement: Decimal
    resource: Decimal
    unproven: Decimal
    excess: Decimal
    in_transit: Decimal
    """Balances on settlement accounts: money on its way, which is no resource until it is there."""
    unreceived: Decimal
    own_funds: Decimal
    """Balances on accounts of the firm's own: no resource."""


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How far an amount went over the days of a period; of equal ones the first day is named.

    `average` is rounded half to even at eight decimals, of `days` days.
    """

    highest: Decimal
    highest_on: date
    lowest: Decimal
    lowest_on: date
    average: Decimal
    days: int


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What lies with a bank on accounts of one role. `balance` is of those whose balance evidence shows."""

    currency: str
    bank: str
    role: Role
    accounts: int
    accounts_without_evidence: int
    balance: Decimal


class Tally:
    """Adds the lines of one currency and day."""

    def __init__(self, currency: str, day: date) -> None:
        self._currency, self._day = currency, day
        self._standing = dict.fromkeys(Standing, 0)
        self._timeliness = dict.fromkeys(Timeliness, 0)
        self._shortfalls = self._carried = self._accounts = 0
        self._tokens = self._uncredited = self._unpaid = self._requirement = self._resource = Decimal(0)
        self._unproven = self._in_transit = self._own_funds = self._unreceived = Decimal(0)

    def add(self, line: Line, *, carried: bool = False) -> None:
        """Count a line; one of a day before where the bank was closed on this one."""
        add = EXACT.add
        self._accounts += 1
        self._carried += carried
        if not carried:
            self._standing[line.standing] += 1
            self._timeliness[line.timeliness] += 1
        self._tokens = add(self._tokens, line.tokens_outstanding)
        self._uncredited = add(self._uncredited, line.uncredited)
        self._unpaid = add(self._unpaid, line.unpaid)
        self._requirement = add(self._requirement, line.requirement)
        self._unreceived = add(self._unreceived, line.unreceived)
        if line.resource is None:
            self._unproven = add(self._unproven, line.requirement)
        else:
            self._resource = add(self._resource, line.resource)
            self._shortfalls += line.resource < line.requirement
        if line.role is Role.SETTLEMENT:
            self._in_transit = add(self._in_transit, line.bank_balance or Decimal(0))
        elif line.role is Role.OWN_FUNDS:
            self._own_funds = add(self._own_funds, line.bank_balance or Decimal(0))

    def total(self) -> Total:
        """The sums."""
        return Total(
            currency=self._currency, day=self._day, accounts=self._accounts,
            accounts_reconciled=self._standing[Standing.RECONCILED],
            accounts_not_reconciled=self._standing[Standing.NOT_RECONCILED],
            accounts_without_evidence=self._standing[Standing.NO_EVIDENCE], accounts_carried=self._carried,
            accounts_in_shortfall=self._shortfalls, closed_in_time=self._timeliness[Timeliness.MET],
            closed_late=self._timeliness[Timeliness.LATE], closing_missed=self._timeliness[Timeliness.MISSED],
            closing_waited_for=self._timeliness[Timeliness.WAITING], tokens_outstanding=self._tokens,
            uncredited=self._uncredited, unpaid=self._unpaid, requirement=self._requirement, resource=self._resource,
            unproven=self._unproven, excess=EXACT.subtract(self._resource, self._requirement),
            in_transit=self._in_transit, unreceived=self._unreceived, own_funds=self._own_funds,
        )  # fmt: skip


class Range:
    """Follows an amount from day to day."""

    def __init__(self) -> None:
        self._highest: tuple[Decimal, date] | None = None
        self._lowest: tuple[Decimal, date] | None = None
        self._sum = Decimal(0)
        self._days = 0

    def add(self, amount: Decimal, day: date) -> None:
        """The amount (major units) of a later day."""
        if self._highest is None or amount > self._highest[0]:
            self._highest = amount, day
        if self._lowest is None or amount < self._lowest[0]:
            self._lowest = amount, day
        self._sum = EXACT.add(self._sum, amount)
        self._days += 1

    def extent(self) -> Extent | None:
        """How far it went; None where no day had an amount."""
        if self._highest is None or self._lowest is None:
            return None
        average = _ROUNDING.quantize(_ROUNDING.divide(self._sum, Decimal(self._days)), _UNIT)
        return Extent(
            highest=self._highest[0], highest_on=self._highest[1], lowest=self._lowest[0], lowest_on=self._lowest[1],
            average=average, days=self._days,
        )  # fmt: skip


def holdings(lines: list[Line]) -> list[Holding]:
    """What lies where: by currency, bank and role, in their order."""
    found: dict[tuple[str, str, Role], list[Line]] = {}
    for line in lines:
        found.setdefault((line.currency, line.bank, line.role), []).append(line)
    return [_holding(*key, of=found[key]) for key in sorted(found)]


def _holding(currency: str, bank: str, role: Role, of: list[Line]) -> Holding:
    balance, unknown = Decimal(0), 0
    for line in of:
        if line.bank_balance is None or line.resource is None:
            unknown += 1
        else:
            balance = EXACT.add(balance, line.bank_balance)
    return Holding(
        currency=currency, bank=bank, role=role, accounts=len(of), accounts_without_evidence=unknown, balance=balance
    )
