"""The simulated bank's books: a SQLite file. What a call has returned is in it, also after kill -9.

Entries are only ever added, in order of time, each with the balance after it; a balance at any time is that of the
last entry by then. One thread uses a `Books`; several processes may share its file.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from token_engine.banks.simulated.rows import LARGEST, Closed, account_of, as_text, entry_of, major, minor, resource_of
from token_engine.banks.simulated.words import Account, Entry, Notice, Order, Statement
from token_engine.domain.refusal import RefusedError

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_, *_PARTS = _NAME.split((files("token_engine.banks.simulated") / "books.sql").read_text(encoding="utf-8"))
_SQL: Final = SimpleNamespace(**dict(zip(_PARTS[::2], map(str.strip, _PARTS[1::2]), strict=True)))


class Books:
    """The books in the file `path`, made when there is none."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        # A log that is written before the file, and no fsync at each commit: what a process wrote outlives the
        # process, which is all that is promised here; a power cut may take the last entries.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SQL.schema)

    def close(self) -> None:
        self._connection.close()

    def open_accounts(self, wanted: Sequence[tuple[str, str, Decimal]], holder: str, now: datetime) -> None:
        """Open accounts of these numbers and currencies with these balances; those that are there stay as they are.

        Raises RefusedError for what is no currency, or no amount of it.
        """
        rows = [
            (resource_of(number, currency), number, currency, holder, as_text(now), minor(opening, currency))
            for number, currency, opening in wanted
        ]
        with self._transaction():
            self._connection.executemany(_SQL.open_account, rows)

    def account(self, name: str) -> Account | None:
        """By its resource id, or by its number where only one account has it."""
        rows = self._rows(_SQL.account, name) or self._rows(_SQL.accounts_numbered, name)
        return account_of(rows[0]) if len(rows) == 1 else None

    def by_resource(self, resource: str) -> Account | None:
        rows = self._rows(_SQL.account, resource)
        return account_of(rows[0]) if rows else None

    def accounts(self, offset: int = 0, limit: int = -1) -> list[Account]:
        """In the order in which they were opened."""
        return [account_of(row) for row in self._rows(_SQL.accounts, limit, offset)]

    def count_accounts(self) -> int:
        [[counted]] = self._rows(_SQL.count_accounts)
        assert isinstance(counted, int)
        return counted

    def book(self, account: Account, orders: Sequence[Order], now: datetime) -> list[Entry]:
        """Book all of them or none. Raises RefusedError.

        An entry is never dated into a day that has been closed: what comes later the same day is the next day's.
        """
        with self._transaction():
            [*latest] = self._rows(_SQL.latest, account.id)
            balance = latest[0][1] if latest else minor(account.opening, account.currency)
            booked_at = max(as_text(now), latest[0][2]) if latest else as_text(now)
            closed = self._last_closed(account)
            booking_date = booked_at[:10]
            if closed is not None and booking_date <= closed.day:
                booking_date = str(closed.next_day)
            ids = []
            for order in orders:
                amount = minor(order.amount, account.currency)
                balance += amount
                if amount == 0 or abs(major(balance, account.currency)) >= LARGEST:
                    raise RefusedError(
                        "invalid_amount", f"{order.amount} {account.currency} cannot be booked", "amount"
                    )
                reference = order.reference or self._reference(booked_at)
                entry = self._connection.execute(
                    _SQL.book,
                    (account.id, amount, balance, booked_at, booking_date, reference, order.end_to_end, order.text,
                     order.listed),
                ).lastrowid  # fmt: skip
                assert entry is not None
                ids.append(entry)
                self._connection.executemany(_SQL.notify, [(entry,)] * order.notifications)
        return self.entries(account, ids[0] - 1, ids[-1]) if ids else []

    def _reference(self, booked_at: str) -> str:
        """Like no other, also in books that were begun anew."""
        [[following]] = self._rows(_SQL.refer)
        return f"{re.sub('[^0-9]', '', booked_at)[2:18]}-{following}"

    def entries(self, account: Account, after: int = 0, until: int = 2**62) -> list[Entry]:
        """Those of the account with ids above `after` and up to `until`, as booked."""
        return [entry_of(row, account.currency) for row in self._rows(_SQL.entries, account.id, after, until)]

    def last_saying(self, account: Account, text: str) -> Decimal | None:
        """The amount of the last entry with this text."""
        rows = self._rows(_SQL.last_saying, account.id, text)
        return major(rows[0][0], account.currency) if rows else None

    def balance(self, account: Account, at: datetime) -> Decimal:
        """What was booked by then; before the first entry, what it was opened with."""
        rows = self._rows(_SQL.balance_at, account.id, as_text(at))
        return major(rows[0][0], account.currency) if rows else account.opening

    def next_notice(self) -> Notice | None:
        """The oldest notification that is not known to have been sent."""
        for number, _, name, *row in self._rows(_SQL.untold):
            account = self.account(name)
            assert account is not None
            return Notice(id=number, account=account, entry=entry_of(row, account.currency))
        return None

    def told(self, notice: Notice, now: datetime) -> None:
        """It was sent, and is not due any more."""
        self._connection.execute(_SQL.told, (as_text(now), notice.id))

    def state(self, account: Account, day: date, now: datetime) -> Statement:
        """Close `day` and state it with the days before it that no statement has; a closed day is stated as it was.

        Raises RefusedError for a day inside another statement's days, or one that has not begun.
        """
        with self._transaction():
            rows = self._rows(_SQL.statement_of, account.id, str(day))
            made = Closed(*rows[0]) if rows else self._close(account, day, as_text(now))
        return Statement(
            account=account, number=made.number, day=day, first_day=date.fromisoformat(made.first_day),
            opening=major(made.opening, account.currency), closing=major(made.closing, account.currency),
            made_at=datetime.fromisoformat(made.made_at),
            entries=tuple(self.entries(account, made.after_entry, made.last_entry)),
        )  # fmt: skip

    def _close(self, account: Account, day: date, now: str) -> Closed:
        before = self._last_closed(account)
        first_day = before.next_day if before else min(account.opened_at.date(), day)
        if day < first_day or str(day) > now[:10]:
            raise RefusedError("cannot_close", f"the next day to close is {first_day}, today is {now[:10]}; not {day}")
        after = before.last_entry if before else 0
        opening = before.closing if before else minor(account.opening, account.currency)
        latest = self._rows(_SQL.latest_of_day, account.id, str(day))
        until, closing = latest[0] if latest else (after, opening)
        made = Closed(
            number=before.number + 1 if before else 1, day=str(day), first_day=str(first_day), after_entry=after,
            last_entry=until, opening=opening, closing=closing, made_at=now,
        )  # fmt: skip
        self._connection.execute(_SQL.close, (account.id, *made))
        return made

    def unstated(self, account: Account) -> tuple[Decimal, list[Entry]]:
        """What no statement has yet: the balance that the last one closed with, and the entries since."""
        last = self._last_closed(account)
        if last is None:
            return account.opening, self.entries(account)
        return major(last.closing, account.currency), self.entries(account, last.last_entry)

    def _last_closed(self, account: Account) -> Closed | None:
        rows = self._rows(_SQL.last_statement, account.id)
        return Closed(*rows[0]) if rows else None

    def _rows(self, query: str, *parameters: Any) -> list[Any]:
        return self._connection.execute(query, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
