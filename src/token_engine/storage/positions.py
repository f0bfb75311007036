"""Accounts under lock: load them, and save what a batch made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import structs
from psycopg import AsyncCursor

from token_engine.domain.account import Account, OpenDiscrepancy
from token_engine.domain.backing import Level, Policy
from token_engine.domain.breaker import Breaker
from token_engine.domain.entry import ReversalSign
from token_engine.domain.standing import Discrepancy, Standing
from token_engine.storage.columns import Column, JsonColumn
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("positions")
_SAVED_COLUMNS = 6


class StepRow(NamedTuple):
    """A row of circuit_breaker_steps."""

    account_id: UUID
    from_state: str
    to_state: str
    cause: str
    message_id: int | None
    actor: str
    at: datetime


class AuditRow(NamedTuple):
    """A row of audit_log; `details` is JSON."""

    at: datetime
    actor: str
    action: str
    account_id: UUID | None
    message_id: int | None
    details: str


class EventRow(NamedTuple):
    """A row of the outbox; `payload` is JSON."""

    event_id: str
    subject: str
    payload: str


async def numbers_of(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, str]:
    """Account numbers of accounts named by id."""
    cursor = await tx.execute(_sql.numbers_of_ids, [Column(ids)])
    return dict(await cursor.fetchall())


class Locked(NamedTuple):
    """Accounts under lock, and whether there is any policy but the specification's to ask for."""

    accounts: list[Account]
    policies_exist: bool


async def lock_numbers(tx: Transaction, numbers: Iterable[str]) -> Locked:
    """Lock the accounts with these numbers, in order of id: no two batches wait for each other."""
    rows = await (await tx.execute(_sql.lock, [Column(numbers)])).fetchall()
    return Locked([_account(row[:-1]) for row in rows], any(row[-1] for row in rows))


async def lock_ids(tx: Transaction, ids: Iterable[UUID]) -> list[Account]:
    """Lock accounts by id, in order of id."""
    cursor = await tx.execute(_sql.lock_by_id, [Column(ids)])
    return [_account(row) for row in await cursor.fetchall()]


def _account(row: Sequence[Any]) -> Account:
    key, number, currency, ledger, bank, breaker, closed_at, inverts = row
    return Account(
        id=key,
        number=number,
        currency=currency,
        ledger=ledger,
        bank=bank,
        breaker=Breaker(breaker),
        closed_at=closed_at,
        reversal_sign=ReversalSign.INVERTED if inverts else ReversalSign.PUBLISHED,
    )


async def ask_open_discrepancies(tx: Transaction, ids: Iterable[UUID]) -> AsyncCursor[Any]:
    """Ask for the open break of each account; `open_discrepancies_from` reads the answer.

    Asked after the locks are held: what the locking statement itself joins is as old as its snapshot.
    """
    return await tx.execute(_sql.open_discrepancies, [Column(ids)])


async def open_discrepancies_from(cursor: AsyncCursor[Any]) -> dict[UUID, OpenDiscrepancy]:
    """Open breaks by account."""
    return {row[0]: OpenDiscrepancy(row[1], Level(row[2])) for row in await cursor.fetchall()}


async def ask_policies(tx: Transaction, accounts: Iterable[Account]) -> AsyncCursor[Any]:
    """Ask for the policies that may apply to the accounts; `policies_from` reads the answer."""
    scopes = {"global"}
    for account in accounts:
        scopes |= {account.currency, str(account.id)}
    return await tx.execute(_sql.policies, [Column(sorted(scopes))])


async def policies_from(cursor: AsyncCursor[Any]) -> dict[str, Policy]:
    """Policies by scope: 'global', a currency, or an account's id."""
    return {
        row[0]: Policy(
            ok_percent=row[1], minor_percent=row[2], significant_percent=row[3], shortfall_tolerance=row[4],
            ok_cap=row[5], minor_cap=row[6], significant_cap=row[7], stale_after=row[8],
        )
        for row in await cursor.fetchall()
    }  # fmt: skip


async def save(tx: Transaction, standings: Sequence[Standing], events: Sequence[EventRow]) -> None:
    """Write positions and verdicts of judged accounts, and put the events into the outbox."""
    rows = [
        (
            s.account.id,
            s.bank,
            s.bank - s.account.ledger,
            s.level.value.upper(),
            s.evidence.source_system,
            s.evidence.at if s.evidence.fresh else None,
        )
        for s in standings
        if s.level is not None and s.evidence is not None
    ]
    event_ids, subjects, payloads = zip(*events, strict=True) if events else ((), (), ())
    positions = zip(*rows, strict=True) if rows else [()] * _SAVED_COLUMNS
    await tx.execute(
        _sql.save,
        [Column(event_ids), Column(subjects), JsonColumn(payloads), *(Column(c) for c in positions)],
    )


async def save_breakers(tx: Transaction, states: Sequence[tuple[UUID, str]], steps: Sequence[StepRow]) -> None:
    """Write breakers that moved, and each step on the way."""
    await tx.execute(_sql.save_breakers, [Column(c) for c in zip(*states, strict=True)])
    await tx.execute(_sql.insert_breaker_steps, [Column(c) for c in zip(*steps, strict=True)])


async def save_discrepancies(tx: Transaction, discrepancies: Sequence[Discrepancy]) -> None:
    """Open, update or resolve breaks."""
    rows = [
        (d.id, d.account_id, d.ledger, d.bank, d.bank - d.ledger, "RESOLVED" if d.resolution else "OPEN",
         d.source_system, d.source_reference[:100], d.severity.value, d.at, d.resolution)
        for d in discrepancies
    ]  # fmt: skip
    await tx.execute(_sql.save_discrepancies, [Column(c) for c in zip(*rows, strict=True)])


async def append_audit(tx: Transaction, rows: Sequence[AuditRow]) -> None:
    """Append to the audit log."""
    await tx.execute(_sql.insert_audit, [Column(c) for c in zip(*rows, strict=True)])


async def all_policies(tx: Transaction) -> dict[str, Policy]:
    """Every policy there is, by scope."""
    return await policies_from(await tx.execute(_sql.all_policies))


async def save_policy(tx: Transaction, scope: str, policy: Policy) -> None:
    """Set the policy of a scope."""
    await tx.execute(_sql.save_policy, {"scope": scope, **structs.asdict(policy)})
