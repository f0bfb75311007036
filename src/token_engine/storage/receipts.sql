-- name: credit
SELECT id AS entry_id, account_id, amount, identity, occurrence, position_change AS booked, end_to_end_id,
    servicer_reference, entry_reference, origin, bank_message_id, message_id
FROM bank_entries WHERE id = %(entry_id)s AND unexpected AND position_change > 0

-- name: oldest_unallocated
SELECT e.id AS entry_id, e.account_id, e.amount, e.identity, e.occurrence, e.position_change AS booked,
    e.end_to_end_id, e.servicer_reference, e.entry_reference, e.origin, e.bank_message_id, e.message_id
FROM bank_entries e
-- What undoes a debit is no funding.
WHERE e.account_id = %(account_id)s AND e.end_to_end_id = %(end_to_end_id)s AND e.unexpected AND e.position_change > 0
    AND NOT e.reversal
    AND NOT EXISTS (
        SELECT 1 FROM entry_meetings m WHERE (m.account_id, m.amount, m.identity, m.occurrence)
            = (e.account_id, e.amount, e.identity, e.occurrence))
ORDER BY e.id LIMIT 1

-- name: meeting
SELECT met, actor, at FROM entry_meetings
WHERE account_id = %(account_id)s AND amount = %(amount)s AND identity = %(identity)s AND occurrence = %(occurrence)s

-- name: return_taken
SELECT EXISTS (SELECT 1 FROM entry_meetings WHERE account_id = %(account_id)s AND return_reference = %(reference)s)
    OR EXISTS (SELECT 1 FROM payouts WHERE account_id = %(account_id)s AND end_to_end_id = %(reference)s)

-- name: returning
SELECT coalesce(sum(amount), 0) FROM receipt_returns WHERE account_id = %(account_id)s AND debit_id IS NULL

-- name: return_of
SELECT return_reference, debit_id FROM receipt_returns WHERE entry_id = %(entry_id)s

-- name: debit
-- A booked debit that nothing has met.
SELECT e.id AS entry_id, e.account_id, e.amount, e.identity, e.occurrence, e.position_change AS booked,
    e.end_to_end_id, e.servicer_reference, e.entry_reference, e.origin, e.bank_message_id, e.message_id
FROM bank_entries e
WHERE e.id = %(entry_id)s AND e.account_id = %(account_id)s AND e.position_change < 0 AND NOT EXISTS (
    SELECT 1 FROM entry_meetings m WHERE (m.account_id, m.amount, m.identity, m.occurrence)
        = (e.account_id, e.amount, e.identity, e.occurrence))

-- name: shown
-- A receipt, what became of it, and of one that waits the funding that it may have been meant for.
SELECT e.id AS entry_id, e.account_id, a.account_number, a.currency, e.position_change AS amount, e.booking_date,
    e.value_date, e.end_to_end_id, e.servicer_reference, e.entry_reference, e.uetr, e.instruction_id,
    e.transaction_id, e.bank_message_id, e.message_id, m.met, m.funding_id, m.movement_id, m.return_reference,
    m.actor, m.reason, m.at, r.debit_id, s.id AS suggested_id, s.end_to_end_id AS suggested_end_to_end_id,
    s.amount AS suggested_amount, s.holder AS suggested_holder, s.state AS suggested_state
FROM bank_entries e JOIN emi_accounts a ON a.id = e.account_id
LEFT JOIN entry_meetings m ON (m.account_id, m.amount, m.identity, m.occurrence)
    = (e.account_id, e.amount, e.identity, e.occurrence)
LEFT JOIN receipt_returns r ON r.entry_id = e.id
LEFT JOIN LATERAL (
    SELECT f.id, f.end_to_end_id, f.amount, f.holder,
        CASE WHEN f.expires_at <= %(now)s THEN 'EXPIRED' ELSE f.state END AS state
    FROM fundings f
    WHERE m.met IS NULL AND f.account_id = e.account_id AND f.state IN ('EXPECTED', 'EXPIRED')
        AND (f.end_to_end_id = e.end_to_end_id OR f.amount = e.position_change)
    ORDER BY (f.end_to_end_id = e.end_to_end_id) IS TRUE DESC, f.amount = e.position_change DESC,
        f.state = 'EXPECTED' AND f.expires_at > %(now)s DESC, f.announced_at DESC, f.id
    LIMIT 1) s ON true
WHERE e.unexpected AND e.position_change > 0

-- name: one
    AND e.id = %(entry_id)s

-- name: wanted
    AND (%(account_id)s::uuid IS NULL OR e.account_id = %(account_id)s::uuid)
    AND CASE %(state)s::text WHEN 'UNALLOCATED' THEN m.met IS NULL WHEN 'ALLOCATED' THEN m.met <> 'return'
        WHEN 'RETURNED' THEN m.met = 'return' ELSE true END
    AND (%(before)s::bigint IS NULL OR e.id < %(before)s::bigint)
ORDER BY e.id DESC LIMIT %(limit)s

-- name: unlike_their_movements
-- Meetings whose movement is not what its entry brought: of another account, amount or kind. None, ever.
SELECT e.id AS entry_id, a.account_number, a.currency, m.met, m.movement_id, e.position_change AS booked, v.kind,
    v.amount AS moved
FROM entry_meetings m JOIN bank_entries e ON (e.account_id, e.amount, e.identity, e.occurrence)
    = (m.account_id, m.amount, m.identity, m.occurrence)
JOIN emi_accounts a ON a.id = m.account_id JOIN ledger_movements v ON v.id = m.movement_id
WHERE v.account_id <> m.account_id
    OR CASE m.met WHEN 'own_funds' THEN v.kind <> 'replenishment' WHEN 'payout' THEN v.kind <> 'payout_settlement'
        ELSE v.kind <> 'mint' END
    -- A settlement burns what was held at most; everything else moves what was booked.
    OR CASE m.met WHEN 'payout' THEN v.amount > -e.position_change ELSE v.amount <> e.position_change END
ORDER BY e.id

-- name: met_without_meeting
SELECT f.id, a.account_number, a.currency, f.end_to_end_id
FROM fundings f JOIN emi_accounts a ON a.id = f.account_id
WHERE f.state = 'MET' AND NOT EXISTS (SELECT 1 FROM entry_meetings m WHERE m.funding_id = f.id)
    OR f.state <> 'MET' AND EXISTS (SELECT 1 FROM entry_meetings m WHERE m.funding_id = f.id)
ORDER BY f.announced_at, f.id

-- name: mints_without_meeting
-- Tokens that came to be on a ledger of ours against no entry of the bank, or as the second for one. None, ever.
SELECT v.id, a.account_number, a.currency, v.amount
FROM ledger_movements v JOIN emi_accounts a ON a.id = v.account_id AND a.ledger_mode = 'engine'
WHERE v.kind = 'mint' AND NOT EXISTS (SELECT 1 FROM entry_meetings m WHERE m.movement_id = v.id)
ORDER BY v.id
