"""Days as the end of day leaves them: statements, snapshots and revisions, written straight into their tables."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from road.bench import Road


def at(day: date, hour: float = 0) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)


class Days:
    """An account's days."""

    def __init__(self, road: Road, account: UUID) -> None:
        self.road = road
        self.account = account

    async def message(self, name: str, received: datetime) -> int:
        row = await self.road.row(
            "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, bank_message_id,"
            " answer, last_attempt_at) VALUES (sha256(%s::bytea), %s, 'HTTP', 'tests', '', 0, 'RECORDED', %s, '{}', %s)"
            " RETURNING id",
            f"{name} {uuid4()}", received, name, received,
        )  # fmt: skip
        return int(row["id"])

    async def statement(
        self, day: date, ledger: str, bank: str, *, state: str = "ACCEPTED", done: datetime | None = None,
        failed: tuple[str, ...] = (), last_movement: int | None = None, level: str = "Ok",
    ) -> int:  # fmt: skip
        done = done or at(day, 30)
        checks = [{"name": name, "outcome": "failed", "text": "as told"} for name in failed]
        row = await self.road.row(
            "INSERT INTO statements (account_id, message_id, bank_message_id, identity, content, statement_date,"
            " closing_balance, entries,"
            " booked_sum, cut_off, state, checks, ledger_balance, threshold_level, entries_matched, entries_unmatched,"
            " last_movement, at)"
            " VALUES (%s, %s, %s, %s, '', %s, %s, 0, 0, %s, %s, %s, %s, %s, 0, 0, %s, %s) RETURNING id",
            self.account, await self.message(f"STMT-{day}", done), f"STMT-{day}", f"{uuid4()} {day}", day,
            Decimal(bank), at(day, 24), state, json.dumps(checks), Decimal(ledger), level, last_movement, done,
        )  # fmt: skip
        return int(row["id"])

    async def close(
        self, day: date, ledger: str = "1000000", bank: str = "1000000", *, reconciled: bool = True, **more: Any
    ) -> int:  # fmt: skip
        """A statement and the snapshot that it made; the statement's number."""
        statement = await self.statement(day, ledger, bank, **more)
        await self.road.row(
            "INSERT INTO emi_account_snapshots (id, account_id, snapshot_date, ledger_balance, bank_reported_balance,"
            " difference, reconciled, statement_reference) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            uuid4(), self.account, day, Decimal(ledger), Decimal(bank), Decimal(bank) - Decimal(ledger), reconciled,
            f"STMT-{day}",
        )  # fmt: skip
        return statement

    async def revise(
        self, day: date, ledger: str, bank: str, *, reconciled: bool = True, reason: str = "corrected", **more: Any
    ) -> int:  # fmt: skip
        """The day closed again by another statement."""
        await self.road.rows(
            "UPDATE statements SET state = 'REPLACED' WHERE account_id = %s AND statement_date = %s"
            " AND state IN ('ACCEPTED', 'RELEASED') RETURNING id",
            self.account, day,
        )  # fmt: skip
        statement = await self.statement(day, ledger, bank, **more)
        await self.road.row(
            "INSERT INTO snapshot_revisions (id, snapshot_id, revision, statement_id, ledger_balance,"
            " bank_reported_balance, difference, reconciled, statement_reference, reason, actor, at)"
            " SELECT %s, s.id, 1 + (SELECT count(*) FROM snapshot_revisions r WHERE r.snapshot_id = s.id), %s, %s, %s,"
            " %s, %s, 'again', %s, 'engine', %s FROM emi_account_snapshots s"
            " WHERE s.account_id = %s AND s.snapshot_date = %s RETURNING id",
            uuid4(), statement, Decimal(ledger), Decimal(bank), Decimal(bank) - Decimal(ledger), reconciled, reason,
            at(day, 60), self.account, day,
        )  # fmt: skip
        return statement

    async def entry(
        self, amount: str, day: date, *, unexpected: bool = False, statement: int | None = None, name: str | None = None
    ) -> int:  # fmt: skip
        """An entry of the bank (signed), in a statement's line if one is named."""
        name = name or f"E-{uuid4()}"
        signed = Decimal(amount)
        row = await self.road.row(
            "INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status,"
            " reversal, position_change, booking_date, end_to_end_id, identity, occurrence, unexpected)"
            " VALUES (%s, %s, 'camt.054', %s, %s, %s, 'BOOK', false, %s, %s, %s, %s, 0, %s) RETURNING id",
            self.account, await self.message(name, at(day, 12)), name, abs(signed), "CRDT" if signed > 0 else "DBIT",
            signed, day, name, f"BOOK {name}", unexpected,
        )  # fmt: skip
        if statement is not None:
            await self.road.row(
                "INSERT INTO statement_lines (statement_id, line, account_id, entry_id, amount, status, in_closing)"
                " SELECT %s, 1 + count(*), %s, %s, %s, 'BOOK', true FROM statement_lines WHERE statement_id = %s"
                " RETURNING line",
                statement, self.account, row["id"], signed, statement,
            )  # fmt: skip
        return int(row["id"])

    async def move(self, kind: str, amount: str, when: datetime, *, reverses: int | None = None) -> int:
        """A movement of the ledger, without asking anybody."""
        out = kind in ("burn", "payout_settlement", "emergency_burn")
        row = await self.road.row(
            "INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason,"
            " actor, at, reverses) SELECT %s, %s, %s, CASE WHEN o THEN 'holder' ELSE 'issued' END,"
            " CASE WHEN o THEN 'issued' ELSE 'holder' END, CASE WHEN o THEN 'unattributed' END,"
            " CASE WHEN NOT o THEN 'unattributed' END, 'r', 'tests', %s, %s FROM (VALUES (%s)) AS t (o) RETURNING id",
            self.account, kind, Decimal(amount), when, reverses, out,
        )  # fmt: skip
        return int(row["id"])

    async def meets(
        self, entry: int, met: str, when: datetime, *, movement: int | None = None, reference: str | None = None
    ) -> None:  # fmt: skip
        await self.road.row(
            "INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, movement_id, actor, reason, at,"
            " return_reference) SELECT account_id, amount, identity, occurrence, %s, %s, 'ann', 'r', %s, %s"
            " FROM bank_entries WHERE id = %s RETURNING met",
            met, movement, when, reference, entry,
        )  # fmt: skip
