"""The demo's traffic: small sums in and out, each credit followed by a debit of the same amount, so that accounts
stay backed until somebody else books something.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Final

from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.rows import major
from token_engine.banks.simulated.words import Notice, Order

_LARGEST: Final = 5_000
"""Minor units: fifty dirhams."""
_TRAFFIC: Final = "demo traffic"
"""What these entries say of themselves: what is owed of them is read from the books, which outlive a crash."""


class SimulatedBank:
    """Moves money on the accounts of these numbers, and tells of it and of whatever else was booked in `books`."""

    def __init__(self, books: Books, numbers: Sequence[str], random: Random) -> None:
        self._books = books
        self._numbers = numbers
        self._random = random

    def next_notification(self, now: datetime) -> Notice | None:
        """The oldest notification that is due; when none is, book a movement first. `now` has a time zone.

        The books are written before it leaves, and it is due until `told` says that it left: a crash between the two
        sends the same bytes again, and neither loses a message nor tells of a movement twice.
        """
        return self._books.next_notice() or self._move(now)

    def told(self, notice: Notice, now: datetime) -> None:
        """It left."""
        self._books.told(notice, now)

    def _move(self, now: datetime) -> Notice | None:
        account = self._books.account(self._random.choice(self._numbers))
        if account is None:
            return None
        last = self._books.last_saying(account, _TRAFFIC)
        if last is not None and last > 0:
            amount = -last
        else:
            amount = major(self._random.randrange(100, _LARGEST), account.currency)
        self._books.book(account, [Order(amount=amount, text=_TRAFFIC)], now)
        return self._books.next_notice()
