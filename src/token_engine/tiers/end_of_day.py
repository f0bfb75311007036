"""Tier 3: take in statements (camt.053, MT940, MT950), a batch in one transaction, and close their days.

    stream lines into a table of the transaction's own → lock messages and accounts, each in sorted order → check (pure)
    → pair with what is known → record what is new, meet expectations → keep statement and lines → position, judgement,
    matching, snapshot → the caller commits, then acknowledges.

A message is taken in whole or not at all. A statement that fails a check is kept and raised, and moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import Final

import msgspec
from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import policy_for
from token_engine.domain.closed_day import ClosedDay, WaitingPages
from token_engine.domain.receipt import AlreadyRecorded, Receipt, Recorded
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage import calendars, positions, staging, statements
from token_engine.storage.database import Transaction
from token_engine.storage.messages import KnownMessage, Settled
from token_engine.tiers.acceptance import Directory, as_account_id
from token_engine.tiers.changes import Changes
from token_engine.tiers.closing_days import close_days
from token_engine.tiers.day import Day
from token_engine.tiers.delivery import Delivery
from token_engine.tiers.paging import name_of
from token_engine.tiers.progress import Progress, unheard
from token_engine.tiers.recognising import Found, Locked, Recogniser
from token_engine.tiers.settled import rejected, settled
from token_engine.tiers.squeezing import Squeezing, squeezing
from token_engine.tiers.stating import Stated, stage

_IN_PARTS: Final = 256 * 1024
"""Bytes from which on a message is kept compressed, in parts. PostgreSQL's own way, in a server that was built without
lz4, takes longer over two megabytes than their thousand entries take to be recorded.
"""


class _Message:
    """A message whose lines are staged, and what each of its statements turned out to be; or why it is not read."""

    def __init__(self, delivery: Delivery, statements: list[Stated], refusal: Refusal | None) -> None:
        self.delivery = delivery
        self.kept_as = 0
        self.statements = statements
        self.refusal = refusal
        self.found: list[Found] = []

    @property
    def message_id(self) -> str:
        return self.statements[0].heading.message_id

    @property
    def days(self) -> list[Day]:
        """The days that it closes, each once."""
        return list({id(day): day for day in self.found if isinstance(day, Day)}.values())

    def answer(self) -> str:
        """What is kept of its answer, as JSON: the numbers of its statements, which have their own."""
        told = [each for each in self.found if not isinstance(each, WaitingPages)]
        return _encode(
            _Answer(self.message_id, tuple(dict.fromkeys(each.number for each in told)), self.waiting())
        ).decode()

    def closed(self) -> tuple[ClosedDay, ...]:
        """Each statement's day, in the order of the message."""
        told = {id(each): each for each in self.found if not isinstance(each, WaitingPages)}.values()
        return tuple(each.closed for each in told if each.closed is not None)

    def waiting(self) -> tuple[WaitingPages, ...]:
        """What it brought pages of only."""
        return tuple({id(each): each for each in self.found if isinstance(each, WaitingPages)}.values())


async def record(tx: Transaction, batch: Sequence[Delivery], now: datetime, say: Progress = unheard) -> list[Receipt]:
    """Take in a batch; the receipt of each delivery is at its place. `now` has a time zone.

    Nothing is visible, and no receipt true, before the caller commits. Expected outcomes are receipts; an exception
    means that the whole batch was lost and may be tried again.
    """
    fresh = {d.digest: d for d in batch}
    async with squeezing() as squeezed:
        taking = _Taking(tx, squeezed, now, say)
        await staging.create(tx)
        say("asking whether it is known", 0, 0)
        book = await statements.kept(tx, fresh)
        done, of = 0, sum(delivery.size for delivery in fresh.values())
        for digest, delivery in fresh.items():
            come = partial(_come, say, done, of)
            await taking.read(delivery, book.kept.get(digest), come)
            done += delivery.size
        await staging.analyze(tx)
        await taking.close()
    return [taking.receipts[d.digest] for d in batch]


def _come(say: Progress, before: int, of: int, done: int) -> None:
    say("reading", before + done, of)


class _Taking:
    """A batch while it is taken in."""

    def __init__(self, tx: Transaction, squeezed: Squeezing, now: datetime, say: Progress) -> None:
        self._tx = tx
        self._squeezed = squeezed
        self._now = now
        self._say = say
        self._numbers = count(1)
        self._changes = Changes(now)
        self._settled: list[Settled] = []
        self._messages: list[_Message] = []
        self._large: dict[int, Delivery] = {}
        """Messages that are kept in parts, by the number that they are kept as."""
        self.receipts: dict[bytes, Receipt] = {}

    async def read(self, delivery: Delivery, known: KnownMessage | None, come: Callable[[int], None]) -> None:
        """Read one message and stage its lines; one that was recorded before is only answered again."""
        if known is not None and known.answer is not None:
            self.receipts[delivery.digest] = await again(self._tx, known)
            return
        if delivery.refused is not None:
            self._messages.append(_Message(delivery, [], delivery.refused))
            return
        if _is_large(delivery, known):
            self._squeezed.begin(delivery)
        with delivery.opened() as source:
            reading = await stage(self._tx, source, self._numbers, come)
        if reading.refusal is None and not reading.statements:
            reading.refusal = Refusal("no_statement", "the message holds no statement")
        self._messages.append(_Message(delivery, reading.statements, reading.refusal))

    async def close(self) -> None:
        """Close the days of all that was read, and write what came of it."""
        self._say("waiting for its account", 0, 0)
        names = {s.heading.account_number for m in self._messages if m.refusal is None for s in m.statements}
        digests = [m.delivery.digest for m in self._messages]
        await self._tx.turn.come(names)
        # A message that is rejected may name no account: what two engines reject at once is kept once all the same.
        await statements.lock_messages(self._tx, digests)
        recogniser = Recogniser(self._tx, await lock(self._tx, names), self._numbers, self._now)
        # As they are now: another engine may have had the same messages while this one waited for the locks.
        book = await statements.kept(self._tx, digests)
        messages = []
        for message in self._messages:
            known = book.kept.get(message.delivery.digest)
            if known is not None and known.answer is not None:
                await staging.void(self._tx, [s.number for s in message.statements])
                self.receipts[message.delivery.digest] = await again(self._tx, known)
                continue
            message.kept_as = known.id if known is not None else book.fresh_ids[message.delivery.digest]
            if _is_large(message.delivery, known):
                self._large[message.kept_as] = message.delivery
            if message.refusal is not None:
                await self._void(message, message.refusal)
                continue
            try:
                message.found = await recogniser.recognise(message.kept_as, message.statements)
                messages.append(message)
            except RefusedError as refused:
                await self._void(message, refused.refusal)
        await self._keep(messages)
        # Each once: two messages may bring the same statement.
        days = list({id(day): day for message in messages for day in message.days}.values())
        await close_days(self._tx, days, self._changes, self._now, self._say)
        for day in days:
            if day.brought:
                await statements.join_pages(self._tx, day.brought, day.account.id, day.pages_of, day.number)
        for message in messages:
            kind = Recorded if message.days or message.waiting() else AlreadyRecorded
            self.receipts[message.delivery.digest] = kind(
                message.kept_as, message.message_id, (), message.closed(), message.waiting()
            )
        self._say("keeping the message", 0, 0)
        await self._changes.write(self._tx, self._settled)
        for number, delivery in self._large.items():
            await self._squeezed.keep(self._tx, number, delivery)

    async def _keep(self, messages: Iterable[_Message]) -> None:
        """The messages themselves, before what refers to them. Their answers are their statements'."""
        for m in messages:
            row = settled(m.delivery, m.kept_as, self._now, "RECORDED", m.message_id, answer=m.answer())
            if m.kept_as in self._large:
                row = row._replace(raw=b"")
            await statements.keep_message(self._tx, row)
            for place, found in enumerate(m.found):
                if isinstance(found, WaitingPages):
                    name = name_of(m.statements[place])
                    await statements.keep_page(self._tx, m.kept_as, place, found.account_id, name)

    async def _void(self, message: _Message, refusal: Refusal) -> None:
        delivery, stated = message.delivery, message.statements
        if delivery.file is None:
            self._large.pop(message.kept_as, None)  # whole in its row, to be read again when the engine knows better
        await staging.void(self._tx, [s.number for s in stated])
        name = stated[0].heading.message_id if stated else None
        row = settled(delivery, message.kept_as, self._now, "REJECTED", name, refusal=refusal)
        self._settled.append(row)
        self.receipts[delivery.digest] = rejected(self._changes, delivery, message.kept_as, name, refusal)


def _is_large(delivery: Delivery, known: KnownMessage | None) -> bool:
    """Whether it is kept in parts. One that was rejected before lies whole in its row."""
    return delivery.file is not None or (known is None and delivery.size > _IN_PARTS)


class _Answer(msgspec.Struct, frozen=True):
    """What is kept in bank_messages.answer of a message of statements: their numbers, and what is not whole."""

    message_id: str
    statements: tuple[int, ...]
    waiting: tuple[WaitingPages, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_day = msgspec.json.Decoder(ClosedDay).decode


async def again(tx: Transaction, known: KnownMessage) -> AlreadyRecorded:
    """The receipt of a message of statements that was recorded before. Its pages may have become statements since."""
    answer = _decode_answer(known.answer or "")
    joined = await statements.joined_from(tx, known.id) if answer.waiting else {}
    numbers = list(dict.fromkeys([*answer.statements, *joined.values()]))
    days = tuple(_decode_day(told) for told in await statements.answers(tx, numbers))
    return AlreadyRecorded(known.id, answer.message_id, (), days, () if joined else answer.waiting)


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
