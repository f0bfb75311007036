"""What the three open banking APIs of the simulated bank have in common: what is asked, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, Protocol

import msgspec

from token_engine.banks.simulated.balances import Balances
from token_engine.banks.simulated.words import Account

PAGE: Final = 100
"""Accounts on one page of a list."""


class Wrong(Enum):
    """Why a request is not answered; each standard has its own words and status for it."""

    NO_TOKEN = auto()
    TOKEN_UNKNOWN = auto()
    TOKEN_EXPIRED = auto()
    SCOPE_MISSING = auto()
    CONSENT_UNKNOWN = auto()
    HEADER_MISSING = auto()
    HEADER_INVALID = auto()
    UNKNOWN_ACCOUNT = auto()
    THROTTLED = auto()
    SERVER_ERROR = auto()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A status with its body; None for a status that the standard gives no body."""

    status: int = 200
    body: dict[str, Any] | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts of one page of the list; `number` counts from 1."""

    accounts: Sequence[Account]
    number: int
    pages: int


class Dialect(Protocol):
    """One standard's way to say things. `url` is that of the request, without query."""

    prefix: str
    correlation: str
    """The header by which a request and its answer are known as a pair."""
    pages: bool
    """Whether a list of accounts comes in pages."""

    def check(self, headers: Mapping[str, str], consents: frozenset[str]) -> tuple[Wrong, str] | None:
        """What is wrong with the headers of a request, and with which: the token has been looked at before."""
        ...

    def accounts(self, page: Page, url: str) -> Answer: ...

    def account(self, account: Account, url: str) -> Answer: ...

    def balances(self, told: Balances, url: str) -> Answer: ...

    def wrong(self, wrong: Wrong, text: str) -> Answer: ...


def a_uuid(text: str) -> bool:
    """Is it a UUID as RFC 4122 writes it?"""
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(
        letter in "0123456789abcdefABCDEF" for part in parts for letter in part
    )


def links(page: Page, url: str) -> dict[str, str]:
    """`Self` and its neighbours, as UK and UAE link pages."""
    said = {"Self": f"{url}?page={page.number}" if page.pages > 1 else url}
    if page.pages > 1:
        said |= {"First": f"{url}?page=1", "Last": f"{url}?page={page.pages}"}
        if page.number > 1:
            said["Prev"] = f"{url}?page={page.number - 1}"
        if page.number < page.pages:
            said["Next"] = f"{url}?page={page.number + 1}"
    return said
