"""What the door for notifications takes: every form, once, and the same answer each time."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.bank import camt054, entry, section, zipped
from engine import CAMT054, V1, Engine, notification

ANSWER = {
    "account_id", "account_number", "currency", "ledger_balance", "bank_balance", "difference", "threshold_level",
    "action_taken", "circuit_breaker", "entries_recorded", "receipt", "message_id", "kept_as",
}  # fmt: skip


def test_the_answer_has_the_specification_s_fields(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    answer = engine.send(notification("A-1", number, "50.00"))
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"success", "data"}
    assert body["success"] is True
    data = body["data"]
    assert set(data) == ANSWER
    view = engine.account(number)
    assert data | {"kept_as": 0} == {
        "account_id": view["id"],
        "account_number": number,
        "currency": "AED",
        "ledger_balance": "1000000.00",
        "bank_balance": "1000050.00",
        "difference": "50.00",
        "threshold_level": "Ok",
        "action_taken": "No action required",
        "circuit_breaker": "closed",
        "entries_recorded": 1,
        "receipt": "Recorded",
        "message_id": "A-1",
        "kept_as": 0,
    }


@pytest.mark.parametrize(
    ("currency", "amount", "balance"),
    [
        ("JPY", "7", "1000007"),
        ("KWD", "1.005", "1000001.005"),
        ("USD", "0.10", "1000000.10"),
        ("INR", "1", "1000001.00"),
    ],
)
def test_decimals_are_the_currency_s(
    engine: Engine, account: Callable[..., str], currency: str, amount: str, balance: str
) -> None:
    number = account(currency)
    data = engine.send(notification("C-1", number, amount, currency=currency)).json()["data"]
    assert data["bank_balance"] == balance


@pytest.mark.parametrize(
    ("indicator", "amount", "level", "breaker", "status"),
    [
        ("CRDT", "100.00", "Ok", "closed", "OK"),
        ("CRDT", "500.00", "Minor", "closed", "MINOR"),
        ("CRDT", "5000.00", "Significant", "suspended", "SIGNIFICANT"),
        ("CRDT", "6000.00", "Critical", "open", "CRITICAL"),
        ("DBIT", "0.01", "Critical", "open", "CRITICAL"),
    ],
)
def test_levels_and_what_follows(
    engine: Engine, account: Callable[..., str], indicator: str, amount: str, level: str, breaker: str, status: str
) -> None:
    number = account()
    data = engine.send(notification("L-1", number, amount, credit_debit_indicator=indicator)).json()["data"]
    assert (data["threshold_level"], data["circuit_breaker"]) == (level, breaker)
    view = engine.account(number)
    assert (view["verdict"], view["circuit_breaker"], view["reconciliation_status"]) == (level, breaker, status)
    assert view["reconciliation_source"] == "CAMT_054"
    found = engine.get(f"{V1}/discrepancies?status=open&account={number}")["discrepancies"]
    assert [d["severity"] for d in found] == ([] if level == "Ok" else [level])
    for d in found:
        assert d["difference"] == data["difference"]
        assert (d["expected_value"], d["actual_value"]) == (data["ledger_balance"], data["bank_balance"])
        assert d["account_number"] == number


def test_suspension_lifts_by_itself_and_an_open_breaker_does_not(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    states = []
    for turn, (indicator, amount) in enumerate(
        [("CRDT", "5000.00"), ("DBIT", "5000.00"), ("CRDT", "9000.00"), ("DBIT", "9000.00")]
    ):
        sent = notification(f"S-{turn}", number, amount, credit_debit_indicator=indicator)
        states.append(engine.send(sent).json()["data"]["circuit_breaker"])
    assert states == ["suspended", "closed", "open", "open"]
    assert engine.account(number)["verdict"] == "Ok"
    resolved = engine.get(f"{V1}/discrepancies?status=resolved&account={number}")["discrepancies"]
    assert [d["severity"] for d in resolved] == ["Critical", "Significant"]


def test_the_same_bytes_again(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    raw = json.dumps(notification("D-1", number, "20.00"))
    first = engine.send(raw)
    engine.send(notification("D-2", number, "30.00"))
    again = engine.send(raw)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"] == first.json()["data"] | {"receipt": "AlreadyRecorded"}
    assert engine.balance(number) == "1000050.00"


def test_the_same_movement_in_other_bytes(engine: Engine, account: Callable[..., str]) -> None:
    """Another spelling, another message, another form: the bank's reference says that it is one movement."""
    number = account()
    message = notification("E-1", number, "20.00", bank_reference="REF-1")
    assert engine.send(message).status_code == 201
    for twin in (
        json.dumps(message, indent=4),
        json.dumps(message | {"amount": "20.0"}),
        json.dumps(message | {"message_id": "E-2"}),
        camt054("E-3", section(number, entry("20.00", reference="REF-1"))),
    ):
        answer = engine.send(twin)
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["receipt"] == "AlreadyRecorded"
        assert answer.json()["data"]["entries_recorded"] == 0
    assert engine.balance(number) == "1000020.00"


def test_two_movements_that_look_alike(engine: Engine, account: Callable[..., str]) -> None:
    """Without a usable reference two messages are two movements."""
    number = account()
    for message_id in ("F-1", "F-2"):
        sent = notification(message_id, number, "5.00", bank_reference="NOTPROVIDED")
        assert engine.send(sent).status_code == 201
    assert engine.balance(number) == "1000010.00"


def test_one_message_from_many_hands_at_once(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    raw = json.dumps(notification("G-1", number, "1.00"))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: engine.send(raw), range(64)))
    assert sorted(a.status_code for a in answers) == [200] * 63 + [201]
    assert len({a.json()["data"]["kept_as"] for a in answers}) == 1
    assert engine.balance(number) == "1000001.00"


@pytest.mark.parametrize("kind", ["application/xml", "text/xml; charset=utf-8", "application/octet-stream", None])
def test_xml_whatever_it_is_called(engine: Engine, account: Callable[..., str], kind: str | None) -> None:
    number = account()
    headers = {"content-type": kind} if kind else {}
    raw = camt054(
        "X-1", section(number, entry("1.00", reference="X-1"), entry("2.00", indicator="DBIT", reference="X-2"))
    )
    answer = engine.http.post(CAMT054, content=raw, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["entries_recorded"] == 2
    assert answer.json()["data"]["threshold_level"] == "Critical"  # a dirham short
    assert engine.balance(number) == "999999.00"


def test_several_notifications_in_one_message(engine: Engine, account: Callable[..., str]) -> None:
    one, other = account(), account("USD")
    raw = camt054(
        "N-1",
        section(one, entry("1.00", reference="N-1")),
        section(other, entry("2.00", currency="USD", reference="N-2"), currency="USD"),
        section(one, entry("4.00", reference="N-3")),
    )
    answer = engine.send(raw)
    assert answer.status_code == 201
    told = answer.json()["data"]["notifications"]
    assert [(n["account_number"], n["bank_balance"]) for n in told] == [
        (one, "1000001.00"), (other, "1000002.00"), (one, "1000005.00"),
    ]  # fmt: skip
    assert engine.send(raw).status_code == 200
    assert (engine.balance(one), engine.balance(other)) == ("1000005.00", "1000002.00")


def test_packed(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    xml = camt054("Z-1", section(number, entry("1.00", reference="Z-1")))
    plain = json.dumps(notification("Z-2", number, "2.00")).encode()
    assert engine.send(gzip.compress(xml), content_type="application/gzip").status_code == 201
    answer = engine.send(zipped({"a.xml": xml, "day/b.json": plain}), content_type="application/zip")
    assert answer.status_code == 201
    assert [m["receipt"] for m in answer.json()["data"]["messages"]] == ["AlreadyRecorded", "Recorded"]
    assert engine.send(xml).status_code == 200  # the same message, whatever it came in
    nested = zipped({"inner.zip": zipped({"c.xml": camt054("Z-3", section(number, entry("4.00", reference="Z-3")))})})
    assert engine.send(nested).status_code == 201
    assert engine.balance(number) == "1000007.00"


def test_hostile_words_are_text_on_the_page(engine: Engine, account: Callable[..., str]) -> None:
    """What a bank (or somebody in its name) writes is text on the page, never markup."""
    attack = "<script>alert(1)</script>"
    number = f"H-{attack}"
    engine.create_account(number, bank="<img src=x onerror=alert(2)>", bank_balance="0")
    engine.send(notification(attack, number, "1.00"))
    engine.send(notification(f"{attack}2", "<b>nobody</b>", "1.00"))
    page = engine.http.get("/").text
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;nobody" in page


def test_every_path_as_curl_sees_it(engine: Engine) -> None:
    """A request without a body, by an ordinary client."""
    done = subprocess.run(
        ["curl", "-s", "-X", "POST", f"{engine.url}{CAMT054}"], capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(done.stdout)["error"]["code"] == "empty_message"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("GET", f"{V1}/reconciliation/", 404, "not_found"),
        ("GET", CAMT054, 405, "method_not_allowed"),
        ("PUT", f"{V1}/accounts", 405, "method_not_allowed"),
        ("DELETE", f"{V1}/messages/1", 405, "method_not_allowed"),
        ("GET", f"{V1}/messages/123456789", 404, "unknown_message"),
        ("GET", f"{V1}/messages/{'9' * 30}", 404, "unknown_message"),
        ("GET", f"{V1}/messages/one", 422, "invalid_request"),
        ("GET", f"{V1}/messages?before={'9' * 30}", 422, "invalid_request"),
        ("GET", f"{V1}/messages?limit=0", 422, "invalid_request"),
        ("GET", f"{V1}/messages?limit=1001", 422, "invalid_request"),
        ("GET", f"{V1}/messages?state=lost", 422, "invalid_request"),
        ("GET", f"{V1}/discrepancies?status=x", 422, "invalid_request"),
        ("GET", f"{V1}/discrepancies?account=nobody", 404, "unknown_account"),
        ("GET", f"{V1}/discrepancies?account=%00", 422, "invalid_request"),
        ("GET", f"{V1}/accounts/nobody", 404, "unknown_account"),
        ("GET", f"{V1}/accounts/%00", 422, "invalid_request"),
        ("GET", f"{V1}/accounts?after=%00/AED", 422, "invalid_request"),
        ("POST", f"{V1}/accounts/nobody/close", 404, "unknown_account"),
        ("POST", f"{V1}/accounts/%00/close", 422, "invalid_request"),
        ("POST", f"{V1}/reconciliation/intradey/nobody", 404, "unknown_account"),
        ("POST", f"{V1}/reconciliation/intradey/%00", 422, "invalid_request"),
    ],
)
def test_errors_have_the_envelope(engine: Engine, method: str, path: str, status: int, code: str) -> None:
    answer = engine.http.request(method, path)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    if status == 405:
        assert re.fullmatch(r"[A-Z, ]+", answer.headers["allow"])


def test_the_log_holds_no_traceback(engine: Engine) -> None:
    """After all of the above, so that no answer above hid a failure of ours."""
    assert "Traceback" not in engine.log
    assert "ERROR" not in engine.log
