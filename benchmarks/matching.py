"""Matching of one statement as it grows, against as many movements, and how right it is: business with known truth.

Rows are laid where the end-of-day road would have them, without statistics, as they are in its transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from benchmarks.business import Event, Line, Move, month
from benchmarks.figure import Figure
from benchmarks.servers import Arena, Servers
from benchmarks.workload import account_id
from token_engine.storage import matching
from token_engine.storage.database import Database, Transaction

SIZES: Final = (10_000, 100_000)
LARGEST: Final = 1_000_000
"""With --full: half a minute to make, and a gigabyte of tables."""
_FIRST_MOVEMENT: Final = 1000
"""Below are what accounts were taken on with."""
_NOW: Final = datetime(2025, 11, 19, 2, tzinfo=UTC)

_Match = tuple[frozenset[int], frozenset[int]]


def run(servers: Servers, *, full: bool) -> Iterator[Figure]:
    """Seconds at each size; growth against the smallest; precision and recall at the largest."""
    sizes = (*SIZES, LARGEST) if full else SIZES
    first = 0.0
    for size in sizes:
        with servers.arena(1) as arena:
            truth = _lay(arena, month(1, size, days=1))
            seconds = asyncio.run(_match(arena.database_url))
            made = _made(arena.database_url)
        first = first or seconds
        growth = seconds / first / (size / sizes[0])
        yield Figure(f"matching {size:,} lines", seconds, "s", first, growth)
    yield Figure("the same, matches that are right", 100 * len(made & truth) / len(made), "%")
    yield Figure("the same, decidable matches found", 100 * len(made & truth) / len(truth), "%")


async def _match(url: str) -> float:
    connection = await Database(url).connect_for_the_road()
    try:
        async with connection.transaction():
            started = time.perf_counter()
            await matching.match(Transaction(connection), [1], _NOW)
            return time.perf_counter() - started
    finally:
        await connection.close()


def _made(url: str) -> set[_Match]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT array_remove(array_agg(entry_id), NULL), array_remove(array_agg(movement_id), NULL) FROM matches"
            " GROUP BY match_id"
        )
        return {(frozenset(entries), frozenset(movements)) for entries, movements in rows}


def _lay(arena: Arena, events: Sequence[Event]) -> set[_Match]:
    """Write both sides; the truth, by the numbers of entries and movements."""
    lines = [line for event in events for line in event.lines]
    moves = [move for event in events for move in event.moves]
    entry = {line.name: number for number, line in enumerate(lines, 1)}
    movement = {move.name: number for number, move in enumerate(moves, _FIRST_MOVEMENT)}
    with psycopg.connect(arena.admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # what triggers guard is not what is measured
        connection.execute(
            "INSERT INTO bank_messages (id, digest, received_at, door, source, raw, raw_size, state, answer,"
            " last_attempt_at) VALUES (1, sha256('s'), now(), 'CLI', 's', '', 0, 'RECORDED', '{}', now())"
        )
        connection.execute(
            "INSERT INTO statements (id, account_id, message_id, bank_message_id, identity, content, statement_date,"
            " closing_balance, entries, booked_sum, cut_off, state, checks, at)"
            " VALUES (1, %s, 1, 'S', 'S', '', '2025-11-01', 0, %s, 0, '2025-11-02Z', 'ACCEPTED', '[]', now())",
            [account_id(0), len(lines)],
        )
        _copy(connection, _ENTRIES, (_entry(number, line) for number, line in enumerate(lines, 1)))
        _copy(connection, _LINES, (_line(number, line) for number, line in enumerate(lines, 1)))
        _copy(connection, _DETAILS, _details(lines))
        _copy(connection, _MOVES, (_move(number, move) for number, move in enumerate(moves, _FIRST_MOVEMENT)))
        for table in ("statement_lines", "ledger_movements", "bank_entries"):
            # Who reads rows first after their commit writes so on their pages; the road, which wrote them, does not.
            connection.execute(f"SELECT count(*) FROM {table}".encode())
        connection.execute("CHECKPOINT")
    return {
        (frozenset(entry[n] for n in names), frozenset(movement[n] for n in others))
        for event in events if event.decidable for names, others in event.truth()
    }  # fmt: skip


def _copy(connection: psycopg.Connection[Any], target: str, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor().copy(f"COPY {target} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


_ENTRIES: Final = (
    "bank_entries (id, account_id, message_id, origin, bank_message_id, amount, credit_debit, status, reversal,"
    " position_change, identity, occurrence)"
)
_LINES: Final = (
    "statement_lines (statement_id, line, account_id, entry_id, amount, status, in_closing, booking_date, value_date,"
    " servicer_reference, end_to_end_id, uetr, instruction_id, creditor_reference, batch_reference, counterparty,"
    " transaction_code, remittance)"
)
_DETAILS: Final = "statement_line_details (statement_id, line, detail, amount, end_to_end_id)"
_MOVES: Final = (
    "ledger_movements (id, account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor, at,"
    " end_to_end_id, uetr, bank_reference, instruction_id, creditor_reference, batch_reference, counterparty,"
    " value_date)"
)


def _entry(number: int, line: Line) -> tuple[Any, ...]:
    sign = "CRDT" if line.amount > 0 else "DBIT"
    return (
        number, account_id(0), 1, "camt.053", "S", abs(line.amount), sign, "BOOK", False, line.amount,
        f"{sign} BOOK ref {number}", 0,
    )  # fmt: skip


def _line(number: int, line: Line) -> tuple[Any, ...]:
    return (
        1, number, account_id(0), number, line.amount, "BOOK", True, line.booked or line.day, line.day,
        line.bank_reference, line.end_to_end_id, line.uetr, line.instruction_id, line.creditor_reference,
        line.batch_reference, line.counterparty, line.transaction_code, line.remittance,
    )  # fmt: skip


def _details(lines: Sequence[Line]) -> Iterator[tuple[Any, ...]]:
    for number, line in enumerate(lines, 1):
        for place, detail in enumerate(line.details, 1):
            yield 1, number, place, detail.amount, detail.end_to_end_id


def _move(number: int, move: Move) -> tuple[Any, ...]:
    mint = move.amount > 0
    legs = ("issued", "holder", None, "h") if mint else ("holder", "issued", "h", None)
    return (
        number, account_id(0), "mint" if mint else "burn", abs(move.amount), *legs,
        "r", "a", _NOW, move.end_to_end_id, move.uetr, move.bank_reference, move.instruction_id,
        move.creditor_reference, move.batch_reference, move.counterparty, move.day,
    )  # fmt: skip
