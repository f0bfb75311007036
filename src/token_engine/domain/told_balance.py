"""Booked balances that a bank's files tell of accounts, as of when, and those that hold now (docs/adr/0024)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.observation import (
    BOOKED,
    BankAccount,
    Freshness,
    Kind,
    NoObservation,
    Observation,
    ReportedBalance,
    Why,
    choose,
)

_OPENS: Final = (Kind.OPENING, Kind.PREVIOUSLY_CLOSED)
_DAY: Final = timedelta(days=1)


class ToldBalance(msgspec.Struct, frozen=True):
    """A booked balance with the account that it is of, and when the bank made the message: of two about one moment
    the later corrects the earlier.
    """

    account_number: str
    reported: ReportedBalance
    told_at: datetime


def told(heading: Heading, written_at: datetime, zone: ZoneInfo, file: str) -> tuple[ToldBalance, ...]:
    """The booked balances that count of a report or statement; `written_at` is when its file was last written to.

    `zone` is the bank's, for days and for times without a zone. What a page adds up to is no balance of the account,
    and an opening balance is passed over where a later one stands beside it.
    """
    booked = [
        (balance, BOOKED[balance.code])
        for balance in heading.balances
        if balance.code in BOOKED and not _of_a_page(balance, BOOKED[balance.code], heading)
    ]
    later = [each for each in booked if each[1] not in _OPENS]
    # A message without a zone is taken as UTC by the reader. No file is older than what stands in it.
    made_at = min(heading.created_at or written_at, written_at).astimezone(UTC)
    return tuple(
        ToldBalance(
            heading.account_number,
            ReportedBalance(
                place=file, type=balance.code, kind=kind, amount=balance.signed, currency=balance.currency,
                as_of=as_of, credit_line_included=balance.includes_credit_line,
            ),
            made_at,
        )
        for balance, kind in later or booked
        if (as_of := _as_of(balance, kind, heading, made_at, written_at, zone)) is not None
    )  # fmt: skip


def _of_a_page(balance: StatedBalance, kind: Kind, heading: Heading) -> bool:
    if kind is Kind.INTERIM:
        # In a statement, and in a report in pages, it is what joins one page to the next.
        return heading.kind is not MessageKind.REPORT or heading.last_page is False or (heading.page_number or 1) > 1
    return balance.interim


def _as_of(
    balance: StatedBalance, kind: Kind, heading: Heading, made_at: datetime, written_at: datetime, zone: ZoneInfo
) -> datetime | None:
    """Everything booked by then is in the balance. None where nothing tells it.

    The bank's own time comes first. Of a day alone, a closing or interim balance is as of the day's end, but no later
    than the message was made; an opening one as of the day's beginning. Nothing is as of later than its file.
    """
    if balance.at is not None:
        at = balance.at if balance.at.tzinfo is not None else balance.at.replace(tzinfo=zone)
        return min(at.astimezone(UTC), written_at)
    if balance.as_of is None:
        return None
    opens = kind is Kind.OPENING or (
        kind is Kind.PREVIOUSLY_CLOSED and not _before_the_report(balance.as_of, heading, made_at, zone)
    )
    return min(_begins(balance.as_of if opens else balance.as_of + _DAY, zone), made_at)


def _before_the_report(day: date, heading: Heading, made_at: datetime, zone: ZoneInfo) -> bool:
    """Whether a previous closing carries the day before. Some banks date it with the day that it opens."""
    return day < (heading.from_date or made_at.astimezone(zone).date())


def _begins(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


class ToldBalances:
    """The newest of what files told of each account: a few values an account, however many files there were."""

    def __init__(self) -> None:
        self._newest: dict[str, dict[tuple[str, bool, bool], list[ToldBalance]]] = {}

    def note(self, balances: Iterable[ToldBalance]) -> None:
        """Take note, in any order and of any as often as may be."""
        for balance in balances:
            reported = balance.reported
            of_account = self._newest.setdefault(_key(balance.account_number), {})
            # Interim balances and those of the turn of a day grow old differently: one of each is kept.
            kind = reported.currency, reported.credit_line_included, reported.kind is Kind.INTERIM
            kept = of_account.setdefault(kind, [])
            newest = _age(kept[0]) if kept else None
            if newest is None or _age(balance) > newest:
                kept[:] = [balance]
            elif _age(balance) == newest and all(reported.amount != other.reported.amount for other in kept):
                kept[:] = [*kept, balance][:2]  # two contradict each other as well as more would

    def about(self, account: BankAccount, freshness: Freshness, now: datetime) -> Observation | NoObservation:
        """What may be judged of the account `now`, or why nothing may."""
        known = [each.reported for kept in self._newest.get(_key(account.number), {}).values() for each in kept]
        if not known:
            none = f"no file tells a booked balance ({', '.join(_CODES)}) of the account; asked was {account.number!r}"
            if self._newest:
                other = f"{none}, and told is of others, such as {next(iter(self._newest))!r}"
                return NoObservation(why=Why.OTHER_ACCOUNT, text=other)
            return NoObservation(why=Why.NO_BOOKED_BALANCE, text=none)
        return choose(known, account, freshness, now)


_CODES: Final = [code for code in BOOKED if code.isupper()]


def _key(number: str) -> str:
    return "".join(number.split()).upper()


def _age(balance: ToldBalance) -> tuple[datetime, datetime]:
    assert balance.reported.as_of is not None
    return balance.reported.as_of, balance.told_at
