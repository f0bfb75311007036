"""Whatever is sent to the door for notifications: a clear error, nothing moved, and the message kept."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import psutil
import pytest

from api.bank import camt053, camt054, entry, gzip_of_blanks, section, zipped
from engine import CAMT054, V1, Engine, notification

MEBIBYTE = 2**20


class Bad(NamedTuple):
    """Bytes of a message about ACCOUNT, and what is to be said of them."""

    raw: bytes
    code: str
    field: str | None = None


def json_with(**changes: Any) -> bytes:
    return json.dumps(notification("BAD-1", "ACCOUNT") | changes).encode()


def json_without(name: str) -> bytes:
    message = notification("BAD-1", "ACCOUNT")
    del message[name]
    return json.dumps(message).encode()


def day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"


STATEMENT_JSON = {
    "message_id": "STMT-2025-11-18",
    "account_id": "ACCOUNT",
    "currency": "AED",
    "statement_date": "2025-11-18",
    "opening_balance": "5000000.00",
    "closing_balance": "5250000.00",
    "entries": [{"entry_reference": "E001", "credit_debit_indicator": "CRDT", "amount": "100000.00"}],
}
XML = camt054("BAD-X", section("ACCOUNT", entry()))
LAUGHS = b'<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>'
XXE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'

CASES: dict[str, Bad] = {
    "empty": Bad(b"", "empty_message"),
    "blanks": Bad(b" \r\n\t ", "empty_message"),
    "cut JSON": Bad(b'{"message_id": "BAD-1", ', "invalid_json"),
    "words": Bad(b"hello", "not_a_bank_message"),
    "binary": Bad(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not_a_bank_message"),
    "NULs": Bad(b"\0" * 100, "not_a_bank_message"),
    "array": Bad(b"[" + json_with() + b"]", "invalid_json"),
    "two objects": Bad(json_with() + json_with(), "invalid_json"),
    "JSON null": Bad(b"null", "not_a_bank_message"),
    "deep JSON": Bad(b'{"a":' * 100_000, "invalid_json"),
    "not UTF-8": Bad(json_with().replace(b"BAD-1", b"BAD-\xff"), "invalid_json"),
    "NUL in a text": Bad(json_with(message_id="BAD\0-1"), "invalid_text", "message_id"),
    "NUL in the account": Bad(json_with(account_id="ACC\0OUNT"), "invalid_text", "account_id"),
    "NUL in a reference": Bad(json_with(bank_reference="\0"), "invalid_text", "bank_reference"),
    "NUL in the amount": Bad(json_with(amount="1\0"), "invalid_amount", "amount"),
    "NUL in the currency": Bad(json_with(currency="AE\0"), "unknown_currency", "currency"),
    "NUL between": Bad(json_with().replace(b", ", b",\0", 1), "invalid_json"),
    "half a surrogate": Bad(json_with().replace(b"BAD-1", b"\\ud800"), "invalid_json"),
    "no message_id": Bad(json_without("message_id"), "missing_field", "message_id"),
    "no account_id": Bad(json_without("account_id"), "missing_field", "account_id"),
    "no currency": Bad(json_without("currency"), "missing_field", "currency"),
    "no indicator": Bad(json_without("credit_debit_indicator"), "missing_field", "credit_debit_indicator"),
    "no amount": Bad(json_without("amount"), "missing_field", "amount"),
    "null amount": Bad(json_with(amount=None), "missing_field", "amount"),
    "blank message_id": Bad(json_with(message_id="  "), "missing_field", "message_id"),
    "long message_id": Bad(json_with(message_id="x" * 101), "text_too_long", "message_id"),
    "long account": Bad(json_with(account_id="x" * 51), "text_too_long", "account_id"),
    "negative": Bad(json_with(amount="-10.00"), "invalid_amount", "amount"),
    "not a number": Bad(json_with(amount="ten"), "invalid_amount", "amount"),
    "NaN": Bad(json_with(amount="NaN"), "invalid_amount", "amount"),
    "infinite": Bad(json_with(amount="Infinity"), "invalid_amount", "amount"),
    "exponent": Bad(json_with(amount="1e3"), "invalid_amount", "amount"),
    "comma": Bad(json_with(amount="1,000.00"), "invalid_amount", "amount"),
    "other digits": Bad(json_with(amount="١٠"), "invalid_amount", "amount"),
    "empty amount": Bad(json_with(amount=""), "invalid_amount", "amount"),
    "40 digits": Bad(json_with(amount="9" * 40), "invalid_amount", "amount"),
    "19 digits": Bad(json_with(amount="1" + "0" * 18), "invalid_amount", "amount"),
    "18 digits": Bad(json_with(amount="9" * 18), "position_too_large", "amount"),
    "a tenth of a fils": Bad(json_with(amount="1.001"), "invalid_amount", "amount"),
    "9 decimals": Bad(json_with(amount="1.000000001"), "invalid_amount", "amount"),
    "number for a text": Bad(json_with(amount=10.0), "invalid_amount", "amount"),
    "number for an account": Bad(json_with(account_id=7), "invalid_json", "account_id"),
    "object for an account": Bad(json_with(account_id={"iban": "x"}), "invalid_json", "account_id"),
    "boolean indicator": Bad(json_with(credit_debit_indicator=True), "invalid_indicator", "credit_debit_indicator"),
    "small indicator": Bad(json_with(credit_debit_indicator="crdt"), "invalid_indicator", "credit_debit_indicator"),
    "other indicator": Bad(json_with(credit_debit_indicator="CREDIT"), "invalid_indicator", "credit_debit_indicator"),
    "no currency of ISO 4217": Bad(json_with(currency="XAE"), "unknown_currency", "currency"),
    "small currency": Bad(json_with(currency="aed"), "unknown_currency", "currency"),
    "another currency": Bad(json_with(currency="USD"), "wrong_currency", "currency"),
    "unknown account": Bad(json_with(account_id="NOBODY"), "unknown_account", "account_id"),
    "unknown id": Bad(json_with(account_id="00000000-0000-4000-8000-000000000000"), "unknown_account", "account_id"),
    "no date": Bad(json_with(booking_date="yesterday"), "invalid_date", "booking_date"),
    "no such day": Bad(json_with(booking_date="2025-02-30"), "invalid_date", "booking_date"),
    "booked the day after tomorrow": Bad(json_with(booking_date=day(2)), "future_booking_date", "booking_date"),
    "JSON statement": Bad(
        json.dumps(STATEMENT_JSON | {"account_id": "NOBODY"}).encode(), "unknown_account", "account_id"
    ),
    "cut XML": Bad(XML[:-20], "invalid_xml"),
    "XML with a NUL": Bad(XML.replace(b"BAD-X", b"BAD\0"), "invalid_xml"),
    "XML with a character reference to NUL": Bad(XML.replace(b"BAD-X", b"BAD&#0;"), "invalid_xml"),
    "entities": Bad(LAUGHS + XML.partition(b"?>")[2], "doctype_refused", "DOCTYPE"),
    "a file of ours": Bad(XXE + XML.partition(b"?>")[2], "doctype_refused", "DOCTYPE"),
    "other XML": Bad(b"<html/>", "not_a_bank_message"),
    "XML statement without a closing balance": Bad(
        camt053("BAD-S", "ACCOUNT").replace(b"CLBD", b"ITBD"), "no_closing_balance", "Bal"
    ),
    "XML negative": Bad(XML.replace(b">10.00<", b">-10.00<"), "invalid_amount", "Ntfctn[1]/Ntry[1]/Amt"),
    "XML no amount": Bad(XML.replace(b'<Amt Ccy="AED">10.00</Amt>', b""), "missing_field", "Ntfctn[1]/Ntry[1]/Amt"),
    "XML small indicator": Bad(XML.replace(b">CRDT<", b">crdt<"), "invalid_indicator", "Ntfctn[1]/Ntry[1]/CdtDbtInd"),
    "XML second entry bad": Bad(
        camt054("BAD-2", section("ACCOUNT", entry(), entry("x"))), "invalid_amount", "Ntfctn[1]/Ntry[2]/Amt"
    ),
    "XML second account unknown": Bad(
        camt054("BAD-3", section("ACCOUNT", entry()), section("NOBODY", entry())), "unknown_account", "account_id"
    ),
    "XML entry in another currency": Bad(
        camt054("BAD-4", section("ACCOUNT", entry(), entry(currency="USD"))), "wrong_currency", "currency"
    ),
    "cut gzip": Bad(gzip.compress(XML)[:-9], "bundle_refused"),
    "empty zip": Bad(zipped({}), "bundle_refused"),
    "cut zip": Bad(zipped({"a.xml": XML})[:-9], "bundle_refused"),
    "encrypted zip with a name beyond any column": Bad(
        zipped({"n" * 2000: XML}).replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
        "bundle_refused",
    ),
    "Word document": Bad(zipped({"a/b.zip": zipped({"c.zip": zipped({"d.xml": XML})})}), "bundle_refused"),
}


@pytest.mark.parametrize("case", CASES)
def test_said_kept_and_nothing_moved(engine: Engine, account: Callable[..., str], case: str) -> None:
    number = account()
    raw = CASES[case].raw.replace(b"ACCOUNT", number.encode())
    before = engine.account(number)

    answer = engine.send(raw)
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["success"] is False
    error = body["error"]
    assert error["code"] == CASES[case].code, error
    if CASES[case].field is not None:
        assert error["field"] == CASES[case].field
    assert error["message"]
    assert len(error["message"]) < 700
    assert "\0" not in answer.text

    kept = engine.get(f"{V1}/messages/{error['kept_as']}")
    decode: dict[str, Callable[[str], bytes]] = {"utf-8": str.encode, "base64": base64.b64decode}
    assert decode[kept["raw_encoding"]](kept["raw"]) == raw
    assert kept["digest"] == hashlib.sha256(raw).hexdigest()
    assert (kept["state"], kept["refusal_code"], kept["door"]) == ("REJECTED", error["code"], "HTTP")
    assert kept["refusal_message"] == error["message"]

    assert engine.account(number) == before
    again = engine.send(raw)
    assert again.status_code == 422
    assert again.json()["error"] == error  # found again under the same number
    assert engine.account(number) == before


def test_too_large_is_refused_in_bounded_memory_and_found(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    process = psutil.Process(engine.process.pid)
    before = process.memory_info().rss
    whole = hashlib.sha256()

    def hundred_megabytes() -> Any:
        for piece in (json.dumps(notification("HUGE", number)).encode(), *[b" " * MEBIBYTE] * 100):
            whole.update(piece)
            yield piece

    answer = engine.http.post(CAMT054, content=hundred_megabytes())
    assert answer.status_code == 413, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("too_large", "body")
    assert process.memory_info().rss < before + 100 * MEBIBYTE

    kept = engine.get(f"{V1}/messages/{error['kept_as']}")
    assert kept["digest"] == whole.hexdigest()
    assert kept["raw_size"] > 100 * MEBIBYTE
    assert kept["raw"].startswith('{"message_id": "HUGE"')
    assert len(kept["raw"]) < MEBIBYTE
    assert engine.balance(number) == "1000000.00"
    assert engine.cli("replay", str(error["kept_as"])).returncode == 1  # its end is gone: it must be sent again


@pytest.mark.parametrize("mebibytes", [33, 300])
@pytest.mark.parametrize("pack", ["gzip", "zip"])
def test_a_bomb_is_refused_packed_and_in_bounded_memory(engine: Engine, pack: str, mebibytes: int) -> None:
    process = psutil.Process(engine.process.pid)
    before = process.memory_info().rss
    raw = gzip_of_blanks(mebibytes)
    if pack == "zip":
        raw = zipped({"a.xml.gz": raw})
    answer = engine.send(raw)
    assert answer.status_code == 413, answer.text
    error = answer.json()["error"]
    assert error["code"] == "too_large"
    assert "32 MiB" in error["message"]
    assert engine.get(f"{V1}/messages/{error['kept_as']}")["raw_size"] == len(raw)
    assert process.memory_info().rss < before + 150 * MEBIBYTE


def test_an_account_description_is_not_read_without_end(engine: Engine) -> None:
    answer = engine.http.post(f"{V1}/accounts", content=b"[" * 10 * MEBIBYTE)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_a_closed_account_takes_nothing(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    assert engine.http.post(f"{V1}/accounts/{number}/close").status_code == 200
    answer = engine.send(notification("CLOSED-1", number))
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["field"], error["message_id"]) == ("account_closed", "account_id", "CLOSED-1")
    assert engine.balance(number) == "1000000.00"


def test_the_position_never_outgrows_its_column(engine: Engine, account: Callable[..., str]) -> None:
    number = account(ledger_balance="0", bank_balance="999999999999999999.00")
    answer = engine.send(notification("BRIM-1", number, "1.00"))
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "position_too_large"
    assert engine.send(notification("BRIM-2", number, "0.99")).status_code == 201
    assert engine.balance(number) == "999999999999999999.99"


def test_a_bundle_with_one_bad_member_keeps_the_good_ones(engine: Engine, account: Callable[..., str]) -> None:
    number = account()
    good, bad = camt054("MIX-1", section(number, entry("1.00"))), camt054("MIX-2", section(number, entry("x")))
    answer = engine.send(zipped({"good.xml": good, "bad.xml": bad}), content_type="application/zip")
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "bundle_partly_rejected"
    assert [m["receipt"] for m in error["messages"]] == ["Recorded", "Rejected"]
    assert engine.balance(number) == "1000001.00"


def test_replayed_once_the_account_is_there(engine: Engine, account: Callable[..., str]) -> None:
    """The fix comes after the message: nothing has to be sent again, and nothing counts twice."""
    number = f"LATER-{engine.port}"
    raw = json.dumps(notification("EARLY-1", number, "12.34"))
    kept_as = engine.send(raw).json()["error"]["kept_as"]
    listed = engine.cli("messages", "--rejected", "--json").stdout.decode()
    [row] = [found for line in listed.splitlines() if (found := json.loads(line))["id"] == kept_as]
    assert (row["refusal_code"], row["bank_message_id"]) == ("unknown_account", "EARLY-1")
    assert engine.cli("messages", str(kept_as), "--raw").stdout == raw.encode()
    assert engine.cli("replay", str(kept_as)).returncode == 1
    assert engine.get(f"{V1}/messages/{kept_as}")["attempts"] >= 2

    engine.create_account(number, ledger_balance="0", bank_balance="0")
    replayed = engine.cli("replay", str(kept_as), "--json")
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["receipt"] == "Recorded"
    assert engine.balance(number) == "12.34"
    assert engine.cli("replay", str(kept_as)).returncode == 1  # it is no rejected message any more
    again = engine.send(raw)
    assert again.status_code == 200
    assert again.json()["data"]["receipt"] == "AlreadyRecorded"
    assert again.json()["data"]["kept_as"] == kept_as
    assert engine.balance(number) == "12.34"


def test_nothing_of_all_this_was_half_applied(engine: Engine, account: Callable[..., str]) -> None:
    """Every position is its opening and the entries of the recorded messages, whose bytes say so too."""
    number = account()
    for turn in range(3):
        assert engine.send(notification(f"SUM-{number}-{turn}", number, "0.01")).status_code == 201
    total = Decimal(0)
    for row in engine.get(f"{V1}/messages?state=recorded&limit=1000")["messages"]:
        raw = engine.get(f"{V1}/messages/{row['id']}")["raw"]
        if raw.startswith("{") and json.loads(raw)["account_id"] == number:
            total += Decimal(json.loads(raw)["amount"])
    assert engine.balance(number) == str(1_000_000 + total)
    assert engine.cli("check").returncode == 0
