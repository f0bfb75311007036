"""Which day of which account each statement of a message closes; or that it was closed before, or is a page of one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.calendar import NO_CALENDAR, StatementCalendar
from token_engine.domain.closed_day import ClosedDay, WaitingPages
from token_engine.domain.money import check_decimals, sum_exactly
from token_engine.domain.pages import Complete
from token_engine.domain.refusal import RefusedError
from token_engine.domain.statement import Check
from token_engine.storage import calendars, staging, statements
from token_engine.storage.database import Transaction
from token_engine.tiers.acceptance import Directory, check_open, check_reach
from token_engine.tiers.day import Day, day_of
from token_engine.tiers.paging import Joined, Page, arranged, name_of, waiting
from token_engine.tiers.stating import Stated

_ZERO: Final = Decimal(0)
_decode_day = msgspec.json.Decoder(ClosedDay).decode


class Locked(NamedTuple):
    """Accounts under lock, as messages name them, and when their banks close a day."""

    directory: Directory
    calendars: dict[UUID, calendars.Kept]

    def calendar(self, account: Account) -> StatementCalendar:
        """The account's calendar, or the one of those that have none."""
        kept = self.calendars.get(account.id)
        return kept.calendar if kept is not None else NO_CALENDAR


class Before(NamedTuple):
    """A statement that was closed before: its number, and what was answered of it."""

    number: int
    closed: ClosedDay


Found = Day | Before | WaitingPages
"""What a statement of a message turned out to be; pages of one day share it."""
_Key = tuple[UUID, str]


class Recogniser:
    """Looks at the statements of a batch, message by message, under the accounts' locks."""

    def __init__(self, tx: Transaction, locked: Locked, numbers: Iterator[int], now: datetime) -> None:
        self._tx = tx
        self._locked = locked
        self._numbers = numbers
        self._now = now
        self._days: dict[_Key, Day] = {}
        """Of this batch, by account and identity: a statement may come twice in one file."""
        self._waiting: dict[_Key, list[Page]] = {}

    async def recognise(self, kept_as: int, stated: list[Stated]) -> list[Found]:
        """What each statement of one message is, at its place. Raises RefusedError: one has no account, closes nothing,
        or says otherwise what was said before; then none of the message is anything.
        """
        before, waited = dict(self._days), dict(self._waiting)
        try:
            return await self._recognise(kept_as, stated)
        except RefusedError:
            self._days, self._waiting = before, waited
            raise

    async def _recognise(self, kept_as: int, stated: list[Stated]) -> list[Found]:
        found: dict[int, Found] = {}
        pages: dict[_Key, list[Page]] = {}
        accounts: dict[_Key, Account] = {}
        for place, each in enumerate(stated):
            account = self._locked.directory.find(each.heading, each.currencies)
            check_open(account)
            alone = arranged(account, [each])
            if isinstance(alone, Complete):
                found[place] = await self._day(each, alone.check, account, kept_as, place)
            else:
                key = account.id, name_of(each)
                accounts[key] = account
                pages.setdefault(key, []).append(Page(kept_as, place, each))
        for key, brought in pages.items():
            whole = await self._join(accounts[key], key, brought)
            found |= {page.place: whole for page in brought}
        for whole in {id(day): day for day in found.values() if isinstance(day, Day)}.values():
            if isinstance(whole.stated, Joined):
                await whole.stated.renumber(self._tx)
        return [found[place] for place in range(len(stated))]

    async def _join(self, account: Account, key: _Key, brought: list[Page]) -> Found:
        """The day that pages close together with those that came before, or which are missing still."""
        if key not in self._waiting:
            self._waiting[key] = await waiting(self._tx, account, key[1], self._numbers)
        pages = self._waiting[key] + brought
        arrangement = arranged(account, [page.stated for page in pages])
        if not isinstance(arrangement, Complete):
            self._waiting[key] = pages  # a new list: what a refusal takes back is as it was
            name = brought[0].stated.heading.notification_id or brought[0].stated.heading.sequence_number
            return WaitingPages(
                account_id=account.id, account_number=account.number, statement_name=name,
                missing_pages=arrangement.numbers,
            )  # fmt: skip
        ordered = [pages[place].stated for place in arrangement.order]
        # A page that came twice counts once.
        await staging.void(self._tx, [page.stated.number for page in pages if page.stated not in ordered])
        day = await self._day(Joined(ordered), arrangement.check, account, brought[-1].kept_as, brought[-1].place)
        self._waiting[key] = []
        if isinstance(day, Day) and not day.brought:
            day.brought = [(page.kept_as, page.place) for page in pages]
            day.pages_of = key[1]
        return day

    async def _day(
        self, stated: Stated | Joined, pages: Check, account: Account, kept_as: int, place: int
    ) -> Day | Before:
        check_decimals(stated.finest, account.currency, "entries")
        day = day_of(stated, pages, account, self._locked.calendar(account), kept_as, self._now)
        balances = (account.bank, account.ledger, day.closing.amount, day.opening.amount if day.opening else _ZERO)
        if overflow := check_reach(sum_exactly((stated.amounts, *map(abs, balances)))):
            raise RefusedError.of(overflow)
        earlier = self._days.get((account.id, day.identity))
        known = None if earlier else await statements.of_identity(self._tx, account.id, day.identity)
        if any(other is not None and other.content != day.content for other in (earlier, known)):
            text = f"a statement {day.identity!r} of account {account.number} was sent before, with another content"
            raise RefusedError("statement_differs", f"Stmt/Id: {text}", "Stmt/Id")
        if known is not None:
            return Before(known.id, _decode_day(known.answer))
        if earlier is not None:
            await staging.void(self._tx, stated.numbers)
            return earlier
        day.number, day.place = await statements.draw_number(self._tx), place
        self._days[account.id, day.identity] = day
        return day
