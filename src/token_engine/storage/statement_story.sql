-- name: shown
-- What is shown of a statement; the listing and the single one continue it.
SELECT s.id, s.account_id, a.account_number, a.currency, s.statement_date, s.state, s.statement_id, s.sequence_number,
    s.bank_message_id, s.message_id, s.opening_balance, s.closing_balance, s.entries, s.booked_sum, s.cut_off,
    s.corrects, s.ledger_balance, s.threshold_level, s.entries_matched, s.entries_unmatched, s.at, s.checks,
    (SELECT c.id FROM statements c WHERE c.corrects = s.id AND c.account_id = s.account_id ORDER BY c.id LIMIT 1)
        AS corrected_by
FROM statements s JOIN emi_accounts a ON a.id = s.account_id

-- name: listing
WHERE (%(account_id)s::uuid IS NULL OR s.account_id = %(account_id)s::uuid)
    AND (%(state)s::text IS NULL OR s.state = %(state)s::text)
    AND (%(before)s::bigint IS NULL OR s.id < %(before)s::bigint)
ORDER BY s.id DESC LIMIT %(limit)s

-- name: one
WHERE s.id = %(id)s

-- name: state
SELECT account_id, state FROM statements WHERE id = %s

-- name: story
SELECT id, act, actor, reason, at, expires_at FROM statement_releases WHERE statement_id = %s ORDER BY id

-- name: request
INSERT INTO statement_releases (statement_id, act, actor, reason, at, expires_at)
VALUES (%(statement_id)s, 'REQUESTED', %(actor)s, %(reason)s, %(at)s, %(expires_at)s)

-- name: approve
INSERT INTO statement_releases (statement_id, act, actor, reason, at, expires_at, request_id, requested_by)
VALUES (%(statement_id)s, 'APPROVED', %(actor)s, %(reason)s, %(at)s, %(expires_at)s, %(request_id)s, %(requested_by)s)

-- name: day
-- Every open account and how a day of it stands: by the statement that stands for it, or the last one that did not.
SELECT a.account_number, a.currency, s.id AS statement, s.state, s.ledger_balance, s.closing_balance,
    s.threshold_level, s.entries_matched, s.entries_unmatched, c.account_id IS NOT NULL AS awaited
FROM emi_accounts a
LEFT JOIN LATERAL (
    SELECT * FROM statements s WHERE s.account_id = a.id AND s.statement_date = %(day)s AND s.state <> 'REPLACED'
    ORDER BY s.state IN ('ACCEPTED', 'RELEASED') DESC, s.id DESC LIMIT 1) s ON true
LEFT JOIN statement_calendars c ON c.account_id = a.id
WHERE a.closed_at IS NULL AND (s.id IS NOT NULL OR a.created_at < %(day)s::date + 2)
    AND (%(after)s::text IS NULL OR (a.account_number, a.currency) > (%(after)s::text, %(after_currency)s::text))
ORDER BY a.account_number, a.currency LIMIT %(limit)s
