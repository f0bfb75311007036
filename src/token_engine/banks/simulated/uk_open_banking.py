"""UK Open Banking account information, v4.0 and v3.1: as the simulated bank tells it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from token_engine.banks.simulated.balances import Balances
from token_engine.banks.simulated.dialect import Answer, Page, Wrong, a_uuid, links
from token_engine.banks.simulated.words import Account

# Status, and error code of v4.0 (four letters of an external code set) and of v3.1. An account that is not there is
# a bad request ("a resource id that does not exist ... 400"), and 401 and 429 have no body.
_CODES: Final = {
    Wrong.NO_TOKEN: (401, None, None),
    Wrong.TOKEN_UNKNOWN: (401, None, None),
    Wrong.TOKEN_EXPIRED: (401, None, None),
    Wrong.SCOPE_MISSING: (403, "U008", "UK.OBIE.Resource.ConsentMismatch"),
    Wrong.CONSENT_UNKNOWN: (403, "U008", "UK.OBIE.Resource.ConsentMismatch"),
    Wrong.HEADER_MISSING: (400, "U007", "UK.OBIE.Header.Missing"),
    Wrong.HEADER_INVALID: (400, "U006", "UK.OBIE.Header.Invalid"),
    Wrong.UNKNOWN_ACCOUNT: (400, "U011", "UK.OBIE.Resource.NotFound"),
    Wrong.THROTTLED: (429, None, None),
    Wrong.SERVER_ERROR: (500, "U000", "UK.OBIE.UnexpectedError"),
}
_MEANT: Final = {400: "Bad Request", 403: "Forbidden", 500: "Internal Server Error"}


class UkOpenBanking:
    """The dialect of one version."""

    correlation = "x-fapi-interaction-id"
    pages = True

    def __init__(self, version: int) -> None:
        self._latest = version == 4
        self.prefix = "/open-banking/v4.0/aisp" if self._latest else "/open-banking/v3.1/aisp"

    def check(self, headers: Mapping[str, str], consents: frozenset[str]) -> tuple[Wrong, str] | None:
        if not a_uuid(headers.get(self.correlation, "00000000-0000-0000-0000-000000000000")):
            return Wrong.HEADER_INVALID, f"{self.correlation} is no UUID"
        return None if consents else (Wrong.CONSENT_UNKNOWN, "no consent was given")

    def accounts(self, page: Page, url: str) -> Answer:
        return self._answer([self._account(account) for account in page.accounts], page, url)

    def account(self, account: Account, url: str) -> Answer:
        return self._answer([self._account(account)], Page(accounts=(account,), number=1, pages=1), url)

    def balances(self, told: Balances, url: str) -> Answer:
        booked, available = ("ITBD", "ITAV") if self._latest else ("InterimBooked", "InterimAvailable")
        said = [_balance(available, told.available, told)]
        if told.booked is not None:
            said.insert(0, _balance(booked, told.booked, told))
        return Answer(body={"Data": {"Balance": said}, "Links": {"Self": url}, "Meta": {"TotalPages": 1}})

    def wrong(self, wrong: Wrong, text: str) -> Answer:
        status, latest, before = _CODES[wrong]
        if latest is None:
            return Answer(status=status)
        error = {"ErrorCode": latest if self._latest else before, "Message": text}
        return Answer(
            status=status, body={"Code": f"{status} {_MEANT[status]}", "Message": _MEANT[status], "Errors": [error]}
        )

    def _answer(self, accounts: list[dict[str, Any]], page: Page, url: str) -> Answer:
        return Answer(
            body={"Data": {"Account": accounts}, "Links": links(page, url), "Meta": {"TotalPages": page.pages}}
        )

    def _account(self, account: Account) -> dict[str, Any]:
        kind = {"AccountCategory": "Business", "AccountTypeCode": "CACC"}
        if not self._latest:
            kind = {"AccountType": "Business", "AccountSubType": "CurrentAccount"}
        scheme = "UK.OBIE.IBAN" if account.iban else "UK.OBIE.BBAN"
        return {
            "AccountId": account.resource, "Status": "Enabled", "Currency": account.currency, **kind,
            "Account": [{"SchemeName": scheme, "Identification": account.number, "Name": account.holder}],
        }  # fmt: skip


def _balance(kind: str, amount: Decimal, told: Balances) -> dict[str, Any]:
    said: dict[str, Any] = {
        "AccountId": told.of.resource, "CreditDebitIndicator": "Debit" if amount < 0 else "Credit", "Type": kind,
        "DateTime": told.as_of.isoformat(timespec="milliseconds"), "Amount": _amount(abs(amount), told.currency),
    }  # fmt: skip
    if told.credit_line:
        line = {"Included": True, "Type": "Pre-Agreed", "Amount": _amount(told.credit_line, told.currency)}
        said["CreditLine"] = [line]
    return said


def _amount(amount: Decimal, currency: str) -> dict[str, str]:
    return {"Amount": f"{amount:f}", "Currency": currency}
