"""The service to compare with: what a competent engineer would first write for Tier 1, and for holding tokens.

One message is one transaction of a few plain, prepared statements on the engine's own schema, with the
engine's own rules and every effect: raw message, entry once, position, verdict, discrepancy, breaker,
audit, outbox; it acknowledges after the commit. Nothing in it is slow on purpose: compiled driver and
decoder, prepared statements, uvloop, and as many processes as the engine gets (two to drain, one for
HTTP). It does less than the engine: one policy, no XML, no reports, no refusals, no payouts that come back, no
amounts that differ from what was expected, no relay of the outbox.

    python -m benchmarks.naive consume DATABASE_URL NATS_URL
    python -m benchmarks.naive serve DATABASE_URL PORT
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import msgspec
import nats
import nats.errors
import uvicorn
import uvloop
from fastapi import FastAPI, Request
from nats.js.api import ConsumerConfig
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from token_engine.domain.backing import ACTION, Level, judge
from token_engine.domain.breaker import Breaker, step
from token_engine.tiers.payouts import NewPayout

_encode = msgspec.json.Encoder().encode
_AUDIT = (
    "INSERT INTO audit_log (at, actor, action, account_id, message_id, details) VALUES (%s, 'naive', %s, %s, %s, %s)"
)


class Notification(msgspec.Struct):
    message_id: str
    account_id: str
    currency: str
    credit_debit_indicator: str
    amount: Decimal
    bank_reference: str | None = None
    end_to_end_id: str | None = None


class Answer(BaseModel):
    account_id: UUID
    ledger_balance: Decimal
    bank_balance: Decimal
    difference: Decimal
    threshold_level: Level
    action_taken: str


async def record(tx: AsyncConnection[Any], said: Notification, raw: bytes, door: str, source: str) -> Answer | None:
    """Take in one notification; None if it was there already. The caller commits."""
    now = datetime.now(UTC)
    digest = sha256(raw).digest()
    cursor = await tx.execute(
        "SELECT id, ledger_balance, bank_reported_balance, circuit_breaker, reconciliation_status"
        " FROM emi_accounts WHERE account_number = %s AND currency = %s FOR NO KEY UPDATE",
        [said.account_id, said.currency],
    )
    row = await cursor.fetchone()
    if row is None:
        raise ValueError(f"unknown account {said.account_id}")
    account, ledger, bank, state, status = row
    name = f"ref {said.bank_reference}" if said.bank_reference else f"msg {said.message_id}"
    identity = f"{said.credit_debit_indicator} BOOK {name}"
    cursor = await tx.execute(
        "SELECT FROM bank_entries WHERE account_id = %s AND amount = %s AND identity = %s",
        [account, said.amount, identity],
    )
    if await cursor.fetchone():
        return None
    change = said.amount if said.credit_debit_indicator == "CRDT" else -said.amount
    bank += change
    awaited = await _awaited(tx, account, said, now) if said.end_to_end_id else None
    if awaited is not None and (change < 0 or (state != "open" and ledger + change <= bank)):
        ledger += change
    else:
        awaited = None
    difference = bank - ledger
    level = judge(ledger, bank)
    before = Breaker(state)
    after = step(before, level)
    answer = Answer(
        account_id=account, ledger_balance=ledger, bank_balance=bank, difference=difference,
        threshold_level=level, action_taken=ACTION[level],
    )  # fmt: skip
    text = answer.model_dump_json()

    cursor = await tx.execute(
        "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, bank_message_id,"
        " answer, last_attempt_at) VALUES (%s, %s, %s, %s, %s, %s, 'RECORDED', %s, %s, %s)"
        " ON CONFLICT (digest) DO NOTHING RETURNING id",
        [digest, now, door, source, raw, len(raw), said.message_id, text, now],
    )
    kept = await cursor.fetchone()
    if kept is None:
        return None
    message = kept[0]
    await tx.execute(
        "INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit,"
        " status, reversal, position_change, servicer_reference, end_to_end_id, identity, occurrence)"
        " VALUES (%s, %s, 'camt.054', %s, %s, %s, 'BOOK', false, %s, %s, %s, %s, 0)",
        [account, message, said.message_id, said.amount, said.credit_debit_indicator, change,
         said.bank_reference, said.end_to_end_id, identity],
    )  # fmt: skip
    if awaited is not None:
        await _meet(tx, account, said, identity, change, awaited, now)
    await tx.execute(
        "UPDATE emi_accounts SET bank_reported_balance = %s, reconciliation_difference = %s,"
        " reconciliation_status = %s, reconciliation_source = 'CAMT_054', last_reconciliation_at = %s"
        " WHERE id = %s",
        [bank, difference, level.upper(), now, account],
    )
    if level is not Level.OK:
        cursor = await tx.execute(
            "INSERT INTO reconciliation_discrepancies AS d (id, account_id, discrepancy_type, expected_value,"
            " actual_value, difference, threshold_exceeded, source_system, source_reference, severity)"
            " VALUES (%s, %s, 'BALANCE_MISMATCH', %s, %s, %s, true, 'CAMT_054', %s, %s)"
            " ON CONFLICT (account_id, discrepancy_type, subject) WHERE status <> 'RESOLVED' DO UPDATE SET"
            " actual_value = excluded.actual_value, difference = excluded.difference,"
            " severity = excluded.severity, source_reference = excluded.source_reference, updated_at = now()"
            " RETURNING id, opened_at = updated_at",
            [uuid4(), account, ledger, bank, difference, said.message_id, level],
        )
        opened = await cursor.fetchone()
        if opened and opened[1]:
            await _tell(tx, opened[0], "opened", level, ledger, bank, message)
            await _announce(tx, f"{digest.hex()}.discrepancy", "reconciliation.discrepancy.opened", text)
            await tx.execute(_AUDIT, [now, "discrepancy_opened", account, message, text])
    elif status not in ("OK", "PENDING"):
        cursor = await tx.execute(
            "UPDATE reconciliation_discrepancies SET status = 'RESOLVED', resolved_by = 'naive',"
            " resolved_at = %s, updated_at = %s, actual_value = %s, difference = %s,"
            " resolution = 'difference within bounds again'"
            " WHERE account_id = %s AND status <> 'RESOLVED' RETURNING id, severity",
            [now, now, bank, difference, account],
        )
        for discrepancy, severity in await cursor.fetchall():
            await _tell(tx, discrepancy, "resolved", severity, ledger, bank, message)
            await _announce(tx, f"{digest.hex()}.discrepancy", "reconciliation.discrepancy.resolved", text)
        await tx.execute(_AUDIT, [now, "discrepancy_resolved", account, message, text])
    if after is not before:
        flags = {
            "circuit_breaker_active": after is Breaker.OPEN,
            "payouts_suspended": after is not Breaker.CLOSED,
        }
        await tx.execute(
            "UPDATE emi_accounts SET metadata = metadata || %s WHERE id = %s",
            [_encode(flags).decode(), account],
        )
        await tx.execute(
            "INSERT INTO circuit_breaker_steps"
            " (account_id, from_state, to_state, cause, message_id, actor, at)"
            " VALUES (%s, %s, %s, %s, %s, 'naive', %s)",
            [account, before, after, f"CAMT_054 {said.message_id} judged {level}", message, now],
        )
        await tx.execute(_AUDIT, [now, f"breaker_{after}", account, message, text])
        await _announce(tx, f"{digest.hex()}.breaker", "reconciliation.circuit_breaker.activated", text)
    subject = "reconciliation.tier1.ok" if level is Level.OK else "reconciliation.tier1.mismatch"
    await _announce(tx, digest.hex(), subject, text)
    return answer


async def _awaited(
    tx: AsyncConnection[Any], account: UUID, said: Notification, now: datetime
) -> tuple[str, UUID, str] | None:
    """The funding or payout that an entry meets, and whose tokens it makes or takes. Amounts are as expected here."""
    if said.credit_debit_indicator == "CRDT":
        statement = (
            "SELECT 'funding', id, holder FROM fundings WHERE account_id = %s AND end_to_end_id = %s"
            " AND state = 'EXPECTED' AND expires_at > %s"
        )
    else:
        statement = (
            "SELECT 'payout', id, holder FROM payouts WHERE account_id = %s AND end_to_end_id = %s"
            " AND state IN ('HELD', 'SENT') AND requested_at <= %s"
        )
    cursor = await tx.execute(statement.encode(), [account, said.end_to_end_id, now])
    return await cursor.fetchone()


async def _meet(
    tx: AsyncConnection[Any], account: UUID, said: Notification, identity: str, change: Decimal,
    awaited: tuple[str, UUID, str], now: datetime,
) -> None:  # fmt: skip
    """Mint for a funding, or burn for a payout, and say what the entry was."""
    met, key, holder = awaited
    table, state = ("fundings", "MET") if met == "funding" else ("payouts", "SETTLED")
    await tx.execute(
        f"UPDATE {table} SET state = %s, settled_by = 'naive', settled_at = %s, settled_reason = 'booked'"
        " WHERE id = %s".encode(),
        [state, now, key],
    )
    kind, leaves, enters, gives, gets = (
        ("mint", "issued", "holder", None, holder)
        if met == "funding"
        else ("payout_settlement", "holder", "issued", holder, None)
    )
    cursor = await tx.execute(
        "INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor,"
        " cause, at) VALUES (%s, %s, %s, %s, %s, %s, %s, 'booked', 'naive', %s, %s) RETURNING id",
        [account, kind, abs(change), leaves, enters, gives, gets, said.bank_reference, now],
    )
    row = await cursor.fetchone()
    assert row is not None
    await tx.execute(
        "INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, funding_id, payout_id, movement_id,"
        " actor, reason, at) VALUES (%s, %s, %s, 0, %s, %s, %s, %s, 'naive', 'booked', %s)",
        [account, said.amount, identity, met, key if met == "funding" else None, key if met == "payout" else None,
         row[0], now],
    )  # fmt: skip
    text = _encode({"id": row[0], "kind": kind, "amount": str(abs(change)), "holder": holder, met: key}).decode()
    await _announce(tx, f"movement.{row[0]}", f"reconciliation.ledger.{kind}", text)
    await _announce(tx, f"movement.{row[0]}.met", f"reconciliation.{met}.{state.lower()}", text)


async def hold(tx: AsyncConnection[Any], key: str, payout: UUID, wanted: NewPayout) -> None:
    """Hold tokens for a payout under the account's lock, by the engine's rules. The caller commits."""
    now = datetime.now(UTC)
    digest = sha256(_encode(wanted)).digest()
    cursor = await tx.execute("SELECT payload_digest FROM idempotency_keys WHERE key = %s", [key])
    if await cursor.fetchone():
        return
    amount = Decimal(wanted.amount)
    cursor = await tx.execute(
        "SELECT id, currency, ledger_balance, reserved_balance, bank_reported_balance, circuit_breaker, closed_at,"
        " ledger_mode, last_reconciliation_at FROM emi_accounts WHERE account_number = %s FOR NO KEY UPDATE",
        [wanted.account_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise ValueError(f"unknown account {wanted.account_id}")
    account, currency, ledger, reserved, bank, breaker, closed_at, mode, spoke_at = row
    cursor = await tx.execute(
        "SELECT balance, reserved FROM ledger_holders WHERE account_id = %s AND holder = %s", [account, wanted.holder]
    )
    holder = await cursor.fetchone()
    fresh = spoke_at is not None and now - spoke_at <= timedelta(hours=24)
    level = judge(ledger, bank)
    lawful = breaker == "closed" and closed_at is None and mode == "engine" and level in (Level.OK, Level.MINOR)
    if not (lawful and fresh and holder and amount <= min(ledger - reserved, holder[0] - holder[1])):
        raise ValueError("refused")
    expires_at = now + timedelta(minutes=wanted.expires_in_minutes)
    view = {
        "id": payout, "account_id": account, "account_number": wanted.account_id, "currency": currency,
        "amount": str(amount), "holder": wanted.holder, "beneficiary": wanted.beneficiary, "state": "HELD",
        "end_to_end_id": wanted.end_to_end_id, "requested_by": wanted.actor, "requested_at": now,
        "expires_at": expires_at,
    }  # fmt: skip
    text = _encode(view).decode()
    await tx.execute(
        "INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, beneficiary, state, requested_by,"
        " requested_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s, 'HELD', %s, %s, %s)",
        [payout, account, wanted.end_to_end_id, amount, wanted.holder, wanted.beneficiary, wanted.actor, now,
         expires_at],
    )  # fmt: skip
    await _announce(tx, f"payout.{payout}.held", "reconciliation.payout.held", text)
    await tx.execute(_AUDIT, [now, "payout_held", account, None, text])
    await tx.execute(
        "INSERT INTO idempotency_keys (key, payload_digest, status, answer, at) VALUES (%s, %s, 201, %s, %s)",
        [key, digest, text, now],
    )


async def _tell(
    tx: AsyncConnection[Any], discrepancy: UUID, happening: str, severity: str, ledger: Decimal, bank: Decimal,
    message: int,
) -> None:  # fmt: skip
    await tx.execute(
        "INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, text, severity, expected_value,"
        " actual_value, message_id) VALUES (%s, %s, now(), 'naive', 'CAMT_054', %s, %s, %s, %s)",
        [discrepancy, happening, severity, ledger, bank, message],
    )


async def _announce(tx: AsyncConnection[Any], event: str, subject: str, payload: str) -> None:
    await tx.execute("INSERT INTO outbox (event_id, subject, payload) VALUES (%s, %s, %s)", [event, subject, payload])


async def consume(database_url: str, nats_url: str) -> None:
    """Take messages from the stream, one transaction each, for ever."""
    decode = msgspec.json.Decoder(Notification).decode
    connection = await AsyncConnection.connect(database_url, autocommit=True, prepare_threshold=0)
    broker = await nats.connect(nats_url)
    messages = await broker.jetstream().pull_subscribe(
        "", durable="naive", stream="BANK_NOTIFICATIONS", config=ConsumerConfig(max_ack_pending=10_000)
    )
    while True:
        try:
            batch = await messages.fetch(100, timeout=5)
        except nats.errors.TimeoutError:
            continue
        for message in batch:
            async with connection.transaction():
                await record(connection, decode(message.data), message.data, "NATS", message.subject)
            await message.ack()


class Body(BaseModel):
    message_id: str
    account_id: str
    currency: str
    credit_debit_indicator: str
    amount: Decimal
    bank_reference: str | None = None
    end_to_end_id: str | None = None


def http(database_url: str) -> FastAPI:
    """The same behind FastAPI: one transaction per request."""
    pool = AsyncConnectionPool(
        database_url,
        min_size=16,
        max_size=16,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0},
    )

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=life)

    @app.post("/api/v1/reconciliation/camt054", status_code=201)
    async def camt054(body: Body, request: Request) -> dict[str, Any]:
        said = Notification(**body.model_dump())
        raw = await request.body()
        async with pool.connection() as connection, connection.transaction():
            answer = await record(connection, said, raw, "HTTP", "benchmark")
        return {"success": True, "data": answer}

    @app.get("/api/v1/reconciliation/health")
    async def health() -> dict[str, bool]:
        return {"success": True}

    return app


def main() -> None:
    match sys.argv[1:]:
        case ["consume", database_url, nats_url]:
            uvloop.run(consume(database_url, nats_url))
        case ["serve", database_url, port]:
            uvicorn.run(http(database_url), host="127.0.0.1", port=int(port), access_log=False, loop="uvloop")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
