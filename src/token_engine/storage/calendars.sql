-- name: of_accounts
SELECT account_id, time_zone, cut_off, ends_next_day, due_after, weekend, holidays, extra_holidays, looked_to,
    next_due_at, set_by, set_at
FROM statement_calendars WHERE account_id = ANY (%s::uuid[])

-- name: save
INSERT INTO statement_calendars (account_id, time_zone, cut_off, ends_next_day, due_after, weekend, holidays,
    extra_holidays, looked_to, next_due_at, set_by, set_at)
VALUES (%(account_id)s, %(time_zone)s, %(cut_off)s, %(ends_next_day)s, %(due_after)s, %(weekend)s, %(holidays)s,
    %(extra_holidays)s, %(looked_to)s, %(next_due_at)s, %(set_by)s, %(set_at)s)
ON CONFLICT (account_id) DO UPDATE SET time_zone = excluded.time_zone, cut_off = excluded.cut_off,
    ends_next_day = excluded.ends_next_day, due_after = excluded.due_after, weekend = excluded.weekend,
    holidays = excluded.holidays, extra_holidays = excluded.extra_holidays, looked_to = excluded.looked_to,
    next_due_at = excluded.next_due_at, set_by = excluded.set_by, set_at = excluded.set_at

-- name: due
-- Open accounts with a day whose statement is due and that nobody has looked at, longest due first.
SELECT c.account_id FROM statement_calendars c JOIN emi_accounts a ON a.id = c.account_id
WHERE c.next_due_at <= %(now)s AND a.closed_at IS NULL
ORDER BY c.next_due_at, c.account_id LIMIT %(limit)s

-- name: looked
UPDATE statement_calendars SET looked_to = %(day)s, next_due_at = %(next_due_at)s WHERE account_id = %(account_id)s

-- name: stated
-- Of which of these days there is a statement, whole, whatever its checks said.
SELECT DISTINCT statement_date FROM statements
WHERE account_id = %(account_id)s AND statement_date = ANY (%(days)s::date[])

-- name: missing
-- What was raised of days without a statement and is not resolved, oldest day first.
SELECT d.id, d.subject, d.severity, d.expected_value AS ledger, d.actual_value AS bank, d.source_system,
    d.source_reference, d.assignee, d.opened_at, d.reopened_at IS NOT NULL AS reopened,
    d.difference_gone_since AS gone_since, EXISTS (
        SELECT 1 FROM statements s WHERE s.account_id = d.account_id
            AND s.statement_date = CASE d.discrepancy_type WHEN 'STATEMENT_MISSING' THEN d.subject::date END) AS there
FROM reconciliation_discrepancies d
WHERE d.account_id = %s AND d.discrepancy_type = 'STATEMENT_MISSING' AND d.status <> 'RESOLVED'
ORDER BY d.subject

-- name: drift
-- Accounts that say otherwise since when a statement is missing than their discrepancies and statements: none, ever.
SELECT a.account_number, a.currency, a.statement_missing_since AS stored, m.since AS folded
FROM emi_accounts a CROSS JOIN LATERAL (
    SELECT min(d.opened_at) AS since FROM reconciliation_discrepancies d
    WHERE d.account_id = a.id AND d.discrepancy_type = 'STATEMENT_MISSING' AND d.status <> 'RESOLVED' AND NOT EXISTS (
        SELECT 1 FROM statements s WHERE s.account_id = a.id
            AND s.statement_date = CASE d.discrepancy_type WHEN 'STATEMENT_MISSING' THEN d.subject::date END)) m
WHERE a.statement_missing_since IS DISTINCT FROM m.since
ORDER BY a.account_number
