-- name: insert
INSERT INTO fundings (id, account_id, end_to_end_id, amount, holder, state, announced_by, announced_at, expires_at)
VALUES (%(id)s, %(account_id)s, %(end_to_end_id)s, %(amount)s, %(holder)s, %(state)s, %(announced_by)s,
    %(announced_at)s, %(expires_at)s)

-- name: of_id
SELECT id, account_id, end_to_end_id, amount, holder, state, announced_by, announced_at, expires_at
FROM fundings WHERE id = %(id)s

-- name: expected
SELECT id, account_id, end_to_end_id, amount, holder, state, announced_by, announced_at, expires_at
FROM fundings WHERE account_id = %(account_id)s AND end_to_end_id = %(end_to_end_id)s AND state = 'EXPECTED'

-- name: is_of_payout
SELECT EXISTS (SELECT 1 FROM payouts WHERE account_id = %(account_id)s AND end_to_end_id = %(end_to_end_id)s
    AND state IN ('HELD', 'SENT', 'SETTLED'))

-- name: settle
UPDATE fundings SET state = %(state)s, settled_by = %(by)s, settled_at = %(at)s, settled_reason = %(reason)s
WHERE id = %(id)s

-- name: accounts_due
SELECT DISTINCT account_id FROM fundings WHERE settled_at IS NULL AND expires_at <= %(now)s ORDER BY account_id

-- name: due
SELECT id, account_id, end_to_end_id, amount, holder, state, announced_by, announced_at, expires_at
FROM fundings WHERE account_id = %(account_id)s AND settled_at IS NULL AND expires_at <= %(now)s ORDER BY expires_at, id

-- name: shown
-- What is shown of one, with the entry that met it and the movement that came of it; what follows continues it.
SELECT f.id, f.account_id, a.account_number, a.currency, f.end_to_end_id, f.amount, f.holder,
    CASE WHEN f.state = 'EXPECTED' AND f.expires_at <= %(now)s THEN 'EXPIRED' ELSE f.state END AS state,
    f.announced_by, f.announced_at, f.expires_at, f.settled_by, f.settled_at, f.settled_reason,
    e.id AS entry_id, e.position_change AS booked, e.booking_date, e.value_date, e.servicer_reference,
    e.bank_message_id, e.message_id, m.movement_id, m.at AS met_at
FROM fundings f JOIN emi_accounts a ON a.id = f.account_id
LEFT JOIN entry_meetings m ON m.funding_id = f.id
LEFT JOIN bank_entries e ON (e.account_id, e.amount, e.identity, e.occurrence)
    = (m.account_id, m.amount, m.identity, m.occurrence)

-- name: one
WHERE f.id = %(id)s

-- name: of_account
WHERE f.account_id = %(account_id)s
    AND (%(state)s::text IS NULL OR %(state)s::text
        = CASE WHEN f.state = 'EXPECTED' AND f.expires_at <= %(now)s THEN 'EXPIRED' ELSE f.state END)
    AND (%(before)s::uuid IS NULL
        OR (f.announced_at, f.id) < (SELECT b.announced_at, b.id FROM fundings b WHERE b.id = %(before)s::uuid))
ORDER BY f.announced_at DESC, f.id DESC LIMIT %(limit)s
