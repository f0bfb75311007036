"""Asking a bank for the balances of 10,000 accounts while notifications of others come in at a steady rate.

The bank is the simulated one, a process of its own that answers each request 200 ms late; the engine keeps to 64
requests at a time. Ideal is accounts x latency / concurrency; the sweep ends when the last answer is judged and
committed. Tier 1's latencies are taken as `latency.py` takes them, from planned publication to the engine's
acknowledgement, of what was published while the sweep ran.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import quantiles
from typing import Any, Final

import httpx2
import psycopg

from benchmarks.figure import Figure
from benchmarks.latency import RATE
from benchmarks.servers import Arena, Servers, environment, free_port
from benchmarks.workload import CURRENCY, Workload, check, open_polled

ACCOUNTS: Final = 10_000
NOTIFIED: Final = 1_000
CONCURRENCY: Final = 64
MILLISECONDS: Final = 200
SECONDS: Final = 55
_LEAD_SECONDS: Final = 12
_BALANCE: Final = "1000.00"
_CLIENT: Final = {"id": "token-engine", "secret": "only-of-this-run"}


def run(servers: Servers) -> Iterator[Figure]:
    """How long it takes, beside the ideal, and Tier 1's 99th percentile meanwhile."""
    with ExitStack() as stack:
        arena = stack.enter_context(servers.arena(NOTIFIED))
        bank_port, port = free_port(), free_port()
        bank = [sys.executable, "-m", "token_engine.banks.simulated", "--port", str(bank_port)]
        processes = stack.enter_context(
            arena.running([[*bank, "--books", str(arena.home / "bank.db")], arena.engine(port)])
        )
        url = f"http://127.0.0.1:{bank_port}"
        processes[0].wait_for_http(f"{url}/simulated/faults")
        processes[1].wait_for_http(f"http://127.0.0.1:{port}/api/v1/reconciliation/health")
        numbers = [f"POLLED-{n:05}" for n in range(ACCOUNTS)]
        resources = _open(url, numbers)
        _connect(arena, url)
        due_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=_LEAD_SECONDS)
        open_polled(arena.database_url, "bench", list(zip(numbers, resources, strict=True)), Decimal(_BALANCE), due_at)
        planned = Workload(RATE * SECONDS, NOTIFIED)
        publisher = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.latency", arena.nats_url, str(RATE), str(SECONDS), str(NOTIFIED)],
            stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        stack.callback(publisher.kill)
        began = due_at.timestamp()
        ended = _sweep(arena, processes, began)
        answer, _ = publisher.communicate(timeout=SECONDS + 120)
        assert publisher.returncode == 0
        check(arena.database_url, planned)
    ideal = ACCOUNTS * MILLISECONDS / 1000 / CONCURRENCY
    took = ended - began
    name = f"{ACCOUNTS:,} accounts at a bank of {MILLISECONDS} ms, {CONCURRENCY} at a time"
    yield Figure(f"{name}, {RATE:,}/s of Tier 1 beside it", took, "s", ideal, took / ideal)
    late = _late(json.loads(answer), began, ended)
    percentiles = quantiles(late, n=100)
    yield Figure(f"{RATE:,}/s offered during the sweep, acknowledged after, p50", percentiles[49], "ms")
    yield Figure(f"{RATE:,}/s offered during the sweep, acknowledged after, p99", percentiles[98], "ms")


def _open(url: str, numbers: list[str]) -> list[str]:
    """Open the accounts at the bank, slow it down, and let the engine in; the bank's names for the accounts."""
    with httpx2.Client(base_url=url, timeout=60) as bank:
        for start in range(0, len(numbers), 1000):
            wanted = [{"number": n, "currency": CURRENCY, "balance": _BALANCE} for n in numbers[start : start + 1000]]
            bank.post("/simulated/accounts", json=wanted).raise_for_status()
        bank.post("/simulated/clients", json=_CLIENT | {"consents": ["consent"]}).raise_for_status()
        bank.post("/simulated/faults", json={"kind": "slow", "milliseconds": MILLISECONDS}).raise_for_status()
        listed = {a["number"]: a["resource"] for a in bank.get("/simulated/accounts").raise_for_status().json()}
    return [listed[number] for number in numbers]


def _connect(arena: Arena, url: str) -> None:
    secret, consent = arena.home / "secret", arena.home / "consent"
    secret.write_text(_CLIENT["secret"])
    consent.write_text("consent")
    settings: dict[str, Any] = {
        "bank": {"kind": "berlin_group", "consent": {"file": str(consent)}},
        "access": {
            "base_url": f"{url}/psd2",
            "connections": CONCURRENCY,
            "authentication": {
                "kind": "client_secret_basic", "token_endpoint": f"{url}/oauth2/token", "client_id": _CLIENT["id"],
                "scope": "accounts", "client_secret": {"file": str(secret)},
            },
        },
        "asking": {"at_once": CONCURRENCY, "requests_a_minute": 20_000},
    }  # fmt: skip
    command = [sys.executable, "-m", "token_engine", "connection", "set", "bench", "-"]
    subprocess.run(
        [*command, "--database-url", arena.database_url], input=json.dumps(settings), text=True, check=True,
        stdout=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip


def _sweep(arena: Arena, processes: list[Any], began: float) -> float:
    """Wait until every answer is committed: when that was, in seconds of Unix time."""
    with psycopg.connect(arena.database_url, autocommit=True) as connection:
        deadline = began + 300
        while True:
            row = connection.execute("SELECT last_value, is_called FROM balance_observations_id_seq").fetchone()
            if row and row[0] >= ACCOUNTS:
                break
            for process in processes:
                process.check()
            if time.time() > deadline:
                raise TimeoutError(f"{row} of {ACCOUNTS} accounts were observed")
            time.sleep(0.1)
        while True:
            row = connection.execute(
                "SELECT count(*), extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8"
                " FROM balance_observations WHERE level = 'Ok'"
            ).fetchone()
            if row and row[0] == ACCOUNTS:
                return float(row[1])
            if time.time() > deadline:
                raise TimeoutError(f"{row} of {ACCOUNTS} accounts were observed as they are")
            time.sleep(0.1)


def _late(moments: dict[str, Any], began: float, ended: float) -> list[float]:
    """Milliseconds from when each message was to be published to its acknowledgement, of those during the sweep."""
    planned = (moments["start"] + place / RATE for place in range(len(moments["acknowledged"])))
    pairs = zip(moments["acknowledged"], planned, strict=True)
    return [(at - plan) * 1000 for at, plan in pairs if began <= plan <= ended]
