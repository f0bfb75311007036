"""How long a month's report over many accounts takes, and how much memory: to JSON, XLSX and PDF.

python -m benchmarks.report DATABASE-URL     reports in a process of its own; prints seconds and peak memory as JSON
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.figure import Figure
from benchmarks.servers import Servers, run_module
from token_engine.domain.period import Span
from token_engine.publishing.forms import Form
from token_engine.storage.database import Database
from token_engine.tiers import documents
from token_engine.tiers.report import Asked

ACCOUNTS: Final = 10_000
WITHIN: Final = 60
_STATUS: Final = Path("/proc/self/status")
_MONTH: Final = "2025-11"
_NOW: Final = datetime(2025, 12, 5, tzinfo=UTC)

# A month of business: each account closed every weekday but some, a tenth of the days revised, receipts that waited a
# day, tokens burnt before the bank paid, and movements every day.
_FILL: Final = """
SET session_replication_role = replica;
INSERT INTO banks (id, name) SELECT md5('bank ' || n)::uuid, 'Bank ' || n FROM generate_series(1, 5) n;
INSERT INTO emi_accounts (id, bank_id, account_number, currency, ledger_balance, bank_reported_balance, created_at)
SELECT md5('account ' || n)::uuid, md5('bank ' || 1 + n % 5)::uuid, 'AE' || lpad(n::text, 21, '0'),
    CASE n % 3 WHEN 0 THEN 'AED' WHEN 1 THEN 'USD' ELSE 'INR' END, 1000000 + n, 1000000 + n, '2025-10-01Z'
FROM generate_series(1, {accounts}) n;
INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer, last_attempt_at)
SELECT sha256(('m' || d)::bytea), d + interval '12 hours', 'HTTP', 's', '', 0, 'RECORDED', '{{}}', d
FROM generate_series('2025-11-01Z'::timestamptz, '2025-11-30Z', '1 day') d;
INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, to_holder, reason, actor, at)
SELECT md5('account ' || n)::uuid, 'mint', 10, 'issued', 'holder', 'h', 'r', 'a', d + interval '10 hours'
FROM generate_series('2025-11-01Z'::timestamptz, '2025-11-30Z', '1 day') d, generate_series(1, {accounts}) n;
INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, reason, actor, at)
SELECT md5('account ' || n)::uuid, 'burn', 1, 'holder', 'issued', 'h', 'r', 'a', d + interval '11 hours'
FROM generate_series('2025-11-03Z'::timestamptz, '2025-11-24Z', '7 days') d, generate_series(1, {accounts}, 10) n;
INSERT INTO statements (account_id, message_id, bank_message_id, identity, content, statement_date,
    opening_balance, closing_balance, entries, booked_sum, cut_off, state, checks, ledger_balance, threshold_level,
    entries_matched, entries_unmatched, last_movement, at)
SELECT md5('account ' || n)::uuid, 1, 'S', 'S ' || d::date, '', d::date, 0, 1000000 + n, 1, 0, d + interval '1 day',
    CASE WHEN n % 500 = 7 THEN 'QUARANTINED' ELSE 'ACCEPTED' END,
    '[{{"name": "entries_sum", "outcome": "passed", "text": "as stated"}}]', 1000000 + n, 'Ok', 1, 0, 1000000000,
    d + interval '30 hours'
FROM generate_series('2025-11-01Z'::timestamptz, '2025-11-30Z', '1 day') d, generate_series(1, {accounts}) n
WHERE extract(isodow FROM d) < 6 AND (n + extract(day FROM d)::int) % 200 <> 0;
INSERT INTO emi_account_snapshots (id, account_id, snapshot_date, ledger_balance, bank_reported_balance, difference,
    reconciled, statement_reference)
SELECT gen_random_uuid(), account_id, statement_date, ledger_balance, closing_balance, 0, state = 'ACCEPTED',
    'STMT-' || statement_date FROM statements;
INSERT INTO snapshot_revisions (id, snapshot_id, revision, statement_id, ledger_balance, bank_reported_balance,
    difference, reconciled, reason, actor, at)
SELECT gen_random_uuid(), s.id, 1, t.id, s.ledger_balance, s.bank_reported_balance, 0, true, 'corrected', 'engine', t.at
FROM emi_account_snapshots s JOIN statements t ON t.account_id = s.account_id AND t.statement_date = s.snapshot_date
WHERE t.id % 10 = 0;
INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status, reversal,
    position_change, booking_date, identity, occurrence, unexpected)
SELECT md5('account ' || n)::uuid, 1 + d % 30, 'camt.054', 'M', 5, 'CRDT', 'BOOK', false, 5, date '2025-11-01' + d,
    'CRDT BOOK ref ' || d, 0, true
FROM generate_series(0, 27, 3) d, generate_series(1, {accounts}) n;
INSERT INTO statement_lines (statement_id, line, account_id, entry_id, amount, status, in_closing)
SELECT t.id, 1, e.account_id, e.id, 5, 'BOOK', true
FROM bank_entries e JOIN statements t ON t.account_id = e.account_id AND t.statement_date = e.booking_date;
INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, movement_id, actor, reason, at)
SELECT account_id, amount, identity, occurrence, 'allocation', 2000000000 + id, 'ann', 'r',
    booking_date + interval '40 hours' FROM bank_entries WHERE id % 20 > 0;
INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type, severity, opened_at, subject)
SELECT md5('d ' || n)::uuid, md5('account ' || n)::uuid, 'FEE', 'Minor', '2025-11-12Z', n::text
FROM generate_series(1, {accounts}, 4) n;
INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, severity, text, expected_value, actual_value)
SELECT id, 'opened', opened_at, 'engine', 'Minor', 'a fee nobody knew', 100, 99 FROM reconciliation_discrepancies;
INSERT INTO circuit_breaker_steps (account_id, from_state, to_state, cause, actor, at)
SELECT md5('account ' || n)::uuid, 'closed', 'open', 'judged Critical', 'engine', '2025-11-13Z'
FROM generate_series(1, {accounts}, 1000) n;
INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, state, requested_by, requested_at, expires_at,
    sent_by, sent_at)
SELECT gen_random_uuid(), md5('account ' || n)::uuid, 'P' || n, 3, 'h', 'SENT', 'a', '2025-11-20Z', '2025-12-20Z', 'a',
    '2025-11-20Z' FROM generate_series(1, {accounts}) n;
SET session_replication_role = origin;
VACUUM ANALYZE;
"""


def run(servers: Servers) -> Iterator[Figure]:
    """A month of 10,000 accounts as one dataset and three documents, and the memory of whoever makes them."""
    with servers.arena(0, []) as arena:
        with psycopg.connect(arena.admin_url, autocommit=True) as connection:
            for statement in _FILL.format(accounts=ACCOUNTS).split(";\n"):
                if statement.strip():
                    connection.execute(statement.encode())
        told = json.loads(run_module("benchmarks.report", arena.database_url, within=10 * WITHIN))
    yield Figure(f"month report over {ACCOUNTS:,} accounts: dataset, JSON, XLSX and PDF", told["seconds"], "s")
    for name in ("dataset", *Form):
        yield Figure(f"the same, {name} alone", told[name], "s")
    yield Figure("the same, peak memory of the process", told["peak"], "MB")
    yield Figure("the same, pages of the PDF", told["pages"], "pages")


async def report(url: str) -> dict[str, float]:
    """Make all of it, and say how long each part took in seconds."""
    database, took = Database(url, pool_size=1), {}
    await database.open()
    started = last = time.perf_counter()
    found, cover = await documents.report_of(database, Asked(span=Span.MONTH, date=_MONTH), _NOW)
    took["dataset"] = time.perf_counter() - last
    for form in Form:
        last = time.perf_counter()
        document = await documents.printed_report(found, cover, form)
        took[form] = time.perf_counter() - last
        if form is Form.PDF:
            took["pages"] = document.content.count(b"/Type /Page\n")
    took["seconds"] = time.perf_counter() - started - took[Form.CSV]
    assert len(found.accounts) == ACCOUNTS
    await database.close()
    return took


def main(url: str) -> None:
    took = asyncio.run(report(url))
    [peak] = [int(line.split()[1]) / 1024 for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    print(json.dumps(took | {"peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1])
