"""The simulated bank's answers against the official OpenAPI description of each standard, by a validating proxy.

A standard's description is read where it lies; without it its tests are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contract.conftest import Checked
from simulated_bank.running import BERLIN, IBAN, OTHER, UAE, UK


def test_accounts(checked: Checked) -> None:
    listed = checked.get("")
    assert listed.status_code == 200
    assert IBAN in listed.text
    assert OTHER in listed.text
    if checked.api != BERLIN:
        second = checked.get(listed.json()["Links"]["Next"].rpartition("/accounts")[2])
        assert second.status_code == 200
        assert IBAN not in second.text


@pytest.mark.parametrize("number", [IBAN, OTHER, "KW81CBKU0000000000001234560101"])
def test_an_account_and_its_balances(checked: Checked, number: str) -> None:
    resource = checked.bank.resource(number)
    assert number in checked.get(f"/{resource}").text
    assert checked.get(f"/{resource}/balances").status_code == 200
    assert checked.back.seen[-1].endswith(f"/accounts/{resource}/balances"), "the bank was asked"


@pytest.mark.parametrize("fault", ["credit_line", "no_booked_balance", "stale", "other_currency", "other_account"])
def test_what_is_wrong_with_a_balance_is_said_in_the_words_of_the_standard(checked: Checked, fault: str) -> None:
    checked.bank.fault(fault)
    assert checked.get(f"/{checked.bank.resource(IBAN)}/balances").status_code == 200


def test_refusals(checked: Checked) -> None:
    assert checked.get("", Authorization="Bearer unknown").status_code == 401
    unknown = {BERLIN: 404, UK: 400, UAE: 403}[checked.api]
    assert checked.get("/no-such-account").status_code == unknown
    assert checked.get("/no-such-account/balances").status_code == unknown
    if checked.api == BERLIN:
        assert checked.get("", Consent_ID="of somebody else").status_code == 403
    else:
        assert checked.get("", x_fapi_interaction_id="17").status_code == 400
    checked.bank.fault("throttled", retry_after=17, times=1)
    throttled = checked.get("")
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "17")
    checked.bank.fault("server_error", times=1)
    assert checked.get("").status_code == 500


def _booked(said: Any) -> Any:
    balances = said["balances"] if "balances" in said else said["Data"]["Balance"]
    return balances[0]


def _a_number(said: Any) -> None:
    booked = _booked(said)
    amount = booked.get("balanceAmount") or booked["Amount"]
    name = "amount" if "amount" in amount else "Amount"
    amount[name] = float(amount[name])


def _another_type(said: Any) -> None:
    booked = _booked(said)
    booked["balanceType" if "balanceType" in booked else "Type"] = "BOOKED"


def _no_amount(said: Any) -> None:
    booked = _booked(said)
    del booked["balanceAmount" if "balanceAmount" in booked else "Amount"]


def _a_day_for_a_time(said: Any) -> None:
    booked = _booked(said)
    booked["lastChangeDateTime" if "lastChangeDateTime" in booked else "DateTime"] = "2025-11-18"


def _teapot(said: Any) -> int:
    return 418


@pytest.mark.parametrize("spoil", [_a_number, _another_type, _no_amount, _a_day_for_a_time, _teapot])
def test_a_wrong_answer_is_found(checked: Checked, spoil: Callable[[Any], int | None]) -> None:
    path = f"/{checked.bank.resource(IBAN)}/balances"
    checked.get(path)
    with checked.back.spoiling(spoil), pytest.raises(AssertionError, match=r"(?i)violat|response"):
        checked.get(path)


def test_a_wrong_request_is_found(checked: Checked) -> None:
    """What stands between our connectors and a bank finds what a bank would refuse."""
    seen = len(checked.back.seen)
    if checked.api == BERLIN:
        for header in ("X_Request_ID", "Consent_ID"):
            assert checked.ask("", **{header: None}).status_code == 422
        assert checked.ask("", X_Request_ID="17").status_code == 422
    else:
        assert checked.ask("", Authorization=None).status_code in (401, 422)
    assert checked.ask("/1/2/3").status_code == 404
    assert len(checked.back.seen) == seen, "none of these reached the bank"
