"""Berlin Group NextGenPSD2 1.3.11 (v1): accounts and balances as the simulated bank tells them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from token_engine.banks.simulated.balances import Balances
from token_engine.banks.simulated.dialect import Answer, Page, Wrong, a_uuid
from token_engine.banks.simulated.words import Account

# Status and message code (implementation guidelines 1.3.11, "Return Codes").
_CODES: Final = {
    Wrong.NO_TOKEN: (401, "TOKEN_UNKNOWN"),
    Wrong.TOKEN_UNKNOWN: (401, "TOKEN_UNKNOWN"),
    Wrong.TOKEN_EXPIRED: (401, "TOKEN_EXPIRED"),
    Wrong.SCOPE_MISSING: (403, "SERVICE_BLOCKED"),
    Wrong.CONSENT_UNKNOWN: (403, "CONSENT_UNKNOWN"),
    Wrong.HEADER_MISSING: (400, "FORMAT_ERROR"),
    Wrong.HEADER_INVALID: (400, "FORMAT_ERROR"),
    Wrong.UNKNOWN_ACCOUNT: (404, "RESOURCE_UNKNOWN"),
    Wrong.THROTTLED: (429, "ACCESS_EXCEEDED"),
}


class BerlinGroup:
    """The dialect. Its list of accounts has no pages: the standard knows none."""

    prefix = "/psd2"
    correlation = "X-Request-ID"
    pages = False

    def check(self, headers: Mapping[str, str], consents: frozenset[str]) -> tuple[Wrong, str] | None:
        for name in ("X-Request-ID", "Consent-ID"):
            if name not in headers:
                return Wrong.HEADER_MISSING, f"{name} is missing"
        if not a_uuid(headers["X-Request-ID"]):
            return Wrong.HEADER_INVALID, "X-Request-ID is no UUID"
        if headers["Consent-ID"] not in consents:
            return Wrong.CONSENT_UNKNOWN, "no consent of yours has this Consent-ID"
        return None

    def accounts(self, page: Page, url: str) -> Answer:
        return Answer(body={"accounts": [_details(account, f"{url}/{account.resource}") for account in page.accounts]})

    def account(self, account: Account, url: str) -> Answer:
        return Answer(body={"account": _details(account, url)})

    def balances(self, told: Balances, url: str) -> Answer:  # noqa: ARG002 - others name it in their links
        said = [_balance("interimAvailable", told.available, told)]
        if told.booked is not None:
            said.insert(0, _balance("interimBooked", told.booked, told))
        account = _reference(told.of) | {"currency": told.of.currency}
        return Answer(body={"account": account, "balances": said})

    def wrong(self, wrong: Wrong, text: str) -> Answer:
        if wrong not in _CODES:
            return Answer(status=500)
        status, code = _CODES[wrong]
        return Answer(status=status, body={"tppMessages": [{"category": "ERROR", "code": code, "text": text}]})


def _details(account: Account, url: str) -> dict[str, Any]:
    return {
        "resourceId": account.resource, **_reference(account), "currency": account.currency, "name": account.holder,
        "cashAccountType": "CACC", "status": "enabled", "usage": "ORGA",
        "_links": {"balances": {"href": f"{url}/balances"}},
    }  # fmt: skip


def _reference(account: Account) -> dict[str, str]:
    return {"iban" if account.iban else "bban": account.number}


def _balance(kind: str, amount: Decimal, told: Balances) -> dict[str, Any]:
    return {
        "balanceAmount": {"currency": told.currency, "amount": f"{amount:f}"},
        "balanceType": kind,
        "creditLimitIncluded": told.credit_line != 0,
        "lastChangeDateTime": told.as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "referenceDate": str(told.as_of.date()),
    }
