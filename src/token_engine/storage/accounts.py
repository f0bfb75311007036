"""EMI accounts: create, close, list, count."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("accounts")


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def upsert_bank(tx: Transaction, key: UUID, name: str, bic: str | None, *, inverts_reversals: bool) -> UUID:
    """The id of the bank of this name, made with `key` if it is new."""
    parameters = {"id": key, "name": name, "bic": bic, "inverts_reversals": inverts_reversals}
    return UUID(str((await _rows(tx, _sql.upsert_bank, parameters))[0]["id"]))


async def create(
    tx: Transaction, *, key: UUID, bank_id: UUID, account_number: str, currency: str,
    bank_balance: Decimal, ledger_mode: str, now: datetime,
) -> bool:  # fmt: skip
    """Insert an account with nothing outstanding; False if one with this number and currency is there. The
    amount is in major units.
    """
    parameters = {
        "id": key, "bank_id": bank_id, "account_number": account_number, "currency": currency,
        "bank_balance": bank_balance, "ledger_mode": ledger_mode, "now": now,
    }  # fmt: skip
    return bool(await _rows(tx, _sql.create, parameters))


async def open_position(tx: Transaction, account_id: UUID, balance: Decimal, as_of: datetime, actor: str) -> None:
    """Keep the bank's balance that the account's position starts from."""
    parameters = {"account_id": account_id, "balance": balance, "as_of": as_of, "actor": actor}
    await tx.execute(_sql.open_position, parameters)


async def close(tx: Transaction, account_id: UUID, now: datetime) -> bool:
    """Close an account; False if it was closed already or is unknown."""
    return bool(await _rows(tx, _sql.close, {"id": account_id, "now": now}))


async def listing(
    tx: Transaction, *, key: UUID | None = None, number: str | None = None,
    after: tuple[str, str] | None = None, limit: int = 1000,
) -> list[dict[str, Any]]:  # fmt: skip
    """Accounts in the order of their numbers, with balances in major units."""
    after_number, after_currency = after or (None, None)
    parameters = {
        "id": key, "number": number, "after": after_number, "after_currency": after_currency, "limit": limit,
    }  # fmt: skip
    return await _rows(tx, _sql.listing, parameters)


async def ids_to_review(tx: Transaction, after: UUID | None, limit: int, *, unpolled: bool = False) -> list[UUID]:
    """Open accounts that have been judged before, page by page; `unpolled`: those whose bank is not asked."""
    parameters = {"after": after, "limit": limit, "unpolled": unpolled}
    return [row["id"] for row in await _rows(tx, _sql.ids_to_review, parameters)]


async def evidence_at(tx: Transaction, account_id: UUID) -> datetime | None:
    """When the bank last spoke of an account (with a time zone)."""
    found = await _rows(tx, _sql.evidence_at, {"id": account_id})
    return found[0]["last_reconciliation_at"] if found else None


async def counts(tx: Transaction, now: datetime, stale_after: timedelta) -> dict[str, int]:
    """Open accounts by verdict and breaker, as of `now`; `stale_after` holds where no policy says other."""
    return dict((await _rows(tx, _sql.counts, {"now": now, "stale_after": stale_after}))[0])


async def open_discrepancies(tx: Transaction) -> dict[str, int]:
    """Discrepancies that are not resolved, by severity in small letters."""
    cursor = await tx.execute(_sql.open_discrepancies)
    return dict(await cursor.fetchall())


async def breakers(tx: Transaction) -> dict[str, bool]:
    """Whether the breaker of each account is open, by account id."""
    cursor = await tx.execute(_sql.breakers)
    return dict(await cursor.fetchall())


async def backlog(tx: Transaction) -> tuple[int, int]:
    """How many events wait in the outbox, and how many messages are kept as rejected."""
    cursor = await tx.execute(_sql.backlog)
    row = await cursor.fetchone()
    assert row is not None  # an aggregate always answers
    return int(row[0]), int(row[1])


async def position_drift(tx: Transaction) -> list[dict[str, Any]]:
    """Accounts whose stored position is not the fold of their entries: none, ever."""
    return await _rows(tx, _sql.position_drift, {})
