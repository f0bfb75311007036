"""Reads statements of one message for staging: chunks of lines for the database, and what they come to together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from typing import BinaryIO, Final

from token_engine.domain.entry import Entry, EntryStatus, ReversalSign, adds
from token_engine.domain.entry_columns import Mark, columns_of, days_booked, identities, signed_amounts, sums
from token_engine.domain.money import EXACT, UNSTATED, all_fit, check_decimals, sum_exactly
from token_engine.domain.notification import Ending, Heading, MessageKind
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.domain.statement import Statement
from token_engine.iso20022.reader import sections
from token_engine.iso20022.utf8 import Readable
from token_engine.storage import staging
from token_engine.storage.database import Transaction
from token_engine.storage.staging import copied, rows

_LINES: Final = 2000
"""In one chunk, the payments of batches counted, too: some milliseconds of reading, so that other doors are answered
meanwhile, and some hundred kilobytes.
"""
_AT_ONCE: Final = 200
"""Of them: few enough to be still at hand in the processor when they are written as rows."""
_ZERO: Final = Decimal(0)


class Stated:
    """One statement while its lines pass by. `number` is its place among those of the transaction."""

    def __init__(self, number: int, heading: Heading) -> None:
        self.number = number
        self.heading = heading
        self.lines = 0
        self.currencies: set[str] = set()
        self.finest = Decimal(0)
        """Of the amounts without a currency, the one of the most decimals: its account's currency must have them."""
        self._sums: dict[Mark, Decimal] = {}
        """Of the amounts without sign."""
        self._days: set[date] = set()
        self._content = blake2b(digest_size=32)

    def take(self, entries: Sequence[Entry]) -> bytes:
        """Count lines in, one at least; as the database takes them."""
        columns = columns_of(entries)
        currencies = set(columns["currency"])
        if UNSTATED in currencies:
            unstated = [entry.amount for entry in entries if entry.currency == UNSTATED]
            self.finest = min(self.finest, *unstated, key=_exponent)
        self.currencies |= currencies - {UNSTATED}
        for mark, amount in sums(columns).items():
            self._sums[mark] = EXACT.add(self._sums.get(mark, _ZERO), amount)
        self._days |= days_booked(columns)
        changes = turned = signed_amounts(columns)
        if True in columns["reversal"]:
            turned = signed_amounts(columns, self.heading.reversal_sign(ReversalSign.INVERTED))
        said = rows(columns, changes, turned, identities(columns, self.heading.kind, self.heading.message_id))
        self._content.update("\n".join([*said, ""]).encode())
        lines, self.lines = self.lines, self.lines + len(entries)
        return copied(self.number, lines, said)

    @property
    def amounts(self) -> Decimal:
        """The sum of all entries, without sign."""
        return sum_exactly(self._sums.values())

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
        meant = self.heading.reversal_sign(sign)
        booked = later = _ZERO
        for (credit_debit, reversal, status, valued), amount in self._sums.items():
            if status is EntryStatus.BOOK:
                moved = amount if adds(credit_debit, reversal, meant) else EXACT.minus(amount)
                booked = EXACT.add(booked, moved)
                if valued is not None and valued_until is not None and valued > valued_until:
                    later = EXACT.add(later, moved)
        return Statement(
            heading=self.heading, lines=self.lines, currencies=frozenset(self.currencies),
            booked_sum=booked, amount_sum=self.amounts, valued_later=later,
            first_booking=min(self._days, default=None), last_booking=self.last_booking,
        )  # fmt: skip


def _exponent(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent


def _check_amounts(entries: Sequence[Entry], after: int) -> None:
    """Raises RefusedError for the first whose amount has more decimals than its currency; `after` lines come before."""
    currencies = {entry.currency for entry in entries}
    if len(currencies) == 1 and all_fit([entry.amount for entry in entries], *currencies):
        return
    for line, entry in enumerate(entries, after + 1):
        if entry.currency != UNSTATED:
            check_decimals(entry.amount, entry.currency, f"Ntry[{line}]/Amt")


class Reading:
    """The statements of one message, read chunk by chunk. In the end `statements` has them, or `refusal` says why."""

    def __init__(self, source: Readable, numbers: Iterator[int]) -> None:
        self._parts = sections(source)
        self._numbers = numbers
        self.statements: list[Stated] = []
        self.refusal: Refusal | None = None

    def chunk(self) -> bytes:
        """The next lines, empty at the end. What was read before a refusal is then void."""
        told: list[bytes] = []
        entries: list[Entry] = []
        lines = held = 0
        try:
            for part in self._parts:
                if isinstance(part, Entry):
                    entries.append(part)
                    held += 1 + len(part.details)
                    if held < _AT_ONCE:
                        continue
                if entries:
                    told.append(self._taken(entries))
                    lines, held, entries = lines + held, 0, []
                if isinstance(part, Ending):
                    self.statements[-1].heading = self.statements[-1].heading.ended(part)
                elif isinstance(part, Heading):
                    self._begin(part)
                if lines >= _LINES:
                    break
            if entries:
                told.append(self._taken(entries))
        except RefusedError as refused:
            self.refusal = self._amiss(entries) or refused.refusal
            return b""
        return b"".join(told)

    def close(self) -> None:
        """Let go of the parser, in the thread that read."""
        self._parts.close()

    def _taken(self, entries: Sequence[Entry]) -> bytes:
        stated = self.statements[-1]
        _check_amounts(entries, stated.lines)
        return stated.take(entries)

    def _amiss(self, entries: Sequence[Entry]) -> Refusal | None:
        """What is wrong with lines that stand before what was refused."""
        try:
            if entries:
                self._taken(entries)
        except RefusedError as refused:
            return refused.refusal
        return None

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
