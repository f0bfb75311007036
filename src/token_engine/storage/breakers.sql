-- name: bank_word
SELECT bank_spoke_since_break, last_reconciliation_at, reconciliation_status, critical_judgements, last_critical_at,
    statement_missing_since
FROM emi_accounts WHERE id = %s

-- name: opened
SELECT at, cause FROM circuit_breaker_steps WHERE account_id = %s AND to_state = 'open' ORDER BY id DESC LIMIT 1

-- name: steps
SELECT s.from_state, s.to_state, s.cause, s.actor, s.at, s.message_id
FROM circuit_breaker_steps s WHERE s.account_id = %s ORDER BY s.id DESC LIMIT %s

-- name: pending_closing
SELECT id, account_id, state, critical_judgements, requested_by, reason, requested_at, expires_at, settled_by,
    settled_reason, settled_at
FROM breaker_closings WHERE account_id = %s AND state = 'PENDING'

-- name: closing
SELECT id, account_id, state, critical_judgements, requested_by, reason, requested_at, expires_at, settled_by,
    settled_reason, settled_at
FROM breaker_closings WHERE account_id = %s AND id = %s

-- name: insert_closing
INSERT INTO breaker_closings (id, account_id, state, critical_judgements, requested_by, reason, requested_at, expires_at)
VALUES (%(id)s, %(account_id)s, %(state)s, %(critical_judgements)s, %(requested_by)s, %(reason)s, %(requested_at)s,
    %(expires_at)s)

-- name: settle_closing
UPDATE breaker_closings SET state = %(state)s, settled_by = %(settled_by)s, settled_reason = %(settled_reason)s,
    settled_at = %(settled_at)s
WHERE id = %(id)s

-- name: close_breaker
WITH closed AS (
    UPDATE emi_accounts SET last_closing_id = %(closing)s,
        metadata = metadata || '{"circuit_breaker_active": false, "payouts_suspended": false}'
    WHERE id = %(account)s
)
INSERT INTO circuit_breaker_steps (account_id, from_state, to_state, cause, actor, at)
VALUES (%(account)s, 'open', 'closed', %(cause)s, %(actor)s, %(at)s)

-- name: open_override
SELECT id, account_id, state, requested_by, reason, requested_at, expires_at, approved_by, approved_reason,
    approved_at, ended_by, ended_reason, ended_at
FROM breaker_overrides WHERE account_id = %s AND state IN ('PENDING', 'IN_FORCE')

-- name: override
SELECT id, account_id, state, requested_by, reason, requested_at, expires_at, approved_by, approved_reason,
    approved_at, ended_by, ended_reason, ended_at
FROM breaker_overrides WHERE account_id = %s AND id = %s

-- name: insert_override
INSERT INTO breaker_overrides (id, account_id, state, requested_by, reason, requested_at, expires_at)
VALUES (%(id)s, %(account_id)s, %(state)s, %(requested_by)s, %(reason)s, %(requested_at)s, %(expires_at)s)

-- name: settle_override
UPDATE breaker_overrides SET state = %(state)s, approved_by = %(approved_by)s, approved_reason = %(approved_reason)s,
    approved_at = %(approved_at)s, ended_by = %(ended_by)s, ended_reason = %(ended_reason)s, ended_at = %(ended_at)s
WHERE id = %(id)s

-- name: due
-- Accounts where something is over that nobody has written down yet.
SELECT account_id FROM breaker_overrides WHERE state IN ('PENDING', 'IN_FORCE') AND expires_at <= %(now)s
UNION
SELECT c.account_id FROM breaker_closings c JOIN emi_accounts a ON a.id = c.account_id
WHERE c.state = 'PENDING' AND (c.expires_at <= %(now)s OR a.critical_judgements <> c.critical_judgements)
ORDER BY account_id

-- name: under_way
-- Closings that wait and overrides in force, of all accounts: few, ever.
SELECT account_id, 'closing' AS act, expires_at, requested_by, settled_by AS approved_by
FROM breaker_closings c JOIN emi_accounts a ON a.id = c.account_id
WHERE c.state = 'PENDING' AND c.expires_at > %(now)s AND a.critical_judgements = c.critical_judgements
UNION ALL
SELECT account_id, 'override', expires_at, requested_by, approved_by
FROM breaker_overrides WHERE state = 'IN_FORCE' AND expires_at > %(now)s
