"""Booked balances that a bank's files tell of accounts, and the one that holds now (Tier 2, docs/adr/0024)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.observation import BankAccount, NoObservation, Observation, Why

CLOSING: Final = "CLBD"
INTERIM: Final = "ITBD"
OPENING: Final = ("OPBD", "PRCD")
CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""How far a bank's clock may be ahead of ours."""
_DAY: Final = timedelta(days=1)


class ToldBalance(msgspec.Struct, frozen=True, kw_only=True):
    """A booked balance, in major units of `currency` and below zero when overdrawn, with the file that tells it."""

    account_number: str
    currency: str
    balance: Decimal
    balance_type: str
    as_of: datetime
    told_at: datetime
    """When the bank made the message: of two about one moment the later corrects the earlier."""
    includes_credit_line: bool
    file: str


def told(heading: Heading, written_at: datetime, zone: ZoneInfo, file: str) -> tuple[ToldBalance, ...]:
    """The booked balances that count of a report or statement; `written_at` is when its file was last written to.

    `zone` is the bank's, for days and for times without a zone. What a page adds up to is no balance of the account,
    and an opening balance is passed over where a later one stands beside it.
    """
    stated = [balance for balance in heading.balances if not _of_a_page(balance, heading)]
    later = [balance for balance in stated if balance.code in (CLOSING, INTERIM)]
    chosen = later or [balance for balance in stated if balance.code in OPENING]
    # A message without a zone is taken as UTC by the reader. No file is older than what stands in it.
    made_at = min(heading.created_at or written_at, written_at)
    return tuple(
        ToldBalance(
            account_number=heading.account_number, currency=balance.currency, balance=balance.signed,
            balance_type=balance.code, as_of=as_of, told_at=made_at,
            includes_credit_line=balance.includes_credit_line, file=file,
        )
        for balance in chosen
        if (as_of := _as_of(balance, heading, made_at, written_at, zone)) is not None
    )  # fmt: skip


def _of_a_page(balance: StatedBalance, heading: Heading) -> bool:
    if balance.code == INTERIM:
        # In a statement, and in a report in pages, it is what joins one page to the next.
        return heading.kind is not MessageKind.REPORT or heading.last_page is False or (heading.page_number or 1) > 1
    return balance.interim


def _as_of(
    balance: StatedBalance, heading: Heading, made_at: datetime, written_at: datetime, zone: ZoneInfo
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
    day = balance.as_of
    if balance.code == "OPBD" or (balance.code == "PRCD" and not _before_the_report(day, heading, made_at, zone)):
        return min(_begins(day, zone), made_at)
    return min(_begins(day + _DAY, zone), made_at)


def _before_the_report(day: date, heading: Heading, made_at: datetime, zone: ZoneInfo) -> bool:
    """Whether a previous closing carries the day before. Some banks date it with the day that it opens."""
    return day < (heading.from_date or made_at.astimezone(zone).date())


def _begins(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


class ToldBalances:
    """The newest of what files told of each account: a few values an account, however many files there were."""

    def __init__(self) -> None:
        self._newest: dict[str, dict[tuple[str, bool], list[ToldBalance]]] = {}

    def note(self, balances: Iterable[ToldBalance]) -> None:
        """Take note, in any order and of any as often as may be."""
        for balance in balances:
            of_account = self._newest.setdefault(balance.account_number, {})
            kept = of_account.setdefault((balance.currency, balance.includes_credit_line), [])
            newest = _age(kept[0]) if kept else None
            if newest is None or _age(balance) > newest:
                kept[:] = [balance]
            elif _age(balance) == newest and all(balance.balance != other.balance for other in kept):
                kept[:] = [*kept, balance][:2]  # two contradict each other as well as more would

    def about(self, account: BankAccount, now: datetime, oldest: timedelta) -> Observation | NoObservation:
        """What may be judged of the account `now`: its newest booked balance, at most `oldest` old."""
        of_account = self._newest.get(account.number, {})
        kept = of_account.get((account.currency, False), [])
        if not kept:
            return _nothing(account, of_account)
        newest = kept[0]
        name = f"{newest.balance_type} of {newest.as_of.isoformat()} in {newest.file}"
        if len(kept) > 1:
            return _no(Why.CONTRADICTORY, f"{name} is {newest.balance} and, in {kept[1].file}, {kept[1].balance}")
        if newest.as_of > now + CLOCKS_DIFFER:
            return _no(Why.IN_THE_FUTURE, f"{name} is of a time to come; asked at {now.isoformat()}")
        if newest.as_of < now - oldest:
            return _no(Why.TOO_OLD, f"{name} is older than {oldest}; asked at {now.isoformat()}")
        return Observation(
            balance=newest.balance, currency=newest.currency, as_of=newest.as_of, balance_type=newest.balance_type
        )


def _nothing(account: BankAccount, of_account: dict[tuple[str, bool], list[ToldBalance]]) -> NoObservation:
    if with_line := of_account.get((account.currency, True)):
        told_in = with_line[0]
        return _no(
            Why.CREDIT_LINE_INCLUDED, f"{told_in.balance_type} in {told_in.file}: CdtLine/Incl says that it is included"
        )
    if of_account:
        code = next(iter(of_account))[0]
        return _no(Why.OTHER_CURRENCY, f"balances of the account are in {code[:3]}, none in {account.currency}")
    return _no(Why.NO_BOOKED_BALANCE, "no file tells a booked balance (ITBD, CLBD, OPBD, PRCD) of the account")


def _age(balance: ToldBalance) -> tuple[datetime, datetime]:
    return balance.as_of, balance.told_at


def _no(why: Why, text: str) -> NoObservation:
    return NoObservation(why=why, text=text)
