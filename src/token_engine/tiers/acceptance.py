"""May this message move positions? The rules that need the clock and the accounts, but no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from token_engine.domain.account import Account
from token_engine.domain.entry import CreditDebit, Entry
from token_engine.domain.money import EXACT, INTEGER_DIGITS, check_decimals
from token_engine.domain.notification import Heading, MessageKind, Notification
from token_engine.domain.refusal import Refusal, RefusedError

# The day that has begun somewhere on Earth (UTC+14): a bank east of us books tomorrow's date today.
_EASTERNMOST: Final = timedelta(hours=14)

# DelTran names the direction in the subject; a message that says otherwise was misrouted or altered.
_DIRECTION: Final = {
    "bank.notifications.credit": CreditDebit.CRDT,
    "bank.notifications.debit": CreditDebit.DBIT,
}

_TOO_LARGE: Final = Decimal(10) ** INTEGER_DIGITS


def check_position_fits(position: Decimal, ledger: Decimal, entries: Iterable[Entry]) -> Refusal | None:
    """Why a position (major units) that these entries move, or its distance from the ledger, might not
    fit its column; or None.
    """
    reach = max(abs(position), abs(EXACT.subtract(position, ledger)))
    for entry in entries:
        reach = EXACT.add(reach, entry.amount)
    return check_reach(reach)


def check_reach(reach: Decimal) -> Refusal | None:
    """Why an amount as large as `reach` (major units) might not fit its column; or None."""
    if reach < _TOO_LARGE:
        return None
    return Refusal("position_too_large", f"amount: the position could pass {INTEGER_DIGITS} digits", "amount")


class Directory:
    """The accounts that a batch of messages may concern, found as messages name them."""

    def __init__(self, accounts: Sequence[Account], numbers_of_ids: Mapping[UUID, str]) -> None:
        self._by_number: dict[str, list[Account]] = {}
        for account in accounts:
            self._by_number.setdefault(account.number, []).append(account)
        self._numbers_of_ids = numbers_of_ids

    def candidates(self, heading: Heading) -> Sequence[Account]:
        """The accounts under the number, or the id, that a message names: one for each currency."""
        number = heading.account_number
        if (key := as_account_id(number)) is not None:
            ours = [a for a in self._by_number.get(self._numbers_of_ids.get(key, ""), ()) if a.id == key]
            return ours or self._by_number.get(number, ())
        return self._by_number.get(number, ())

    def find(self, heading: Heading, of_entries: Iterable[str]) -> Account:
        """The account of a notification or statement whose entries are in these currencies. Raises RefusedError:
        unknown account, or wrong currency.
        """
        accounts = self.candidates(heading)
        if not accounts:
            raise RefusedError(
                "unknown_account",
                f"account_id: no account {heading.account_number!r} is known here",
                "account_id",
            )
        currencies = set(of_entries)
        if heading.currency is not None:
            currencies.add(heading.currency)
        if not currencies and len(accounts) == 1:
            return accounts[0]
        for account in accounts:
            if currencies == {account.currency}:
                return account
        raise RefusedError(
            "wrong_currency",
            f"currency: the message speaks of {', '.join(sorted(currencies)) or 'none'}, "
            f"account {accounts[0].number} is kept in {', '.join(sorted(a.currency for a in accounts))}",
            "currency",
        )


def as_account_id(text: str) -> UUID | None:
    """The UUID that an account is named by, where a message uses ours and not the bank's number."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def accept(
    notifications: Sequence[Notification], directory: Directory, source: str, now: datetime
) -> list[Account] | Refusal:
    """The account of each notification, or why the message as a whole may not move any of them."""
    latest = (now + _EASTERNMOST).date()
    try:
        return [_accept_one(n, directory, source, latest) for n in notifications]
    except RefusedError as refused:
        return refused.refusal


def _accept_one(notification: Notification, directory: Directory, source: str, latest: date) -> Account:
    heading = notification.heading
    if heading.kind is MessageKind.STATEMENT:
        raise RefusedError(
            "statement_not_here", "a statement (camt.053, MT940, MT950) closes a day; among notifications it does not"
        )
    account = directory.find(heading, (e.currency for e in notification.entries))
    check_open(account)
    direction = _DIRECTION.get(source.partition("/")[0])  # a bundle's member is `subject/name`
    many = len(notification.entries) > 1 or heading.type != "camt.054"
    for place, entry in enumerate(notification.entries, 1):
        where = f"Ntry[{place}]/" if many else ""
        _check_entry(entry, account, direction, latest, where)
    return account


def check_open(account: Account) -> None:
    """Raise RefusedError where the account is closed: nothing moves on it any more."""
    if account.closed_at is not None:
        raise RefusedError(
            "account_closed",
            f"account_id: account {account.number} was closed on {account.closed_at:%Y-%m-%d}",
            "account_id",
        )


def _check_entry(entry: Entry, account: Account, direction: CreditDebit | None, latest: date, where: str) -> None:
    check_decimals(entry.amount, account.currency, f"{where}Amt" if where else "amount")
    if direction is not None and entry.credit_debit is not direction:
        raise RefusedError(
            "direction_contradicts_subject",
            f"credit_debit_indicator: {entry.credit_debit} came on the subject for {direction}",
            "credit_debit_indicator",
        )
    if entry.booked and entry.booking_date is not None and entry.booking_date > latest:
        raise RefusedError(
            "future_booking_date",
            f"booking_date: {entry.booking_date} has not begun anywhere yet; a booked entry cannot lie ahead",
            f"{where}BookgDt" if where else "booking_date",
        )
