-- name: entries
-- Entries of the bank as a match shows them: as their statement lists them, else as they were notified.
SELECT e.id AS entry_id, e.account_id, e.status = 'BOOK' AS booked, e.position_change AS amount, l.statement_id, l.line,
    coalesce(l.booking_date, e.booking_date) AS booking_date, coalesce(l.value_date, e.value_date) AS value_date,
    coalesce(l.uetr, e.uetr) AS uetr, coalesce(l.end_to_end_id, e.end_to_end_id) AS end_to_end_id,
    coalesce(l.servicer_reference, e.servicer_reference) AS bank_reference,
    coalesce(l.instruction_id, e.instruction_id) AS instruction_id,
    coalesce(l.transaction_id, e.transaction_id) AS transaction_id, l.creditor_reference, l.batch_reference,
    l.counterparty, l.transaction_code, l.remittance, f.match_id, m.movement_id AS met_by, (
        SELECT json_agg(json_build_object('detail', d.detail, 'amount', d.amount::text, 'end_to_end_id', d.end_to_end_id,
            'uetr', d.uetr, 'instruction_id', d.instruction_id, 'creditor_reference', d.creditor_reference)
            ORDER BY d.detail)
        FROM statement_line_details d WHERE d.statement_id = l.statement_id AND d.line = l.line) AS details
FROM bank_entries e
LEFT JOIN LATERAL (
    SELECT l.* FROM statement_lines l JOIN statements s ON s.id = l.statement_id
    WHERE l.entry_id = e.id ORDER BY s.state = 'REPLACED', l.statement_id DESC LIMIT 1) l ON true
LEFT JOIN matches f ON f.entry_id = e.id
LEFT JOIN entry_meetings m ON (m.account_id, m.amount, m.identity, m.occurrence)
    = (e.account_id, e.amount, e.identity, e.occurrence)
WHERE e.id = ANY (%(ids)s::bigint[]) ORDER BY e.id

-- name: movements
SELECT m.id AS movement_id, m.account_id, m.kind,
    CASE WHEN m.leaves IN ('issued', 'own_funds') THEN m.amount ELSE -m.amount END AS amount, m.at, m.value_date,
    m.uetr, m.end_to_end_id,
    coalesce(m.bank_reference, CASE WHEN m.kind = 'replenishment' THEN m.cause END) AS bank_reference, m.instruction_id,
    m.creditor_reference, m.batch_reference, m.counterparty, coalesce(m.to_holder, m.from_holder) AS holder, m.reason,
    m.actor, r.id AS reversed_by, f.match_id, e.movement_id IS NOT NULL AS met
FROM ledger_movements m LEFT JOIN ledger_movements r ON r.reverses = m.id
LEFT JOIN matches f ON f.movement_id = m.id LEFT JOIN entry_meetings e ON e.movement_id = m.id
WHERE m.id = ANY (%(ids)s::bigint[]) ORDER BY m.id

-- name: number
SELECT nextval('match_numbers')

-- name: make
-- One row for a pair of places; whichever side has more fills the rest alone. The unique keys refuse what is claimed.
INSERT INTO matches (match_id, account_id, entry_id, movement_id, pass)
SELECT %(match_id)s, %(account_id)s, e.id, m.id, %(pass)s
FROM unnest(%(entry_ids)s::bigint[]) WITH ORDINALITY AS e (id, place)
FULL JOIN unnest(%(movement_ids)s::bigint[]) WITH ORDINALITY AS m (id, place) USING (place)

-- name: close_items
UPDATE open_items SET closed_at = %(at)s, closed_by = 'match ' || %(match_id)s::bigint
WHERE closed_at IS NULL AND kind = 'unmatched'
    AND (entry_id = ANY (%(entry_ids)s::bigint[]) OR movement_id = ANY (%(movement_ids)s::bigint[]))

-- name: undo
DELETE FROM matches WHERE match_id = %(match_id)s

-- name: reopen_items
-- For people from now on: the engine was told that it is wrong about them, and would only say the same again.
INSERT INTO open_items (account_id, kind, entry_id, movement_id, statement_id, line, amount, dated, reason, for_people,
    opened_at)
SELECT k.account_id, k.kind, k.entry_id, k.movement_id, k.statement_id, k.line, k.amount, k.dated, k.reason, true, %(at)s
FROM (
    SELECT e.account_id, CASE WHEN l.line IS NULL THEN 'awaiting_statement' ELSE 'unmatched' END AS kind,
        e.id AS entry_id, NULL::bigint AS movement_id, l.statement_id, l.line, e.position_change AS amount,
        coalesce(l.value_date, l.booking_date, e.booking_date, e.value_date, %(at)s::date) AS dated,
        CASE WHEN l.line IS NULL THEN 'not_stated' ELSE 'unknown' END AS reason
    FROM bank_entries e LEFT JOIN LATERAL (
        SELECT l.* FROM statement_lines l JOIN statements s ON s.id = l.statement_id
        WHERE l.entry_id = e.id AND s.state IN ('ACCEPTED', 'RELEASED') ORDER BY l.statement_id DESC LIMIT 1) l ON true
    WHERE e.id = ANY (%(entry_ids)s::bigint[])
        AND NOT EXISTS (SELECT FROM open_items i WHERE i.entry_id = e.id AND i.closed_at IS NULL)
    UNION ALL
    SELECT m.account_id, 'unmatched', NULL, m.id, NULL, NULL,
        CASE WHEN m.leaves IN ('issued', 'own_funds') THEN m.amount ELSE -m.amount END,
        coalesce(m.value_date, (m.at AT TIME ZONE 'UTC')::date), 'unknown'
    FROM ledger_movements m WHERE m.id = ANY (%(movement_ids)s::bigint[])
        AND NOT EXISTS (SELECT FROM ledger_movements r WHERE r.reverses = m.id)) k

-- name: tell
INSERT INTO match_events (match_id, account_id, happening, pass, entry_ids, movement_ids, difference, statement_id,
    request_id, alternatives, actor, reason, at)
VALUES (%(match_id)s, %(account_id)s, %(happening)s, %(pass)s, %(entry_ids)s, %(movement_ids)s, %(difference)s,
    %(statement_id)s, %(request_id)s, %(alternatives)s::jsonb, %(actor)s, %(reason)s, %(at)s)

-- name: rows
SELECT m.match_id, m.account_id, m.entry_id, m.movement_id, m.pass, m.statement_id, s.at AS made_at
FROM matches m LEFT JOIN statements s ON s.id = m.statement_id WHERE m.match_id = %(match_id)s

-- name: story
SELECT happening, account_id, pass, entry_ids, movement_ids, difference, statement_id, request_id, alternatives, actor,
    reason, at
FROM match_events WHERE match_id = %(match_id)s ORDER BY id

-- name: listing
SELECT m.match_id, m.account_id, a.account_number, a.currency, min(m.pass) AS pass, min(m.statement_id) AS statement_id,
    array_remove(array_agg(m.entry_id ORDER BY m.entry_id), NULL) AS entry_ids,
    array_remove(array_agg(m.movement_id ORDER BY m.movement_id), NULL) AS movement_ids
FROM matches m JOIN emi_accounts a ON a.id = m.account_id
WHERE (%(account_id)s::uuid IS NULL OR m.account_id = %(account_id)s::uuid)
    AND (%(statement_id)s::bigint IS NULL OR m.statement_id = %(statement_id)s::bigint)
    AND (%(pass)s::varchar IS NULL OR m.pass = %(pass)s::varchar)
    AND (%(before)s::bigint IS NULL OR m.match_id < %(before)s::bigint)
GROUP BY m.match_id, m.account_id, a.id ORDER BY m.match_id DESC LIMIT %(limit)s

-- name: alternatives
-- What is open and might be meant as well: of one of these amounts and near in time, or with one of these references.
SELECT i.entry_id, i.movement_id, i.amount, i.dated, i.reason, r.shared,
    i.amount = ANY (%(amounts)s::numeric[]) AS same_amount
FROM open_items i
LEFT JOIN statement_lines l ON l.statement_id = i.statement_id AND l.line = i.line
LEFT JOIN ledger_movements m ON m.id = i.movement_id
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT w.name) AS shared FROM (VALUES
        ('uetr', coalesce(l.uetr, m.uetr)), ('end_to_end_id', coalesce(l.end_to_end_id, m.end_to_end_id)),
        ('bank_reference', coalesce(l.servicer_reference, m.bank_reference)),
        ('instruction_id', coalesce(l.instruction_id, m.instruction_id)),
        ('creditor_reference', coalesce(l.creditor_reference, m.creditor_reference)),
        ('batch_reference', coalesce(l.batch_reference, m.batch_reference))) AS w (name, word)
    WHERE w.word = ANY (%(references)s::varchar[])) r
WHERE i.account_id = %(account_id)s AND i.closed_at IS NULL AND i.kind = 'unmatched'
    AND NOT coalesce(i.entry_id = ANY (%(entry_ids)s::bigint[]), false)
    AND NOT coalesce(i.movement_id = ANY (%(movement_ids)s::bigint[]), false)
    AND (r.shared IS NOT NULL OR i.amount = ANY (%(amounts)s::numeric[])
        AND i.dated BETWEEN %(since)s::date AND %(until)s::date)
ORDER BY r.shared IS NULL, i.dated, i.id LIMIT 20

-- name: request
INSERT INTO match_requests (account_id, entry_ids, movement_ids, difference, state, requested_by, reason, requested_at)
VALUES (%(account_id)s, %(entry_ids)s, %(movement_ids)s, %(difference)s, 'PENDING', %(actor)s, %(reason)s, %(at)s)
RETURNING id

-- name: requests
SELECT r.*, a.account_number, a.currency FROM match_requests r JOIN emi_accounts a ON a.id = r.account_id
WHERE (%(id)s::bigint IS NULL OR r.id = %(id)s::bigint)
    AND (%(account_id)s::uuid IS NULL OR r.account_id = %(account_id)s::uuid)
    AND (NOT %(pending)s OR r.state = 'PENDING')
ORDER BY r.id DESC LIMIT %(limit)s

-- name: settle_request
UPDATE match_requests SET state = %(state)s, settled_by = %(actor)s, settled_reason = %(reason)s, settled_at = %(at)s,
    match_id = %(match_id)s
WHERE id = %(id)s

-- name: policy
SELECT passes, window_days, counterparty_needed FROM matching_policies WHERE account_id = %(account_id)s

-- name: save_policy
INSERT INTO matching_policies VALUES (%(account_id)s, %(passes)s::varchar[], %(window_days)s, %(counterparty_needed)s)
ON CONFLICT (account_id) DO UPDATE SET passes = excluded.passes, window_days = excluded.window_days,
    counterparty_needed = excluded.counterparty_needed

-- name: unequal
-- Matches whose sides do not sum to the same, unless two people said so. None, ever.
SELECT a.account_number, a.currency, m.match_id, sum(coalesce(e.position_change, 0)) AS entries,
    sum(CASE WHEN l.leaves IN ('issued', 'own_funds') THEN l.amount ELSE coalesce(-l.amount, 0) END) AS movements
FROM matches m JOIN emi_accounts a ON a.id = m.account_id LEFT JOIN bank_entries e ON e.id = m.entry_id
LEFT JOIN ledger_movements l ON l.id = m.movement_id
WHERE m.pass NOT IN ('met', 'forced')
GROUP BY a.id, m.match_id
HAVING sum(coalesce(e.position_change, 0))
    <> sum(CASE WHEN l.leaves IN ('issued', 'own_funds') THEN l.amount ELSE coalesce(-l.amount, 0) END)
