"""Faults on demand: what the simulated bank does wrong, of which account and how often.

They are of the process and in no file: a bank that is started again is well again.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from token_engine.banks.simulated.words import Order


class Kind(StrEnum):
    """What goes wrong."""

    # How an API answers.
    SLOW = "slow"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    CUT = "cut"
    NOT_JSON = "not_json"
    # What an API says of a balance.
    OTHER_CURRENCY = "other_currency"
    STALE = "stale"
    NO_BOOKED_BALANCE = "no_booked_balance"
    CREDIT_LINE = "credit_line"
    OTHER_ACCOUNT = "other_account"
    # What becomes of an entry that is booked.
    MISSING_ENTRY = "missing_entry"
    SILENT_DEBIT = "silent_debit"
    FEE = "fee"
    DUPLICATE = "duplicate"


OF_ANSWERS: Final = (Kind.SLOW, Kind.THROTTLED, Kind.SERVER_ERROR, Kind.CUT, Kind.NOT_JSON)
OF_BALANCES: Final = (
    Kind.OTHER_CURRENCY, Kind.STALE, Kind.NO_BOOKED_BALANCE, Kind.CREDIT_LINE, Kind.OTHER_ACCOUNT,
)  # fmt: skip


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong, on one account (by its resource id) or on every one; `times`, or until cleared."""

    kind: Kind
    account: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    milliseconds: Annotated[int, msgspec.Meta(ge=0)] = 1000
    """How slow."""
    retry_after: Annotated[int, msgspec.Meta(ge=0)] = 1
    """Seconds, of what is throttled."""
    hours: Annotated[int, msgspec.Meta(ge=0)] = 48
    """How stale: the balance is what it was then, and says so."""
    amount: Decimal = Decimal(5)
    """Of a fee, or of a credit line that is counted in, in major units."""


class Faults:
    """What is wrong just now."""

    def __init__(self) -> None:
        self._present: dict[tuple[str | None, Kind], Fault] = {}

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._present.values()))

    def cause(self, fault: Fault) -> None:
        """From now on; it replaces what was wrong in this way with this account."""
        self._present[fault.account, fault.kind] = fault

    def clear(self, account: str | None = None, kind: Kind | None = None) -> None:
        """All of them, or only those of an account, or of a kind."""
        self._present = {
            key: fault
            for key, fault in self._present.items()
            if (account is not None and key[0] != account) or (kind is not None and key[1] != kind)
        }

    def strike(self, kind: Kind, account: str | None) -> Fault | None:
        """The fault of this kind that strikes the account now, counted; its own before one of all accounts."""
        if not self._present:
            return None
        for key in ((account, kind), (None, kind)):
            fault = self._present.get(key)
            if fault is None:
                continue
            if fault.times == 1:
                del self._present[key]
            elif fault.times is not None:
                self._present[key] = msgspec.structs.replace(fault, times=fault.times - 1)
            return fault
        return None

    def on_booking(self, order: Order, account: str) -> list[Order]:
        """What is booked where `order` was asked for."""
        orders = [order]
        if order.amount < 0 and self.strike(Kind.SILENT_DEBIT, account):
            orders[0] = msgspec.structs.replace(order, notifications=0)
        elif self.strike(Kind.DUPLICATE, account):
            orders[0] = msgspec.structs.replace(order, notifications=2)
        if self.strike(Kind.MISSING_ENTRY, account):
            orders[0] = msgspec.structs.replace(orders[0], listed=False)
        if fee := self.strike(Kind.FEE, account):
            orders.append(Order(amount=-abs(fee.amount), text="Fee"))
        return orders
