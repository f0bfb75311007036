"""A bank that delivers files: each goes down the road once, and what they tell of balances answers Tier 2."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from token_engine.banks.balance_reading import balances_in
from token_engine.banks.folder_mailbox import FolderMailbox
from token_engine.banks.host_to_host_settings import Folder, HostToHostSettings, Sftp
from token_engine.banks.mailbox import FileError, ListedFile, Listing, Mailbox, MailboxError, OpenMailbox
from token_engine.banks.sftp_mailbox import SftpMailbox
from token_engine.domain.observation import BankAccount, NoObservation, Observation
from token_engine.domain.told_balance import ToldBalances
from token_engine.telemetry.logs import logger

Deliver = Callable[[ListedFile, Path], Awaitable[None]]
"""Takes a file down the road, and keeps that it did; returns after the commit, raises where nothing came of it."""
Delivered = Callable[[Sequence[ListedFile]], Awaitable[set[ListedFile]]]
"""Which of these were delivered before, by any engine."""

SAME_LOOK: Final = timedelta(seconds=5)
"""Whoever asks within this of the last look is answered from it."""
SETTLED: Final = timedelta(seconds=60)
"""A file that nobody has written to for so long is whole; a younger one when it is the same at the next look."""
_FAILURES_IN_A_ROW: Final = 3
"""Files that the road did not take, one after the other, after which the engine is left alone until the next look."""
_LONGEST_WAIT: Final = timedelta(hours=1)
_log = logger()


class Collected(msgspec.Struct, frozen=True):
    """What a look at the mailbox came to: files delivered, files that will be tried again, files not yet whole."""

    delivered: int
    failed: int
    unsettled: int


class _Failed(msgspec.Struct, frozen=True):
    times: int
    again_at: datetime


def mailbox_of(settings: HostToHostSettings) -> Mailbox:
    """Where the settings say that the files lie."""
    if isinstance(settings.place, Sftp):
        return SftpMailbox(settings.place, settings.files)
    assert isinstance(settings.place, Folder)
    return FolderMailbox(Path(settings.place.path), settings.files)


class HostToHost:
    """A Connector. Restarted, it reads once more the files that may still tell a balance young enough to be judged."""

    def __init__(self, mailbox: Mailbox, deliver: Deliver, delivered: Delivered, settings: HostToHostSettings) -> None:
        self._mailbox = mailbox
        self._deliver = deliver
        self._delivered = delivered
        self._zone = ZoneInfo(settings.time_zone)
        self._freshness = settings.freshness
        self._oldest = timedelta(
            minutes=max(settings.freshness.interim_minutes, settings.freshness.closing_minutes or 0)
        )
        self._told = ToldBalances()
        self._flight: asyncio.Task[Collected | NoObservation] | None = None
        self._last: tuple[datetime, Collected] | None = None
        self._listed: frozenset[ListedFile] = frozenset()
        self._done: set[ListedFile] = set()
        self._read: set[ListedFile] = set()
        self._failed: dict[ListedFile, _Failed] = {}
        self._passed_over: dict[str, str] = {}
        self._unread = ""

    async def booked_balance(self, account: BankAccount, now: datetime) -> Observation | NoObservation:
        """See Connector. The newest booked balance that a file told, once every file there has been collected."""
        collected = await self.collect(now)
        if isinstance(collected, NoObservation):
            return collected
        return self._told.about(account, self._freshness, now)

    async def collect(self, now: datetime) -> Collected | NoObservation:
        """Deliver what is new, oldest first; why not, where the mailbox cannot be used. One look at a time, which all
        share who ask meanwhile, and which goes on when one of them is tired of waiting.
        """
        if self._flight is None:
            if self._last is not None and timedelta(0) <= now - self._last[0] < SAME_LOOK:
                return self._last[1]
            self._flight = asyncio.create_task(self._look(now), name="host to host")
            self._flight.add_done_callback(self._landed)
        return await asyncio.shield(self._flight)

    def _landed(self, flight: asyncio.Task[Collected | NoObservation]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # nobody may be left to ask for it

    async def close(self) -> None:
        """See Connector. A file that is being delivered is tried again by whoever comes next."""
        if (flight := self._flight) is not None:
            flight.cancel()
            await asyncio.wait([flight])

    async def _look(self, now: datetime) -> Collected | NoObservation:
        try:
            async with self._mailbox.opened() as mailbox:
                listing = await mailbox.files()
                collected = await self._take(mailbox, await self._wanted(listing, now), now)
        except MailboxError as error:
            if str(error) != self._unread:  # once, and not every minute until it is mended
                _log.warning("A mailbox cannot be read", why=error.why.value, reason=str(error))
            self._unread = str(error)
            return NoObservation(why=error.why, text=str(error))
        self._unread = ""
        self._last = now, collected
        return collected

    async def _wanted(self, listing: Listing, now: datetime) -> tuple[list[ListedFile], int]:
        """The files to fetch in their order, and how many are not whole yet."""
        self._say_passed_over(listing.passed_over)
        there = frozenset(listing.files)
        settled = {file for file in there if file in self._listed or file.modified_at <= now - SETTLED}
        self._listed = there
        for forgotten in (self._done, self._read):
            forgotten &= there
        self._failed = {file: failed for file, failed in self._failed.items() if file in there}
        if unknown := sorted(settled - self._done):
            self._done |= await self._delivered(unknown)
        return sorted(file for file in settled if self._to_fetch(file, now)), len(there) - len(settled)

    def _to_fetch(self, file: ListedFile, now: datetime) -> bool:
        """To be delivered, or delivered before our time and perhaps with a balance that may still be judged: none is
        as of later than its file.
        """
        if (failed := self._failed.get(file)) is not None and failed.again_at > now:
            return False
        return file not in self._done or (file not in self._read and file.modified_at >= now - self._oldest)

    async def _take(self, mailbox: OpenMailbox, wanted: tuple[list[ListedFile], int], now: datetime) -> Collected:
        files, unsettled = wanted
        delivered = in_a_row = 0
        for file in files:
            if in_a_row == _FAILURES_IN_A_ROW:
                break
            fresh = file not in self._done
            try:
                await self._one(mailbox, file, fresh=fresh)
            except FileError as error:
                self._fail(file, str(error), now)
            except _DeliveryError as error:
                in_a_row += 1
                self._fail(file, str(error), now)
            else:
                in_a_row = 0
                delivered += fresh
                self._failed.pop(file, None)
        return Collected(delivered, len(self._failed), unsettled)

    async def _one(self, mailbox: OpenMailbox, file: ListedFile, *, fresh: bool) -> None:
        """Balances are known only once the entries behind them are: a difference between the two would be a break."""
        async with mailbox.fetched(file) as path:
            try:
                told = await asyncio.to_thread(balances_in, path, file, self._zone)
            except OSError as error:
                raise FileError(str(error.strerror or error)) from None
            except Exception as error:  # a mistake of ours keeps no file from the road, which raises it
                _log.exception("A bank's file cannot be read for balances", file=file.shown, reason=str(error))
                told = ()
            if fresh:
                try:
                    await self._deliver(file, path)
                except Exception as error:
                    raise _DeliveryError(str(error).strip() or type(error).__name__) from error
        self._done.add(file)
        self._read.add(file)
        self._told.note(told)

    def _fail(self, file: ListedFile, why: str, now: datetime) -> None:
        """Tried again later, and later each time, so that it does not keep those behind it."""
        times = self._failed[file].times + 1 if file in self._failed else 1
        wait = min(timedelta(minutes=2 ** min(times - 1, 10)), _LONGEST_WAIT)
        self._failed[file] = _Failed(times, now + wait)
        _log.warning("A bank's file waits", file=file.shown, times=times, reason=why)

    def _say_passed_over(self, passed_over: dict[str, str]) -> None:
        """Once for each: it may be a message that somebody waits for."""
        for name, why in passed_over.items():
            if self._passed_over.get(name) != why:
                _log.warning("A bank's file is never fetched", file=name, reason=why)
        self._passed_over = passed_over


class _DeliveryError(Exception):
    """The road took nothing of a file."""
