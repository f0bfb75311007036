"""Lines of statements on their way in: streamed into tables of the transaction's own, then paired and kept as sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec

from token_engine.domain.entry import EntryDetail
from token_engine.domain.entry_columns import Columns
from token_engine.domain.pairing import Movement
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.entries import KnownRow, known_movements
from token_engine.storage.queries import load

_sql = load("staging")
_encode = msgspec.json.Encoder(decimal_format="string").encode
# What COPY's text form would read otherwise; a NUL no text may have.
_ESCAPED: Final = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": "\ufffd"}
_ESCAPES: Final = str.maketrans(_ESCAPED)
_NULL: Final = r"\N"
_WORDS: Final = (
    "servicer_reference", "entry_reference", "end_to_end_id", "uetr", "instruction_id", "transaction_id",
    "creditor_reference", "batch_reference", "counterparty", "counterparty_account", "transaction_code", "remittance",
)  # fmt: skip
"""The texts of an entry in the order of the table's columns."""


class Closing(NamedTuple):
    """A statement that is taken in: its number among those of the transaction, and as what it is kept.

    `turned`: its account's bank sends reversals with the indicator of what they undo. `ours`: the token ledger is kept
    here, so that a credit which nobody announced is a receipt. Lines valued after `valued_until` are not in the closing
    balance yet.
    """

    statement: int
    statement_id: int
    account_id: UUID
    message_id: int
    bank_message_id: str
    turned: bool
    ours: bool
    valued_until: date | None


class Line(NamedTuple):
    """A staged line that known movements could be, as far as pairing goes."""

    account_id: UUID
    statement: int
    line: int
    amount: Decimal
    credit_debit: str
    status: str
    booking_date: date | None
    value_date: date | None
    servicer_reference: str | None
    entry_reference: str | None
    bank_message_id: str


class Awaited(NamedTuple):
    """A new booked line under the end-to-end id of something that is expected; `change` is signed."""

    statement: int
    line: int
    entry_id: int
    amount: Decimal
    credit_debit: str
    reversal: bool
    booking_date: date | None
    value_date: date | None
    servicer_reference: str | None
    entry_reference: str | None
    end_to_end_id: str
    identity: str
    change: Decimal


class Moved(NamedTuple):
    """What a statement brought that was not known: lines, and the signed sum of the booked ones in major units."""

    new: int
    booked: Decimal


def rows(
    columns: Columns,
    changes: Sequence[Decimal],
    turned: Sequence[Decimal],
    identities: Sequence[str],
) -> list[str]:
    """What lines say, as COPY takes it; at least one, a column for each field of an entry. `changes` are signed as
    published, `turned` as a bank means them that sends a reversal with the indicator of what it undoes.
    """
    amounts = columns["amount"]
    texts = list(map(str, amounts))
    of_changes = _signed(amounts, texts, changes)
    return list(map("\t".join, zip(
        texts, of_changes, of_changes if turned is changes else _signed(amounts, texts, turned),
        columns["credit_debit"], columns["status"], ["t" if reversal else "f" for reversal in columns["reversal"]],
        _days(columns["booking_date"]), _days(columns["value_date"]),
        *[_words(columns[name]) for name in _WORDS],
        map(_details, columns["details"]), _words(identities),
        strict=True,
    )))  # fmt: skip


def copied(statement: int, after: int, rows: Iterable[str]) -> bytes:
    """Rows of a statement, in their places behind its first `after` lines, for `stage`."""
    return "".join([f"{statement}\t{line}\t{row}\n" for line, row in enumerate(rows, after + 1)]).encode()


def _signed(amounts: Sequence[Decimal], texts: Sequence[str], changes: Sequence[Decimal]) -> Sequence[str]:
    """Most changes are the amounts themselves."""
    if changes is amounts:
        return texts
    together = zip(amounts, texts, changes, strict=True)
    return [text if change is amount else str(change) for amount, text, change in together]


def _days(column: Sequence[date | None]) -> Iterator[str]:
    written = {day: _NULL if day is None else day.isoformat() for day in set(column)}
    return map(written.__getitem__, column)


def _words(column: Sequence[str | None]) -> Sequence[str]:
    """Few texts have a character that is escaped: seen for all of a column at once."""
    words = "".join(filter(None, column))
    if any(letter in words for letter in _ESCAPED):
        return [_NULL if word is None else word.translate(_ESCAPES) for word in column]
    if None in column:
        return [_NULL if word is None else word for word in column]
    return cast("Sequence[str]", column)


def _details(details: Sequence[EntryDetail]) -> str:
    """As JSON, which has no control character, and needs but its own escapes escaped."""
    if not details:
        return _NULL
    rows = [b'{"detail":%d,%b' % (number, _encode(of)[1:]) for number, of in enumerate(details, 1)]
    return (b"[%b]" % b",".join(rows)).decode().replace("\\", r"\\")


async def create(tx: Transaction) -> None:
    """Make the tables, empty; they go with the transaction."""
    for statement in (
        _sql.settings, _sql.create, _sql.create_paired, _sql.create_closing, _sql.create_named, _sql.clear,
    ):  # fmt: skip
        await tx.execute(statement)


async def stage(tx: Transaction, chunks: AsyncIterator[bytes]) -> None:
    """Stream lines, made by `copied`, into the table."""
    async with tx.connection.cursor() as cursor, cursor.copy(_sql.copy) as copy:
        async for chunk in chunks:
            await copy.write(chunk)


async def void(tx: Transaction, statements: Sequence[int]) -> None:
    """Take out the lines of statements whose message was refused after they were staged."""
    await tx.execute(_sql.void, [Column(statements)])


async def renumber(tx: Transaction, statement: int, into: int, after: int) -> None:
    """Make the lines of a statement lines of another, behind its first `after` ones."""
    await tx.execute(_sql.renumber, {"statement": statement, "into": into, "after": after})


async def analyze(tx: Transaction) -> None:
    """Let the planner see how many lines there are."""
    await tx.execute(_sql.analyze)


async def learn_pairs(tx: Transaction) -> None:
    """Let the planner see how many lines are known movements, most often none or all."""
    await tx.execute(_sql.learn_pairs)


async def have_grown(tx: Transaction, lines: int) -> bool:
    """Whether so many lines change what the planner should know: not beside ten times as many entries."""
    row = await (await tx.execute(_sql.entries_stored)).fetchone()
    return row is None or lines * 10 >= row[0]


async def learn_sizes(tx: Transaction) -> None:
    """Let the planner see how entries and lines have grown; what another transaction counts now is left to it."""
    await tx.execute(_sql.learn_entries)
    await tx.execute(_sql.learn_lines)


async def learn_matches(tx: Transaction) -> None:
    """The same for matches and open items."""
    await tx.execute(_sql.learn_matches)
    await tx.execute(_sql.learn_open_items)


async def take(tx: Transaction, closings: Sequence[Closing]) -> None:
    """Work on these statements from now on, and on none before."""
    await tx.execute(_sql.forget)
    await tx.execute(_sql.take, [Column(c) for c in zip(*closings, strict=True)])


async def loose(tx: Transaction) -> bool:
    """Whether a line can be a known movement at all: not where a bank sends statements and nothing else."""
    row = await (await tx.execute(_sql.loose)).fetchone()
    return row is None or bool(row[0])


async def pair_certain(tx: Transaction) -> None:
    """Pair the lines that are known movements beyond doubt."""
    await tx.execute(_sql.pair_certain)


async def doubtful(tx: Transaction) -> list[Line]:
    """Lines left that some known movement could be: by account, amount, and indicator with status."""
    return [Line(*found) for found in await (await tx.execute(_sql.doubtful)).fetchall()]


async def candidates(
    tx: Transaction, amounts: Iterable[tuple[UUID, Decimal]]
) -> tuple[list[tuple[UUID, Decimal, Movement]], dict[tuple[UUID, Decimal, str, int], int]]:
    """Movements of these amounts that no statement which stands contains, and the entry that each is, by its name."""
    keys = list(dict.fromkeys(amounts))
    cursor = await tx.execute(_sql.candidates, [Column(c) for c in zip(*keys, strict=True)])
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    known: list[KnownRow] = [r[:-1] for r in rows]
    return known_movements(known), {r[:4]: r[-1] for r in rows}


async def pair(tx: Transaction, pairs: Sequence[tuple[int, int, int]]) -> None:
    """Say which lines (statement, line) are which entries."""
    if pairs:
        await tx.execute(_sql.pair, [Column(c) for c in zip(*pairs, strict=True)])


async def moved(tx: Transaction) -> dict[int, Moved]:
    """What came of each statement's lines."""
    return {found[0]: Moved(*found[1:]) for found in await (await tx.execute(_sql.moved)).fetchall()}


async def awaited(tx: Transaction) -> list[Awaited]:
    """New booked lines that may meet what is expected."""
    return [Awaited(*found) for found in await (await tx.execute(_sql.awaited)).fetchall()]


async def record(tx: Transaction, met: Sequence[int]) -> None:
    """Record the lines that are no known movement as entries; `met` are those that met what was expected."""
    await tx.execute(_sql.find_named)
    await tx.execute(_sql.learn_named)  # few: else all lines are hashed to find them, and come out of order
    # All that is read now is the transaction's own: whatever the planner thinks of its sizes, no nested loops.
    await tx.execute(b"SET LOCAL enable_nestloop = off")
    await tx.execute(_sql.record, [Column(met)])
    await tx.execute(b"SET LOCAL enable_nestloop = on")
    await tx.execute(_sql.tell)


async def release_lines(tx: Transaction) -> None:
    """Say which entries the lines are that were kept while their statement was quarantined."""
    await tx.execute(_sql.release_lines)


async def keep_lines(tx: Transaction, *, quarantined: bool = False) -> None:
    """Keep what the statements state, line by line: as the entries that they are, or as words only."""
    await tx.execute(_sql.keep_quarantined if quarantined else _sql.keep_lines)
    await tx.execute(_sql.keep_details)
