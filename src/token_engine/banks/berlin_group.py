"""Balances by the Berlin Group's NextGenPSD2 XS2A framework, account information, version 1.3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from uuid import UUID, uuid4

import httpx2
import msgspec

from token_engine.banks.account_list import SEVERAL_CURRENCIES, ListedAccount, Resources
from token_engine.banks.answer_fields import amount, day, end_of, moment, start_of, typed, zone
from token_engine.banks.answers import Answer, Inquiry, inquire
from token_engine.banks.header_values import header_value
from token_engine.banks.message_signing import Signing, signed_headers
from token_engine.banks.pages import pages
from token_engine.banks.secrets import SecretReference
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
    same_account,
    shown,
)


class BerlinGroupSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag="berlin_group",
):
    """An access to a bank that speaks NextGenPSD2."""

    consent: SecretReference
    """Where the id of the customer's consent lies (`Consent-ID`)."""
    signing: Signing | None = None
    """For banks that ask for signed requests."""
    time_zone: str = "Europe/Berlin"
    """The bank's: `referenceDate` is a day there."""
    interim_is_current: bool = False
    """The bank documents that `interimBooked` is always worked out when it is asked, also where it states when the
    account last changed (days ago, on a quiet one)."""
    freshness: Freshness = Freshness()

    def __post_init__(self) -> None:
        zone(self.time_zone)


class BerlinGroup:
    """A connector. `client` reaches the bank, and knows what stands before `/v1`; `new_id` gives ids that are never
    repeated."""

    def __init__(
        self, client: httpx2.AsyncClient, settings: BerlinGroupSettings, new_id: Callable[[], UUID] = uuid4
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
        answers = await self._pages(inquiry, f"v1/accounts/{resource.path}/balances")
        reported: list[ReportedBalance] = []
        for answer in answers:
            page = typed(answer, _Balances)
            if refusal := _other_account(answer, page.account, account):
                return refusal
            reported += [self._reported(answer, f"balances[{i}]", b, inquiry.now) for i, b in enumerate(page.balances)]
        return choose(reported, account, self._settings.freshness, inquiry.now)

    async def _listed(self, inquiry: Inquiry) -> Sequence[ListedAccount]:
        return [
            ListedAccount(a.resource_id, [n for n in (a.iban, a.bban) if n], a.currency)
            for answer in await self._pages(inquiry, "v1/accounts")
            for a in typed(answer, _Accounts).accounts
        ]

    async def _pages(self, inquiry: Inquiry, path: str) -> list[Answer]:
        return await pages(inquiry, path, lambda: self._headers(inquiry.now), _next)

    def _headers(self, now: datetime) -> dict[str, str]:
        # No PSU- header ever: nobody sits at a screen, and a bank that is told otherwise counts differently.
        headers = {
            "Accept": "application/json",
            "Consent-ID": header_value(self._settings.consent),
            "X-Request-ID": str(self._new_id()),
        }
        return signed_headers(headers, self._settings.signing, now) if self._settings.signing else headers

    def _reported(self, answer: Answer, place: str, balance: _Balance, now: datetime) -> ReportedBalance:
        kind = BOOKED.get(balance.balance_type)
        said = balance.balance_amount
        return ReportedBalance(
            place=place,
            type=balance.balance_type,
            kind=kind,
            amount=amount(answer, f"{place}.balanceAmount.amount", said.amount, said.currency, signed=True),
            currency=said.currency,
            as_of=self._as_of(answer, place, balance, kind, now),
            credit_line_included=bool(balance.credit_limit_included),
        )

    def _as_of(
        self, answer: Answer, place: str, balance: _Balance, kind: Kind | None, now: datetime
    ) -> datetime | None:
        """The reference time. Both fields for it are optional: `referenceDate` is the day that the balance is of,
        `lastChangeDateTime` when the account last changed, so that nothing later is in the balance (docs/adr/0020)."""
        changed = dated = None
        if balance.last_change_date_time is not None:
            changed = moment(answer, f"{place}.lastChangeDateTime", balance.last_change_date_time)
        if balance.reference_date is not None:
            dated = day(answer, f"{place}.referenceDate", balance.reference_date)
        match kind:
            case Kind.INTERIM if changed is None and dated is None:
                return now  # "always displaying running balance for current time": the standard's own example of it
            case Kind.INTERIM if self._settings.interim_is_current and self._may_be_of(now, changed, dated):
                return now
            case Kind.INTERIM:
                ended = end_of(dated, self._zone) if dated else None
                return min(changed, ended) if changed and ended else changed
            case Kind.OPENING:
                return start_of(dated, self._zone) if dated else None
            case _:
                # When the account changed says nothing of which day this closed.
                return end_of(dated, self._zone) if dated else None

    def _may_be_of(self, now: datetime, changed: datetime | None, dated: date | None) -> bool:
        return (changed is None or changed <= now) and dated in (None, now.astimezone(self._zone).date())


def _other_account(answer: Answer, told: _Reference | None, account: BankAccount) -> NoObservation | None:
    """The refusal of an answer that says it is of another account than the one asked for."""
    if told is None:
        return None
    numbers = [n for n in (told.iban, told.bban) if n]
    if numbers and not any(same_account(n, account.number) for n in numbers):
        why = f"{answer.asked}: account is {shown(numbers[0])}, asked was {shown(account.number)}"
        return NoObservation(why=Why.OTHER_ACCOUNT, text=why)
    if told.currency not in (None, SEVERAL_CURRENCIES, account.currency):
        why = f"{answer.asked}: account.currency is {shown(told.currency)}: the account is in {account.currency}"
        return NoObservation(why=Why.OTHER_CURRENCY, text=why)
    return None


def _next(answer: Answer) -> str | None:
    links = typed(answer, _Linked).links
    return links.next.href if links and links.next else None


# The members that are read, by the standard's names.


class _Href(msgspec.Struct, frozen=True):
    href: str | None = None


class _Links(msgspec.Struct, frozen=True):
    next: _Href | None = None


class _Linked(msgspec.Struct, frozen=True):
    links: _Links | None = msgspec.field(default=None, name="_links")


class _Account(msgspec.Struct, frozen=True, rename="camel"):
    currency: str
    resource_id: str | None = None
    iban: str | None = None
    bban: str | None = None


class _Accounts(msgspec.Struct, frozen=True):
    accounts: list[_Account]


class _Reference(msgspec.Struct, frozen=True):
    iban: str | None = None
    bban: str | None = None
    currency: str | None = None


class _Amount(msgspec.Struct, frozen=True):
    currency: str
    amount: str


class _Balance(msgspec.Struct, frozen=True, rename="camel"):
    balance_amount: _Amount
    balance_type: str
    credit_limit_included: bool | None = None
    last_change_date_time: str | None = None
    reference_date: str | None = None


class _Balances(msgspec.Struct, frozen=True):
    balances: list[_Balance]
    account: _Reference | None = None
