"""Asking banks through the day: how an account's bank is asked, and who asks it next (Tier 2).

A slot is claimed in a transaction of its own before the bank is asked. Of several engines one has it; one that is
killed while the bank answers leaves a claim without an outcome, and the account is asked again in its next slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from token_engine.domain.calendar import StatementCalendar
from token_engine.domain.money import in_currency
from token_engine.domain.observation import BankAccount, NoObservation, Why
from token_engine.domain.person import check_actor
from token_engine.domain.polling import INTERVALS, Schedule, offset_of
from token_engine.domain.refusal import RefusedError
from token_engine.storage import calendars, polling
from token_engine.storage.database import Transaction
from token_engine.storage.polling import ClaimRow, DueRow
from token_engine.tiers import accounts, events
from token_engine.tiers.changes import Changes

SHOWN: Final = 20
_MOST_A_DAY: Final = 96 * 4
_RESOURCE_LENGTH: Final = 140
_OF_OBSERVATIONS: Final = frozenset({"as_of", "balance", "balance_type", "explained", "difference", "level"})


class NewPolling(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How an account's bank is asked: over which connection, every 15, 30 or 60 minutes.

    `polls_a_day`: the requests that the bank allows in any 24 hours. `resource`: its name for the account in its API,
    where it is known. `business_days_only`: by the account's statement calendar. `replaces_position`: the bank sends no
    messages of this account; what it says when asked is the position.
    """

    actor: str
    connection: str
    every_minutes: int = 30
    polls_a_day: int | None = None
    resource: str | None = None
    business_days_only: bool = False
    replaces_position: bool = False

    def check(self) -> None:
        """Raises RefusedError naming the field."""
        if self.every_minutes not in INTERVALS:
            text = "every_minutes: 15, 30 or 60"
            raise RefusedError("invalid_polling", text, "every_minutes")
        if self.polls_a_day is not None and not 1 <= self.polls_a_day <= _MOST_A_DAY:
            text = f"polls_a_day: 1 to {_MOST_A_DAY}, or none for no budget"
            raise RefusedError("invalid_polling", text, "polls_a_day")
        resource = self.resource
        if resource is not None and not (1 <= len(resource) <= _RESOURCE_LENGTH and resource.isprintable()):
            text = f"resource: 1 to {_RESOURCE_LENGTH} printable characters"
            raise RefusedError("invalid_polling", text, "resource")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A bank to be asked by us. `most_requests` is what its budget has left; None: no budget."""

    poll_id: int
    account_id: UUID
    account: BankAccount
    connection: str
    most_requests: int | None


class Spent(msgspec.Struct, frozen=True):
    """A bank that is not asked now: its budget is spent until `again_at` (with a time zone)."""

    account_id: UUID
    again_at: datetime

    def as_answer(self, now: datetime) -> NoObservation:
        """The same as an answer."""
        text = f"the bank's budget for this account is spent until {self.again_at:%Y-%m-%dT%H:%M:%SZ}"
        return NoObservation(why=Why.BUDGET_SPENT, text=text, retry_after=self.again_at - now)


async def save(tx: Transaction, name: str, wanted: NewPolling, now: datetime) -> dict[str, Any]:
    """Set how the bank of account `name` (id or number) is asked; its view. Raises RefusedError, as all of these do."""
    actor = check_actor(wanted.actor)
    wanted.check()
    view = await _open_account(tx, name, now)
    if not await polling.connections(tx, wanted.connection):
        text = f"connection: no connection {wanted.connection!r} is known here"
        raise RefusedError("unknown_connection", text, "connection")
    key = UUID(view["id"])
    if wanted.business_days_only and await calendars.of_account(tx, key) is None:
        text = "business_days_only: the account has no statement calendar, which says which days those are"
        raise RefusedError("invalid_polling", text, "business_days_only")
    every = timedelta(minutes=wanted.every_minutes)
    schedule = Schedule(every=every, offset=offset_of(key, every))
    said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "actor"}
    first = {
        "offset_seconds": int(schedule.offset.total_seconds()),
        "next_slot_at": schedule.slot_of(now),  # the slot that we are in: a new account is asked at once
    }
    await polling.save_polling(tx, key, said | first, actor, now)
    changes = Changes(now)
    changes.announce(
        events.POLLING_SET, f"polling.{key}.{now.timestamp()}", None, {"account_id": view["id"], **said}
    )  # fmt: skip
    changes.note("polling_set", key, None, said, actor)
    await changes.write(tx)
    return await show(tx, name, now)


async def end(tx: Transaction, name: str, actor: str, now: datetime) -> dict[str, Any]:
    """Ask the account's bank no more."""
    actor = check_actor(actor)
    view = await _account(tx, name, now)
    key = UUID(view["id"])
    if not await polling.end_polling(tx, key):
        raise _not_polled(name)
    changes = Changes(now)
    changes.announce(events.POLLING_ENDED, f"polling.{key}.{now.timestamp()}", None, {"account_id": view["id"]})
    changes.note("polling_ended", key, None, {}, actor)
    await changes.write(tx)
    return {"account_id": view["id"], "account_number": view["account_number"], "polling": None}


async def is_asked(tx: Transaction, name: str, now: datetime) -> bool:
    """Whether the bank of account `name` (id or number) is asked."""
    view = await _account(tx, name, now)
    return await polling.polling(tx, UUID(view["id"]), now) is not None


async def show(tx: Transaction, name: str, now: datetime) -> dict[str, Any]:
    """How an account's bank is asked, when next, and what it said the last times."""
    view = await _account(tx, name, now)
    key = UUID(view["id"])
    how = await polling.polling(tx, key, now)
    if how is None:
        raise _not_polled(name)
    return {
        "account_id": view["id"],
        "account_number": view["account_number"],
        "currency": view["currency"],
        "polling": how,
        "polls": [_shown(poll, view["currency"]) for poll in await polling.polls(tx, key, SHOWN)],
    }


def _shown(poll: dict[str, Any], currency: str) -> dict[str, Any]:
    """With decimal strings in major units; a poll that brought no balance has none."""
    if poll["level"] is None:
        return {name: value for name, value in poll.items() if name not in _OF_OBSERVATIONS}
    return poll | {name: in_currency(poll[name], currency) for name in ("balance", "explained", "difference")}


def _not_polled(name: str) -> RefusedError:
    return RefusedError("unknown_polling", f"no bank is asked for account {name}", "account_id")


async def _account(tx: Transaction, name: str, now: datetime) -> dict[str, Any]:
    view = await accounts.show(tx, name, now)
    if view is None:
        raise RefusedError("unknown_account", f"no account {name!r} is known here", "account_id")
    return view


async def _open_account(tx: Transaction, name: str, now: datetime) -> dict[str, Any]:
    view = await _account(tx, name, now)
    if view["closed_at"] is not None:
        raise RefusedError("account_closed", f"account_id: account {name} is closed", "account_id")
    return view


async def claim_due(
    tx: Transaction, connection: str, limit: int, engine: str, now: datetime, *, of_runs: bool = False
) -> list[Claim]:
    """Claim up to `limit` accounts of a connection that are due `now`, as `engine`. What the budget does not allow yet
    is due again when it does. `of_runs`: those only that a run waits for.
    """
    rows = await polling.due(tx, connection, now, limit, of_runs=of_runs)
    claims, _ = await _claim(tx, rows, engine, now, by_person=False)
    return claims


async def claim_named(
    tx: Transaction, ids: Sequence[UUID], engine: str, now: datetime
) -> tuple[list[Claim], list[Spent]]:
    """Claim these accounts `now`, whatever their slots, because a person asks; and those whose budget is spent."""
    return await _claim(tx, await polling.named(tx, ids, now), engine, now, by_person=True)


async def _claim(
    tx: Transaction, rows: Sequence[DueRow], engine: str, now: datetime, *, by_person: bool
) -> tuple[list[Claim], list[Spent]]:
    schedules = await schedules_of(tx, rows)
    claims: list[ClaimRow] = []
    next_slots: list[tuple[UUID, datetime]] = []
    spent: list[Spent] = []
    for row in rows:
        schedule = schedules[row.account_id]
        hurried = by_person or row.run_id is not None
        earliest = schedule.earliest(row.asked, now, suspected=row.suspected or hurried)
        asked = row.asked
        if earliest <= now:
            slot = None if hurried else schedule.slot_of(now)
            claims.append(ClaimRow(row.account_id, slot, row.run_id, now, engine))
            asked = [*asked, now]
        elif hurried:
            spent.append(Spent(row.account_id, earliest))
            answer = spent[-1].as_answer(now)
            refused = ClaimRow(row.account_id, None, row.run_id, now, engine, now, 0, answer.why.value, answer.text)
            claims.append(refused)
        next_slots.append((row.account_id, schedule.due_again(asked, now, suspected=row.suspected)))
    numbers = await polling.claim(tx, claims)
    await polling.move_on(tx, next_slots)
    ours = {claim.account_id for claim in claims if claim.refusal_code is None}
    return [_of(row, numbers[row.account_id]) for row in rows if row.account_id in ours & numbers.keys()], spent


async def schedules_of(tx: Transaction, rows: Sequence[DueRow]) -> dict[UUID, Schedule]:
    """How often the banks of these accounts are asked; with their calendars, where they are asked by those."""
    days = await calendars.of_accounts(tx, [row.account_id for row in rows if row.business_days_only])
    return {
        row.account_id: _schedule(row, days[row.account_id].calendar if row.account_id in days else None)
        for row in rows
    }


def _schedule(row: DueRow, calendar: StatementCalendar | None) -> Schedule:
    return Schedule(
        every=timedelta(minutes=row.every_minutes), offset=timedelta(seconds=row.offset_seconds),
        polls_a_day=row.polls_a_day, calendar=calendar,
    )  # fmt: skip


def _of(row: DueRow, number: int) -> Claim:
    account = BankAccount(number=row.account_number, currency=row.currency, resource=row.resource)
    return Claim(
        poll_id=number, account_id=row.account_id, account=account, connection=row.connection,
        most_requests=None if row.polls_a_day is None else 1,
    )  # fmt: skip
