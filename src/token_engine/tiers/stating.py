"""Reads statements of one message for staging: chunks of lines for the database, and what they come to together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from typing import BinaryIO, Final

from token_engine.domain.entry import Entry, ReversalSign, signed_amount
from token_engine.domain.money import EXACT, UNSTATED, check_decimals, sum_exactly
from token_engine.domain.notification import Ending, Heading, MessageKind
from token_engine.domain.pairing import identity, sighting
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.domain.statement import Statement
from token_engine.iso20022.reader import sections
from token_engine.iso20022.utf8 import Readable
from token_engine.storage import staging
from token_engine.storage.database import Transaction
from token_engine.storage.staging import row

_LINES: Final = 2000
"""In one chunk: some milliseconds of reading, so that other doors are answered meanwhile."""


class Stated:
    """One statement while its lines pass by. `number` is its place among those of the transaction."""

    def __init__(self, number: int, heading: Heading) -> None:
        self.number = number
        self.heading = heading
        self.lines = 0
        self.currencies: set[str] = set()
        self.finest = Decimal(0)
        """Of the amounts without a currency, the one of the most decimals: its account's currency must have them."""
        self.amounts = Decimal(0)
        """Of all entries, without sign."""
        self._booked: dict[ReversalSign, dict[date | None, Decimal]] = {sign: {} for sign in ReversalSign}
        """By value date, for banks whose closing balance leaves out what they value later."""
        self._days: set[date] = set()
        self._content = blake2b(digest_size=32)

    def line(self, entry: Entry) -> bytes:
        """Count a line in; as the database takes it."""
        heading = self.heading
        self.lines += 1
        if entry.currency == UNSTATED:
            self.finest = min(self.finest, entry.amount, key=_exponent)
        else:
            self.currencies.add(entry.currency)
        self.amounts = EXACT.add(self.amounts, entry.amount)
        change, turned = (signed_amount(entry, heading.reversal_sign(sign)) for sign in _SIGNS)
        if entry.booked:
            for sign, moved in zip(_SIGNS, (change, turned), strict=True):
                sums = self._booked[sign]
                sums[entry.value_date] = EXACT.add(sums.get(entry.value_date, _ZERO), moved)
            if entry.booking_date is not None:
                self._days.add(entry.booking_date)
        name = identity(entry, sighting(entry, heading.kind, heading.message_id))
        place, said = row(self.number, self.lines, entry, change, turned, name)
        self._content.update(said)
        return place + said

    @property
    def numbers(self) -> list[int]:
        """Under which its lines are staged."""
        return [self.number]

    @property
    def last_booking(self) -> date | None:
        """The latest booking date among the lines that are booked."""
        return max(self._days, default=None)

    def content(self) -> bytes:
        """A digest of what is stated, however it was spelled: its balances and its lines in their order."""
        total = self._content.copy()
        told = [(b.code, str(b.signed.normalize()), b.currency, str(b.as_of)) for b in self.heading.balances]
        total.update(repr(sorted(told)).encode())
        return total.digest()

    def statement(self, sign: ReversalSign, valued_until: date | None) -> Statement:
        """The whole, from a bank that means `sign` by a reversal indicator. What is valued after `valued_until` is
        summed by itself.
        """
        sums = self._booked[sign]
        later = [v for day, v in sums.items() if day is not None and valued_until is not None and day > valued_until]
        return Statement(
            heading=self.heading, lines=self.lines, currencies=frozenset(self.currencies),
            booked_sum=sum_exactly(sums.values()), amount_sum=self.amounts, valued_later=sum_exactly(later),
            first_booking=min(self._days, default=None), last_booking=self.last_booking,
        )  # fmt: skip


def _exponent(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent


_SIGNS: Final = (ReversalSign.PUBLISHED, ReversalSign.INVERTED)
_ZERO: Final = Decimal(0)


class Reading:
    """The statements of one message, read chunk by chunk. In the end `statements` has them, or `refusal` says why."""

    def __init__(self, source: Readable, numbers: Iterator[int]) -> None:
        self._parts = sections(source)
        self._numbers = numbers
        self.statements: list[Stated] = []
        self.refusal: Refusal | None = None

    def chunk(self) -> bytes:
        """The next lines, empty at the end. What was read before a refusal is then void."""
        lines: list[bytes] = []
        try:
            for part in self._parts:
                if isinstance(part, Entry):
                    stated = self.statements[-1]
                    if part.currency != UNSTATED:
                        check_decimals(part.amount, part.currency, f"Ntry[{stated.lines + 1}]/Amt")
                    lines.append(stated.line(part))
                    if len(lines) == _LINES:
                        break
                elif isinstance(part, Ending):
                    self.statements[-1].heading = self.statements[-1].heading.ended(part)
                else:
                    self._begin(part)
        except RefusedError as refused:
            self.refusal = refused.refusal
            return b""
        return b"".join(lines)

    def close(self) -> None:
        """Let go of the parser, in the thread that read."""
        self._parts.close()

    def _begin(self, heading: Heading) -> None:
        if heading.kind is not MessageKind.STATEMENT:
            raise RefusedError("not_a_statement", f"a {heading.type} among statements closes no day")
        self.statements.append(Stated(next(self._numbers), heading))


async def stage(
    tx: Transaction, source: BinaryIO, numbers: Iterator[int], come: Callable[[int], None] = lambda _: None
) -> Reading:
    """Read a message's statements and stage their lines; what they are, or why they are none. `come` is called with how
    many bytes of the source are read, once in a while.
    """
    reading = Reading(source, numbers)
    async with aclosing(_chunks(reading, source, come)) as chunks:
        await staging.stage(tx, chunks)
    return reading


async def _chunks(reading: Reading, source: BinaryIO, come: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    """Read beside the event loop, so that other doors are answered meanwhile; in one thread from beginning to end,
    because what the XML parser makes lies in memory of its thread: fed from another, it frees what is not its own.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "reading") as thread:
        try:
            while chunk := await loop.run_in_executor(thread, reading.chunk):
                come(source.tell())
                yield chunk
        finally:
            await loop.run_in_executor(thread, reading.close)
