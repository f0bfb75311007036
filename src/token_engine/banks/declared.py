"""Balances of a bank with an API of its own: where they stand in its JSON is declared, not programmed."""

from __future__ import annotations

import string
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import httpx2
import msgspec

from token_engine.banks.answer_fields import amount, moment
from token_engine.banks.answers import Answer, Inquiry, NotObservedError, inquire
from token_engine.banks.header_values import header_value
from token_engine.banks.json_path import JsonPath
from token_engine.banks.secrets import SecretReference
from token_engine.domain.observation import (
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

_FIELDS: Final = frozenset({"number", "currency", "resource"})
_SECRET: Final = ("auth", "cookie", "key", "password", "secret", "signature", "token")
"""In names of headers whose values do not belong into settings."""


class Sign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the bank says whether an amount is a credit or a debit balance, and its words for them."""

    path: str
    credit: str
    debit: str


class JsonSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag="json",
):
    """An access to a bank with a JSON API of its own.

    Places are JSONPath (RFC 9535): from the whole answer when they begin with `$`, from one booked balance when they
    begin with `@`.
    """

    url: str
    """What follows the access's base URL: "accounts/{number}/balance?currency={currency}"; `{resource}` is the bank's
    name for the account. No credential belongs here: a path stands in logs."""
    balances: str
    """Each booked balance of the answer, and nothing that is not booked: `$.balances[?@.type == "BOOKED"]`."""
    amount: str
    """A text or a number, exact either way. Without a `sign` it may have a minus."""
    currency: str
    as_of: str
    """The reference time, ISO 8601 with its zone."""
    sign: Sign | None = None
    account: str | None = None
    """The account's number, where the answer says it; then it must be the one that was asked for."""
    credit_line_included: str | None = None
    """True where a credit line is part of the figure."""
    headers: dict[str, str | SecretReference] = {}
    freshness: Freshness = Freshness()

    def __post_init__(self) -> None:
        if self.url.startswith("//") or "://" in self.url:
            raise ValueError("url: begins after the access's base URL")
        for _, field, form, conversion in string.Formatter().parse(self.url):
            if field is not None and (field not in _FIELDS or form or conversion):
                raise ValueError(f"url: {{{field}}} is none of {{number}}, {{currency}} and {{resource}}")
        for name, value in self.headers.items():
            if isinstance(value, str) and any(word in name.lower() for word in _SECRET):
                raise ValueError(f"headers: a credential is given by reference, and {name} looks like one")
        for name in ("balances", "amount", "currency", "as_of", "account", "credit_line_included"):
            if (path := getattr(self, name)) is not None:
                JsonPath(path, name)
        if self.sign is not None:
            JsonPath(self.sign.path, "sign.path")


class DeclaredJson:
    """A connector. `client` reaches the bank and knows its base URL."""

    def __init__(self, client: httpx2.AsyncClient, settings: JsonSettings) -> None:
        self._client = client
        self._settings = settings
        self._balances = JsonPath(settings.balances, "balances")
        self._amount = JsonPath(settings.amount, "amount")
        self._currency = JsonPath(settings.currency, "currency")
        self._as_of = JsonPath(settings.as_of, "as_of")
        self._sign = JsonPath(settings.sign.path, "sign") if settings.sign else None
        self._account = JsonPath(settings.account, "account") if settings.account else None
        line = settings.credit_line_included
        self._credit_line = JsonPath(line, "credit_line_included") if line else None

    async def booked_balance(self, account: BankAccount, now: datetime) -> Observation | NoObservation:
        """See `Connector`."""
        return await inquire(self._client, now, lambda inquiry: self._ask(inquiry, account))

    async def close(self) -> None:
        """See `Connector`."""
        await self._client.aclose()

    async def _ask(self, inquiry: Inquiry, account: BankAccount) -> Observation | NoObservation:
        answer = await inquiry.get(self._url(account), self._headers())
        found = self._balances.all(answer, None)
        reported = [self._reported(answer, f"balance {i + 1}", each) for i, each in enumerate(found)]
        return choose(reported, account, self._settings.freshness, inquiry.now)

    def _url(self, account: BankAccount) -> str:
        values = {"number": account.number, "currency": account.currency, "resource": account.resource}
        url = self._settings.url
        for name, value in values.items():
            if f"{{{name}}}" in url:
                if value in (None, "", ".", ".."):
                    raise NotObservedError(Why.UNKNOWN_ACCOUNT, f"{{{name}}} of the URL: {value!r} is no name of one")
                assert value is not None
                url = url.replace(f"{{{name}}}", quote(value, safe=""))
        return url

    def _headers(self) -> dict[str, str]:
        declared = self._settings.headers.items()
        values = {name: value if isinstance(value, str) else header_value(value) for name, value in declared}
        return {"Accept": "application/json"} | values

    def _reported(self, answer: Answer, place: str, balance: Any) -> ReportedBalance:
        currency = _text(answer, place, "currency", self._currency.one(answer, balance, place))
        return ReportedBalance(
            place=place,
            type="booked",
            kind=Kind.INTERIM,
            amount=self._figure(answer, place, balance, currency),
            currency=currency,
            as_of=moment(answer, place, _text(answer, place, "as_of", self._as_of.one(answer, balance, place))),
            credit_line_included=self._includes_credit_line(answer, place, balance),
            account=self._number(answer, place, balance),
        )

    def _number(self, answer: Answer, place: str, balance: Any) -> str | None:
        if self._account is None:
            return None
        return _text(answer, place, "account", self._account.one(answer, balance, place))

    def _figure(self, answer: Answer, place: str, balance: Any, currency: str) -> Decimal:
        said = self._amount.one(answer, balance, place)
        # Written out: 1E+2 as a number is a hundred. As a text it is no amount.
        figure = f"{said:f}" if isinstance(said, Decimal) else _text(answer, place, "amount", said)
        exact = amount(answer, f"{place}, amount", figure, currency, signed=self._sign is None)
        if self._sign is None:
            return exact
        word = _text(answer, place, "sign", self._sign.one(answer, balance, place))
        assert self._settings.sign is not None
        if word == self._settings.sign.credit:
            return exact
        if word == self._settings.sign.debit:
            return -exact
        # Fail closed: a sign that is guessed is a balance that is guessed.
        raise answer.unreadable(f"{place}, sign: {shown(word)} is neither of the declared words")

    def _includes_credit_line(self, answer: Answer, place: str, balance: Any) -> bool:
        said = self._credit_line.all(answer, balance) if self._credit_line else []
        if any(not isinstance(each, bool) for each in said):
            raise answer.unreadable(f"{place}, credit_line_included: is not true or false")
        return any(said)


def _text(answer: Answer, place: str, name: str, said: Any) -> str:
    """A text; also a whole number, as accounts have them, in the digits that were written."""
    if isinstance(said, str):
        return said
    if isinstance(said, Decimal) and said.as_tuple().exponent == 0:
        return f"{said:f}"
    raise answer.unreadable(f"{place}, {name}: is not a text")
