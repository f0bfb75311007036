"""Balances by the UK's Open Banking Read/Write API, account and transaction information, v3.1 and v4.0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

import httpx2
import msgspec

from token_engine.banks.account_list import ListedAccount, Resources
from token_engine.banks.answer_fields import moment, start_of, typed, zone
from token_engine.banks.answers import Answer, Inquiry, inquire
from token_engine.banks.open_banking import Balance, Named, headers, includes_credit_line, next_page, signed
from token_engine.banks.pages import pages
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
    shown,
)


class UkOpenBankingSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag="uk_open_banking",
):
    """An access to a bank that speaks UK Open Banking."""

    version: Literal["v3.1", "v4.0"]
    """As it stands in the bank's paths: `/open-banking/v3.1/aisp`."""
    time_zone: str = "Europe/London"
    """The bank's: an opening balance is of the beginning of its day there."""
    freshness: Freshness = Freshness()

    def __post_init__(self) -> None:
        zone(self.time_zone)


class UkOpenBanking:
    """A connector. `client` reaches the bank, and knows what stands before `/open-banking`; `new_id` gives ids that are
    never repeated."""

    def __init__(
        self, client: httpx2.AsyncClient, settings: UkOpenBankingSettings, new_id: Callable[[], UUID] = uuid4
    ) -> None:
        self._client = client
        self._settings = settings
        self._new_id = new_id
        self._zone = zone(settings.time_zone)
        self._root = f"open-banking/{settings.version}/aisp"
        self._resources = Resources()

    async def booked_balance(self, account: BankAccount, now: datetime) -> Observation | NoObservation:
        """See `Connector`."""
        answer = await inquire(self._client, now, lambda inquiry: self._ask(inquiry, account))
        self._resources.heed(account, answer)
        return answer

    async def close(self) -> None:
        """See `Connector`."""
        await self._client.aclose()

    async def _ask(self, inquiry: Inquiry, account: BankAccount) -> Observation | NoObservation:
        resource = await self._resources.of(account, lambda: self._listed(inquiry))
        reported: list[ReportedBalance] = []
        for answer in await self._pages(inquiry, f"accounts/{resource.path}/balances"):
            for i, balance in enumerate(typed(answer, _Balances).data.balance):
                place = f"Data.Balance[{i}]"
                if balance.account_id != resource.name:
                    why = f"{answer.asked}: {place}.AccountId is {shown(balance.account_id)}"
                    return NoObservation(why=Why.OTHER_ACCOUNT, text=f"{why}, asked was {shown(resource.name)}")
                reported.append(self._reported(answer, place, balance))
        return choose(reported, account, self._settings.freshness, inquiry.now)

    async def _listed(self, inquiry: Inquiry) -> Sequence[ListedAccount]:
        return [
            ListedAccount(a.account_id, [n.identification for n in a.account], a.currency)
            for answer in await self._pages(inquiry, "accounts")
            for a in typed(answer, _Accounts).data.account
        ]

    async def _pages(self, inquiry: Inquiry, path: str) -> list[Answer]:
        return await pages(inquiry, f"{self._root}/{path}", lambda: headers(self._new_id()), next_page)

    def _reported(self, answer: Answer, place: str, balance: _Balance) -> ReportedBalance:
        kind = BOOKED.get(balance.type)
        as_of = moment(answer, f"{place}.DateTime", balance.date_time)
        return ReportedBalance(
            place=place,
            type=balance.type,
            kind=kind,
            amount=signed(answer, place, balance),
            currency=balance.amount.currency,
            # The date and time of the balance; an opening one has nothing of its day in it, whatever hour is stated.
            as_of=start_of(as_of.astimezone(self._zone).date(), self._zone) if kind is Kind.OPENING else as_of,
            credit_line_included=includes_credit_line(balance),
        )


# The members that are read, by the standard's names.


class _Account(msgspec.Struct, frozen=True, rename="pascal"):
    account_id: str
    currency: str | None = None
    account: list[Named] = []


class _AccountData(msgspec.Struct, frozen=True, rename="pascal"):
    account: list[_Account]


class _Accounts(msgspec.Struct, frozen=True, rename="pascal"):
    data: _AccountData


class _Balance(Balance, frozen=True, kw_only=True, rename="pascal"):
    account_id: str


class _BalanceData(msgspec.Struct, frozen=True, rename="pascal"):
    balance: list[_Balance]


class _Balances(msgspec.Struct, frozen=True, rename="pascal"):
    data: _BalanceData
