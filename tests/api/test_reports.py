"""Reports over HTTP and on the command line: what people get, what they are told when they ask wrongly."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import openpyxl
import psycopg
import pytest
from pypdf import PdfReader

from engine import V1, Engine, notification, wait_for

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
# A weekday whose D+1 is over, for an account that is as old.
DAY = TODAY - timedelta(days=7 + max(0, (TODAY - timedelta(days=7)).weekday() - 4))

Account = Callable[..., str]


def close(engine: Engine, number: str, *, reconciled: bool = True, bank: str = "1000000") -> None:
    """The account was closed on DAY, in time."""
    with psycopg.connect(engine.database_url) as connection:
        connection.execute("UPDATE emi_accounts SET created_at = created_at - interval '30 days'")
        connection.execute(
            "WITH a AS (SELECT id FROM emi_accounts WHERE account_number = %(number)s), m AS ("
            " INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer,"
            " last_attempt_at) VALUES (sha256(%(number)s::text::bytea), %(at)s, 'HTTP', 's', '', 0, 'RECORDED', '{}',"
            " %(at)s) RETURNING id), s AS ("
            " INSERT INTO statements (account_id, message_id, bank_message_id, identity, content, statement_date,"
            " closing_balance, entries, booked_sum, cut_off, state, checks, ledger_balance, threshold_level,"
            " entries_matched, entries_unmatched, at)"
            " SELECT a.id, m.id, 'S', 'S', '', %(day)s, %(bank)s, 0, 0, %(at)s, 'ACCEPTED', '[]',"
            " 1000000, 'Ok', 0, 0, %(at)s FROM a, m)"
            " INSERT INTO emi_account_snapshots (id, account_id, snapshot_date, ledger_balance, bank_reported_balance,"
            " reconciled) SELECT gen_random_uuid(), a.id, %(day)s, 1000000, %(bank)s, %(reconciled)s FROM a",
            {"number": number, "day": DAY, "at": datetime(DAY.year, DAY.month, DAY.day, 20, tzinfo=UTC), "bank": bank,
             "reconciled": reconciled},
        )  # fmt: skip


def path(span: str = "day", **more: Any) -> str:
    named = {"date": DAY} | more
    return f"{V1}/reports/{span}?" + "&".join(f"{name}={value}" for name, value in named.items())


def refused(engine: Engine, where: str, status: int = 422) -> dict[str, Any]:
    answer = engine.http.get(where)
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


def test_an_answer_has_the_report_and_who_signed_it(engine: Engine, account: Account) -> None:
    number = account()
    close(engine, number)
    told = engine.get(path(account_id=number))
    [line] = told["report"]["lines"]
    assert (line["standing"], line["requirement"], line["excess"]) == ("reconciled", "1000000.00", "0.00")
    assert (line["timeliness"], told["sign_offs"]) == ("met", [])
    sign = f"{V1}/reports/{told['id']}/sign-off"
    said = {"actor": "ann", "reason": "read", "sha256": told["sha256"]}
    signed = engine.http.post(sign, json=said)
    assert signed.status_code == 201, signed.text
    again = engine.get(path(account_id=number))
    assert (again["sha256"], again["report"]) == (told["sha256"], told["report"]), "signing changes nothing"
    [signature] = again["sign_offs"]
    assert (signature["actor"], signature["reason"], signature["current"]) == ("ann", "read", True)
    for wrong, status, field in (
        ({"actor": "bob", "reason": "r", "sha256": "0" * 64}, 409, "sha256"),
        ({"actor": "", "reason": "r"}, 422, "actor"),
        ({"actor": "bob", "reason": " "}, 422, "reason"),
        ({"actor": "bob"}, 422, None),
        ({"actor": "bob", "reason": "r", "more": 1}, 422, None),
    ):
        answer = engine.http.post(sign, json=wrong)
        assert (answer.status_code, answer.json()["error"].get("field")) == (status, field), answer.text
    assert engine.http.post(f"{V1}/reports/nonsense/sign-off", json=said).status_code == 404
    today = f"day.{TODAY}.firm"
    assert engine.http.post(f"{V1}/reports/{today}/sign-off", json=said | {"sha256": None}).status_code == 409


def test_documents_carry_their_name_and_the_hash_of_their_data(engine: Engine, account: Account) -> None:
    number = account()
    close(engine, number, bank="999000")
    told = engine.get(path(account_id=number))
    for form, media in (
        ("json", "application/json"), ("pdf", "application/pdf"), ("csv", "text/csv; charset=utf-8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ):  # fmt: skip
        answer = engine.http.get(path(account_id=number, format=form))
        assert (answer.status_code, answer.headers["content-type"]) == (200, media)
        assert answer.headers["x-dataset-sha256"] == told["sha256"]
        assert answer.headers["x-report-id"] == told["id"]
        assert answer.headers["content-disposition"] == f'attachment; filename="{told["id"]}.{form}"'
        match form:
            case "json":
                assert json.loads(answer.content) == told["report"]
                assert sha256(answer.content).hexdigest() == told["sha256"]
            case "csv":
                rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
                [head] = [row for row in rows if row[:2] == ["table", "account_id"] and "month_days" in row]
                [row] = [row for row in rows if row[0] == "accounts"]
                assert row[head.index("excess")] == "-1000.00"
            case "xlsx":
                sheet = openpyxl.load_workbook(io.BytesIO(answer.content))["accounts"]
                assert "-1000.00" in [cell.value for cell in sheet[2]]
            case _:
                text = PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
                assert "shortfall of 1,000.00 AED" in " ".join(text.split())


def test_a_statement_on_the_road_makes_the_day(engine: Engine, account: Account) -> None:
    number = account()

    def state(message_id: str, closing: str, *amounts: str) -> dict[str, Any]:
        said = {
            "message_id": f"{message_id}-{number}", "account_id": number, "currency": "AED",
            "statement_date": str(YESTERDAY), "opening_balance": "1000000.00", "closing_balance": closing,
            "entries": [
                {"entry_reference": f"{message_id}-{n}", "credit_debit_indicator": "CRDT", "amount": amount}
                for n, amount in enumerate(amounts)
            ],
        }  # fmt: skip
        answer = engine.http.post(f"{V1}/reconciliation/eod", json=said)
        assert answer.status_code in (200, 201), answer.text
        told: dict[str, Any] = answer.json()["data"]
        return told

    # The specification's own example adds up to something else: the day is told, and is no evidence.
    day = state("BAD", "1250000.00", "100000.00")
    where = path(date=YESTERDAY, account_id=number)
    [line] = engine.get(where)["report"]["lines"]
    assert (line["standing"], line["failed_checks"]) == ("not_reconciled", ["entries_sum"])
    assert (line["bank_balance"], line["resource"], line["snapshot_id"]) == ("1250000.00", None, day["snapshot_id"])
    # A right one: what nobody had announced is owed to whoever sent it, so that nothing is excess.
    state("GOOD", "1100000.00", "100000.00")
    told = engine.get(where)["report"]
    [line] = told["lines"]
    assert (line["statement_state"], line["resource"], line["uncredited"]) == ("ACCEPTED", "1100000.00", "100000.00")
    assert (line["requirement"], line["excess"], line["revision"]) == ("1100000.00", "0.00", 1)
    assert told["accounts"][0]["confirmed_by"] == "tier3"


def test_the_firm_and_a_token_add_up_what_their_accounts_have(engine: Engine, account: Account) -> None:
    numbers = [account("KWD"), account("KWD")]
    close(engine, numbers[0])
    told = engine.get(path(token="xKWD"))
    [part] = told["report"]["currencies"]
    closing = part["closing"]
    assert (closing["requirement"], closing["resource"]) == ("2000000.000", "1000000.000")
    assert (closing["excess"], closing["unproven"]) == ("-1000000.000", "1000000.000")
    assert closing["accounts_without_evidence"] == 1
    firm = engine.get(path())
    assert part in firm["report"]["currencies"]
    month = engine.get(path("month", date=f"{DAY:%Y-%m}", token="KWD"))
    assert month["id"] == f"month.{DAY:%Y-%m}.token-xKWD"


def test_what_is_asked_wrongly_is_told_by_field(engine: Engine, account: Account) -> None:
    number = account()
    for where, field in (
        (path(date="2025-11"), "date"), (path(date="tomorrow"), "date"), (path(date=TODAY + timedelta(days=1)), "date"),
        (path("month"), "date"), (f"{V1}/reports/day", "date"), (path("year"), "span"), (path(format="doc"), "format"),
        (path(account_id=number, token="xAED"), "token"),
    ):  # fmt: skip
        assert refused(engine, where)["field"] == field, where
    assert refused(engine, path(account_id="NOBODY"), 404)["field"] == "account_id"
    assert refused(engine, path(token="xXXX"), 404)["field"] == "token"
    assert refused(engine, f"{V1}/incidents/9999999", 404)["code"] == "unknown_incident"
    assert refused(engine, f"{V1}/incidents/{2**70}", 404)["code"] == "unknown_incident"
    assert refused(engine, f"{V1}/accounts/NOBODY/incidents", 404)["field"] == "account_id"
    assert refused(engine, f"{V1}/incidents/1?format=csv")["field"] == "format"


def test_an_account_is_for_what_a_person_says(engine: Engine, account: Account) -> None:
    number = account()
    close(engine, number)
    where = f"{V1}/accounts/{number}/role"
    said = {"actor": "ann", "reason": "the firm's own", "role": "own_funds", "since": str(DAY)}
    for wrong, status in (
        (said | {"role": "pocket"}, 422), (said | {"since": str(TODAY + timedelta(days=2))}, 422),
        (said | {"actor": "engine"}, 422), (said | {"reason": ""}, 422),
    ):  # fmt: skip
        assert engine.http.post(where, json=wrong).status_code == status
    assert engine.get(path(account_id=number))["report"]["lines"][0]["resource"] == "1000000.00"
    assert engine.http.post(where, json=said).status_code == 201
    [line] = engine.get(path(account_id=number))["report"]["lines"]
    assert (line["role"], line["resource"], line["excess"]) == ("own_funds", "0.00", "-1000000.00")
    assert engine.http.post(f"{V1}/accounts/NOBODY/role", json=said).status_code == 404


def test_an_incident_from_the_message_to_the_second_person(engine: Engine, account: Account) -> None:
    number = account()
    assert engine.get(f"{V1}/accounts/{number}/incidents") == {"incidents": []}
    debit = notification(f"BAD-{number}", number, "250000.00", credit_debit_indicator="DBIT", bank_reference="B-1")
    raw = json.dumps(debit).encode()
    assert engine.send(raw).json()["data"]["threshold_level"] == "Critical"
    [listed] = engine.get(f"{V1}/accounts/{number}/incidents")["incidents"]
    assert (listed["open"], listed["closed_at"]) == (True, None)
    where = f"{V1}/incidents/{listed['incident_id']}"
    opened = engine.get(where)["incident"]
    assert opened["judgement"] | {"discrepancy_id": ""} == {
        "discrepancy_id": "", "severity": "Critical", "ledger": "1000000.00", "bank": "750000.00",
        "difference": "-250000.00",
    }  # fmt: skip
    assert opened["evidence"]["sha256"] == sha256(raw).hexdigest()
    assert opened["evidence"]["bank_message_id"] == f"BAD-{number}"
    assert "reconciliation.circuit_breaker.activated" in [told["subject"] for told in opened["announced"]]

    breaker = f"{V1}/accounts/{number}/circuit-breaker"
    held = {"account_id": number, "amount": "1.00", "holder": "unattributed", "actor": "ann"}
    hold = engine.http.post(f"{V1}/payouts", json=held, headers={"Idempotency-Key": f"incident-{number}"})
    assert hold.status_code == 409
    asked = engine.http.post(f"{breaker}/overrides", json={"actor": "ann", "reason": "salaries", "minutes": 5}).json()
    approve = f"{breaker}/overrides/{asked['data']['id']}/approval"
    assert engine.http.post(approve, json={"actor": "ANN", "reason": "myself"}).status_code == 409
    assert engine.http.post(approve, json={"actor": "bob", "reason": "agreed"}).status_code == 200
    back = notification(f"BACK-{number}", number, "250000.00", bank_reference="B-2")
    assert engine.send(back).json()["data"]["threshold_level"] == "Ok"
    closing = engine.http.post(f"{breaker}/closings", json={"actor": "ann", "reason": "it came back"}).json()
    done = engine.http.post(
        f"{breaker}/closings/{closing['data']['id']}/approval", json={"actor": "bob", "reason": "seen"}
    )
    assert done.status_code == 200, done.text

    told = engine.get(where)["incident"]
    assert (told["closed_by"], told["until"] is not None, told["seconds"] >= 0) == ("bob", True, True)
    assert told["judgement"] == opened["judgement"]
    [override] = told["overrides"]
    assert (override["requested_by"], override["approved_by"], override["state"]) == ("ann", "bob", "VOID")
    [closed] = told["closings"]
    assert (closed["requested_by"], closed["settled_by"], closed["state"]) == ("ann", "bob", "APPROVED")
    [refusal] = told["refused_acts"]
    assert (refusal["actor"], refusal["details"]["code"]) == ("ANN", "same_person")
    assert told["refused_requests"] >= 1
    subjects = [event["subject"].rpartition(".")[2] for event in told["announced"]]
    assert subjects[0] == "activated"
    assert {"override_requested", "override_granted", "close_requested", "closed"} <= set(subjects)
    wait_for(lambda: all(event["published"] for event in engine.get(where)["incident"]["announced"]))
    told = engine.get(where)["incident"]

    page = engine.http.get(f"{where}?format=pdf")
    assert page.headers["content-type"] == "application/pdf"
    text = " ".join(" ".join(p.extract_text().split()) for p in PdfReader(io.BytesIO(page.content)).pages)
    for words in (
        f"account {number} AED", "Closed at", "by bob", "-250,000.00", f"BAD-{number}", sha256(raw).hexdigest(),
        "reconciliation.circuit_breaker.activated", "same_person", "it came back", "salaries", "page 1 of",
    ):  # fmt: skip
        assert words in text, words
    document = engine.http.get(f"{where}?format=json")
    assert json.loads(document.content) == told
    assert document.headers["x-dataset-sha256"] == sha256(document.content).hexdigest()
    report = engine.get(f"{V1}/reports/day?date={TODAY}&account_id={number}")["report"]
    [incident] = report["incidents"]
    assert (incident["closing_requested_by"], incident["closing_approved_by"], incident["overrides"]) == (
        "ann",
        "bob",
        1,
    )
    [found] = report["discrepancies"]
    assert (found["type"], found["status"]) == ("BALANCE_MISMATCH", "RESOLVED")


def test_reports_from_the_command_line(engine: Engine, account: Account, tmp_path: Any) -> None:
    number = account()
    close(engine, number)
    file = tmp_path / "report.pdf"
    done = engine.cli(
        "report", "--day", str(DAY), "--account", number, "--format", "pdf", "--output", file, "--firm", "Issuer LLC"
    )
    assert done.returncode == 0, done.stderr
    text = " ".join(PdfReader(file).pages[0].extract_text().split())
    assert "Issuer LLC" in text
    assert "backed in full" in text
    assert done.stdout == b""
    assert str(file.stat().st_size)[:1] in done.stderr.decode()
    written = engine.cli("report", "--day", str(DAY), "--account", number)
    assert json.loads(written.stdout) == engine.get(path(account_id=number))["report"]
    signed = engine.cli("sign-report", f"day.{DAY}.firm", "--actor", "bob", "--reason", "read", "--json")
    assert json.loads(signed.stdout)["actor"] == "bob"
    for wrong in (("--day", str(DAY), "--month", "2025-11"), ()):
        assert engine.cli("report", *wrong).returncode == 2
    refusal = engine.cli("report", "--day", "soon", "--output", file)
    assert (refusal.returncode, refusal.stderr.decode().partition(":")[0]) == (1, "invalid_date")
    assert engine.cli("incidents", number, "--json").stdout == b""
    assert engine.cli("incident", "999999").returncode == 1
    missing = engine.cli("report", "--day", str(DAY), "--output", tmp_path / "no" / "where.json")
    assert missing.returncode == 1
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("form", ["json", "pdf", "xlsx", "csv"])
def test_a_day_on_which_nobody_had_an_account_is_no_good_day(engine: Engine, form: str) -> None:
    answer = engine.http.get(path(date="2001-01-01", format=form))
    assert answer.status_code == 200
    if form == "pdf":
        text = PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
        assert "nothing is shown" in " ".join(text.split())
