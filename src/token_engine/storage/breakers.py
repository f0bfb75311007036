"""What people do about a breaker: closings and overrides. Call what reads one account under that account's lock."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import structs
from psycopg.rows import dict_row

from token_engine.domain.backing import Level
from token_engine.domain.closing import BankWord, Closing, ClosingState
from token_engine.domain.override import Override, OverrideState
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("breakers")
_LEVEL_OF_STATUS: Final = {level.value.upper(): level for level in Level}
_CAUSE_LENGTH: Final = 140


class UnderWay(NamedTuple):
    """A closing that waits for its second person, or an override in force."""

    account_id: UUID
    act: str
    expires_at: datetime
    requested_by: str
    approved_by: str | None


async def _rows(tx: Transaction, statement: bytes, parameters: Any) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def bank_word(tx: Transaction, account_id: UUID) -> BankWord:
    """What the bank has said of the account so far."""
    [row] = await (await tx.execute(_sql.bank_word, [account_id])).fetchall()
    since_break, at, status, criticals, last_critical, missing_since = row
    return BankWord(
        since_break=since_break, at=at, level=_LEVEL_OF_STATUS.get(status), critical_judgements=criticals,
        last_critical_at=last_critical, statement_missing_since=missing_since,
    )  # fmt: skip


async def opened(tx: Transaction, account_id: UUID) -> tuple[datetime, str] | None:
    """When the breaker last opened, and why; None if it never did by the engine's hand."""
    row = await (await tx.execute(_sql.opened, [account_id])).fetchone()
    return (row[0], row[1]) if row else None


async def steps(tx: Transaction, account_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The breaker's steps, newest first."""
    return await _rows(tx, _sql.steps, [account_id, limit])


async def pending_closing(tx: Transaction, account_id: UUID) -> Closing | None:
    """The closing that nobody has settled; it may be over all the same."""
    return _closing(await _rows(tx, _sql.pending_closing, [account_id]))


async def closing(tx: Transaction, account_id: UUID, key: UUID) -> Closing | None:
    """A closing of this account."""
    return _closing(await _rows(tx, _sql.closing, [account_id, key]))


def _closing(rows: list[dict[str, Any]]) -> Closing | None:
    return Closing(**rows[0] | {"state": ClosingState(rows[0]["state"])}) if rows else None


async def insert_closing(tx: Transaction, wanted: Closing) -> None:
    """Keep a request to close."""
    await tx.execute(_sql.insert_closing, structs.asdict(wanted))


async def settle_closing(tx: Transaction, settled: Closing) -> None:
    """Write how a closing was settled."""
    await tx.execute(_sql.settle_closing, structs.asdict(settled))


async def close_breaker(tx: Transaction, approved: Closing) -> None:
    """Close the breaker by a closing that is written as approved, and write the step."""
    cause = f"closing {approved.id} of {approved.requested_by}: {approved.reason}"[:_CAUSE_LENGTH]
    parameters = {
        "account": approved.account_id, "closing": approved.id, "cause": cause, "actor": approved.settled_by,
        "at": approved.settled_at,
    }  # fmt: skip
    await tx.execute(_sql.close_breaker, parameters)


async def open_override(tx: Transaction, account_id: UUID) -> Override | None:
    """The override that nobody has ended, pending or approved; it may be over all the same."""
    return _override(await _rows(tx, _sql.open_override, [account_id]))


async def override(tx: Transaction, account_id: UUID, key: UUID) -> Override | None:
    """An override of this account."""
    return _override(await _rows(tx, _sql.override, [account_id, key]))


def _override(rows: list[dict[str, Any]]) -> Override | None:
    return Override(**rows[0] | {"state": OverrideState(rows[0]["state"])}) if rows else None


async def insert_override(tx: Transaction, wanted: Override) -> None:
    """Keep a request for an override."""
    await tx.execute(_sql.insert_override, structs.asdict(wanted))


async def settle_override(tx: Transaction, settled: Override) -> None:
    """Write an override's approval, or its end."""
    await tx.execute(_sql.settle_override, structs.asdict(settled))


async def due(tx: Transaction, now: datetime) -> list[UUID]:
    """Accounts with a closing or an override that is over and not written as such, in order of id."""
    return [row[0] for row in await (await tx.execute(_sql.due, {"now": now})).fetchall()]


async def under_way(tx: Transaction, now: datetime) -> list[UnderWay]:
    """Closings that wait and overrides in force `now`, of all accounts."""
    return [UnderWay(*row) for row in await (await tx.execute(_sql.under_way, {"now": now})).fetchall()]
