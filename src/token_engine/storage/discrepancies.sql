-- name: shown
-- What is shown of one; the listings below continue it.
SELECT d.id, d.account_id, a.account_number, a.currency, d.discrepancy_type, d.expected_value, d.actual_value,
    d.difference, d.threshold_exceeded, d.status, d.severity, d.assignee, d.source_system, d.source_reference,
    d.message_id, d.opened_at, d.updated_at, d.difference_gone_since, d.reopened_at, d.resolved_at, d.resolved_by,
    d.resolution, d.subject
FROM reconciliation_discrepancies d JOIN emi_accounts a ON a.id = d.account_id

-- name: wanted
WHERE (%(statuses)s::varchar[] IS NULL OR d.status = ANY (%(statuses)s::varchar[]))
    AND (%(account_id)s::uuid IS NULL OR d.account_id = %(account_id)s::uuid)
    AND (%(account_number)s::text IS NULL OR a.account_number = %(account_number)s::text)
    AND (%(type)s::text IS NULL OR d.discrepancy_type = %(type)s::text)
    AND (%(severity)s::text IS NULL OR d.severity = %(severity)s::text)
    AND (%(assignee)s::text IS NULL OR d.assignee = %(assignee)s::text)
    AND (%(open_for)s::interval IS NULL
        OR d.opened_at <= coalesce(d.resolved_at, %(now)s::timestamptz) - %(open_for)s::interval)

-- name: newest_first
    AND (%(after_at)s::timestamptz IS NULL OR (d.opened_at, d.id) < (%(after_at)s::timestamptz, %(after)s::uuid))
ORDER BY d.opened_at DESC, d.id DESC LIMIT %(limit)s

-- name: oldest_first
    AND (%(after_at)s::timestamptz IS NULL OR (d.opened_at, d.id) > (%(after_at)s::timestamptz, %(after)s::uuid))
ORDER BY d.opened_at, d.id LIMIT %(limit)s

-- name: one
WHERE d.id = %(id)s

-- name: story
SELECT happening, at, actor, text, severity, expected_value, actual_value, assignee, message_id
FROM discrepancy_events WHERE discrepancy_id = %(id)s ORDER BY id

-- name: last_line
SELECT happening, at, actor, text, severity, expected_value, actual_value, assignee, message_id
FROM discrepancy_events WHERE discrepancy_id = %(id)s ORDER BY id DESC LIMIT 1

-- name: other_open
SELECT o.id FROM reconciliation_discrepancies d JOIN reconciliation_discrepancies o
    ON o.account_id = d.account_id AND (o.discrepancy_type, o.subject) = (d.discrepancy_type, d.subject) AND o.status <> 'RESOLVED'
WHERE d.id = %(id)s AND o.id <> d.id

-- name: assign
UPDATE reconciliation_discrepancies SET status = %(status)s, assignee = %(assignee)s, updated_at = %(now)s
WHERE id = %(id)s

-- name: resolve
UPDATE reconciliation_discrepancies SET status = 'RESOLVED', expected_value = %(ledger)s, actual_value = %(bank)s,
    difference = %(bank)s::numeric - %(ledger)s::numeric, difference_gone_since = NULL, updated_at = %(now)s,
    resolved_at = %(now)s, resolved_by = %(actor)s, resolution = %(reason)s
WHERE id = %(id)s

-- name: reopen
UPDATE reconciliation_discrepancies SET status = %(status)s, expected_value = %(ledger)s, actual_value = %(bank)s,
    difference = %(bank)s::numeric - %(ledger)s::numeric, severity = %(severity)s,
    difference_gone_since = %(gone_since)s, updated_at = %(now)s, reopened_at = %(now)s,
    resolved_at = NULL, resolved_by = NULL, resolution = NULL
WHERE id = %(id)s

-- name: oldest_by_severity
SELECT lower(severity), min(opened_at) FROM reconciliation_discrepancies WHERE status <> 'RESOLVED' GROUP BY 1
