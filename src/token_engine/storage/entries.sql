-- OFFSET 0: see recall.sql.

-- name: known_stated
-- By the hash of account and amount, which the index has; what else has it is none of these.
SELECT e.account_id, e.amount, e.identity, e.occurrence,
    e.origin, e.bank_message_id, e.servicer_reference, e.entry_reference, e.booking_date, e.value_date,
    s.origin, s.bank_message_id, s.servicer_reference, s.entry_reference, s.booking_date, s.value_date
FROM unnest(%s::varchar[], %s::numeric[], %s::date[], %s::date[]) AS k (account_number, amount, booking_date, value_date)
JOIN emi_accounts a ON a.account_number = k.account_number
CROSS JOIN LATERAL (
    SELECT * FROM bank_entries e
    WHERE hash_numeric_extended(e.amount, uuid_hash_extended(e.account_id, 0))
            = hash_numeric_extended(k.amount, uuid_hash_extended(a.id, 0)) AND e.origin <> 'camt.054'
    AND (e.booking_date = k.booking_date) IS NOT FALSE AND (e.value_date = k.value_date) IS NOT FALSE
    OFFSET 0) e
LEFT JOIN bank_entry_sightings s ON s.account_id = e.account_id AND s.amount = e.amount
    AND s.entry_identity = e.identity AND s.entry_occurrence = e.occurrence
WHERE e.account_id = a.id AND e.amount = k.amount

-- name: known_of_amount
SELECT e.account_id, e.amount, e.identity, e.occurrence,
    e.origin, e.bank_message_id, e.servicer_reference, e.entry_reference, e.booking_date, e.value_date,
    s.origin, s.bank_message_id, s.servicer_reference, s.entry_reference, s.booking_date, s.value_date
FROM unnest(%s::varchar[], %s::numeric[], %s::date[], %s::date[]) AS k (account_number, amount, booking_date, value_date)
JOIN emi_accounts a ON a.account_number = k.account_number
CROSS JOIN LATERAL (
    SELECT * FROM bank_entries e WHERE e.account_id = a.id AND e.amount = k.amount
    AND (e.booking_date = k.booking_date) IS NOT FALSE AND (e.value_date = k.value_date) IS NOT FALSE
    OFFSET 0) e
LEFT JOIN bank_entry_sightings s ON s.account_id = e.account_id AND s.amount = e.amount
    AND s.entry_identity = e.identity AND s.entry_occurrence = e.occurrence

-- name: insert_sightings
INSERT INTO bank_entry_sightings (account_id, amount, identity, entry_identity, entry_occurrence, message_id,
    origin, bank_message_id, servicer_reference, entry_reference, booking_date, value_date)
SELECT * FROM unnest(%s::uuid[], %s::numeric[], %s::varchar[], %s::varchar[], %s::integer[], %s::bigint[],
    %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[], %s::date[], %s::date[])
