"""Tier 3: take in statements (camt.053, MT940, MT950), a batch in one transaction, and close their days.

    stream lines into a table of the transaction's own → lock accounts in sorted order → check (pure) → pair with what
    is known → record what is new, meet expectations → keep statement and lines → position, judgement, matching,
    snapshot → the caller commits, then acknowledges.

A message is taken in whole or not at all. A statement that fails a check is kept and raised, and moves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from itertools import count
from typing import BinaryIO, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import policy_for
from token_engine.domain.calendar import NO_CALENDAR, StatementCalendar
from token_engine.domain.closed_day import ClosedDay
from token_engine.domain.money import check_decimals, sum_exactly
from token_engine.domain.receipt import AlreadyRecorded, Receipt, Recorded
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage import calendars, parts, positions, recording, staging, statements
from token_engine.storage.database import Transaction
from token_engine.storage.messages import KnownMessage, Settled
from token_engine.tiers.acceptance import Directory, as_account_id, check_open, check_reach
from token_engine.tiers.changes import Changes
from token_engine.tiers.closing_days import close_days
from token_engine.tiers.day import Day, day_of
from token_engine.tiers.delivery import Delivery
from token_engine.tiers.settled import rejected, settled
from token_engine.tiers.stating import Reading, Stated

_ZERO: Final = Decimal(0)


class _Message:
    """A message whose lines are staged, and the days that its statements close; None where that was done before."""

    def __init__(self, delivery: Delivery, kept_as: int, reading: Reading) -> None:
        self.delivery = delivery
        self.kept_as = kept_as
        self.statements = reading.statements
        self.days: list[Day] = []
        self.before: dict[int, tuple[int, ClosedDay]] = {}
        """Of statements that were closed already, by their place in the message."""

    @property
    def message_id(self) -> str:
        return self.statements[0].heading.message_id

    @property
    def answer(self) -> _Answer:
        days = iter(self.days)
        numbers = [self.before[n][0] if n in self.before else next(days).number for n in range(len(self.statements))]
        return _Answer(self.message_id, tuple(numbers))

    def closed(self) -> tuple[ClosedDay, ...]:
        """Each statement's day, in the order of the message."""
        days = iter(self.days)
        found = [self.before[n][1] if n in self.before else next(days).closed for n in range(len(self.statements))]
        return tuple(day for day in found if day is not None)


async def record(tx: Transaction, batch: Sequence[Delivery], now: datetime) -> list[Receipt]:
    """Take in a batch; the receipt of each delivery is at its place. `now` has a time zone.

    Nothing is visible, and no receipt true, before the caller commits. Expected outcomes are receipts; an exception
    means that the whole batch was lost and may be tried again.
    """
    fresh = {d.digest: d for d in batch}
    taking = _Taking(tx, now)
    await staging.create(tx)
    book = await statements.kept(tx, fresh)
    for digest, delivery in fresh.items():
        await taking.read(delivery, book.kept.get(digest), book.fresh_ids[digest])
    await staging.analyze(tx)
    await taking.close()
    return [taking.receipts[d.digest] for d in batch]


class _Taking:
    """A batch while it is taken in."""

    def __init__(self, tx: Transaction, now: datetime) -> None:
        self._tx = tx
        self._now = now
        self._numbers = count(1)
        self._changes = Changes(now)
        self._settled: list[Settled] = []
        self._messages: list[_Message] = []
        self.receipts: dict[bytes, Receipt] = {}

    async def read(self, delivery: Delivery, known: KnownMessage | None, fresh_id: int) -> None:
        """Read one message and stage its lines; one that was recorded before is only answered again."""
        if known is not None and known.answer is not None:
            self.receipts[delivery.digest] = await again(self._tx, known)
            return
        kept_as = known.id if known is not None else fresh_id
        if delivery.refused is not None:
            self._reject(delivery, kept_as, None, delivery.refused)
            return
        with _opened(delivery) as source:
            reading = await stage(self._tx, source, self._numbers)
        if reading.refusal is None and not reading.statements:
            reading.refusal = Refusal("no_statement", "the message holds no statement")
        if reading.refusal is not None:
            await self._void(delivery, kept_as, reading.statements, reading.refusal)
            return
        self._messages.append(_Message(delivery, kept_as, reading))

    async def close(self) -> None:
        """Close the days of all that was read, and write what came of it."""
        names = {s.heading.account_number for m in self._messages for s in m.statements}
        locked = await lock(self._tx, names)
        told: dict[tuple[UUID, str], bytes] = {}
        messages = []
        for message in self._messages:
            try:
                await self._find(message, locked, told)
                messages.append(message)
            except RefusedError as refused:
                await self._void(message.delivery, message.kept_as, message.statements, refused.refusal)
        await self._keep(messages)
        await close_days(self._tx, [day for m in messages for day in m.days], self._changes, self._now)
        for message in messages:
            kind = Recorded if message.days else AlreadyRecorded
            self.receipts[message.delivery.digest] = kind(message.kept_as, message.message_id, (), message.closed())
        await self._changes.write(self._tx, self._settled)

    async def _find(self, message: _Message, locked: Locked, told: dict[tuple[UUID, str], bytes]) -> None:
        """Find each statement's account and day. Raises RefusedError: one has none, or says otherwise what was said."""
        for place, stated in enumerate(message.statements):
            account = locked.directory.find(stated.heading, stated.currencies)
            check_open(account)
            check_decimals(stated.finest, account.currency, "entries")
            day = day_of(stated, account, locked.calendar(account), message.kept_as, self._now)
            balances = (account.bank, account.ledger, day.closing.amount, day.opening.amount if day.opening else _ZERO)
            if overflow := check_reach(sum_exactly((stated.amounts, *map(abs, balances)))):
                raise RefusedError.of(overflow)
            known = await statements.of_identity(self._tx, account.id, day.identity)
            content = known.content if known is not None else told.setdefault((account.id, day.identity), day.content)
            if content != day.content:
                raise RefusedError(
                    "statement_differs",
                    f"Stmt/Id: a statement {day.identity!r} of account {account.number} was sent before, "
                    "with another content",
                    "Stmt/Id",
                )
            if known is not None:
                message.before[place] = known.id, _decode_day(known.answer)
            else:
                day.number = await statements.draw_number(self._tx)
                message.days.append(day)

    async def _keep(self, messages: Iterable[_Message]) -> None:
        """The messages themselves, before what refers to them. Their answers are their statements'."""
        rows = [
            settled(m.delivery, m.kept_as, self._now, "RECORDED", m.message_id, answer=_encode(m.answer).decode())
            for m in messages
        ]
        await recording.record(self._tx, rows, [], [])
        for m in messages:
            if m.delivery.file is not None:
                with m.delivery.file.open("rb") as source:
                    await parts.keep(self._tx, m.kept_as, source)

    async def _void(self, delivery: Delivery, kept_as: int, stated: Sequence[Stated], refusal: Refusal) -> None:
        await staging.void(self._tx, [s.number for s in stated])
        self._reject(delivery, kept_as, stated[0].heading.message_id if stated else None, refusal)

    def _reject(self, delivery: Delivery, kept_as: int, message_id: str | None, refusal: Refusal) -> None:
        self._settled.append(settled(delivery, kept_as, self._now, "REJECTED", message_id, refusal=refusal))
        self.receipts[delivery.digest] = rejected(self._changes, delivery, kept_as, message_id, refusal)


class _Answer(msgspec.Struct, frozen=True):
    """What is kept in bank_messages.answer of a message of statements: their numbers."""

    message_id: str
    statements: tuple[int, ...]


_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_day = msgspec.json.Decoder(ClosedDay).decode


async def again(tx: Transaction, known: KnownMessage) -> AlreadyRecorded:
    """The receipt of a message of statements that was recorded before."""
    answer = _decode_answer(known.answer or "")
    days = [_decode_day(told) for told in await statements.answers(tx, answer.statements)]
    return AlreadyRecorded(known.id, answer.message_id, (), tuple(days))


def _opened(delivery: Delivery) -> BinaryIO:
    return BytesIO(delivery.raw) if delivery.file is None else delivery.file.open("rb")


async def stage(tx: Transaction, source: BinaryIO, numbers: Iterator[int]) -> Reading:
    """Read a message's statements and stage their lines; what they are, or why they are none."""
    reading = Reading(source, numbers)
    await staging.stage(tx, _chunks(reading))
    return reading


async def _chunks(reading: Reading) -> AsyncIterator[bytes]:
    """Read beside the event loop, so that other doors are answered meanwhile."""
    while chunk := await asyncio.to_thread(reading.chunk):
        yield chunk


class Locked(NamedTuple):
    """Accounts under lock, as messages name them, and when their banks close a day."""

    directory: Directory
    calendars: dict[UUID, calendars.Kept]

    def calendar(self, account: Account) -> StatementCalendar:
        """The account's calendar, or the one of those that have none."""
        kept = self.calendars.get(account.id)
        return kept.calendar if kept is not None else NO_CALENDAR


async def lock(tx: Transaction, names: Iterable[str]) -> Locked:
    """The accounts that statements name, under lock, with the policies and breaks that judging them takes."""
    names = set(names)
    ids = [key for name in names if (key := as_account_id(name)) is not None]
    numbers_of_ids = await positions.numbers_of(tx, ids) if ids else {}
    numbers = names | set(numbers_of_ids.values())
    locked = await positions.locked_from(await positions.ask_lock(tx, numbers))
    keys = [account.id for account in locked.accounts]
    policies = await positions.policies_of(tx, locked.accounts)
    breaks = await positions.open_discrepancies(tx, keys)

    def complete(account: Account) -> Account:
        policy = policy_for(policies, account.id, account.currency)
        return structs.replace(account, policy=policy, open_discrepancy=breaks.get(account.id))

    directory = Directory([complete(a) for a in locked.accounts], numbers_of_ids)
    return Locked(directory, await calendars.of_accounts(tx, keys))
