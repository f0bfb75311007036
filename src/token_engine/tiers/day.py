"""One statement on its way to close a day: which account and day it is of, and what is decided of it."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812
from datetime import datetime

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.calendar import StatementCalendar
from token_engine.domain.closed_day import ClosedDay, StatementState
from token_engine.domain.notification import StatedBalance
from token_engine.domain.person import ENGINE
from token_engine.domain.refusal import RefusedError
from token_engine.domain.statement import Check, Statement, identity
from token_engine.domain.statement_balances import closing_of, opening_of
from token_engine.tiers.paging import Joined
from token_engine.tiers.stating import Stated


class Day(msgspec.Struct, kw_only=True):
    """A statement whose account is locked. `cut_off` is when the bank's day ended."""

    stated: Stated | Joined
    account: Account
    opening: StatedBalance | None
    closing: StatedBalance
    pages: Check
    """Whether its pages join."""
    date: Date
    cut_off: datetime
    identity: str
    kept_as: int
    place: int = 0
    """Where the statement lies: the message, and its place in it."""
    content: bytes
    number: int = 0
    state: StatementState = StatementState.QUARANTINED
    checks: tuple[Check, ...] = ()
    corrects: int | None = None
    lists_from: Date | None = None
    latest: bool = True
    """No later day of the account is closed yet, so that this closing balance is where the position starts from."""
    closed: ClosedDay | None = None
    brought: list[tuple[int, int]] = []
    """Where its pages lie, if it came in several: message, and place in it."""
    pages_of: str = ""
    actor: str = ENGINE
    reason: str = ""
    """Who closed the day, and why, where that was a person."""

    @property
    def statement(self) -> Statement:
        """The whole, as the account's bank means its reversals."""
        sign = self.stated.heading.reversal_sign(self.account.reversal_sign)
        return self.stated.statement(sign, self.closing.as_of)

    @property
    def reference(self) -> str:
        """How the bank names it, for people."""
        return self.stated.heading.notification_id or self.stated.heading.message_id


def day_of(
    stated: Stated | Joined, pages: Check, account: Account, calendar: StatementCalendar, kept_as: int, now: datetime
) -> Day:
    """The day that a statement closes, which ends by the bank's calendar. Raises RefusedError: it closes none."""
    heading = stated.heading
    closing = closing_of(heading, account.currency)
    if closing is None:
        raise RefusedError("no_closing_balance", "Bal: the statement states no booked closing balance", "Bal")
    if heading.copy:
        raise RefusedError(
            "statement_copy", "CpyDplctInd: a copy or duplicate of a statement closes no day; the original does",
            "CpyDplctInd",
        )  # fmt: skip
    day = closing.as_of or stated.last_booking or now.date()
    name = identity(heading)
    return Day(
        stated=stated, pages=pages, account=account, opening=opening_of(heading, account.currency), closing=closing,
        date=day, cut_off=calendar.cut_off_of(day), kept_as=kept_as, content=stated.content(),
        identity=f"{name.name or ''} {day}".strip()[:300],
    )  # fmt: skip
