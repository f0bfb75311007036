"""Which of the accounts that a bank lists is the one that is asked for, and what the bank calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from token_engine.banks.answers import NotObservedError
from token_engine.domain.observation import (
    BankAccount,
    NoObservation,
    Observation,
    Why,
    plain_number,
    same_account,
    shown,
)

SEVERAL_CURRENCIES: Final = "XXX"
"""NextGenPSD2's currency of an account that holds several."""


class ListedAccount(msgspec.Struct, frozen=True):
    """An account as a bank lists it."""

    resource: str | None
    numbers: Sequence[str]
    currency: str | None
    """None: the bank does not say."""


class Resource(msgspec.Struct, frozen=True):
    """The bank's name for an account, and how it stands in a path."""

    name: str

    @property
    def path(self) -> str:
        """Quoted: a name with a slash in it leads nowhere else."""
        return quote(self.name, safe="")


class Resources:
    """The bank's names for accounts, remembered while the connector lives: the standards promise that they stay."""

    def __init__(self) -> None:
        self._listed: dict[str, list[ListedAccount]] = {}

    async def of(self, account: BankAccount, listed: Callable[[], Awaitable[Sequence[ListedAccount]]]) -> Resource:
        """The bank's name for the account. The bank is asked for its list only when the last one does not tell it.

        Raises NotObservedError.
        """
        resource = account.resource
        if resource is None:
            try:
                resource = pick(self._listed.get(plain_number(account.number), ()), account)
            except NotObservedError:
                everything = await listed()
                resource = pick(everything, account)
                self._listed = _by_number(everything)
        if resource in ("", ".", ".."):
            raise NotObservedError(Why.UNKNOWN_ACCOUNT, f"{resource!r} is no name of an account in a path")
        return Resource(resource)

    def heed(self, account: BankAccount, answer: Observation | NoObservation) -> None:
        """Forget a name that did not lead to the account."""
        if isinstance(answer, NoObservation) and answer.why in (Why.UNKNOWN_ACCOUNT, Why.OTHER_ACCOUNT):
            self._listed.pop(plain_number(account.number), None)


def _by_number(listed: Sequence[ListedAccount]) -> dict[str, list[ListedAccount]]:
    found: dict[str, list[ListedAccount]] = {}
    for each in listed:
        for number in {plain_number(number) for number in each.numbers}:
            found.setdefault(number, []).append(each)
    return found


def pick(listed: Sequence[ListedAccount], account: BankAccount) -> str:
    """The bank's name for the account: the one with its number and currency, and no other.

    Raises NotObservedError: it is not listed, only in another currency, without a name, or more than once.
    """
    same = [a for a in listed if any(same_account(number, account.number) for number in a.numbers)]
    if not same:
        raise NotObservedError(
            Why.UNKNOWN_ACCOUNT, f"none of the {len(listed)} accounts that the bank lists is {shown(account.number)}"
        )
    ours = [a for a in same if a.currency == account.currency]
    ours = ours or [a for a in same if a.currency in (None, SEVERAL_CURRENCIES)]
    if not ours:
        currencies = ", ".join(shown(a.currency) for a in same[:10])
        raise NotObservedError(
            Why.OTHER_CURRENCY,
            f"the bank lists {shown(account.number)} in {currencies}: the account is in {account.currency}",
        )
    names = {a.resource for a in ours}
    if len(names) > 1:
        raise NotObservedError(
            Why.CONTRADICTORY, f"the bank lists {shown(account.number)} in {account.currency} {len(ours)} times"
        )
    name = names.pop()
    if name is None:
        raise NotObservedError(Why.UNREADABLE, f"the bank lists {shown(account.number)} without a name for its API")
    return name
