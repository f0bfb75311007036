-- name: of_types
SELECT d.account_id, d.discrepancy_type, d.subject, d.id, d.severity, d.expected_value, d.actual_value,
    d.source_reference, d.assignee, d.reopened_at IS NOT NULL, d.difference_gone_since
FROM unnest(%s::uuid[]) AS k (account_id) CROSS JOIN unnest(%s::varchar[]) AS t (type)
JOIN reconciliation_discrepancies d ON d.account_id = k.account_id AND d.discrepancy_type = t.type
    AND d.status <> 'RESOLVED'
