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
