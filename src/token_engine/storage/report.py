"""What a report is made of, read as of one moment and in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from token_engine.domain.calendar import StatementCalendar
from token_engine.domain.period import WEEKDAYS, Scope, day_ends
from token_engine.domain.safeguarding import AccountDay, Closed, OnTheWay, Role
from token_engine.storage import calendars
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("report")
_AT_ONCE: Final = 500
"""Rows that are folded before others on the same loop have their turn."""
_ROLES: Final = {role.value: role for role in Role}


async def at_one_moment(tx: Transaction) -> None:
    """Let all of a report's questions see the same. Call first in the transaction."""
    await tx.execute(_sql.prepare)


async def account_of(tx: Transaction, key: UUID) -> Scope:
    """The scope of one account that is known."""
    [row] = await (await tx.execute(_sql.account, {"id": key})).fetchall()
    return Scope(account_id=key, account_number=row[0], currency=row[1])


async def has_currency(tx: Transaction, currency: str) -> bool:
    """Whether there is, or was, an account of that currency."""
    [row] = await (await tx.execute(_sql.has_currency, {"currency": currency})).fetchall()
    return bool(row[0])


async def calendars_of(tx: Transaction, scope: Scope) -> dict[UUID, StatementCalendar]:
    """The calendars of the accounts that have one."""
    rows = await (await tx.execute(_sql.with_calendar, _scope(scope))).fetchall()
    kept = await calendars.of_accounts(tx, [row[0] for row in rows])
    return {key: one.calendar for key, one in kept.items()}


async def account_days(
    tx: Transaction, scope: Scope, days: Sequence[date], by_account: Mapping[UUID, StatementCalendar], *,
    all_books: bool,
) -> AsyncIterator[AccountDay]:  # fmt: skip
    """What is known of each account on each of `days`, by account, then day; some hundreds of rows in memory.

    `by_account` has the calendars of the accounts whose banks' days are known. `all_books`: the ledger is also told of
    days without a snapshot on which they are closed.
    """
    returned = await (await tx.execute(_sql.returned, _scope(scope))).fetchall()
    parameters = _scope(scope) | _calendar_columns(by_account, days) | {
        "returned": [row[0] for row in returned], "gone_on": [row[1] for row in returned], "first": days[0],
        "last": days[-1], "all_books": all_books,
    }  # fmt: skip
    await tx.execute(_sql.as_sets)
    async with tx.connection.cursor(name="account_days") as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(_sql.account_days, parameters)
        async for row in cursor:
            yield _account_day(row)
    await tx.execute(_sql.as_usual)


def _calendar_columns(by_account: Mapping[UUID, StatementCalendar], days: Sequence[date]) -> dict[str, list[Any]]:
    """Each different calendar's days once, and which account has which; 0 is that of the others."""
    numbers = {WEEKDAYS: 0}
    for calendar in by_account.values():
        numbers.setdefault(calendar, len(numbers))
    told = [(number, day, *day_ends(calendar, day)) for calendar, number in numbers.items() for day in days]
    columns = [list(column) for column in zip(*told, strict=True)]
    return dict(zip(("of", "days", "due", "cut_offs", "due_by"), columns, strict=True)) | {
        "accounts": list(by_account), "calendars": [numbers[calendar] for calendar in by_account.values()],
    }  # fmt: skip


def _account_day(row: Sequence[Any]) -> AccountDay:
    (
        account_id, number, currency, bank_name, role, day, due, cut_off, due_by, books, uncredited, unpaid, unreceived,
        snapshot_id, revision, ledger, bank, reconciled, reference, state, level, failed, done_at,
    ) = row  # fmt: skip
    closed = None
    if snapshot_id is not None:
        closed = Closed(
            snapshot_id=snapshot_id, revision=revision, ledger=ledger, bank=bank, reconciled=bool(reconciled),
            statement_reference=reference, statement_state=state, level=level, failed_checks=tuple(failed or ()),
            done_at=done_at,
        )  # fmt: skip
    return AccountDay(
        account_id=account_id, account_number=number, currency=currency, bank_name=bank_name, role=_ROLES[role],
        day=day, due=due, cut_off=cut_off, due_by=due_by, books=books, closed=closed, uncredited=uncredited,
        unpaid=unpaid, unreceived=unreceived,
    )  # fmt: skip


async def under_way(
    tx: Transaction, scope: Scope, day: date, by_account: Mapping[UUID, StatementCalendar]
) -> dict[UUID, OnTheWay]:
    """What was on its way at the cut-off of `day`, by account; accounts with nothing are left out."""
    parameters = _scope(scope) | {
        "day": day, "cut_off": WEEKDAYS.cut_off_of(day), "accounts": list(by_account),
        "cut_offs": [calendar.cut_off_of(day) for calendar in by_account.values()],
    }  # fmt: skip
    rows = await (await tx.execute(_sql.under_way, parameters)).fetchall()
    return {row[0]: OnTheWay(*row[1:]) for row in rows}


async def notified(tx: Transaction, scope: Scope, first: date, day: date) -> dict[UUID, datetime]:
    """When a message of the bank last told of an entry from `first` to `day`, of accounts without a snapshot then."""
    parameters = {"account_id": scope.account_id, "first": first, "day": day}
    return dict(await (await tx.execute(_sql.notified, parameters)).fetchall())


async def discrepancies(tx: Transaction, scope: Scope, start: datetime, until: datetime) -> list[dict[str, Any]]:
    """Those open at any time from `start` to `until`, by when they opened, each as it stood at `until`."""
    return await _rows(tx, _sql.discrepancies, _scope(scope) | {"from": start, "until": until})


async def sign(tx: Transaction, report_id: str, digest: bytes, actor: str, reason: str, at: datetime) -> bool:
    """Keep a signature; False if this person has signed this state of the report."""
    parameters = {"report_id": report_id, "digest": digest, "actor": actor, "reason": reason, "at": at}
    return (await tx.execute(_sql.sign, parameters)).rowcount == 1


async def sign_offs(tx: Transaction, report_id: str) -> list[dict[str, Any]]:
    """Who has signed a report, in their order, and the hash of what they signed."""
    return await _rows(tx, _sql.sign_offs, {"report_id": report_id})


async def assign_role(
    tx: Transaction, account_id: UUID, role: Role, since: date, actor: str, reason: str, at: datetime
) -> None:
    """Keep what an account is for from a day on."""
    parameters = {
        "account_id": account_id, "role": role.value, "since": since, "actor": actor, "reason": reason, "at": at,
    }  # fmt: skip
    await tx.execute(_sql.assign_role, parameters)


def _scope(scope: Scope) -> dict[str, Any]:
    return {"account_id": scope.account_id, "currency": None if scope.account_id else scope.currency}


async def _rows(tx: Transaction, statement: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall()
