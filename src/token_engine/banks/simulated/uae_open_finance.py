"""UAE Open Finance account information v2.1: as the simulated bank tells it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from token_engine.banks.simulated.balances import Balances
from token_engine.banks.simulated.dialect import Answer, Page, Wrong, a_uuid, links
from token_engine.banks.simulated.words import Account

# Status and error code. 401 and 429 have no body; there is no 404: an account outside the consent, known or not, is
# refused as one that it gives no access to.
_CODES: Final = {
    Wrong.NO_TOKEN: (401, None),
    Wrong.TOKEN_UNKNOWN: (401, None),
    Wrong.TOKEN_EXPIRED: (401, None),
    Wrong.SCOPE_MISSING: (403, "AccessToken.InvalidScope"),
    Wrong.CONSENT_UNKNOWN: (403, "Consent.PermanentAccountAccessFailure"),
    Wrong.HEADER_MISSING: (400, "Resource.InvalidFormat"),
    Wrong.HEADER_INVALID: (400, "Resource.InvalidFormat"),
    Wrong.UNKNOWN_ACCOUNT: (403, "Consent.PermanentAccountAccessFailure"),
    Wrong.THROTTLED: (429, None),
    Wrong.SERVER_ERROR: (500, "GenericError"),
}


class UaeOpenFinance:
    """The dialect."""

    prefix = "/open-finance/account-information/v2.1"
    correlation = "x-fapi-interaction-id"
    pages = True

    def check(self, headers: Mapping[str, str], consents: frozenset[str]) -> tuple[Wrong, str] | None:
        if not a_uuid(headers.get(self.correlation, "00000000-0000-0000-0000-000000000000")):
            return Wrong.HEADER_INVALID, f"{self.correlation} is no UUID"
        return None if consents else (Wrong.CONSENT_UNKNOWN, "no consent was given")

    def accounts(self, page: Page, url: str) -> Answer:
        said = [{"AccountId": account.resource} | _account(account) for account in page.accounts]
        return _answer({"Account": said}, links(page, url), page.pages)

    def account(self, account: Account, url: str) -> Answer:
        return _answer({"AccountId": account.resource, "Account": _account(account)}, {"Self": url})

    def balances(self, told: Balances, url: str) -> Answer:
        said = [_balance("InterimAvailable", told.available, told)]
        if told.booked is not None:
            said.insert(0, _balance("InterimBooked", told.booked, told))
        return _answer({"AccountId": told.of.resource, "Balance": said}, {"Self": url})

    def wrong(self, wrong: Wrong, text: str) -> Answer:
        status, code = _CODES[wrong]
        return Answer(status=status, body=None if code is None else {"Errors": [{"Code": code, "Message": text}]})


def _answer(data: dict[str, Any], linked: dict[str, str], pages: int = 1) -> Answer:
    return Answer(body={"Data": data, "Links": linked, "Meta": {"TotalPages": pages}})


def _account(account: Account) -> dict[str, Any]:
    scheme = "IBAN" if account.iban else "AccountNumber"
    return {
        "AccountHolderName": account.holder, "Status": "Active", "Currency": account.currency,
        "AccountType": "Corporate", "AccountSubType": "CurrentAccount",
        "AccountIdentifiers": [{"SchemeName": scheme, "Identification": account.number, "Name": account.holder}],
    }  # fmt: skip


def _balance(kind: str, amount: Decimal, told: Balances) -> dict[str, Any]:
    said: dict[str, Any] = {
        "CreditDebitIndicator": "Debit" if amount < 0 else "Credit", "Type": kind,
        "DateTime": told.as_of.isoformat(timespec="milliseconds"), "Amount": _amount(abs(amount), told.currency),
    }  # fmt: skip
    if told.credit_line:
        line = {"Included": True, "Type": "Pre-Agreed", "Amount": _amount(told.credit_line, told.currency)}
        said["CreditLine"] = [line]
    return said


def _amount(amount: Decimal, currency: str) -> dict[str, str]:
    return {"Amount": f"{amount:f}", "Currency": currency}
