"""What the tests of the road stand on: accounts, messages as banks write them, and whole databases to compare."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from token_engine.domain.ledger import UNATTRIBUTED, Kind, Mode, Movement, legs_of
from token_engine.domain.receipt import Receipt, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.storage import ledger
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import accounts
from token_engine.tiers import ledger as posting
from token_engine.tiers.accounts import NewAccount
from token_engine.tiers.delivery import Delivery, Door, delivery
from token_engine.tiers.notification import record

NOW = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
NUMBER = "AE070331234567890123456"
T = TypeVar("T")

TABLES = (
    "banks", "emi_accounts", "account_openings", "emi_account_snapshots", "reconciliation_discrepancies",
    "bank_messages", "bank_entries", "bank_entry_sightings", "circuit_breaker_steps", "outbox", "audit_log",
    "threshold_policies", "discrepancy_events", "ledger_movements", "ledger_holders", "idempotency_keys",
    "breaker_closings", "breaker_overrides", "fundings", "payouts", "entry_meetings", "bank_message_parts",
    "statement_pages", "statements", "statement_lines", "statement_line_details", "snapshot_revisions", "matches",
    "statement_calendars", "statement_releases", "matching_policies", "matching_cursors", "open_items",
    "match_suggestions", "match_requests", "match_events", "account_roles", "report_sign_offs", "audit_leaves",
    "archive_checkpoints", "archive_bundles", "bank_connections", "account_polling", "intraday_runs", "balance_polls",
    "balance_observations", "bank_files", "trend_days", "account_trends",
)  # fmt: skip


class Road:
    """An open transaction on a connection for the road."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.connection = connection
        self.tx = Transaction(connection)

    async def account(
        self, number: str = NUMBER, currency: str = "AED", *, ledger: str = "1000000", bank: str | None = "1000000",
        of: str = "Bank", inverts_reversals: bool = False,
    ) -> UUID:  # fmt: skip
        wanted = NewAccount(
            account_number=number, currency=currency, bank=of, ledger_balance=ledger, bank_balance=bank,
            inverts_reversals=inverts_reversals,
        )  # fmt: skip
        made = await accounts.create(self.tx, wanted, "tests", NOW)
        assert not isinstance(made, Refusal), made
        return UUID(made["id"])

    async def ledger(self, account: UUID, balance: str) -> None:
        """Make it the ledger balance by a movement that nobody asked the bank about, and judge nothing."""
        change = Decimal(balance) - (await self.state(account))["ledger_balance"]
        if not change:
            return
        movement = Movement(
            kind=Kind.ADJUSTMENT, amount=abs(change), reason="tests", actor="tests",
            from_holder=UNATTRIBUTED if change < 0 else None, to_holder=UNATTRIBUTED if change > 0 else None,
        )  # fmt: skip
        await ledger.post(self.tx, [(account, movement, legs_of(movement))], NOW)

    async def expect(
        self, account: UUID, tag: str, amount: str = "10", *, holder: str = "BANKAEAD", until: datetime | None = None
    ) -> UUID:
        """A funding that is announced."""
        row = await self.row(
            "INSERT INTO fundings (id, account_id, end_to_end_id, amount, holder, state, announced_by, announced_at,"
            " expires_at) VALUES (gen_random_uuid(), %s, %s, %s, %s, 'EXPECTED', 'tests', %s, %s) RETURNING id",
            account, tag, Decimal(amount), holder, NOW, until or NOW + timedelta(days=30),
        )  # fmt: skip
        return UUID(str(row["id"]))

    async def hold(
        self, account: UUID, tag: str, amount: str = "10", *, holder: str = UNATTRIBUTED, sent: bool = False
    ) -> UUID:
        """A payout that is held, or sent."""
        row = await self.row(
            "INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, state, requested_by, requested_at,"
            " expires_at, sent_by, sent_at) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, 'tests', %s, %s, %s, %s)"
            " RETURNING id",
            account, tag, Decimal(amount), holder, "SENT" if sent else "HELD", NOW, NOW + timedelta(days=1),
            "tests" if sent else None, NOW if sent else None,
        )  # fmt: skip
        return UUID(str(row["id"]))

    async def take(self, *messages: bytes | Delivery, source: str = "bank.notifications.other") -> list[Receipt]:
        """One batch."""
        return await record(self.tx, [m if isinstance(m, Delivery) else came(m, source) for m in messages], NOW)

    async def take_one(self, message: bytes | Delivery, source: str = "bank.notifications.other") -> Receipt:
        [receipt] = await self.take(message, source=source)
        return receipt

    async def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        cursor = self.connection.cursor(row_factory=dict_row)
        await cursor.execute(query.encode(), parameters)
        return await cursor.fetchall()

    async def row(self, query: str, *parameters: Any) -> dict[str, Any]:
        [row] = await self.rows(query, *parameters)
        return row

    async def state(self, account: UUID) -> dict[str, Any]:
        return await self.row("SELECT * FROM emi_accounts WHERE id = %s", account)

    async def position(self, account: UUID) -> Decimal:
        balance = (await self.state(account))["bank_reported_balance"]
        assert isinstance(balance, Decimal)
        return balance


class Bench:
    """Runs a story in a transaction that is rolled back."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self._runner = runner
        self._connection = runner.run(Database(url).connect_for_the_road())

    def void(self, story: Callable[[Road], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self._connection.transaction(force_rollback=True):
                return await story(Road(self._connection))

        return self._runner.run(run())

    @contextmanager
    def voided(self) -> Iterator[tuple[Road, Callable[[Coroutine[Any, Any, T]], T]]]:
        """The same for a story that is told step by step: a road, and what runs each step."""
        transaction = self._connection.transaction(force_rollback=True)
        self._runner.run(transaction.__aenter__())
        try:
            yield Road(self._connection), self._runner.run
        finally:
            self._runner.run(transaction.__aexit__(None, None, None))

    def close(self) -> None:
        self._runner.run(self._connection.close())


@asynccontextmanager
async def road_on(url: str) -> AsyncIterator[Road]:
    """A connection of its own, in autocommit, for stories that commit."""
    connection = await Database(url).connect_for_the_road()
    try:
        yield Road(connection)
    finally:
        await connection.close()


def came(raw: bytes, source: str = "bank.notifications.other") -> Delivery:
    return delivery(raw, Door.NATS, source, NOW)


def note(
    message_id: str, amount: str = "10.00", *, number: str = NUMBER, currency: str = "AED", debit: bool = False,
    reference: str | None = None, tag: str | None = None, booked: str | None = None, value: str | None = None,
    **more: Any,
) -> bytes:  # fmt: skip
    """A notification in the specification's JSON."""
    said = {
        "message_id": message_id, "account_id": number, "currency": currency,
        "credit_debit_indicator": "DBIT" if debit else "CRDT", "amount": amount,
        "bank_reference": reference, "end_to_end_id": tag, "booking_date": booked, "value_date": value,
    } | more  # fmt: skip
    return json.dumps({name: member for name, member in said.items() if member is not None}).encode()


def line(
    amount: str = "10.00", *, currency: str = "AED", debit: bool = False, reference: str | None = None,
    entry_reference: str | None = None, tag: str | None = None, booked: str | None = None,
    value: str | None = None, status: str = "BOOK", reversal: bool = False,
) -> str:  # fmt: skip
    """An `Ntry`."""
    return "".join(
        (
            "<Ntry>",
            f"<NtryRef>{entry_reference}</NtryRef>" if entry_reference else "",
            f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{"DBIT" if debit else "CRDT"}</CdtDbtInd>',
            "<RvslInd>true</RvslInd>" if reversal else "",
            f"<Sts><Cd>{status}</Cd></Sts>",
            f"<BookgDt><Dt>{booked}</Dt></BookgDt>" if booked else "",
            f"<ValDt><Dt>{value}</Dt></ValDt>" if value else "",
            f"<AcctSvcrRef>{reference}</AcctSvcrRef>" if reference else "",
            f"<NtryDtls><TxDtls><Refs><EndToEndId>{tag}</EndToEndId></Refs></TxDtls></NtryDtls>" if tag else "",
            "</Ntry>",
        )
    )


def section(*lines: str, number: str = NUMBER, currency: str | None = "AED", name: str = "N-1", extra: str = "") -> str:
    """What stands inside a `Ntfctn`, `Rpt` or `Stmt`."""
    said = f"<Ccy>{currency}</Ccy>" if currency else ""
    return f"<Id>{name}</Id>{extra}<Acct><Id><Othr><Id>{number}</Id></Othr></Id>{said}</Acct>{''.join(lines)}"


def camt(message_id: str, *sections: str, kind: str = "camt.054", blank: str = "") -> bytes:
    """A message; `blank` makes other bytes of the same words."""
    root, part = {
        "camt.052": ("BkToCstmrAcctRpt", "Rpt"),
        "camt.053": ("BkToCstmrStmt", "Stmt"),
        "camt.054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
    }[kind]
    body = "".join(f"<{part}>{s}</{part}>" for s in sections)
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{kind}.001.08"><{root}><GrpHdr>'
        f"<MsgId>{message_id}</MsgId></GrpHdr>{body}</{root}>{blank}</Document>"
    ).encode()


async def mint(
    road: Road, account: UUID, amount: str, entry: str, *, holder: str = "h", at: datetime = NOW
) -> dict[str, Any]:
    """Mint against an entry, as whoever allocates one does: its name is the key."""
    movement = Movement(
        kind=Kind.MINT, amount=Decimal(amount), to_holder=holder, reason=f"booked credit {entry}", actor="tests",
        cause=entry, key=f"mint {entry}",
    )  # fmt: skip
    return (await posting.post(road.tx, [(account, movement)], Mode.ENGINE, at))[0]


def report(message_id: str, *lines: str, number: str = NUMBER, blank: str = "") -> bytes:
    return camt(message_id, section(*lines, number=number), kind="camt.052", blank=blank)


def code(receipt: Receipt) -> str:
    """Why it was rejected."""
    assert isinstance(receipt, Rejected), receipt
    return receipt.refusal.code


def words(receipts: Sequence[Receipt | Exception]) -> list[str]:
    return [type(receipt).__name__ for receipt in receipts]
