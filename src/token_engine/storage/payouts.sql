-- name: lock
-- The accounts that requests name, by our id or the bank's number, in order of id. A number kept in several
-- currencies locks them all: which one is meant is told afterwards.
SELECT a.id FROM (
    SELECT id FROM emi_accounts WHERE id = ANY (%s::uuid[])
    UNION SELECT id FROM emi_accounts WHERE account_number = ANY (%s::varchar[])) n
JOIN emi_accounts a ON a.id = n.id
ORDER BY a.id
FOR NO KEY UPDATE OF a

-- name: facts
-- What gates and cover go by, of the accounts with these ids or numbers.
SELECT a.id, a.account_number, a.currency, a.ledger_mode, a.ledger_balance, a.reserved_balance,
    a.bank_reported_balance + least(a.observed_gap, 0), a.circuit_breaker, a.reconciliation_status, a.last_reconciliation_at, a.closed_at,
    (SELECT o.expires_at FROM breaker_overrides o
     WHERE o.account_id = a.id AND o.state IN ('PENDING', 'IN_FORCE') AND o.state = 'IN_FORCE'),
    coalesce(own.stale_after, by_currency.stale_after, everywhere.stale_after), a.statement_missing_since
FROM (
    SELECT id FROM emi_accounts WHERE id = ANY (%s::uuid[])
    UNION SELECT id FROM emi_accounts WHERE account_number = ANY (%s::varchar[])) n
JOIN emi_accounts a ON a.id = n.id
LEFT JOIN threshold_policies own ON own.scope = a.id::text
LEFT JOIN threshold_policies by_currency ON by_currency.scope = a.currency
LEFT JOIN threshold_policies everywhere ON everywhere.scope = 'global'

-- name: holders
-- OFFSET 0 keeps the account in the look-up: by the holder alone it would read what he has at every account.
SELECT h.account_id, h.holder, h.balance, h.reserved
FROM unnest(%s::uuid[], %s::varchar[], %s::varchar[]) AS k (id, number, holder)
CROSS JOIN LATERAL (
    SELECT a.id FROM emi_accounts a WHERE a.id = k.id
    UNION ALL SELECT a.id FROM emi_accounts a WHERE a.account_number = k.number) n
CROSS JOIN LATERAL (
    SELECT * FROM ledger_holders h WHERE h.account_id = n.id AND h.holder = k.holder OFFSET 0) h

-- name: used
-- End-to-end ids that payouts of these accounts have had already, and those under which a credit is expected. Payouts
-- are asked as a range in its order, because a plan made on an empty table takes any index that begins with the account
-- for as good, and would then read all payouts of it.
SELECT n.id, k.end_to_end_id, p.id IS NOT NULL
FROM unnest(%s::uuid[], %s::varchar[], %s::varchar[]) AS k (id, number, end_to_end_id)
CROSS JOIN LATERAL (
    SELECT a.id FROM emi_accounts a WHERE a.id = k.id
    UNION ALL SELECT a.id FROM emi_accounts a WHERE a.account_number = k.number) n
LEFT JOIN LATERAL (
    SELECT p.id FROM payouts p
    WHERE p.account_id = n.id AND p.end_to_end_id BETWEEN k.end_to_end_id AND k.end_to_end_id
    ORDER BY p.end_to_end_id LIMIT 1) p ON true
LEFT JOIN LATERAL (
    SELECT f.id FROM fundings f
    WHERE f.account_id = n.id AND f.end_to_end_id = k.end_to_end_id AND f.state = 'EXPECTED' AND f.expires_at > %s
    OFFSET 0) f ON true
WHERE p.id IS NOT NULL OR f.id IS NOT NULL

-- name: hold
-- One statement for a batch: what is held, its events, its audit rows, and the first answer to every key.
WITH held AS (
    INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, beneficiary, state, requested_by, requested_at,
        expires_at)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::varchar[], %s::numeric[], %s::varchar[], %s::varchar[],
        %s::varchar[], %s::varchar[], %s::timestamptz[], %s::timestamptz[])
), announced AS (
    INSERT INTO outbox (event_id, subject, payload)
    SELECT * FROM unnest(%s::varchar[], %s::varchar[], %s::text[])
), noted AS (
    INSERT INTO audit_log (at, actor, action, account_id, message_id, details)
    SELECT * FROM unnest(%s::timestamptz[], %s::varchar[], %s::varchar[], %s::uuid[], %s::bigint[], %s::jsonb[])
)
INSERT INTO idempotency_keys (key, payload_digest, status, answer, at)
SELECT * FROM unnest(%s::varchar[], %s::bytea[], %s::smallint[], %s::json[], %s::timestamptz[])

-- name: one
SELECT p.id, p.account_id, p.end_to_end_id, p.amount, p.holder, p.beneficiary, p.state, p.requested_by,
    p.requested_at, p.expires_at, p.sent_by, p.sent_at, p.settled_by, p.settled_at, p.settled_reason
FROM payouts p WHERE p.id = ANY (%s::uuid[]) ORDER BY p.id

-- name: move
UPDATE payouts p SET state = k.state, sent_by = k.sent_by, sent_at = k.sent_at, settled_by = k.settled_by,
    settled_at = k.settled_at, settled_reason = k.settled_reason
FROM unnest(%s::uuid[], %s::varchar[], %s::varchar[], %s::timestamptz[], %s::varchar[], %s::timestamptz[],
    %s::varchar[]) AS k (id, state, sent_by, sent_at, settled_by, settled_at, settled_reason)
WHERE p.id = k.id

-- name: listing
SELECT p.id, p.account_id, p.end_to_end_id, p.amount, p.holder, p.beneficiary, p.state, p.requested_by,
    p.requested_at, p.expires_at, p.sent_by, p.sent_at, p.settled_by, p.settled_at, p.settled_reason
FROM payouts p
WHERE p.account_id = %(account_id)s AND (%(state)s::text IS NULL OR p.state = %(state)s::text)
    AND (%(before)s::uuid IS NULL OR (p.requested_at, p.id)
        < (SELECT b.requested_at, b.id FROM payouts b WHERE b.id = %(before)s::uuid))
ORDER BY p.requested_at DESC, p.id DESC LIMIT %(limit)s

-- name: meetings
-- The bank's entries that settled it or brought it back, and what each moved on the token ledger.
SELECT m.met, m.at, m.actor, m.reason, m.movement_id, v.amount, e.credit_debit, e.amount AS booked, e.message_id,
    e.bank_message_id, e.servicer_reference, e.booking_date, e.value_date
FROM entry_meetings m JOIN bank_entries e USING (account_id, amount, identity, occurrence)
LEFT JOIN ledger_movements v ON v.id = m.movement_id
WHERE m.payout_id = %(id)s ORDER BY m.at, m.met

-- name: timed_out
-- Holds that were not sent in time, account by account so that each is released under one lock.
SELECT account_id, id FROM payouts WHERE state = 'HELD' AND expires_at <= %s ORDER BY account_id, id LIMIT %s

-- name: overdue
-- Sent, and the bank has said nothing in time; each is raised once, also if a person has resolved that since.
SELECT p.account_id, p.id FROM payouts p
WHERE p.state = 'SENT' AND p.expires_at <= %s AND NOT EXISTS (
    SELECT 1 FROM reconciliation_discrepancies d
    WHERE d.account_id = p.account_id AND d.discrepancy_type = 'PAYOUT_OVERDUE' AND d.subject = p.id::text)
ORDER BY p.account_id, p.id LIMIT %s

-- name: raised
SELECT d.subject FROM reconciliation_discrepancies d
WHERE d.account_id = %s AND d.discrepancy_type = 'PAYOUT_OVERDUE' AND d.subject = ANY (%s::varchar[])

-- name: overdue_gone
-- What was raised as late and is not on its way any more: for the engine to resolve, unless a person took it up again.
SELECT d.account_id, d.id, d.severity, d.expected_value, d.actual_value, d.source_reference, d.assignee, p.id AS payout_id, p.state,
    p.settled_by, p.settled_reason
FROM reconciliation_discrepancies d
JOIN payouts p ON p.id = CASE d.discrepancy_type WHEN 'PAYOUT_OVERDUE' THEN d.subject::uuid END
WHERE d.discrepancy_type = 'PAYOUT_OVERDUE' AND d.status <> 'RESOLVED' AND d.reopened_at IS NULL AND p.state <> 'SENT'
    AND (%(account_id)s::uuid IS NULL OR d.account_id = %(account_id)s::uuid)
ORDER BY d.account_id, d.id LIMIT %(limit)s

-- name: under_way
-- Each by its own index of what is not over.
SELECT (SELECT count(*) FROM payouts WHERE state = 'HELD'), (SELECT count(*) FROM payouts WHERE state = 'SENT')

-- name: drift
-- What is kept ready against what the payouts under way make: reserved of an account, and of each holder. None, ever.
SELECT a.account_number, a.currency, NULL AS holder, a.reserved_balance AS stored, coalesce(f.total, 0) AS folded
FROM emi_accounts a LEFT JOIN (
    SELECT account_id, sum(amount) AS total FROM payouts WHERE state IN ('HELD', 'SENT') GROUP BY account_id) f
    ON f.account_id = a.id
WHERE a.reserved_balance <> coalesce(f.total, 0)
UNION ALL
SELECT a.account_number, a.currency, coalesce(h.holder, f.holder), coalesce(h.reserved, 0), coalesce(f.total, 0)
FROM (
    SELECT account_id, holder, sum(amount) AS total FROM payouts WHERE state IN ('HELD', 'SENT')
    GROUP BY account_id, holder) f
FULL JOIN ledger_holders h ON h.account_id = f.account_id AND h.holder = f.holder
JOIN emi_accounts a ON a.id = coalesce(h.account_id, f.account_id)
WHERE coalesce(h.reserved, 0) <> coalesce(f.total, 0)
ORDER BY 1, 2, 3 NULLS FIRST

-- name: unlike_their_meetings
-- Payouts of which the bank's entries say another thing than their state: settled by none, met by one and not settled,
-- or the same of one that came back. None, ever.
SELECT p.id, a.account_number, a.currency, p.state FROM payouts p JOIN emi_accounts a ON a.id = p.account_id
WHERE (p.state IN ('SETTLED', 'RETURNED'))
        <> EXISTS (SELECT 1 FROM entry_meetings m WHERE m.payout_id = p.id AND m.met = 'payout')
    OR (p.state = 'RETURNED')
        <> EXISTS (SELECT 1 FROM entry_meetings m WHERE m.payout_id = p.id AND m.met = 'payout_return')
ORDER BY p.requested_at, p.id
