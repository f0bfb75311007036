"""Rows as each schema version could hold them: what an upgrade finds. Each new migration adds its own."""

from __future__ import annotations

from uuid import UUID

import psycopg

from token_engine.storage.migrate import migrate

ACCOUNT = UUID("00000000-0000-4000-8000-00000000000a")

REPRESENTATIVE = {
    1: f"""
INSERT INTO banks (id, name, bic) VALUES ('00000000-0000-4000-8000-00000000000b', 'Bank', 'BANKAEAD');
INSERT INTO emi_accounts (id, bank_id, account_number, currency, ledger_balance, bank_reported_balance)
VALUES ('{ACCOUNT}', '00000000-0000-4000-8000-00000000000b', 'AE070331234567890123456', 'AED', 100, 110);
INSERT INTO account_openings VALUES ('{ACCOUNT}', 90, '2025-11-18Z', 'tests');
INSERT INTO emi_account_snapshots (id, account_id, snapshot_date, ledger_balance, bank_reported_balance)
VALUES ('00000000-0000-4000-8000-00000000000c', '{ACCOUNT}', '2025-11-18', 100, 110);
INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type)
VALUES ('00000000-0000-4000-8000-00000000000d', '{ACCOUNT}', 'BALANCE_MISMATCH');
INSERT INTO bank_messages (id, digest, received_at, door, source, raw, raw_size, state, refusal_code, refusal_message,
    answer, last_attempt_at) OVERRIDING SYSTEM VALUE
VALUES (1, sha256('1'), '2025-11-18Z', 'NATS', 's', '1', 1, 'RECORDED', NULL, NULL, '{{}}', '2025-11-18Z'),
       (2, sha256('2'), '2025-11-18Z', 'HTTP', 's', '2', 1, 'REJECTED', 'c', 'm', NULL, '2025-11-18Z');
INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status, reversal,
    position_change, identity, occurrence)
VALUES ('{ACCOUNT}', 1, 'camt.054', 'M', 10, 'CRDT', 'BOOK', false, 10, 'CRDT BOOK ref R1', 0),
       ('{ACCOUNT}', 1, 'camt.052', 'M', 10, 'CRDT', 'BOOK', false, 10, 'CRDT BOOK day 2025-11-18', 0);
INSERT INTO bank_entry_sightings (account_id, amount, identity, entry_identity, entry_occurrence, message_id,
    origin, bank_message_id)
VALUES ('{ACCOUNT}', 10, 'CRDT BOOK msg M', 'CRDT BOOK day 2025-11-18', 0, 1, 'camt.054', 'M');
INSERT INTO circuit_breaker_steps (account_id, from_state, to_state, cause, actor, at)
VALUES ('{ACCOUNT}', 'closed', 'open', 'c', 'engine', '2025-11-18Z');
INSERT INTO outbox (event_id, subject, payload) VALUES ('e', 's', '{{}}');
INSERT INTO audit_log (at, actor, action, account_id, details)
VALUES ('2025-11-18Z', 'engine', 'a', '{ACCOUNT}', '{{}}');
INSERT INTO threshold_policies VALUES ('global', 0.01, 0.05, 0.5, 0, NULL, NULL, NULL, '1 day');
""",
    2: f"""
WITH minted AS (
    INSERT INTO ledger_movements (account_id, kind, amount, to_holder, reason, actor, at, idempotency_key)
    VALUES ('{ACCOUNT}', 'mint', 10, 'BANKAEAD', 'r', 'tests', '2025-11-18Z', 'mint 1') RETURNING id
)
INSERT INTO ledger_postings (movement_id, ledger_account, holder, amount)
SELECT id, 'issued', NULL, -10 FROM minted UNION ALL SELECT id, 'holder', 'BANKAEAD', 10 FROM minted;
INSERT INTO idempotency_keys VALUES ('k', sha256('1'), 201, '{{}}', '2025-11-18Z');
""",
    3: f"""
INSERT INTO breaker_closings (id, account_id, state, critical_judgements, requested_by, reason, requested_at,
    expires_at, settled_by, settled_reason, settled_at)
VALUES ('00000000-0000-4000-8000-0000000000c1', '{ACCOUNT}', 'PENDING', 0, 'ann', 'r', '2025-11-18Z', '2025-11-19Z',
        NULL, NULL, NULL),
       ('00000000-0000-4000-8000-0000000000c2', '{ACCOUNT}', 'APPROVED', 0, 'ann', 'r', '2025-11-17Z', '2025-11-18Z',
        'bob', 's', '2025-11-17 01:00Z');
INSERT INTO breaker_overrides (id, account_id, state, requested_by, reason, requested_at, expires_at, approved_by,
    approved_reason, approved_at, ended_by, ended_reason, ended_at)
VALUES ('00000000-0000-4000-8000-0000000000d1', '{ACCOUNT}', 'IN_FORCE', 'ann', 'r', '2025-11-18Z', '2025-11-18 01:00Z',
        'bob', 's', '2025-11-18 00:10Z', NULL, NULL, NULL),
       ('00000000-0000-4000-8000-0000000000d2', '{ACCOUNT}', 'EXPIRED', 'ann', 'r', '2025-11-17Z', '2025-11-17 01:00Z',
        NULL, NULL, NULL, 'engine', 's', '2025-11-17 02:00Z');
""",
    4: f"""
INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type, status, assignee)
VALUES ('00000000-0000-4000-8000-00000000000e', '{ACCOUNT}', 'UNALLOCATED', 'INVESTIGATING', 'ann');
INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, severity)
VALUES ('00000000-0000-4000-8000-00000000000e', 'opened', '2025-11-18Z', 'engine', 'Minor');
""",
    5: f"""
INSERT INTO fundings (id, account_id, end_to_end_id, amount, holder, state, announced_by, announced_at, expires_at,
    settled_by, settled_at, settled_reason)
VALUES ('00000000-0000-4000-8000-0000000000e1', '{ACCOUNT}', 'E1', 10, 'BANKAEAD', 'EXPECTED', 'ann', '2025-11-18Z',
        '2025-11-19Z', NULL, NULL, NULL),
       ('00000000-0000-4000-8000-0000000000e2', '{ACCOUNT}', 'E2', 10, 'BANKAEAD', 'MET', 'ann', '2025-11-17Z',
        '2025-11-18Z', 'engine', '2025-11-17Z', 'r');
INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, state, requested_by, requested_at, expires_at,
    sent_by, sent_at, settled_by, settled_at, settled_reason)
VALUES ('00000000-0000-4000-8000-0000000000f1', '{ACCOUNT}', 'P1', 5, 'unattributed', 'HELD', 'ann', '2025-11-18Z',
        '2025-11-19Z', NULL, NULL, NULL, NULL, NULL),
       ('00000000-0000-4000-8000-0000000000f2', '{ACCOUNT}', 'P2', 5, 'unattributed', 'SENT', 'ann', '2025-11-18Z',
        '2025-11-19Z', 'ann', '2025-11-18Z', NULL, NULL, NULL),
       ('00000000-0000-4000-8000-0000000000f3', '{ACCOUNT}', 'P3', 5, 'unattributed', 'CANCELLED', 'ann',
        '2025-11-18Z', '2025-11-19Z', NULL, NULL, 'bob', '2025-11-18Z', 'r');
INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, funding_id, movement_id, actor, reason, at)
SELECT '{ACCOUNT}', 10, 'CRDT BOOK ref R1', 0, 'funding', '00000000-0000-4000-8000-0000000000e2', min(id), 'engine',
    'r', '2025-11-18Z' FROM ledger_movements;
""",
    6: f"""
INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, reason, actor, at)
VALUES ('{ACCOUNT}', 'replenishment', 5, 'own_funds', 'replenished', 'r', 'tests', '2025-11-18Z');
""",
    7: f"""
INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, actor, reason, at, return_reference)
VALUES ('{ACCOUNT}', 10, 'CRDT BOOK day 2025-11-18', 0, 'return', 'ann', 'r', '2025-11-18Z', 'RETURN-2');
""",
    8: f"""
INSERT INTO bank_message_parts (message_id, part, deflated) SELECT min(id), 0, '\\x78' FROM bank_messages;
INSERT INTO emi_account_snapshots (id, account_id, snapshot_date, ledger_balance, bank_reported_balance)
VALUES ('00000000-0000-4000-8000-0000000000b1', '{ACCOUNT}', '2025-11-17', 100, 100);
INSERT INTO statements (id, account_id, message_id, bank_message_id, identity, content, statement_date,
    opening_balance, closing_balance, entries, booked_sum, cut_off, state, checks, ledger_balance, threshold_level,
    entries_matched, entries_unmatched, at)
SELECT 1, '{ACCOUNT}', min(id), 'STMT-1', 'STMT-1', '\\x00', '2025-11-17', 90, 100, 1, 10, '2025-11-18Z', 'ACCEPTED',
    '[]', 100, 'Ok', 1, 0, '2025-11-18Z' FROM bank_messages;
INSERT INTO statement_lines (statement_id, line, account_id, entry_id, amount, status, in_closing)
SELECT 1, 1, '{ACCOUNT}', min(id), 10, 'BOOK', true FROM bank_entries;
INSERT INTO statement_line_details (statement_id, line, detail, amount) VALUES (1, 1, 1, 10);
INSERT INTO statement_pages (message_id, place, account_id, pages_of)
SELECT min(id), 0, '{ACCOUNT}', 'S' FROM bank_messages;
INSERT INTO snapshot_revisions (id, snapshot_id, revision, statement_id, ledger_balance, bank_reported_balance,
    difference, reconciled, reason, actor, at)
VALUES ('00000000-0000-4000-8000-0000000000b2', '00000000-0000-4000-8000-0000000000b1', 1, 1, 100, 100, 0, true, 'r',
    'engine', '2025-11-18Z');
""",
    9: f"""
INSERT INTO matches (match_id, account_id, entry_id, movement_id, pass)
SELECT 1, '{ACCOUNT}', (SELECT min(id) FROM bank_entries), (SELECT min(id) FROM ledger_movements), 'met';
INSERT INTO matching_policies VALUES ('{ACCOUNT}', '{{uetr,amount_date}}', 3, true);
INSERT INTO matching_cursors VALUES ('{ACCOUNT}', 1, 1);
INSERT INTO open_items (account_id, kind, entry_id, amount, dated, reason, opened_at)
SELECT '{ACCOUNT}', 'awaiting_statement', max(id), 10, '2025-11-18', 'not_stated', '2025-11-18Z' FROM bank_entries;
INSERT INTO match_suggestions (suggestion_id, account_id, pass, entry_id) VALUES (1, '{ACCOUNT}', 'amount_date', 1);
INSERT INTO match_requests (account_id, entry_ids, movement_ids, difference, state, requested_by, reason,
    requested_at)
VALUES ('{ACCOUNT}', '{{1}}', '{{1}}', -1, 'PENDING', 'ann', 'r', '2025-11-18Z');
INSERT INTO match_events (match_id, account_id, happening, pass, entry_ids, movement_ids, difference, alternatives,
    actor, reason, at)
VALUES (1, '{ACCOUNT}', 'made', 'manual', '{{1}}', '{{1}}', 0, '[]', 'ann', 'r', '2025-11-18Z');
""",
    10: f"""
INSERT INTO account_roles (account_id, role, since, actor, reason, at)
VALUES ('{ACCOUNT}', 'safeguarding', '2025-11-18', 'ann', 'r', '2025-11-18Z');
INSERT INTO report_sign_offs (report_id, dataset_sha256, actor, reason, at)
VALUES ('day.2025-11-17.firm', sha256('1'), 'ann', 'r', '2025-11-19Z');
""",
    11: f"""
INSERT INTO statement_calendars VALUES ('{ACCOUNT}', 'Asia/Dubai', '17:00', false, '6 hours', '{{SA,SU}}', 'AE',
    '{{2025-12-24}}', '2025-11-17', '2025-11-18 19:00Z', 'ann', '2025-11-18Z');
INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type, opened_at, subject)
VALUES ('00000000-0000-4000-8000-0000000000a1', '{ACCOUNT}', 'STATEMENT_MISSING', '2025-11-16 19:00Z', '2025-11-16');
INSERT INTO statement_releases (statement_id, act, actor, reason, at, expires_at, request_id, requested_by)
VALUES (1, 'REQUESTED', 'ann', 'r', '2025-11-18Z', '2025-11-19Z', NULL, NULL);
INSERT INTO statement_releases (statement_id, act, actor, reason, at, expires_at, request_id, requested_by)
SELECT 1, 'APPROVED', 'bob', 's', '2025-11-18 01:00Z', expires_at, id, actor FROM statement_releases;
""",
    12: """
INSERT INTO audit_leaves (position, audit_id, hash) SELECT 0, min(id), sha256('1') FROM audit_log;
INSERT INTO archive_checkpoints VALUES ('2025-11-18', 1, sha256('1'), sha256('1'), 'note', '2025-11-19Z');
INSERT INTO archive_bundles VALUES ('all', 1, '2025-11-18', 1, sha256('m'), 'token-engine 0.1.0', 'ann', '2025-11-19Z');
""",
    13: f"""
INSERT INTO bank_connections VALUES ('bank', 'json', '{{}}', 'ann', '2025-11-19Z');
INSERT INTO account_polling (account_id, connection, every_minutes, offset_seconds, next_slot_at, set_by, set_at)
VALUES ('{ACCOUNT}', 'bank', 15, 0, '2025-11-19Z', 'ann', '2025-11-19Z');
INSERT INTO intraday_runs VALUES ('00000000-0000-4000-8000-0000000000d1', 'ann', '2025-11-19Z', NULL, true, 0, 1);
INSERT INTO balance_polls (account_id, slot_at, claimed_at, claimed_by, answered_at)
VALUES ('{ACCOUNT}', '2025-11-19Z', '2025-11-19Z', 'engine', '2025-11-19Z');
INSERT INTO balance_observations (account_id, poll_id, observed_at, as_of, balance, balance_type, ledger_balance,
    position_balance, explained, difference, level)
SELECT '{ACCOUNT}', min(id), '2025-11-19Z', '2025-11-19Z', 100, 'ITBD', 100, 100, 0, 0, 'Ok' FROM balance_polls;
INSERT INTO bank_files VALUES ('bank', sha256('1'), 'camt052.xml', 1, '2025-11-19Z', '2025-11-19Z');
""",
    14: f"""
INSERT INTO trend_days VALUES ('{ACCOUNT}', '2025-11-18', -1, 5);
INSERT INTO account_trends VALUES ('{ACCOUNT}', '2025-11-17', '2025-11-18Z', 'drift', 0.5, '2025-11-10', 'rising',
    '2025-11-20Z');
""",
    15: f"""
INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status, reversal,
    position_change, identity, occurrence)
VALUES ('{ACCOUNT}', 1, 'camt.053', 'M', 10, 'CRDT', 'BOOK', false, 10, 'CRDT BOOK ref R15', 0);
""",
    16: "",
    17: "",
    18: "",
    19: "",
}
"""By the schema version whose engine could have written them."""


def migrate_with_rows(url: str, version: int) -> None:
    """Bring an empty database to `version` as one that was in use at every version on the way."""
    for step in range(1, version + 1):
        migrate(url, up_to=step)
        with psycopg.connect(url) as connection:
            connection.execute(REPRESENTATIVE[step].encode())
