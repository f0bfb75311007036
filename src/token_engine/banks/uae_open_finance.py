"""Balances by UAE Open Finance, bank data sharing (account information), v2.1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
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

_ROOT: Final = "open-finance/account-information/v2.1"


class UaeOpenFinanceSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag="uae_open_finance",
):
    """An access to a bank that speaks UAE Open Finance."""

    time_zone: str = "Asia/Dubai"
    """The bank's: balances of a day are of its days there."""
    freshness: Freshness = Freshness()

    def __post_init__(self) -> None:
        zone(self.time_zone)


class UaeOpenFinance:
    """A connector. `client` reaches the bank, and knows what stands before `/open-finance`; `new_id` gives ids that are
    never repeated."""

    def __init__(
        self, client: httpx2.AsyncClient, settings: UaeOpenFinanceSettings, new_id: Callable[[], UUID] = uuid4
    ) -> None:
        self._client = client
        self._settings = settings
        self._new_id = new_id
        self._zone = zone(settings.time_zone)
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
            told = typed(answer, _Balances).data
            if told.account_id != resource.name:
                why = f"{answer.asked}: Data.AccountId is {shown(told.account_id)}, asked was {shown(resource.name)}"
                return NoObservation(why=Why.OTHER_ACCOUNT, text=why)
            reported += [self._reported(answer, f"Data.Balance[{i}]", b) for i, b in enumerate(told.balance)]
        return choose(reported, account, self._settings.freshness, inquiry.now)

    async def _listed(self, inquiry: Inquiry) -> Sequence[ListedAccount]:
        return [
            ListedAccount(a.account_id, [n.identification for n in a.account_identifiers], a.currency)
            for answer in await self._pages(inquiry, "accounts")
            for a in typed(answer, _Accounts).data.account
        ]

    async def _pages(self, inquiry: Inquiry, path: str) -> list[Answer]:
        return await pages(inquiry, f"{_ROOT}/{path}", lambda: headers(self._new_id()), next_page)

    def _reported(self, answer: Answer, place: str, balance: Balance) -> ReportedBalance:
        kind = BOOKED.get(balance.type)
        as_of = moment(answer, f"{place}.DateTime", balance.date_time)
        if kind is not None and kind is not Kind.INTERIM:
            # Here it is when the balance was checked: what a day closed or opened with is of the day's beginning.
            as_of = start_of(as_of.astimezone(self._zone).date(), self._zone)
        return ReportedBalance(
            place=place,
            type=balance.type,
            kind=kind,
            amount=signed(answer, place, balance),
            currency=balance.amount.currency,
            as_of=as_of,
            credit_line_included=includes_credit_line(balance),
        )


# The members that are read, by the standard's names.


class _Account(msgspec.Struct, frozen=True, rename="pascal"):
    account_id: str
    currency: str | None = None
    account_identifiers: list[Named] = []


class _AccountData(msgspec.Struct, frozen=True, rename="pascal"):
    account: list[_Account]


class _Accounts(msgspec.Struct, frozen=True, rename="pascal"):
    data: _AccountData


class _BalanceData(msgspec.Struct, frozen=True, rename="pascal"):
    account_id: str
    balance: list[Balance]


class _Balances(msgspec.Struct, frozen=True, rename="pascal"):
    data: _BalanceData
