-- The look-ups ask entry by entry: OFFSET 0 keeps the planner from turning them round and reading an index
-- whole, which is right on the empty table that it may have planned for, and ruinous a million entries later.
-- A payout, of which there is one, is asked for as a range in its order: else that plan might take any index that
-- begins with the account, and read all payouts that it ever had.

-- name: recall
-- All that deciding a batch nearly always needs, in one statement: each one more would make a lone message wait
-- longer. Lists as JSON, so that one row holds them: each digest with what is kept of it and an id to keep
-- it under if it is new (an id not used is a gap); movements that entries to come might be, by name, or told of
-- by a report only; the open break of each account; fundings and payouts that entries to come may meet, with numbers
-- for the movements that they may come to.
SELECT json_build_array((
    SELECT json_agg(json_build_array(encode(k.digest, 'hex'), nextval('bank_messages_id_seq'), m.id, m.state,
        m.answer::text))
    FROM unnest(%s::bytea[]) AS k (digest) LEFT JOIN bank_messages m ON m.digest = k.digest
), (
    SELECT json_agg(json_build_array(e.account_id, e.amount::text, e.identity, e.occurrence, e.origin,
        e.bank_message_id, e.servicer_reference, e.entry_reference, e.booking_date, e.value_date, s.origin,
        s.bank_message_id, s.servicer_reference, s.entry_reference, s.booking_date, s.value_date))
    FROM unnest(%s::varchar[], %s::numeric[], %s::text[], %s::date[], %s::date[], %s::boolean[])
        AS k (account_number, amount, identity, booking_date, value_date, referenced)
    JOIN emi_accounts a ON a.account_number = k.account_number
    CROSS JOIN LATERAL (
        SELECT * FROM bank_entries e WHERE e.account_id = a.id AND e.amount = k.amount
        AND e.identity = k.identity COLLATE "C"
        UNION ALL
        SELECT * FROM bank_entries e WHERE k.referenced AND e.account_id = a.id AND e.amount = k.amount
        AND e.origin <> 'camt.054' AND e.servicer_reference IS NULL
        AND (e.booking_date = k.booking_date) IS NOT FALSE AND (e.value_date = k.value_date) IS NOT FALSE
        OFFSET 0) e
    LEFT JOIN bank_entry_sightings s ON s.account_id = e.account_id AND s.amount = e.amount
        AND s.entry_identity = e.identity AND s.entry_occurrence = e.occurrence
), (
    SELECT json_agg(json_build_array(d.account_id, json_build_array(d.id, d.severity, d.assignee,
        d.difference_gone_since, d.reopened_at IS NOT NULL)))
    FROM emi_accounts a CROSS JOIN LATERAL (SELECT * FROM reconciliation_discrepancies d
        WHERE d.account_id = a.id AND d.discrepancy_type = 'BALANCE_MISMATCH' AND d.status <> 'RESOLVED' OFFSET 0) d
    WHERE a.account_number = ANY (%s::varchar[])
), (
    SELECT json_agg(json_build_array(a.id, k.end_to_end_id, f.id, f.amount::text, f.holder, f.expires_at,
        nextval('ledger_movements_id_seq')))
    FROM unnest(%s::varchar[], %s::varchar[]) AS k (account_number, end_to_end_id)
    JOIN emi_accounts a ON a.account_number = k.account_number
    CROSS JOIN LATERAL (SELECT * FROM fundings f WHERE f.account_id = a.id
        AND f.end_to_end_id = k.end_to_end_id COLLATE "C" AND f.state = 'EXPECTED' OFFSET 0) f
), (
    SELECT json_agg(json_build_array(a.id, k.end_to_end_id, p.id, p.amount::text, p.holder, p.state, p.burnt::text,
        nextval('ledger_movements_id_seq'), nextval('ledger_movements_id_seq')))
    FROM unnest(%s::varchar[], %s::varchar[]) AS k (account_number, end_to_end_id)
    JOIN emi_accounts a ON a.account_number = k.account_number
    CROSS JOIN LATERAL (
        SELECT p.*, coalesce(CASE p.state WHEN 'SETTLED' THEN (
            SELECT m.amount FROM entry_meetings e JOIN ledger_movements m ON m.id = e.movement_id
            WHERE e.payout_id = p.id AND e.met = 'payout') END, 0) AS burnt
        FROM payouts p WHERE p.account_id = a.id
        AND p.end_to_end_id BETWEEN k.end_to_end_id AND k.end_to_end_id
        AND p.state IN ('HELD', 'SENT', 'SETTLED') ORDER BY p.end_to_end_id LIMIT 1) p
))::text
