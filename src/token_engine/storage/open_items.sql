-- name: listing
-- Oldest first, each with up to ten that it may belong to. `awaiting_statement` is left out: no statement has reached
-- its day.
SELECT i.id, i.account_id, a.account_number, a.currency, i.kind, i.entry_id, i.movement_id, i.amount, i.dated, i.reason,
    i.other_entry_id, i.other_movement_id, i.statement_id, i.line, i.for_people, i.opened_at,
    %(today)s::date - i.dated AS age_days, coalesce(l.counterparty, m.counterparty) AS counterparty,
    coalesce(l.end_to_end_id, m.end_to_end_id, e.end_to_end_id) AS end_to_end_id,
    coalesce(l.servicer_reference, m.bank_reference, e.servicer_reference) AS bank_reference,
    l.transaction_code, l.remittance, m.kind AS movement_kind, (
        SELECT json_agg(json_build_object('pass', s.pass, 'entry_id', s.entry_id, 'movement_id', s.movement_id))
        FROM (
            SELECT o.pass, o.entry_id, o.movement_id
            FROM match_suggestions g JOIN match_suggestions o ON o.account_id = g.account_id
                AND o.suggestion_id = g.suggestion_id AND (o.entry_id IS NULL) <> (g.entry_id IS NULL)
            WHERE (g.entry_id = i.entry_id OR g.movement_id = i.movement_id) AND (
                EXISTS (SELECT FROM open_items w WHERE w.entry_id = o.entry_id AND w.closed_at IS NULL)
                OR EXISTS (SELECT FROM open_items w WHERE w.movement_id = o.movement_id AND w.closed_at IS NULL))
            LIMIT 10) s) AS candidates
FROM open_items i JOIN emi_accounts a ON a.id = i.account_id
LEFT JOIN bank_entries e ON e.id = i.entry_id
LEFT JOIN statement_lines l ON l.statement_id = i.statement_id AND l.line = i.line
LEFT JOIN ledger_movements m ON m.id = i.movement_id
WHERE i.closed_at IS NULL AND i.kind <> 'awaiting_statement'
    AND (%(account_id)s::uuid IS NULL OR i.account_id = %(account_id)s::uuid)
    AND (%(side)s::varchar IS NULL OR (i.entry_id IS NOT NULL) = (%(side)s::varchar = 'bank'))
    AND (%(reason)s::varchar IS NULL OR i.reason = %(reason)s::varchar)
    AND (%(dated_before)s::date IS NULL OR i.dated < %(dated_before)s::date)
    AND (%(after)s::bigint IS NULL OR (i.dated, i.id) > (
        SELECT o.dated, o.id FROM open_items o WHERE o.id = %(after)s::bigint))
ORDER BY i.dated, i.id LIMIT %(limit)s
