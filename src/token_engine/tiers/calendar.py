"""An account's calendar, and the statements that did not come by it: raised when due, and Stale in the end."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import Level, policy_for
from token_engine.domain.calendar import StatementCalendar, check_calendar
from token_engine.domain.discrepancy import STATEMENT_MISSING
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.domain.standing import Discrepancy
from token_engine.storage import calendars, positions
from token_engine.storage.calendars import Kept, Missing
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import accounts, events, resolving
from token_engine.tiers.changes import Changes

PAGE: Final = 500
"""Accounts that one pass looks at; the next pass comes soon."""
_DAY: Final = timedelta(days=1)


class NewCalendar(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """When an account's bank closes its days. `cut_off` is a time on its clock ("17:00") in the IANA zone `time_zone`;
    `ends_next_day` where it lies after midnight. The statement is due `due_after_minutes` after it. `weekend` in words
    such as SA, or 2SA for the second Saturday of a month; `holidays` a country (AE, IN, IN-MH) or TARGET.
    """

    actor: str
    time_zone: str
    cut_off: str
    due_after_minutes: int
    ends_next_day: bool = False
    weekend: tuple[str, ...] = ("SA", "SU")
    holidays: str | None = None
    extra_holidays: tuple[date, ...] = ()

    def checked(self) -> StatementCalendar:
        """The calendar that is meant. Raises RefusedError naming the field."""
        try:
            cut_off = time.fromisoformat(self.cut_off)
        except ValueError:
            text = f"cut_off: {self.cut_off[:20]!r} is no time of day such as 17:00"
            raise RefusedError("invalid_calendar", text, "cut_off") from None
        if not 0 <= self.due_after_minutes <= 10**6:  # what fits a timedelta; the bound is the calendar's
            text = "due_after_minutes: between none and the minutes of 7 days"
            raise RefusedError("invalid_calendar", text, "due_after_minutes")
        wanted = StatementCalendar(
            time_zone=self.time_zone, cut_off=cut_off, ends_next_day=self.ends_next_day,
            due_after=timedelta(minutes=self.due_after_minutes), weekend=self.weekend, holidays=self.holidays,
            extra_holidays=self.extra_holidays,
        )  # fmt: skip
        return check_calendar(wanted)


async def save(tx: Transaction, name: str, wanted: NewCalendar, now: datetime) -> dict[str, Any]:
    """Set the calendar of account `name` (id or number); its view. The same again changes nothing.

    The first day whose statement is waited for is the one that has not ended `now` (with a time zone); a change
    goes on where the calendar before it had come to. Raises RefusedError, as all of these do.
    """
    actor, calendar = check_actor(wanted.actor), wanted.checked()
    [account] = await positions.lock_ids(tx, [await _account_id(tx, name, now)])
    if account.closed_at is not None:
        text = f"account_id: account {account.number} was closed on {account.closed_at:%Y-%m-%d}"
        raise RefusedError("account_closed", text, "account_id")
    before = await calendars.of_account(tx, account.id)
    if before is None or before.calendar != calendar:
        looked_to = before.looked_to if before is not None else calendar.day_of(now) - _DAY
        next_due_at = calendar.due_at(calendar.next_business_day(looked_to))
        await calendars.save(tx, account.id, Kept(calendar, looked_to, next_due_at, actor, now))
        changes = Changes(now)
        said = _said(calendar)
        named = {"account_id": account.id, "account_number": account.number, "set_by": actor}
        changes.announce(events.CALENDAR_SET, f"calendar.{uuid4()}", None, named | said)
        details = {"before": before and _said(before.calendar), "after": said}
        changes.note("statement_calendar_set", account.id, None, details, actor)
        await changes.write(tx)
    return await show(tx, str(account.id), now)


async def show(tx: Transaction, name: str, now: datetime) -> dict[str, Any]:
    """The calendar of account `name`, the next statement that is due, and those that are missing."""
    key = await _account_id(tx, name, now)
    kept = await calendars.of_account(tx, key)
    if kept is None:
        text = f"account_id: account {name[:50]!r} has no calendar, so none of its statements is waited for"
        raise RefusedError("unknown_calendar", text, "account_id")
    following = kept.calendar.next_business_day(kept.looked_to)
    return {
        "account_id": str(key),
        **_said(kept.calendar),
        "set_by": kept.set_by,
        "set_at": kept.set_at,
        "today": kept.calendar.day_of(now),
        "next_due": {"statement_date": following, "due_at": kept.next_due_at},
        "missing": [
            {"statement_date": row.subject, "due_at": row.opened_at, "discrepancy_id": row.id}
            for row in await calendars.missing(tx, key)
            if not row.there
        ],
    }


async def missing_statements(database: Database, now: datetime) -> int:
    """Raise every statement that is due `now` and not there, account by account; how many were raised.

    Each day once, however many engines look: under its account's lock, each sees how far the other has come.
    """
    async with database.transaction() as tx:
        keys = await calendars.due(tx, now, PAGE)
    raised = 0
    for key in sorted(keys):
        async with database.transaction() as tx:
            raised += await look(tx, key, now)
    return raised


async def look(tx: Transaction, account_id: UUID, now: datetime) -> int:
    """Do what `missing_statements` does for one account; how many it raised."""
    [account] = await positions.lock_ids(tx, [account_id])
    kept = await calendars.of_account(tx, account_id)  # a statement after the lock sees what it waited for
    if kept is None or account.closed_at is not None:
        return 0
    calendar, days = kept.calendar, kept.calendar.due_days(kept.looked_to, now)
    if not days:
        return 0
    there = await calendars.stated(tx, account_id, days)
    absent, changes = [day for day in days if day not in there], Changes(now)
    for day in absent:
        due_at = calendar.due_at(day)
        # It opened when it was due, also where no engine was up to see it: from then on it makes Stale.
        found = Discrepancy(
            uuid4(), account_id, account.ledger, account.bank, Level.SIGNIFICANT, "CALENDAR", f"statement of {day}",
            due_at, None, type=STATEMENT_MISSING, subject=day.isoformat(),
        )  # fmt: skip
        text = f"the statement of {day} was due at {due_at:%Y-%m-%dT%H:%M:%SZ} and has not come"
        changes.raised(found, account, text, _event_id(account_id, day))
    await changes.write(tx)
    await calendars.looked(tx, account_id, days[-1], calendar.due_at(calendar.next_business_day(days[-1])))
    return len(absent)


async def arrived(tx: Transaction, account: Account, day: date, reference: str, now: datetime) -> Account:
    """The statement of `day` has come: resolve what was raised of it, and write that; the account as it stands then.

    Call under the account's lock, once the statement is kept, accepted or not (all of its pages). `reference` is the
    bank's name for it. A policy with `auto_resolve` off, and a person who took it up again, leave it to a person; it
    does not make the account Stale any more in either case.
    """
    if account.statement_missing_since is None:
        return account
    rows = [row for row in await calendars.missing(tx, account.id) if row.gone_since is None]
    policy = policy_for(await positions.policies_of(tx, [account]), account.id, account.currency)
    ruled, changes = structs.replace(account, policy=policy), Changes(now)
    for row in rows:
        if row.subject == day.isoformat():
            _there(changes, ruled, row, day, reference, now)
    await changes.write(tx)
    left = [row.opened_at for row in rows if not row.there]
    return structs.replace(account, statement_missing_since=min(left, default=None))


def _there(changes: Changes, account: Account, row: Missing, day: date, reference: str, now: datetime) -> None:
    last = Discrepancy(
        row.id, account.id, row.ledger, row.bank, Level(row.severity), row.source_system, row.source_reference, now,
        None, type=STATEMENT_MISSING, subject=row.subject,
    )  # fmt: skip
    event_id = f"{_event_id(account.id, day)}.over"
    resolving.resolve(changes, account, row, last, f"the statement came: {reference}", event_id)


def _event_id(account_id: UUID, day: date) -> str:
    return f"statement_missing.{account_id}.{day}"


def _said(calendar: StatementCalendar) -> dict[str, Any]:
    """A calendar as people set it."""
    plain = structs.asdict(calendar)
    minutes = int(plain.pop("due_after").total_seconds() // 60)
    return plain | {"cut_off": f"{calendar.cut_off:%H:%M}", "due_after_minutes": minutes}


async def _account_id(tx: Transaction, name: str, now: datetime) -> UUID:
    view = await accounts.show(tx, name, now)
    if view is None:
        raise RefusedError("unknown_account", f"account_id: no account {name[:50]!r} is known here", "account_id")
    return UUID(view["id"])
