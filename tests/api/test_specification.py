"""What the specification shows, against the engine that `make run` starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import CAMT054, V1, Engine, wait_for
from token_engine.servers.port import is_free

SHARED = Path(os.environ.get("TOKEN_ENGINE_SHARED", Path(__file__).parents[3] / "shared"))
SPECIFICATION = SHARED / "spec" / "token-engine-spec.md"

# The specification's own words, so that they are tested where its file is not at hand.
INJECTION = """curl -X POST http://localhost:8080/api/v1/reconciliation/camt054 \\
  -H "Content-Type: application/json" \\
  -d '{
    "message_id": "TEST-001",
    "account_id": "AE070331234567890123456",
    "currency": "AED",
    "credit_debit_indicator": "CRDT",
    "amount": "10000.00",
    "bank_reference": "TEST-REF"
  }'"""
REVIEW = "curl -X POST http://localhost:8080/api/v1/reconciliation/intradey/all"
HEALTH = "curl http://localhost:8080/api/v1/reconciliation/health"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if not is_free(8080):
        pytest.skip("port 8080, which the specification's commands name, is taken by somebody else")
    with Engine(tmp_path_factory.mktemp("demo") / "data", "--demo", port=8080) as running:
        yield running


def shell(command: str) -> tuple[int, dict[str, Any]]:
    """The status and body of a `curl` command, run as it is written."""
    told = "\n%{http_code}"
    done = subprocess.run(
        ["bash", "-c", f"{command} --silent --show-error --write-out '{told}'"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def test_our_copy_is_the_specification() -> None:
    if not SPECIFICATION.exists():
        pytest.skip(f"the specification is not at {SPECIFICATION}")
    text = SPECIFICATION.read_text("utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    commands = [block.strip() for block in blocks if block.startswith("curl")]
    assert commands == [INJECTION, REVIEW, HEALTH]


def test_the_commands_one_after_the_other(demo: Engine) -> None:
    status, answer = shell(INJECTION)
    assert status == 201
    assert answer["success"] is True
    data = answer["data"]
    assert set(data) >= {
        "account_id", "ledger_balance", "bank_balance", "difference", "threshold_level", "action_taken",
    }  # fmt: skip
    assert data["account_number"] == "AE070331234567890123456"
    for name in ("ledger_balance", "bank_balance", "difference"):
        assert re.fullmatch(r"-?\d+\.\d\d", data[name]), name
    # 5,000,000 tokens; ten thousand dirhams more at the bank are 0.2 % of what it holds. The demo's own
    # bank may have moved the account by less than fifty.
    assert data["ledger_balance"] == "5000000.00"
    assert 9_900 < float(data["difference"]) < 10_100
    assert data["threshold_level"] == "Significant"
    assert data["circuit_breaker"] == "suspended"
    assert isinstance(data["action_taken"], str)

    status, again = shell(INJECTION)
    assert status == 200
    assert again["data"] == data | {"receipt": "AlreadyRecorded"}

    status, reviewed = shell(REVIEW)
    assert status == 200
    assert reviewed["success"] is True
    assert reviewed["data"]["accounts_judged"] == 4
    assert reviewed["data"]["mismatch"] == 1

    status, health = shell(HEALTH)
    assert status == 200
    assert health["data"]["status"] == "WARNING"


def test_its_nats_example_over_http(demo: Engine) -> None:
    """The first JSON of the specification, with all its members."""
    before = demo.account("AE070331234567890123456")
    example = {
        "message_id": "CAMT054-2025-001",
        "account_id": "AE070331234567890123456",
        "currency": "AED",
        "credit_debit_indicator": "CRDT",
        "amount": "100000.00",
        "bank_reference": "BNK-REF-12345",
        "end_to_end_id": "E2E-TXN-67890",
    }
    answer = demo.http.post(CAMT054, json=example)
    assert answer.status_code == 201
    data = answer.json()["data"]
    assert data["account_id"] == before["id"]
    assert data["threshold_level"] == "Critical"  # 110,000 of 5,110,000 is 2.2 %
    assert data["circuit_breaker"] == "open"

    health = demo.http.get(f"{V1}/reconciliation/health")
    assert health.status_code == 503
    assert health.json()["data"]["status"] == "CRITICAL"
    assert demo.account("AE070331234567890123456")["circuit_breaker"] == "open"


def test_the_demo_stays_backed_by_itself(demo: Engine) -> None:
    """Its bank's own messages keep coming, and break nothing."""
    first = demo.get(f"{V1}/messages?limit=1")["messages"]
    newest = first[0]["id"] if first else 0

    def three_more() -> list[dict[str, Any]]:
        found = demo.get(f"{V1}/messages?limit=50")["messages"]
        return [m for m in found if m["id"] > newest and m["source"] == "iso20022.camt.054"][2:]

    [*_] = wait_for(three_more, 20)
    rows = demo.get(f"{V1}/messages?limit=1000")["messages"]
    assert {m["state"] for m in rows} == {"RECORDED"}
    others = [a for a in demo.get(f"{V1}/accounts")["accounts"] if a["account_number"] != "AE070331234567890123456"]
    assert {a["verdict"] for a in others} == {"Ok"}


def test_summary_has_its_fields_and_types(demo: Engine) -> None:
    summary = demo.get(f"{V1}/reconciliation/summary")
    for name in ("total_accounts", "accounts_ok", "accounts_mismatch", "open_discrepancies", "critical_discrepancies"):
        assert type(summary[name]) is int, name
    assert summary["total_accounts"] == 4
    assert summary["accounts_ok"] + summary["accounts_mismatch"] == 4
    assert type(summary["health_percentage"]) is float
    assert summary["health_percentage"] == round(100 * summary["accounts_ok"] / 4, 2)
    at = datetime.fromisoformat(summary["timestamp"])
    assert summary["timestamp"].endswith("Z")
    assert abs(datetime.now(at.tzinfo) - at) < timedelta(minutes=1)


def test_the_page_names_every_account_and_its_verdict(demo: Engine) -> None:
    page = demo.http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for view in demo.get(f"{V1}/accounts")["accounts"]:
        assert view["account_number"] in page.text
        assert f">{view['verdict']}</td>" in page.text
