"""The bank over real HTTP: what it says in each standard, and each fault as a client meets it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from simulated_bank.running import BERLIN, IBAN, OTHER, UAE, UK, UK_3, RunningBank

APIS = (BERLIN, UK, UK_3, UAE)


class Said:
    """What an answer says of a balance, whichever standard it is in."""

    def __init__(self, api: str, answer: httpx2.Response) -> None:
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        self.booked: Decimal | None = None
        if api == BERLIN:
            self.account = body["account"].get("iban") or body["account"].get("bban")
            for each in body["balances"]:
                self.currency = each["balanceAmount"]["currency"]
                self.as_of = datetime.fromisoformat(each["lastChangeDateTime"])
                if each["balanceType"] == "interimBooked":
                    self.booked = Decimal(each["balanceAmount"]["amount"])
                    self.credit_line = each["creditLimitIncluded"]
            return
        self.account = body["Data"].get("AccountId") or body["Data"]["Balance"][0]["AccountId"]
        for each in body["Data"]["Balance"]:
            self.currency = each["Amount"]["Currency"]
            self.as_of = datetime.fromisoformat(each["DateTime"])
            if each["Type"] in ("ITBD", "InterimBooked"):
                sign = {"Credit": 1, "Debit": -1}[each["CreditDebitIndicator"]]
                self.booked = sign * Decimal(each["Amount"]["Amount"])
                self.credit_line = any(line["Included"] for line in each.get("CreditLine", []))


def balances(bank: RunningBank, api: str, number: str = IBAN) -> httpx2.Response:
    return bank.get(f"{api}/accounts/{bank.resource(number)}/balances")


@pytest.mark.parametrize("api", APIS)
def test_a_booking_is_in_the_next_balance(bank: RunningBank, api: str) -> None:
    before = Said(api, balances(bank, api))
    bank.book(IBAN, "1234.56", reference="REF-1")
    bank.book(IBAN, "-0.06")
    after = Said(api, balances(bank, api))
    assert before.booked is not None
    assert after.booked == before.booked + Decimal("1234.50")
    assert after.currency == "AED"
    assert not after.credit_line
    assert timedelta(0) <= datetime.now(UTC) - after.as_of < timedelta(minutes=1)
    assert Said(api, balances(bank, api, OTHER)).booked == Decimal("-250.50"), "overdrawn"


@pytest.mark.parametrize("api", APIS)
def test_a_stale_answer_tells_what_was_true_then(bank: RunningBank, api: str) -> None:
    bank.book(IBAN, "1.00")
    bank.fault("stale", account=IBAN, times=1)
    then = Said(api, balances(bank, api))
    assert then.booked == Decimal("1000000.00"), "what it was opened with"
    assert timedelta(hours=47) < datetime.now(UTC) - then.as_of < timedelta(hours=49)
    assert datetime.now(UTC) - Said(api, balances(bank, api)).as_of < timedelta(hours=1), "once, as asked"


@pytest.mark.parametrize("api", APIS)
def test_what_a_balance_may_get_wrong(bank: RunningBank, api: str) -> None:
    truth = Said(api, balances(bank, api))
    assert truth.booked is not None
    bank.fault("other_currency", account=IBAN, times=1)
    assert Said(api, balances(bank, api)).currency == "USD"
    bank.fault("no_booked_balance", account=IBAN, times=1)
    assert Said(api, balances(bank, api)).booked is None
    bank.fault("credit_line", account=IBAN, times=1, amount="7500")
    with_line = Said(api, balances(bank, api))
    assert (with_line.booked, with_line.credit_line) == (truth.booked + 7500, True)
    bank.fault("other_account", account=IBAN, times=1)
    assert Said(api, balances(bank, api)).account != truth.account
    assert vars(Said(api, balances(bank, api))) | {"as_of": 0} == vars(truth) | {"as_of": 0}, "all is well again"


@pytest.mark.parametrize("api", APIS)
def test_how_an_answer_may_go_wrong(bank: RunningBank, api: str) -> None:
    bank.fault("throttled", times=1, retry_after=7)
    throttled = balances(bank, api)
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
    bank.fault("server_error", account=IBAN, times=2)
    assert [balances(bank, api).status_code for _ in range(3)] == [500, 500, 200]
    bank.fault("not_json", account=IBAN, times=1)
    assert "<html>" in balances(bank, api).text
    bank.fault("cut", account=IBAN, times=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        balances(bank, api)
    bank.fault("slow", account=IBAN, milliseconds=300)
    before = time.monotonic()
    assert balances(bank, api).status_code == 200
    assert time.monotonic() - before >= 0.3
    bank.well_again()
    assert balances(bank, api).status_code == 200


def test_a_fault_of_one_account_leaves_the_others_alone(bank: RunningBank) -> None:
    bank.fault("server_error", account=IBAN)
    assert balances(bank, UK, OTHER).status_code == 200
    assert [balances(bank, UK).status_code for _ in range(3)] == [500] * 3, "until it is cleared"
    bank.control(f"faults?account={OTHER}", method="DELETE")
    assert balances(bank, UK).status_code == 500
    bank.control("faults?kind=server_error", method="DELETE")
    assert balances(bank, UK).status_code == 200


@pytest.mark.parametrize(
    ("api", "headers", "status", "code"),
    [
        (BERLIN, {"Authorization": None}, 401, "TOKEN_UNKNOWN"),
        (BERLIN, {"Authorization": "Bearer nonsense"}, 401, "TOKEN_UNKNOWN"),
        (BERLIN, {"X_Request_ID": None}, 400, "FORMAT_ERROR"),
        (BERLIN, {"X_Request_ID": "17"}, 400, "FORMAT_ERROR"),
        (BERLIN, {"Consent_ID": None}, 400, "FORMAT_ERROR"),
        (BERLIN, {"Consent_ID": "of somebody else"}, 403, "CONSENT_UNKNOWN"),
        (UK, {"Authorization": None}, 401, None),
        (UK, {"Authorization": "Basic YTpi"}, 401, None),
        (UK, {"x_fapi_interaction_id": "17"}, 400, "U006"),
        (UK_3, {"x_fapi_interaction_id": "17"}, 400, "UK.OBIE.Header.Invalid"),
        (UAE, {"Authorization": None}, 401, None),
        (UAE, {"x_fapi_interaction_id": "17"}, 400, "Resource.InvalidFormat"),
    ],
)
def test_a_wrong_request_is_refused_in_the_words_of_its_standard(
    bank: RunningBank, api: str, headers: dict[str, str | None], status: int, code: str | None
) -> None:
    answer = bank.get(f"{api}/accounts", **headers)
    assert answer.status_code == status
    assert answer.content == b"" if code is None else code in answer.text
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(("api", "status"), [(BERLIN, 404), (UK, 400), (UK_3, 400), (UAE, 403)])
def test_an_account_that_is_not_there(bank: RunningBank, api: str, status: int) -> None:
    for path in ("", "/balances"):
        assert bank.get(f"{api}/accounts/17{path}").status_code == status


def test_the_request_is_named_in_its_answer(bank: RunningBank) -> None:
    mine = "9c1b9e42-8a51-4b0c-9f0e-0a4f3e1f7a01"
    assert bank.get(f"{BERLIN}/accounts", X_Request_ID=mine).headers["x-request-id"] == mine
    assert bank.get(f"{UAE}/accounts", x_fapi_interaction_id=mine).headers["x-fapi-interaction-id"] == mine
    assert len(bank.get(f"{UK}/accounts", x_fapi_interaction_id=None).headers["x-fapi-interaction-id"]) == 36


@pytest.mark.parametrize("api", [UK, UK_3, UAE])
def test_accounts_come_in_pages(bank: RunningBank, api: str) -> None:
    numbers = [f"AE{n:02}0331234567890{n:06}" for n in range(10, 330)]
    bank.open(*((number, "AED", "1.00") for number in numbers))
    found, path, pages = [], f"{bank.url}{api}/accounts", 0
    while path:
        page = bank.get(path).json()
        pages += 1
        listed = page["Data"]["Account"]
        assert len(listed) <= 100
        found += [(each.get("Account") or each["AccountIdentifiers"])[0]["Identification"] for each in listed]
        assert page["Meta"]["TotalPages"] == 4
        path = page["Links"].get("Next")
    assert pages == 4
    assert sorted(found) == sorted([IBAN, OTHER, *numbers]), "each of them once"
    whole = bank.get(f"{BERLIN}/accounts").json()["accounts"]
    assert [each.get("iban", each.get("bban")) for each in whole] == found, "Berlin Group knows no pages"
