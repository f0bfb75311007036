-- name: counts
SELECT k.id, count(m.movement_id), count(l.line) - count(m.movement_id)
FROM unnest(%s::bigint[]) AS k (id) LEFT JOIN statement_lines l ON l.statement_id = k.id
LEFT JOIN bank_entries e ON e.id = l.entry_id
LEFT JOIN entry_meetings m ON (m.account_id, m.amount, m.identity, m.occurrence)
    = (e.account_id, e.amount, e.identity, e.occurrence)
GROUP BY k.id
