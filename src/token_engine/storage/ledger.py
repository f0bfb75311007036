"""The token ledger at rest: post movements, look up what decides them, and say what is outstanding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from msgspec.structs import astuple
from psycopg.rows import dict_row

from token_engine.domain.ledger import Book, Kind, Legs, Mode, Movement
from token_engine.storage.columns import Column
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("ledger")


class OpenBook(NamedTuple):
    """An account's ledger, and when the bank last spoke of the account (with a time zone)."""

    book: Book
    evidence_at: datetime | None


class Posted(NamedTuple):
    """A movement that is posted: its number, and what it moved."""

    id: int
    kind: Kind
    amount: Decimal
    from_holder: str | None
    to_holder: str | None
    reverses: int | None

    def is_of(self, movement: Movement) -> bool:
        """Whether it says what `movement` says. A reason is for people: another wording moves nothing else."""
        return (self.kind, self.amount, self.from_holder, self.to_holder, self.reverses) == (
            movement.kind, movement.amount, movement.from_holder, movement.to_holder, movement.reverses,
        )  # fmt: skip


class Original(NamedTuple):
    """A movement that may be reversed, and by which one it was. `of_entry`: an entry of the bank answers for it."""

    account_id: UUID
    movement: Movement
    reversed_by: int | None
    of_entry: bool


async def accounts_named(tx: Transaction, key: UUID | None, number: str, currency: str | None) -> list[UUID]:
    """The accounts of an id or number, two at most: one number may be kept in several currencies."""
    cursor = await tx.execute(_sql.accounts_named, {"id": key, "number": number, "currency": currency})
    return [row[0] for row in await cursor.fetchall()]


async def books(tx: Transaction, named: Iterable[tuple[UUID, str | None]]) -> dict[UUID, OpenBook]:
    """The ledgers of accounts, with the balances of the holders named beside them. Call under the accounts' locks."""
    pairs = set(named)
    cursor = await tx.execute(_sql.books, [Column({account for account, _ in pairs})])
    found = {
        row[0]: OpenBook(
            Book(account_id=row[0], number=row[1], currency=row[2], mode=Mode(row[3]), closed=row[4], ledger=row[5],
                 reserved=row[6], bank=row[7], holders={}),
            row[8],
        )
        for row in await cursor.fetchall()
    }  # fmt: skip
    holders = [(account, holder) for account, holder in pairs if holder is not None]
    columns = [Column(values) for values in _columns(holders, 2)]
    for account, holder, balance, reserved in await (await tx.execute(_sql.holders, columns)).fetchall():
        found[account].book.holders[holder] = balance
        found[account].book.held[holder] = reserved
    return found


async def post(tx: Transaction, movements: Sequence[tuple[UUID, Movement, Legs]], at: datetime) -> list[int]:
    """Post movements with the accounts whose locks the caller holds; their numbers, in the same order.

    The legs move `ledger_balance` in the same statement. `at` has a time zone.
    """
    rows = [
        (account, m.kind, m.amount, legs.leaves, legs.enters, m.from_holder, m.to_holder, m.reason, m.actor, m.cause,
         m.reverses, m.key, at, *astuple(m.references))
        for account, m, legs in movements
    ]  # fmt: skip
    cursor = await tx.execute(_sql.post, [Column(values) for values in _columns(rows, 21)])
    return [row[0] for row in await cursor.fetchall()]


async def of_keys(tx: Transaction, keys: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], Posted]:
    """What is posted under keys already, by account and key."""
    cursor = await tx.execute(_sql.of_keys, [Column(values) for values in _columns(list(keys), 2)])
    return {(row[0], row[1]): Posted(row[2], Kind(row[3]), *row[4:]) for row in await cursor.fetchall()}


async def originals(tx: Transaction, numbers: Iterable[int]) -> dict[int, Original]:
    """Movements by number, to be reversed. Whether they are is certain only under their accounts' locks."""
    cursor = await tx.execute(_sql.originals, [Column(numbers)])
    return {
        row[0]: Original(
            row[1],
            Movement(kind=Kind(row[2]), amount=row[3], from_holder=row[4], to_holder=row[5], reason=row[6],
                     actor=row[7], cause=row[8]),
            row[9],
            row[10],
        )
        for row in await cursor.fetchall()
    }  # fmt: skip


async def movements(tx: Transaction, account_id: UUID, before: int | None, limit: int) -> list[dict[str, Any]]:
    """An account's movements, newest first."""
    return await _rows(tx, _sql.movements, {"account_id": account_id, "before": before, "limit": limit})


async def supply(tx: Transaction) -> list[dict[str, Any]]:
    """Tokens outstanding by currency, over all accounts, closed ones too."""
    return await _rows(tx, _sql.supply, {})


async def holders_of_token(tx: Transaction, currency: str, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Who holds tokens of a currency, in the order of their ids."""
    return await _rows(tx, _sql.holders_of_token, {"currency": currency, "after": after, "limit": limit})


async def drift(tx: Transaction) -> list[dict[str, Any]]:
    """Balances of accounts and holders that are not the fold of their legs: none, ever."""
    return await _rows(tx, _sql.drift, {})


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width
