-- name: openings
-- Each opening of a breaker, until the step that left it; as known at `until`.
SELECT s.id, s.account_id, a.account_number, a.currency, s.from_state, s.cause, s.message_id, s.actor,
    s.at AS opened_at, CASE WHEN n.at <= %(until)s THEN n.at END AS closed_at,
    CASE WHEN n.at <= %(until)s THEN n.actor END AS closed_by, l.requested_by AS closing_requested_by,
    l.settled_by AS closing_approved_by, l.reason AS closing_reason
FROM circuit_breaker_steps s JOIN emi_accounts a ON a.id = s.account_id
LEFT JOIN LATERAL (
    SELECT at, actor FROM circuit_breaker_steps
    WHERE account_id = s.account_id AND id > s.id ORDER BY id LIMIT 1) n ON true
LEFT JOIN breaker_closings l ON l.account_id = s.account_id AND l.state = 'APPROVED' AND l.settled_at = n.at
    AND n.at <= %(until)s
WHERE s.to_state = 'open' AND s.at <= %(until)s
    AND (%(from)s::timestamptz IS NULL OR n.at IS NULL OR n.at >= %(from)s::timestamptz)
    AND (%(account_id)s::uuid IS NULL OR s.account_id = %(account_id)s::uuid)
    AND (%(currency)s::text IS NULL OR a.currency = %(currency)s::text)
    AND (%(id)s::bigint IS NULL OR s.id = %(id)s::bigint)
ORDER BY s.at, s.id

-- name: judgement
-- The break that opened it: the figures of the discrepancy at that moment.
SELECT d.id AS discrepancy_id, e.severity, e.expected_value AS ledger, e.actual_value AS bank
FROM discrepancy_events e JOIN reconciliation_discrepancies d ON d.id = e.discrepancy_id
WHERE d.account_id = %(account_id)s AND d.discrepancy_type = 'BALANCE_MISMATCH' AND e.at <= %(at)s
    AND e.expected_value IS NOT NULL
ORDER BY e.id DESC LIMIT 1

-- name: message
SELECT id, bank_message_id, door, source, received_at, encode(digest, 'hex') AS sha256, raw_size
FROM bank_messages WHERE id = %(id)s

-- name: audit
-- What was done about the account, or refused, meanwhile.
SELECT at, actor, action, details::text FROM audit_log
WHERE at >= %(from)s AND at <= %(to)s AND account_id = %(account_id)s ORDER BY id LIMIT %(limit)s

-- name: closings
SELECT id, account_id, state, critical_judgements, requested_by, reason, requested_at, expires_at, settled_by,
    settled_reason, settled_at
FROM breaker_closings WHERE account_id = %(account_id)s AND requested_at BETWEEN %(from)s AND %(to)s
ORDER BY requested_at, id

-- name: overrides
SELECT id, account_id, state, requested_by, reason, requested_at, expires_at, approved_by, approved_reason,
    approved_at, ended_by, ended_reason, ended_at
FROM breaker_overrides WHERE account_id = %(account_id)s AND requested_at BETWEEN %(from)s AND %(to)s
ORDER BY requested_at, id

-- name: refused_requests
-- Mints, holds and orders to pay that were refused because a breaker was open. A key does not say whose account.
SELECT count(*) FROM idempotency_keys
WHERE at BETWEEN %(from)s AND %(to)s AND status >= 400 AND answer ->> 'code' = 'breaker_open'

-- name: waiting
-- Whether the event of the opening has yet to be handed over.
SELECT event_id, subject FROM outbox WHERE subject = %(subject)s AND payload LIKE %(needle)s ORDER BY id LIMIT 10
