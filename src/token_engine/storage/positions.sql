-- name: numbers_of_ids
SELECT id, account_number FROM emi_accounts WHERE id = ANY (%s::uuid[])

-- name: lock
SELECT a.id, a.account_number, a.currency, a.ledger_balance, a.bank_reported_balance, a.circuit_breaker,
    a.closed_at, b.inverts_reversals, a.ledger_mode, a.statement_missing_since, a.observed_gap,
    a.observed_at,
    EXISTS (SELECT 1 FROM threshold_policies)
FROM emi_accounts a JOIN banks b ON b.id = a.bank_id
WHERE a.account_number = ANY (%s::varchar[])
ORDER BY a.id
FOR NO KEY UPDATE OF a

-- name: lock_by_id
SELECT a.id, a.account_number, a.currency, a.ledger_balance, a.bank_reported_balance, a.circuit_breaker,
    a.closed_at, b.inverts_reversals, a.ledger_mode, a.statement_missing_since, a.observed_gap,
    a.observed_at
FROM emi_accounts a JOIN banks b ON b.id = a.bank_id
WHERE a.id = ANY (%s::uuid[])
ORDER BY a.id
FOR NO KEY UPDATE OF a

-- name: open_discrepancies
SELECT d.account_id, d.id, d.severity, d.assignee, d.difference_gone_since, d.reopened_at IS NOT NULL
FROM unnest(%s::uuid[]) AS k (account_id)
JOIN reconciliation_discrepancies d ON d.account_id = k.account_id
    AND d.discrepancy_type = 'BALANCE_MISMATCH' AND d.status <> 'RESOLVED'

-- name: policies
SELECT scope, ok_percent, minor_percent, significant_percent, shortfall_tolerance, ok_cap, minor_cap,
    significant_cap, stale_after, auto_resolve
FROM threshold_policies WHERE scope = ANY (%s::varchar[])

-- name: save_breakers
UPDATE emi_accounts a SET metadata = a.metadata
    || jsonb_build_object('circuit_breaker_active', k.state = 'open', 'payouts_suspended', k.state <> 'closed')
FROM unnest(%s::uuid[], %s::varchar[]) AS k (id, state)
WHERE a.id = k.id

-- name: insert_breaker_steps
INSERT INTO circuit_breaker_steps (account_id, from_state, to_state, cause, message_id, actor, at)
SELECT * FROM unnest(%s::uuid[], %s::varchar[], %s::varchar[], %s::varchar[], %s::bigint[], %s::varchar[],
    %s::timestamptz[])

-- name: save_discrepancies
-- Breaks as they were last seen, and what happened to them. Whose one is, and with it whether it is OPEN or
-- INVESTIGATING, is people's: judging only resolves.
WITH saved AS (
    INSERT INTO reconciliation_discrepancies AS d (id, account_id, discrepancy_type, expected_value, actual_value,
        difference, threshold_exceeded, status, source_system, source_reference, severity, opened_at, updated_at,
        message_id, difference_gone_since, resolved_at, resolved_by, resolution, subject)
    SELECT k.id, k.account_id, k.type, k.expected, k.actual, k.actual - k.expected, true,
        CASE WHEN k.resolution IS NULL THEN 'OPEN' ELSE 'RESOLVED' END, k.system, k.reference, k.severity, k.at, k.at,
        k.message_id, k.gone_since, CASE WHEN k.resolution IS NOT NULL THEN k.at END,
        CASE WHEN k.resolution IS NOT NULL THEN 'engine' END, k.resolution, k.subject
    FROM unnest(%s::uuid[], %s::uuid[], %s::numeric[], %s::numeric[], %s::varchar[], %s::varchar[], %s::varchar[],
        %s::timestamptz[], %s::bigint[], %s::timestamptz[], %s::text[], %s::varchar[], %s::varchar[])
        AS k (id, account_id, expected, actual, severity, system, reference, at, message_id, gone_since, resolution,
            type, subject)
    ON CONFLICT (id) DO UPDATE SET
        expected_value = excluded.expected_value, actual_value = excluded.actual_value,
        difference = excluded.difference,
        status = CASE WHEN excluded.status = 'OPEN' THEN d.status ELSE excluded.status END,
        source_system = excluded.source_system, source_reference = excluded.source_reference,
        severity = excluded.severity, updated_at = excluded.updated_at, message_id = excluded.message_id,
        difference_gone_since = excluded.difference_gone_since, resolved_at = excluded.resolved_at,
        resolved_by = excluded.resolved_by, resolution = excluded.resolution
)
INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, text, severity, expected_value, actual_value,
    assignee, message_id)
SELECT * FROM unnest(%s::uuid[], %s::varchar[], %s::timestamptz[], %s::varchar[], %s::text[], %s::varchar[],
    %s::numeric[], %s::numeric[], %s::varchar[], %s::bigint[])

-- name: insert_audit
INSERT INTO audit_log (at, actor, action, account_id, message_id, details)
SELECT * FROM unnest(%s::timestamptz[], %s::varchar[], %s::varchar[], %s::uuid[], %s::bigint[], %s::jsonb[])

-- name: all_policies
SELECT scope, ok_percent, minor_percent, significant_percent, shortfall_tolerance, ok_cap, minor_cap,
    significant_cap, stale_after, auto_resolve
FROM threshold_policies

-- name: save_policy
INSERT INTO threshold_policies (scope, ok_percent, minor_percent, significant_percent, shortfall_tolerance,
    ok_cap, minor_cap, significant_cap, stale_after, auto_resolve)
VALUES (%(scope)s, %(ok_percent)s, %(minor_percent)s, %(significant_percent)s, %(shortfall_tolerance)s,
    %(ok_cap)s, %(minor_cap)s, %(significant_cap)s, %(stale_after)s, %(auto_resolve)s)
ON CONFLICT (scope) DO UPDATE SET
    ok_percent = excluded.ok_percent, minor_percent = excluded.minor_percent,
    significant_percent = excluded.significant_percent, shortfall_tolerance = excluded.shortfall_tolerance,
    ok_cap = excluded.ok_cap, minor_cap = excluded.minor_cap, significant_cap = excluded.significant_cap,
    stale_after = excluded.stale_after, auto_resolve = excluded.auto_resolve
