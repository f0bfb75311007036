"""Summary, health, metrics, reviews and documentation, over two engine processes on one database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple

import psycopg
import pytest

from engine import V1, Engine, notification

HEALTH = f"{V1}/reconciliation/health"
REVIEW_ALL = f"{V1}/reconciliation/intradey/all"


class Pair(NamedTuple):
    first: Engine
    second: Engine


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("pair")
    with Engine(home / "one") as first:
        urls = ("--database-url", first.database_url, "--nats-url", first.nats_url)
        with Engine(home / "two", *urls) as second:
            yield Pair(first, second)


_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


def scrape(engine: Engine) -> dict[str, float]:
    """Samples as `name{label="value",...}`, labels in the order of their names."""
    answer = engine.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, float] = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        labels = ",".join(sorted((sample[2] or "").split(",")))
        key = f"{sample[1]}{{{labels}}}" if labels else sample[1]
        assert key not in found, f"{key} is there twice"
        found[key] = float(sample[3])
    return found


def checks(tier: str, status: str) -> str:
    return f'token_engine_reconciliation_checks_total{{status="{status}",tier="{tier}"}}'


def breaks(severity: str) -> str:
    return f'token_engine_reconciliation_discrepancies{{severity="{severity}"}}'


def breaker(engine: Engine, number: str) -> str:
    return f'token_engine_circuit_breaker_active{{account_id="{engine.account(number)["id"]}"}}'


def test_from_no_account_to_an_open_breaker(pair: Pair) -> None:
    """HEALTHY, WARNING, CRITICAL; both processes say the same of the state, and together count the work."""
    first, second = pair
    empty = first.get(f"{V1}/reconciliation/summary")
    assert (empty["total_accounts"], empty["health_percentage"]) == (0, 100.0)
    assert second.get(HEALTH)["status"] == "HEALTHY"
    assert "No account yet" in second.http.get("/").text

    for number in ("M-1", "M-2", "M-3"):
        first.create_account(number, ledger_balance="1000000", bank_balance="1000000")
    assert second.get(HEALTH)["status"] == "HEALTHY"
    for turn in range(3):
        assert first.send(notification(f"MON-{turn}", "M-1", "1.00")).status_code == 201
        assert second.send(notification(f"MON-{turn}", "M-1", "1.00")).status_code == 200
    assert second.send(notification("MON-3", "M-2", "5000.00")).status_code == 201
    assert first.get(HEALTH)["status"] == "WARNING"
    one, two = scrape(first), scrape(second)
    assert one[checks("tier1", "ok")] + two[checks("tier1", "ok")] == 3
    assert one[checks("tier1", "mismatch")] + two[checks("tier1", "mismatch")] == 1
    for said in (one, two):
        assert [said[breaks(s)] for s in ("minor", "significant", "critical")] == [0, 1, 0]
        assert [said[breaker(first, n)] for n in ("M-1", "M-2", "M-3")] == [0, 0, 0]

    assert first.send(notification("MON-4", "M-3", "1.00", credit_debit_indicator="DBIT")).status_code == 201
    for engine in pair:
        critical = engine.http.get(HEALTH)
        assert critical.status_code == 503
        assert critical.json()["success"] is True
        assert critical.json()["data"]["status"] == "CRITICAL"
        said = scrape(engine)
        assert [said[breaks(s)] for s in ("minor", "significant", "critical")] == [0, 1, 1]
        assert [said[breaker(engine, n)] for n in ("M-1", "M-2", "M-3")] == [0, 0, 1]
        summary = engine.get(f"{V1}/reconciliation/summary")
        assert {k: summary[k] for k in summary if k != "timestamp"} == {
            "total_accounts": 3,
            "accounts_ok": 1,
            "accounts_mismatch": 2,
            "accounts_stale": 0,
            "accounts_unknown": 0,
            "open_discrepancies": 2,
            "critical_discrepancies": 1,
            "circuit_breakers_open": 1,
            "accounts_suspended": 1,
            "health_percentage": 33.33,
        }

    # Tier 2, asked of one process, for all and for one.
    reviewed = second.http.post(REVIEW_ALL).json()["data"]
    assert (reviewed["accounts_judged"], reviewed["ok"], reviewed["mismatch"]) == (3, 1, 2)
    assert {r["account_number"]: r["threshold_level"] for r in reviewed["results"]} == {
        "M-1": "Ok", "M-2": "Significant", "M-3": "Critical",
    }  # fmt: skip
    alone = second.http.post(f"{V1}/reconciliation/intradey/M-2")
    assert alone.status_code == 200
    assert alone.json()["data"]["difference"] == "5000.00"
    by_id = second.http.post(f"{V1}/reconciliation/intraday/{second.account('M-1')['id']}")
    assert by_id.json()["data"]["threshold_level"] == "Ok"
    said = scrape(second)
    assert (said[checks("tier2", "ok")], said[checks("tier2", "mismatch")]) == (2, 3)
    assert scrape(first)[checks("tier2", "ok")] == 0
    # Judged again is not a second break.
    assert first.get(f"{V1}/reconciliation/summary")["open_discrepancies"] == 2

    for number in ("M-2", "M-3"):
        assert first.http.post(f"{V1}/accounts/{number}/close").status_code == 200
    assert second.get(HEALTH)["circuit_breakers_open"] == 0
    assert second.get(HEALTH)["status"] == "HEALTHY"


def test_no_evidence_is_no_good_evidence(pair: Pair) -> None:
    first, second = pair
    view = first.create_account("SILENT", ledger_balance="5")
    assert view["verdict"] == "Unknown"
    assert second.get(HEALTH)["status"] == "WARNING"
    assert second.get(HEALTH)["accounts_unknown"] == 1
    refused = second.http.post(f"{V1}/reconciliation/intradey/SILENT")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "no_evidence"

    first.create_account("OLD", ledger_balance="5", bank_balance="5")
    with psycopg.connect(first.database_url) as connection:
        connection.execute(
            "UPDATE emi_accounts SET last_reconciliation_at = now() - interval '25 hours' WHERE account_number = 'OLD'"
        )
    assert first.account("OLD")["verdict"] == "Stale"
    assert second.get(HEALTH)["accounts_stale"] == 1
    # To judge old evidence again does not make it fresh.
    assert second.http.post(f"{V1}/reconciliation/intradey/OLD").status_code == 200
    assert first.account("OLD")["verdict"] == "Stale"


def test_accounts_by_http(pair: Pair) -> None:
    first, second = pair
    answer = first.http.post(
        f"{V1}/accounts",
        json={"account_number": "ae07 0331 2345 6789 0123 456", "currency": "AED", "bank": "B", "bic": "EBILAEAD"},
        headers={"X-Actor": "ann"},
    )
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert made["account_number"] == "AE070331234567890123456"
    assert made["warnings"] == []
    key = made["id"]
    assert second.account(key) == second.account("AE070331234567890123456")
    assert second.account("ae07%200331%202345%206789%200123%20456")["id"] == key
    again = second.http.post(
        f"{V1}/accounts", json={"account_number": "AE070331234567890123456", "currency": "AED", "bank": "B"}
    )
    assert again.status_code == 409
    assert again.json()["error"] | {"message": ""} == {
        "code": "account_exists", "message": "", "field": "account_number",
    }  # fmt: skip
    # The same number in another currency is another account.
    assert second.create_account("AE070331234567890123456", "USD")["id"] != key
    warned = second.create_account("AE080331234567890123456")
    assert "not a valid one" in warned["warnings"][0]

    closed = second.http.post(f"{V1}/accounts/{key}/close", headers={"X-Actor": "bob"})
    assert closed.status_code == 200
    assert closed.json()["data"]["closed_at"]
    assert second.http.post(f"{V1}/accounts/{key}/close").status_code == 409
    with psycopg.connect(first.database_url) as connection:
        audited = connection.execute(
            "SELECT action, actor FROM audit_log WHERE account_id = %s ORDER BY id", [key]
        ).fetchall()
    assert audited == [("account_created", "ann"), ("account_closed", "bob")]


def test_accounts_page_by_page(pair: Pair) -> None:
    for n in range(5):
        pair.first.create_account(f"PAGE-{n}")
    seen: list[str] = []
    after = ""
    while views := pair.second.get(f"{V1}/accounts?limit=2{after}")["accounts"]:
        seen += [f"{v['account_number']}/{v['currency']}" for v in views]
        after = f"&after={seen[-1]}"
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen))
    assert {f"PAGE-{n}/AED" for n in range(5)} <= set(seen)


GOOD = {"account_number": "BAD", "currency": "AED", "bank": "B"}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"[]", "invalid_account", None),
        (GOOD | {"account_number": ""}, "invalid_account_number", "account_number"),
        (GOOD | {"account_number": "x" * 51}, "invalid_account_number", "account_number"),
        (GOOD | {"account_number": "a\0b"}, "invalid_account_number", "account_number"),
        (GOOD | {"account_number": 5}, "invalid_account", "account_number"),
        (GOOD | {"currency": "aed"}, "unknown_currency", "currency"),
        (GOOD | {"bank": " "}, "invalid_bank", "bank"),
        (GOOD | {"bank": "a\0b"}, "invalid_bank", "bank"),
        (GOOD | {"bic": "x"}, "invalid_bic", "bic"),
        (GOOD | {"ledger_balance": "-1"}, "invalid_amount", "ledger_balance"),
        (GOOD | {"ledger_balance": 1.5}, "invalid_account", "ledger_balance"),
        (GOOD | {"ledger_balance": "9" * 40}, "invalid_amount", "ledger_balance"),
        (GOOD | {"bank_balance": "--1"}, "invalid_amount", "bank_balance"),
        (GOOD | {"bank_balance": "0.001"}, "invalid_amount", "bank_balance"),
        (GOOD | {"as_of": "2999-01-01T00:00:00Z"}, "invalid_as_of", "as_of"),
        (GOOD | {"as_of": "2020-01-01T00:00:00"}, "invalid_as_of", "as_of"),
        (GOOD | {"bank_balence": "5"}, "invalid_account", None),
        ({"currency": "AED", "bank": "B"}, "invalid_account", None),
    ],
)
def test_an_account_that_cannot_be(pair: Pair, body: bytes | dict[str, object], code: str, field: str | None) -> None:
    path = f"{V1}/accounts"
    answer = (
        pair.first.http.post(path, content=body) if isinstance(body, bytes) else pair.first.http.post(path, json=body)
    )
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert (error["code"], error.get("field")) == (code, field), error
    assert pair.first.http.get(f"{path}/BAD").status_code == 404


def test_an_actor_without_a_name_is_none(pair: Pair) -> None:
    for actor in ("", "x" * 141):
        answer = pair.first.http.post(f"{V1}/accounts", json=GOOD, headers={"X-Actor": actor})
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("actor", ["engine", "En Gine"])
def test_nobody_takes_on_or_closes_an_account_in_the_engine_s_name(pair: Pair, actor: str) -> None:
    accounts = f"{V1}/accounts"
    number = f"NAMED-{len(actor)}"
    taken_on = pair.first.http.post(accounts, json=GOOD | {"account_number": number})
    assert taken_on.status_code == 201, taken_on.text
    for path, body in ((accounts, GOOD), (f"{accounts}/{number}/close", None)):
        answer = pair.first.http.post(path, json=body, headers={"X-Actor": actor})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_actor")
    assert pair.first.account(number)["closed_at"] is None
    assert pair.first.http.get(f"{accounts}/BAD").status_code == 404


def test_openapi_describes_what_there_is(pair: Pair) -> None:
    document = pair.first.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    assert set(paths) >= {
        f"{V1}/reconciliation/camt054", f"{V1}/reconciliation/intradey/all",
        f"{V1}/reconciliation/intradey/{{account_id}}", f"{V1}/reconciliation/summary",
        f"{V1}/reconciliation/health", f"{V1}/accounts", f"{V1}/messages", f"{V1}/messages/{{number}}",
        f"{V1}/discrepancies", "/metrics", f"{V1}/discrepancies/{{discrepancy_id}}",
        *(f"{V1}/discrepancies/{{discrepancy_id}}/{act}"
          for act in ("assignment", "comments", "resolution", "reopening")),
    }  # fmt: skip
    headers = [p["name"] for p in paths[f"{V1}/accounts"]["post"]["parameters"] if p["in"] == "header"]
    assert headers == ["X-Actor"]
    # Every reference leads somewhere inside the document.
    for reference in re.findall(r'"\$ref":\s*"([^"]+)"', pair.first.http.get("/openapi.json").text):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    example = paths[f"{V1}/reconciliation/camt054"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert example["amount"] == "100000.00"


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "action")]


@pytest.mark.parametrize("path", ["/docs", "/"])
def test_pages_need_no_other_host(pair: Pair, path: str) -> None:
    answer = pair.first.http.get(path)
    assert answer.status_code == 200
    links = Links()
    links.feed(answer.text)
    assert links.found
    assert not [link for link in links.found if not link.startswith("/") or link.startswith("//")]
    assert not re.search(r"url\(|@import|https?://", answer.text)
    for link in links.found:
        assert pair.first.http.get(link).status_code == 200, link


@pytest.mark.parametrize("path", ["/", HEALTH])
def test_who_only_asks_whether_it_answers_gets_no_body(pair: Pair, path: str) -> None:
    """HEAD: what load balancers and `curl -I` send."""
    answer, whole = pair.first.http.head(path), pair.first.http.get(path)
    assert (answer.status_code, answer.content) == (whole.status_code, b"")


def test_the_logs_hold_no_traceback(pair: Pair) -> None:
    for engine in pair:
        assert "Traceback" not in engine.log
        assert "ERROR" not in engine.log
