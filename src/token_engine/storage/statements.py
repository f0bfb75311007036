"""Statements that close days, and the snapshots that they leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from token_engine.domain.statement import Previous
from token_engine.storage.columns import BytesColumn, Column
from token_engine.storage.database import Transaction
from token_engine.storage.messages import KnownMessage, MessageBook, Settled
from token_engine.storage.queries import load

_sql = load("statements")


class StatementRow(NamedTuple):
    """A row of `statements`, as it is first written. Amounts in major units, signed; times with a time zone."""

    id: int
    account_id: UUID
    message_id: int
    place: int
    bank_message_id: str
    statement_id: str | None
    identity: str
    content: bytes
    sequence_number: str | None
    statement_date: date
    opening_balance: Decimal | None
    closing_balance: Decimal
    entries: int
    booked_sum: Decimal
    cut_off: datetime
    lists_from: date | None
    state: str
    corrects: int | None
    checks: str
    at: datetime


class Figures(NamedTuple):
    """How a statement's day was judged: the ledger as of its cut-off, in major units. `answer` is JSON."""

    id: int
    ledger_balance: Decimal
    threshold_level: str
    entries_matched: int
    entries_unmatched: int
    answer: str


class SnapshotRow(NamedTuple):
    """A day as it was closed: the specification's table. `difference` is bank - ledger."""

    account_id: UUID
    day: date
    ledger: Decimal
    bank: Decimal
    difference: Decimal
    reconciled: bool
    reference: str


class Known(NamedTuple):
    """A statement that is kept under an identity."""

    id: int
    content: bytes
    answer: str


async def lock_messages(tx: Transaction, digests: Sequence[bytes]) -> None:
    """Wait for whoever has the same messages, until the transaction ends. In its turn, and before any account, as
    everybody does.
    """
    await tx.execute(_sql.lock_messages, [BytesColumn(digests)])


async def kept(tx: Transaction, digests: Iterable[bytes]) -> MessageBook:
    """What is kept of messages, and a number for each of which nothing is."""
    cursor = await tx.execute(_sql.kept, [BytesColumn(list(digests))])
    known, fresh = {}, {}
    for digest, number, kept_id, state, answer in await cursor.fetchall():
        fresh[bytes(digest)] = number
        if kept_id is not None:
            known[bytes(digest)] = KnownMessage(kept_id, state, answer)
    return MessageBook(known, fresh)


async def keep_message(tx: Transaction, row: Settled) -> None:
    """Keep a message that was recorded. Alone, and as bytes: a batch's columns hold a large one several times over."""
    await tx.execute(_sql.keep_message, row._asdict())


async def draw_number(tx: Transaction) -> int:
    """The number of a statement to come."""
    return int(await _value(tx, _sql.draw_number, {}))


async def before(tx: Transaction, account_id: UUID, day: date) -> Previous | None:
    """The statement that stands for the latest day before `day`."""
    return _previous(await _row(tx, _sql.before, {"account_id": account_id, "day": day}))


async def last(tx: Transaction, account_id: UUID) -> Previous | None:
    """The statement that stands for the latest day of all."""
    return _previous(await _row(tx, _sql.last, {"account_id": account_id}))


def _previous(row: tuple[Any, ...] | None) -> Previous | None:
    return None if row is None else Previous(*row[1:])


async def standing(tx: Transaction, account_id: UUID, day: date) -> int | None:
    """The number of the statement that stands for a day."""
    row = await _row(tx, _sql.standing, {"account_id": account_id, "day": day})
    return None if row is None else row[0]


async def of_identity(tx: Transaction, account_id: UUID, identity: str) -> Known | None:
    """The statement that is kept under this identity, whatever became of it."""
    row = await _row(tx, _sql.of_identity, {"account_id": account_id, "identity": identity})
    return None if row is None else Known(row[0], bytes(row[1]), row[2])


async def answers(tx: Transaction, numbers: Sequence[int]) -> list[str]:
    """What was answered of statements, as JSON, in this order."""
    return [row[0] for row in await (await tx.execute(_sql.answers, [Column(numbers)])).fetchall()]


async def replace(tx: Transaction, number: int) -> None:
    """Let a statement stand no longer: a corrected one takes its place."""
    await tx.execute(_sql.replace, {"id": number})


async def insert(tx: Transaction, row: StatementRow) -> None:
    """Keep a statement."""
    await tx.execute(_sql.insert, row._asdict())


class Quarantined(NamedTuple):
    """A quarantined statement; `checks` is JSON, `where` has the message and place of it, or of each of its pages."""

    account_number: str
    message_id: int
    checks: str
    where: list[tuple[int, int]]


async def quarantined(tx: Transaction, number: int) -> Quarantined | None:
    """The statement, if it is quarantined."""
    row = await _row(tx, _sql.quarantined, {"id": number})
    if row is None:
        return None
    return Quarantined(row[0], row[1], row[2], [(message, place) for message, place in row[3]])


async def quarantined_of(tx: Transaction, account_id: UUID, day: date) -> list[int]:
    """The statements of a day that are quarantined."""
    cursor = await tx.execute(_sql.quarantined_of_day, {"account_id": account_id, "day": day})
    return [row[0] for row in await cursor.fetchall()]


async def release(tx: Transaction, number: int, corrects: int | None, lists_from: date | None) -> None:
    """Let a quarantined statement stand."""
    await tx.execute(_sql.release, {"id": number, "corrects": corrects, "lists_from": lists_from})


async def judge(tx: Transaction, figures: Figures) -> None:
    """Say how the statement's day was judged."""
    await tx.execute(_sql.judge, figures._asdict())


async def position(tx: Transaction, account_id: UUID) -> Decimal:
    """The position as a fold over all that is known (DESIGN 3.2). Some statement must stand."""
    return Decimal(await _value(tx, _sql.position, {"account_id": account_id}))


async def ledger_as_of(tx: Transaction, account_id: UUID, statement: int, day: date, cut_off: datetime) -> Decimal:
    """What was outstanding when the bank's day ended, in major units. `statement` is the one that closes it."""
    values = {"account_id": account_id, "statement": statement, "day": day, "cut_off": cut_off}
    return Decimal(await _value(tx, _sql.ledger_as_of, values))


async def close_held(tx: Transaction, day: SnapshotRow) -> UUID:
    """Write the snapshot of a day whose statement is quarantined, unless the day has one: that says more. Its id."""
    row = await _row(tx, _sql.snapshot, {"id": uuid4(), **day._asdict()})
    return UUID(str(row[0] if row else await _value(tx, _sql.snapshot_of, day._asdict())))


async def close(tx: Transaction, day: SnapshotRow, statement: int, reason: str, actor: str, at: datetime) -> UUID:
    """Write the day's snapshot, or where it has one a revision beside it; the id of what was written."""
    key = uuid4()
    row = await _row(tx, _sql.snapshot, {"id": key, **day._asdict()})
    if row is None:
        more = {"statement": statement, "reason": reason, "actor": actor, "at": at}
        await tx.execute(_sql.revise, {"id": key, **day._asdict(), **more})
    return key


async def missing(tx: Transaction, account_id: UUID, day: date) -> list[tuple[date, int, Decimal]]:
    """Days up to `day` with entries that were notified as booked and are in no statement that stands: how many, and
    their signed sum.
    """
    cursor = await tx.execute(_sql.missing, {"account_id": account_id, "day": day})
    return await cursor.fetchall()


async def notified(tx: Transaction, account_id: UUID) -> bool:
    """Whether the bank has ever notified an entry of this account."""
    return bool(await _value(tx, _sql.notified, {"account_id": account_id}))


async def occurrences(tx: Transaction, entries: Sequence[int]) -> dict[int, int]:
    """Which of those of its name each entry is."""
    return dict(await (await tx.execute(_sql.occurrences, [Column(entries)])).fetchall())


async def waiting_pages(tx: Transaction, account_id: UUID, pages_of: str) -> list[tuple[int, int]]:
    """Where the pages lie of a statement that is not whole yet: message, and place in it."""
    return await (await tx.execute(_sql.waiting_pages, {"account_id": account_id, "pages_of": pages_of})).fetchall()


async def keep_page(tx: Transaction, message_id: int, place: int, account_id: UUID, pages_of: str) -> None:
    """Keep where a page lies, until the others are there."""
    values = {"message_id": message_id, "place": place, "account_id": account_id, "pages_of": pages_of}
    await tx.execute(_sql.keep_page, values)


async def join_pages(
    tx: Transaction, pages: Sequence[tuple[int, int]], account_id: UUID, pages_of: str, statement_id: int
) -> None:
    """Say which statement the pages became."""
    messages, places = [m for m, _ in pages], [p for _, p in pages]
    values = {"account_id": account_id, "pages_of": pages_of, "statement_id": statement_id}
    await tx.execute(_sql.join_pages, {**values, "messages": messages, "places": places})


async def joined_from(tx: Transaction, message_id: int) -> dict[int, int]:
    """The statements that pages of a message became, by the page's place in it."""
    return dict(await (await tx.execute(_sql.joined_from, {"message_id": message_id})).fetchall())


async def raw_of(tx: Transaction, message_id: int) -> bytes | None:
    """A message as it came; None where it is kept in parts."""
    raw = await _value(tx, _sql.raw_of, {"message_id": message_id})
    return None if raw is None else bytes(raw)


async def _row(tx: Transaction, statement: bytes, values: dict[str, Any]) -> tuple[Any, ...] | None:
    return await (await tx.execute(statement, values)).fetchone()


async def _value(tx: Transaction, statement: bytes, values: dict[str, Any]) -> Any:
    row = await _row(tx, statement, values)
    assert row is not None
    return row[0]
