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
from token_engine.domain.discrepancy import Told
from token_engine.domain.entry import ReversalSign
from token_engine.domain.ledger import Mode
from token_engine.domain.standing import Discrepancy
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("positions")


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


async def ask_lock(tx: Transaction, numbers: Iterable[str]) -> AsyncCursor[Any]:
    """Lock the accounts with these numbers, in order of id: no two batches wait for each other.

    `locked_from` reads the answer.
    """
    return await tx.execute(_sql.lock, [Column(numbers)])


async def locked_from(cursor: AsyncCursor[Any]) -> Locked:
    """The accounts that are locked now."""
    rows = await cursor.fetchall()
    return Locked([_account(row[:-1]) for row in rows], any(row[-1] for row in rows))


async def lock_ids(tx: Transaction, ids: Iterable[UUID]) -> list[Account]:
    """Lock accounts by id, in order of id."""
    cursor = await tx.execute(_sql.lock_by_id, [Column(ids)])
    return [_account(row) for row in await cursor.fetchall()]


def _account(row: Sequence[Any]) -> Account:
    key, number, currency, ledger, bank, breaker, closed_at, inverts, mode, missing_since, *observed = row
    return Account(
        id=key,
        number=number,
        currency=currency,
        ledger=ledger,
        bank=bank,
        breaker=Breaker(breaker),
        closed_at=closed_at,
        reversal_sign=ReversalSign.INVERTED if inverts else ReversalSign.PUBLISHED,
        mode=Mode(mode),
        statement_missing_since=missing_since,
        observed_gap=observed[0],
        observed_at=observed[1],
    )


async def open_discrepancies(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, OpenDiscrepancy]:
    """The open break of each account that has one. Call under the accounts' locks."""
    cursor = await tx.execute(_sql.open_discrepancies, [Column(ids)])
    return {row[0]: OpenDiscrepancy(row[1], Level(row[2]), *row[3:]) for row in await cursor.fetchall()}


async def policies_of(tx: Transaction, accounts: Iterable[Account]) -> dict[str, Policy]:
    """The policies that may apply to the accounts, by scope: 'global', a currency, or an account's id."""
    scopes = {"global"}
    for account in accounts:
        scopes |= {account.currency, str(account.id)}
    return await _policies_from(await tx.execute(_sql.policies, [Column(sorted(scopes))]))


async def _policies_from(cursor: AsyncCursor[Any]) -> dict[str, Policy]:
    return {
        row[0]: Policy(
            ok_percent=row[1], minor_percent=row[2], significant_percent=row[3], shortfall_tolerance=row[4],
            ok_cap=row[5], minor_cap=row[6], significant_cap=row[7], stale_after=row[8],
            auto_resolve=row[9],
        )
        for row in await cursor.fetchall()
    }  # fmt: skip


async def save_breakers(tx: Transaction, states: Sequence[tuple[UUID, str]]) -> None:
    """Write breakers that moved. Before the judgements themselves: an opening takes back what the bank had
    said, and what it says after, in the same batch, must stand.
    """
    await tx.execute(_sql.save_breakers, [Column(c) for c in zip(*states, strict=True)])


async def append_breaker_steps(tx: Transaction, steps: Sequence[StepRow]) -> None:
    """Append to the breakers' history."""
    await tx.execute(_sql.insert_breaker_steps, [Column(c) for c in zip(*steps, strict=True)])


async def save_discrepancies(tx: Transaction, discrepancies: Sequence[Discrepancy], story: Sequence[Told]) -> None:
    """Open, update or resolve breaks, and append to the story of these or others."""
    rows = [
        (d.id, d.account_id, d.ledger, d.bank, d.severity.value, d.source_system, d.source_reference[:100], d.at,
         d.message_id, d.gone_since, d.resolution, d.type, d.subject)
        for d in discrepancies
    ]  # fmt: skip
    lines = [
        (t.discrepancy_id, t.happening.value, t.at, t.actor, t.text, t.severity.value, t.ledger, t.bank, t.assignee,
         t.message_id)
        for t in story
    ]  # fmt: skip
    await tx.execute(_sql.save_discrepancies, [*_columns(rows, 13), *_columns(lines, 10)])


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Column]:
    return [Column(c) for c in (zip(*rows, strict=True) if rows else [()] * width)]


async def append_audit(tx: Transaction, rows: Sequence[AuditRow]) -> None:
    """Append to the audit log."""
    await tx.execute(_sql.insert_audit, [Column(c) for c in zip(*rows, strict=True)])


async def all_policies(tx: Transaction) -> dict[str, Policy]:
    """Every policy there is, by scope."""
    return await _policies_from(await tx.execute(_sql.all_policies))


async def save_policy(tx: Transaction, scope: str, policy: Policy) -> None:
    """Set the policy of a scope."""
    await tx.execute(_sql.save_policy, {"scope": scope, **structs.asdict(policy)})
