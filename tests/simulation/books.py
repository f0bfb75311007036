"""Both sides of an account as rows: what the bank stated and what the ledger moved, for tests of matching."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from benchmarks.business import Line, Move
from psycopg import AsyncConnection

DAY = date(2025, 11, 18)
_numbers = count(1)


_MOVE = """INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason,
    actor, cause, at, end_to_end_id, uetr, bank_reference, instruction_id, creditor_reference, batch_reference,
    counterparty, value_date)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 'r', 'tests', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id"""
_ENTRY = """INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status,
    reversal, position_change, booking_date, value_date, servicer_reference, end_to_end_id, identity, occurrence)
    VALUES (%s, %s, %s, %s, %s, %s, %s, false, %s, %s, %s, %s, %s, %s, 0) RETURNING id"""
_LINE = """INSERT INTO statement_lines (statement_id, line, account_id, entry_id, amount, status, in_closing,
    booking_date, value_date, servicer_reference, end_to_end_id, uetr, instruction_id, transaction_id,
    creditor_reference, batch_reference, counterparty, transaction_code, remittance)
    VALUES (%s, %s, %s, %s, %s, %s, true, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""


class Books:
    """Writes rows of one account. Entries and movements go by the names that the test gave them."""

    def __init__(self, connection: AsyncConnection[Any], account: UUID) -> None:
        self.connection = connection
        self.account = account
        self.entries: dict[str, int] = {}
        self.movements: dict[str, int] = {}

    async def move(self, moves: Iterable[Move], at: datetime | None = None) -> None:
        """Post movements; those without a value date count on the day of `at`."""
        for m in moves:
            kind = m.kind or ("mint" if m.amount > 0 else "burn")
            mint = ("issued", "holder", None, "h"), ("holder", "issued", "unattributed", None)
            ways = ("own_funds", "replenished", None, None) if kind == "replenishment" else mint[m.amount < 0]
            when = at or datetime.combine(m.day, time(12), UTC)
            row = await self._one(
                _MOVE, self.account, kind, abs(m.amount), *ways, m.cause, when, m.end_to_end_id, m.uetr,
                m.bank_reference, m.instruction_id, m.creditor_reference, m.batch_reference, m.counterparty,
                None if at else m.day,
            )  # fmt: skip
            self.movements[m.name] = row

    async def notify(self, lines: Iterable[Line]) -> None:
        """Entries that a notification told of first."""
        for line in lines:
            self.entries[line.name] = await self._entry(line, await self._message(), "camt.054")

    async def state(
        self, lines: Sequence[Line], day: date = DAY, *, corrects: int | None = None, state: str = "ACCEPTED",
        lists_from: date | None = None,
    ) -> int:  # fmt: skip
        """A statement with these lines; entries known by their names are those."""
        message = await self._message()
        if corrects is not None:
            await self.connection.execute("UPDATE statements SET state = 'REPLACED' WHERE id = %s", [corrects])
        number = await self._one(
            "INSERT INTO statements (account_id, message_id, bank_message_id, identity, content, statement_date,"
            " opening_balance, closing_balance, entries, booked_sum, cut_off, state, corrects, checks, ledger_balance,"
            " threshold_level, entries_matched, entries_unmatched, at, lists_from)"
            " VALUES (%s, %s, 'S', %s, '', %s, 0, 0, %s, 0, %s, %s, %s, '[]', 0, 'Ok', 0, 0, %s, %s) RETURNING id",
            self.account, message, f"S{message}", day, len(lines),
            datetime.combine(day + timedelta(days=1), time(), UTC), state, corrects,
            datetime.combine(day + timedelta(days=1), time(1), UTC), lists_from,
        )  # fmt: skip
        for place, line in enumerate(lines, 1):
            if line.name not in self.entries:
                self.entries[line.name] = await self._entry(line, message, "camt.053")
            await self.connection.execute(
                _LINE.encode(),
                [number, place, self.account, self.entries[line.name], line.amount, line.status, line.day, line.day,
                 line.bank_reference, line.end_to_end_id, line.uetr, line.instruction_id, line.transaction_id,
                 line.creditor_reference, line.batch_reference, line.counterparty, line.transaction_code,
                 line.remittance],
            )  # fmt: skip
            for n, detail in enumerate(line.details, 1):
                await self.connection.execute(
                    "INSERT INTO statement_line_details (statement_id, line, detail, amount, end_to_end_id, uetr)"
                    " VALUES (%s, %s, %s, %s, %s, %s)",
                    [number, place, n, detail.amount, detail.end_to_end_id, detail.uetr],
                )
        return number

    async def meet(self, entry: str, movement: str) -> None:
        """What Tier 1 says when an entry posts a movement."""
        await self.connection.execute(
            "INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, movement_id, actor, reason, at)"
            " SELECT account_id, amount, identity, occurrence, 'allocation', %s, 'tests', 'r', now() FROM bank_entries"
            " WHERE id = %s",
            [self.movements[movement], self.entries[entry]],
        )

    async def matched(self) -> list[tuple[str, frozenset[str], frozenset[str]]]:
        """Every match: its pass, and the names of its entries and movements."""
        cursor = await self.connection.execute(
            "SELECT pass, array_agg(entry_id), array_agg(movement_id) FROM matches WHERE account_id = %s"
            " GROUP BY match_id, pass ORDER BY match_id",
            [self.account],
        )
        entry = {number: name for name, number in self.entries.items()}
        movement = {number: name for name, number in self.movements.items()}
        return [
            (row[0], frozenset(entry[e] for e in row[1] if e), frozenset(movement[m] for m in row[2] if m))
            for row in await cursor.fetchall()
        ]

    async def waiting(self) -> dict[str, str]:
        """The reason of every open item that is due, by name."""
        cursor = await self.connection.execute(
            "SELECT entry_id, movement_id, CASE kind WHEN 'unmatched' THEN reason ELSE kind END FROM open_items"
            " WHERE account_id = %s AND closed_at IS NULL AND kind <> 'awaiting_statement'",
            [self.account],
        )
        entry = {number: name for name, number in self.entries.items()}
        movement = {number: name for name, number in self.movements.items()}
        return {entry[e] if e else movement[m]: why for e, m, why in await cursor.fetchall()}

    async def _entry(self, line: Line, message: int, origin: str) -> int:
        return await self._one(
            _ENTRY, self.account, message, origin, "M", abs(line.amount), "CRDT" if line.amount > 0 else "DBIT",
            line.status, line.amount if line.status == "BOOK" else 0, line.day, line.day, line.bank_reference,
            line.end_to_end_id, f"test {next(_numbers)}",
        )  # fmt: skip

    async def _message(self) -> int:
        return await self._one(
            "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer,"
            " last_attempt_at) VALUES (sha256(%s::text::bytea), %s, 'CLI', 's', '', 0, 'RECORDED', '{}', now())"
            " RETURNING id",
            f"books {next(_numbers)}", datetime.combine(DAY, time(13), UTC),
        )  # fmt: skip

    async def _one(self, query: str, *parameters: Any) -> int:
        row = await (await self.connection.execute(query.encode(), parameters)).fetchone()
        assert row is not None
        return int(row[0])


def both(name: str, amount: str, **more: Any) -> tuple[Line, Move]:
    """A line and its movement, alike in everything."""
    line = Line(name, Decimal(amount), **more)
    known = {k: v for k, v in more.items() if k not in ("transaction_code", "remittance", "transaction_id", "details")}
    return line, Move(name, Decimal(amount), **known)
