-- name: upsert_bank
INSERT INTO banks (id, name, bic, inverts_reversals)
VALUES (%(id)s, %(name)s, %(bic)s, %(inverts_reversals)s)
ON CONFLICT (name) DO UPDATE SET
    bic = coalesce(excluded.bic, banks.bic),
    inverts_reversals = banks.inverts_reversals OR excluded.inverts_reversals
RETURNING id

-- name: create
INSERT INTO emi_accounts (id, bank_id, account_number, currency, bank_reported_balance, ledger_mode, created_at)
VALUES (%(id)s, %(bank_id)s, %(account_number)s, %(currency)s, %(bank_balance)s, %(ledger_mode)s, %(now)s)
ON CONFLICT (account_number, currency) DO NOTHING
RETURNING id

-- name: open_position
INSERT INTO account_openings (account_id, balance, as_of, actor)
VALUES (%(account_id)s, %(balance)s, %(as_of)s, %(actor)s)

-- name: close
UPDATE emi_accounts SET closed_at = %(now)s WHERE id = %(id)s AND closed_at IS NULL RETURNING id

-- name: listing
SELECT a.id, a.account_number, a.currency, b.name AS bank, a.ledger_balance, a.bank_reported_balance,
    a.reserved_balance, a.available_balance, a.last_reconciliation_at, a.reconciliation_status,
    a.reconciliation_source, a.reconciliation_difference, a.circuit_breaker, a.ledger_mode, a.created_at, a.closed_at,
    a.statement_missing_since, a.observed_gap, a.observed_at
FROM emi_accounts a JOIN banks b ON b.id = a.bank_id
WHERE (%(id)s::uuid IS NULL OR a.id = %(id)s::uuid)
    AND (%(number)s::text IS NULL OR a.account_number = %(number)s::text)
    AND (%(after)s::text IS NULL OR (a.account_number, a.currency) > (%(after)s::text, %(after_currency)s::text))
ORDER BY a.account_number, a.currency
LIMIT %(limit)s

-- name: ids_to_review
SELECT id FROM emi_accounts
WHERE closed_at IS NULL AND last_reconciliation_at IS NOT NULL
    AND NOT (%(unpolled)s AND EXISTS (SELECT 1 FROM account_polling p WHERE p.account_id = emi_accounts.id))
    AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id LIMIT %(limit)s

-- name: evidence_at
SELECT last_reconciliation_at FROM emi_accounts WHERE id = %(id)s

-- name: counts
SELECT count(*) AS total,
    count(*) FILTER (WHERE a.reconciliation_status = 'OK' AND fresh) AS ok,
    count(*) FILTER (WHERE a.reconciliation_status IN ('MINOR', 'SIGNIFICANT', 'CRITICAL') AND fresh) AS mismatch,
    count(*) FILTER (WHERE NOT fresh) AS stale,
    count(*) FILTER (WHERE fresh IS NULL) AS unknown,
    count(*) FILTER (WHERE a.circuit_breaker = 'open') AS breakers_open,
    count(*) FILTER (WHERE a.circuit_breaker = 'suspended') AS suspended
FROM emi_accounts a
LEFT JOIN threshold_policies own ON own.scope = a.id::text
LEFT JOIN threshold_policies by_currency ON by_currency.scope = a.currency
LEFT JOIN threshold_policies everywhere ON everywhere.scope = 'global'
CROSS JOIN LATERAL (SELECT %(now)s::timestamptz - coalesce(
    own.stale_after, by_currency.stale_after, everywhere.stale_after, %(stale_after)s) AS since) f
CROSS JOIN LATERAL (SELECT CASE WHEN a.last_reconciliation_at IS NOT NULL THEN
    a.last_reconciliation_at >= since AND coalesce(a.statement_missing_since >= since, true) END AS fresh) g
WHERE a.closed_at IS NULL

-- name: open_discrepancies
SELECT lower(severity) AS severity, count(*) FROM reconciliation_discrepancies WHERE status <> 'RESOLVED'
GROUP BY 1

-- name: breakers
SELECT id::text, circuit_breaker = 'open' FROM emi_accounts WHERE closed_at IS NULL ORDER BY id

-- name: backlog
SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM bank_messages WHERE state = 'REJECTED')

-- name: position_drift
-- From what the account was taken on with, or from the closing balance of its last statement: see `position` in
-- statements.sql.
WITH standing AS (
    SELECT * FROM statements WHERE state IN ('ACCEPTED', 'RELEASED')
), last AS (
    SELECT DISTINCT ON (account_id) account_id, closing_balance FROM standing ORDER BY account_id, statement_date DESC
), since AS (
    SELECT DISTINCT ON (account_id) account_id, lists_from FROM standing WHERE lists_from IS NOT NULL
    ORDER BY account_id, statement_date DESC
), contained AS (
    SELECT l.entry_id, bool_or(l.in_closing) AS in_closing FROM statement_lines l JOIN standing s ON s.id = l.statement_id
    GROUP BY 1
), folded AS (
    SELECT e.account_id, sum(e.position_change) AS total
    FROM bank_entries e JOIN bank_messages m ON m.id = e.message_id
    LEFT JOIN since s ON s.account_id = e.account_id LEFT JOIN contained c ON c.entry_id = e.id
    WHERE s.lists_from IS NULL OR (c.in_closing IS NOT TRUE AND (e.origin <> 'camt.053' OR c.entry_id IS NOT NULL)
        AND coalesce(e.booking_date, e.value_date, (m.received_at AT TIME ZONE 'UTC')::date) >= s.lists_from)
    GROUP BY 1
)
SELECT a.account_number, a.currency, a.bank_reported_balance AS stored,
    coalesce(l.closing_balance, o.balance, 0) + coalesce(e.total, 0) AS folded
FROM emi_accounts a LEFT JOIN account_openings o ON o.account_id = a.id LEFT JOIN last l ON l.account_id = a.id
LEFT JOIN folded e ON e.account_id = a.id
WHERE a.bank_reported_balance <> coalesce(l.closing_balance, o.balance, 0) + coalesce(e.total, 0)
ORDER BY a.account_number
