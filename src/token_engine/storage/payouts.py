"""Payouts at rest: what decides whether one may be held, the holds of a batch in one go, and how each goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import structs
from psycopg import AsyncCursor
from psycopg.rows import dict_row

from token_engine.domain.backing import DEFAULT_POLICY, Level, Policy
from token_engine.domain.breaker import Breaker
from token_engine.domain.gate import Facts
from token_engine.domain.ledger import Mode
from token_engine.domain.payout import Payout, PayoutState
from token_engine.storage.columns import BytesColumn, Column, JsonColumn
from token_engine.storage.database import Transaction
from token_engine.storage.idempotency import Kept
from token_engine.storage.positions import AuditRow, EventRow
from token_engine.storage.queries import load

_sql = load("payouts")
_LEVEL_OF_STATUS: Final = {level.value.upper(): level for level in Level}
_MOVED: Final = ("id", "state", "sent_by", "sent_at", "settled_by", "settled_at", "settled_reason")


class Named(NamedTuple):
    """An account as a request may mean it: by our id, or by the bank's number."""

    id: UUID | None
    number: str


class Payer(NamedTuple):
    """An account that pays out: what its gates look at, and its balances in major units of its currency."""

    id: UUID
    number: str
    currency: str
    mode: Mode
    ledger: Decimal
    reserved: Decimal
    bank: Decimal
    facts: Facts


class Asked(NamedTuple):
    """What `ask` asked for, to be read by `answer_from`."""

    facts: AsyncCursor[Any]
    holders: AsyncCursor[Any]
    used: AsyncCursor[Any] | None


class Known(NamedTuple):
    """Accounts under lock; holders' balance and what is reserved of it; end-to-end ids that payouts have had, and those
    under which a credit is expected.
    """

    payers: list[Payer]
    holders: dict[tuple[UUID, str], tuple[Decimal, Decimal]]
    used: set[tuple[UUID, str]]
    awaited: set[tuple[UUID, str]]


async def ask(
    tx: Transaction, named: Collection[Named], holders: Collection[tuple[Named, str]],
    end_to_end_ids: Collection[tuple[Named, str]], now: datetime,
) -> Asked:  # fmt: skip
    """Lock the accounts in order of id, and ask for all that decides holds: statements after the lock, which see
    what it waited for. Nothing is waited for here where the transaction is pipelined.
    """
    columns = _named(named)
    await tx.execute(_sql.lock, columns)
    return Asked(
        await tx.execute(_sql.facts, columns),
        await tx.execute(_sql.holders, _named_with(holders)),
        await tx.execute(_sql.used, [*_named_with(end_to_end_ids), now]) if end_to_end_ids else None,
    )


async def answer_from(asked: Asked) -> Known:
    """What was asked for."""
    taken = await asked.used.fetchall() if asked.used is not None else []
    return Known(
        [_payer(row) for row in await asked.facts.fetchall()],
        {(row[0], row[1]): (row[2], row[3]) for row in await asked.holders.fetchall()},
        {(row[0], row[1]) for row in taken if row[2]},
        {(row[0], row[1]) for row in taken if not row[2]},
    )


async def lock(tx: Transaction, account_id: UUID) -> None:
    """Lock one account."""
    await tx.execute(_sql.lock, _named([Named(account_id, "")]))


async def payer(tx: Transaction, account_id: UUID) -> Payer:
    """What the gates of one account look at."""
    [row] = await (await tx.execute(_sql.facts, _named([Named(account_id, "")]))).fetchall()
    return _payer(row)


async def holding(tx: Transaction, account_id: UUID, holder: str) -> tuple[Decimal, Decimal]:
    """What a holder has against an account, and what of it is reserved."""
    rows = await (await tx.execute(_sql.holders, _named_with([(Named(account_id, ""), holder)]))).fetchall()
    return (rows[0][2], rows[0][3]) if rows else (Decimal(0), Decimal(0))


def _named(names: Collection[Named]) -> list[Column]:
    return [Column(n.id for n in names if n.id is not None), Column(n.number for n in names if n.number)]


def _named_with(pairs: Collection[tuple[Named, str]]) -> list[Column]:
    return [
        Column(n.id for n, _ in pairs), Column(n.number or None for n, _ in pairs), Column(word for _, word in pairs),
    ]  # fmt: skip


def _payer(row: Sequence[Any]) -> Payer:
    key, number, currency, mode, ledger, reserved, bank, breaker, status, evidence_at, closed_at, until, *more = row
    stale, missing_since = more
    facts = Facts(
        breaker=Breaker(breaker), level=_LEVEL_OF_STATUS.get(status), evidence_at=evidence_at, closed_at=closed_at,
        policy=_policy(stale), override_until=until, statement_missing_since=missing_since,
    )  # fmt: skip
    return Payer(key, number, currency, Mode(mode), ledger, reserved, bank, facts)


def _policy(stale_after: timedelta | None) -> Policy:
    """A gate goes by the level that was judged; of the policy it needs only when evidence is stale."""
    return DEFAULT_POLICY if stale_after is None else structs.replace(DEFAULT_POLICY, stale_after=stale_after)


async def hold(
    tx: Transaction, held: Sequence[Payout], events: Sequence[EventRow], audit: Sequence[AuditRow],
    kept: Sequence[Kept],
) -> None:  # fmt: skip
    """Write a batch of holds and what they cause, and the answers to all keys. The database reserves."""
    payouts = [
        (p.id, p.account_id, p.end_to_end_id, p.amount, p.holder, p.beneficiary, p.state, p.requested_by,
         p.requested_at, p.expires_at)
        for p in held
    ]  # fmt: skip
    keys, digests, statuses, answers, times = _turned(kept, 5)
    *names, payloads = _turned(events, 3)
    *noted, details = _turned(audit, 6)
    await tx.execute(
        _sql.hold,
        [
            *map(Column, _turned(payouts, 10)), *map(Column, names), JsonColumn(payloads), *map(Column, noted),
            JsonColumn(details), Column(keys), BytesColumn(digests), Column(statuses), JsonColumn(answers),
            Column(times),
        ],
    )  # fmt: skip


def _turned(rows: Sequence[Sequence[Any]], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


async def those(tx: Transaction, ids: Iterable[UUID]) -> list[Payout]:
    """Payouts by id; certain only under their account's lock."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.one, [Column(ids)])
    return [_payout(row) for row in await cursor.fetchall()]


async def one(tx: Transaction, key: UUID) -> Payout | None:
    """One payout; certain only under its account's lock."""
    found = await those(tx, [key])
    return found[0] if found else None


def _payout(row: dict[str, Any]) -> Payout:
    return Payout(**row | {"state": PayoutState(row["state"])})


async def move(tx: Transaction, payouts: Sequence[Payout]) -> None:
    """Write payouts in their new state, under their accounts' locks. The database releases what ends."""
    rows = [tuple(getattr(p, name) for name in _MOVED) for p in payouts]
    await tx.execute(_sql.move, [Column(c) for c in _turned(rows, len(_MOVED))])


async def listing(
    tx: Transaction, account_id: UUID, state: PayoutState | None, before: UUID | None, limit: int
) -> list[Payout]:
    """An account's payouts, newest first; `before` is the last one seen."""
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(
        _sql.listing, {"account_id": account_id, "state": state, "before": before, "limit": limit}
    )  # fmt: skip
    return [_payout(row) for row in await cursor.fetchall()]


async def meetings(tx: Transaction, key: UUID) -> list[dict[str, Any]]:
    """The bank's entries that a payout met: amounts in major units."""
    return await _rows(tx, _sql.meetings, {"id": key})


async def timed_out(tx: Transaction, now: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """Holds that are over at `now` and not released, each behind its account."""
    return await (await tx.execute(_sql.timed_out, [now, limit])).fetchall()


async def overdue(tx: Transaction, now: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """Sent payouts that the bank is late with at `now` and that nobody was told of, each behind its account."""
    return await (await tx.execute(_sql.overdue, [now, limit])).fetchall()


async def raised(tx: Transaction, account_id: UUID, ids: Iterable[UUID]) -> set[str]:
    """Which of these payouts somebody was told of as overdue."""
    rows = await (await tx.execute(_sql.raised, [account_id, Column(ids)])).fetchall()
    return {row[0] for row in rows}


async def overdue_gone(tx: Transaction, account_id: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Discrepancies of payouts that were late and are not on their way any more, with what became of each."""
    return await _rows(tx, _sql.overdue_gone, {"account_id": account_id, "limit": limit})


async def under_way(tx: Transaction) -> dict[str, int]:
    """How many payouts are held and sent."""
    [row] = await (await tx.execute(_sql.under_way)).fetchall()
    return {"held": row[0], "sent": row[1]}


async def drift(tx: Transaction) -> list[dict[str, Any]]:
    """Accounts and holders of whom something else is reserved than payouts hold: none, ever."""
    return await _rows(tx, _sql.drift, {})


async def unlike_their_meetings(tx: Transaction) -> list[dict[str, Any]]:
    """Payouts of which the bank's entries say another thing than their state: none, ever."""
    return await _rows(tx, _sql.unlike_their_meetings, {})


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()
