"""Every metric of the engine on one page.

Counters live in the process and add up over processes. Gauges of state are read from PostgreSQL at
scrape, so that any number of processes say the same (names and labels: specification, "Prometheus
Metrics").
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

registry = CollectorRegistry()

CHECKS = Counter(
    "token_engine_reconciliation_checks",
    "Judgements of an account, by tier and whether ledger and bank agreed.",
    ["tier", "status"],
    registry=registry,
)
MESSAGES = Counter(
    "token_engine_bank_messages",
    "Bank messages taken in, by door and what became of them.",
    ["door", "receipt"],
    registry=registry,
)
BATCH_SIZE = Histogram(
    "token_engine_batch_size",
    "Messages recorded, or holds answered, in one transaction.",
    ["work"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    registry=registry,
)
COMMIT_SECONDS = Histogram(
    "token_engine_commit_seconds",
    "Time from taking a batch to its commit.",
    ["work"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=registry,
)
STATEMENTS = Counter(
    "token_engine_statements",
    "Statements that closed a day, by what became of them.",
    ["state"],
    registry=registry,
)
HOLDS = Counter(
    "token_engine_payout_holds",
    "Requests to hold tokens for a payout, by what was answered: held, refused, or repeated.",
    ["answer"],
    registry=registry,
)
POLLS = Counter(
    "token_engine_balance_polls",
    "Times a bank was asked for a balance, by connection and what came of it: observed, or why nothing was.",
    ["connection", "outcome"],
    registry=registry,
)
POLL_SECONDS = Histogram(
    "token_engine_balance_poll_seconds",
    "Time from claiming an account's slot to the bank's answer, retries and waiting for its turn included.",
    ["connection"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=registry,
)
POLLS_IN_FLIGHT = Gauge(
    "token_engine_balance_polls_in_flight",
    "Requests that this process waits for a bank to answer, by connection.",
    ["connection"],
    registry=registry,
)
GUARD_OPEN = Gauge(
    "token_engine_connector_guard_open",
    "1 while this process does not ask a bank that failed, or tries it by one request.",
    ["connection"],
    registry=registry,
)
EVENTS = Counter("token_engine_events_published", "Events handed to JetStream.", registry=registry)

for _state in ("ACCEPTED", "QUARANTINED"):
    STATEMENTS.labels(state=_state)
for _tier in ("tier1", "tier2", "tier3"):
    for _status in ("ok", "mismatch"):
        CHECKS.labels(tier=_tier, status=_status)


def exposition(
    discrepancies: Mapping[str, int], breakers: Mapping[str, bool], under_way: Mapping[str, int], unpublished: int,
    rejected: int, *, oldest_seconds: Mapping[str, float], payouts: Mapping[str, int], drifting: int,
) -> bytes:  # fmt: skip
    """The scrape: this process's counters, and the state as the database has it.

    `discrepancies` counts open ones by severity and `oldest_seconds` is the age of the oldest, `breakers` says
    by account id whether it is open, `under_way` counts what people are about: 'override' and 'closing'. `payouts`
    counts those under way: 'held' and 'sent'; `drifting` accounts that drift towards a bound.
    """
    lines = [
        "# HELP token_engine_reconciliation_discrepancies Open discrepancies by severity.",
        "# TYPE token_engine_reconciliation_discrepancies gauge",
    ]
    for severity in ("minor", "significant", "critical"):
        count = discrepancies.get(severity, 0)
        lines.append(f'token_engine_reconciliation_discrepancies{{severity="{severity}"}} {count}')
    lines += [
        "# HELP token_engine_oldest_discrepancy_seconds Age of the oldest open discrepancy by severity; 0 if none.",
        "# TYPE token_engine_oldest_discrepancy_seconds gauge",
    ]
    for severity in ("minor", "significant", "critical"):
        age = max(0.0, oldest_seconds.get(severity, 0.0))
        lines.append(f'token_engine_oldest_discrepancy_seconds{{severity="{severity}"}} {age:.3f}')
    lines += [
        "# HELP token_engine_circuit_breaker_active 1 while an account's circuit breaker is open.",
        "# TYPE token_engine_circuit_breaker_active gauge",
    ]
    lines += [
        f'token_engine_circuit_breaker_active{{account_id="{account}"}} {int(active)}'
        for account, active in breakers.items()
    ]
    for name, help_text, value in (
        ("payouts_held", "Payouts that hold tokens and were not sent yet.", payouts["held"]),
        ("payouts_sent", "Payouts that were sent and the bank has not booked yet.", payouts["sent"]),
        ("accounts_drifting", "Accounts whose difference drifts towards a bound.", drifting),
        ("circuit_breaker_overrides_in_force", "Open breakers that are overridden.", under_way.get("override", 0)),
        ("circuit_breaker_closings_pending", "Closings that wait for approval.", under_way.get("closing", 0)),
        ("outbox_events", "Events written and not yet handed to JetStream.", unpublished),
        ("rejected_messages", "Bank messages kept as rejected.", rejected),
    ):
        lines += [
            f"# HELP token_engine_{name} {help_text}",
            f"# TYPE token_engine_{name} gauge",
            f"token_engine_{name} {value}",
        ]
    return generate_latest(registry) + "\n".join(lines).encode() + b"\n"
