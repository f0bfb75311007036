-- name: accounts_named
SELECT id, currency FROM emi_accounts
WHERE (id = %(id)s::uuid OR account_number = %(number)s::text)
    AND (%(currency)s::text IS NULL OR currency = %(currency)s::text)
ORDER BY id LIMIT 2

-- name: books
SELECT id, account_number, currency, ledger_mode, closed_at IS NOT NULL, ledger_balance, reserved_balance,
    bank_reported_balance, last_reconciliation_at
FROM emi_accounts WHERE id = ANY (%s::uuid[])

-- name: holders
SELECT h.account_id, h.holder, h.balance, h.reserved
FROM unnest(%s::uuid[], %s::varchar[]) AS k (account_id, holder)
JOIN ledger_holders h ON h.account_id = k.account_id AND h.holder = k.holder

-- name: post
-- A movement is its two legs, and moves the balances. An id that a failed transaction drew is a gap.
INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor, cause,
    reverses, idempotency_key, at, end_to_end_id, uetr, bank_reference, instruction_id, creditor_reference,
    batch_reference, counterparty, value_date)
SELECT account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor, cause, reverses,
    idempotency_key, at, end_to_end_id, uetr, bank_reference, instruction_id, creditor_reference, batch_reference,
    counterparty, value_date
FROM unnest(%s::uuid[], %s::varchar[], %s::numeric[], %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[],
    %s::varchar[], %s::varchar[], %s::varchar[], %s::bigint[], %s::varchar[], %s::timestamptz[], %s::varchar[],
    %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[], %s::date[])
    WITH ORDINALITY
    AS k (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor, cause, reverses,
        idempotency_key, at, end_to_end_id, uetr, bank_reference, instruction_id, creditor_reference, batch_reference,
        counterparty, value_date, place)
ORDER BY place
RETURNING id

-- name: of_keys
SELECT m.account_id, m.idempotency_key, m.id, m.kind, m.amount, m.from_holder, m.to_holder, m.reverses
FROM unnest(%s::uuid[], %s::varchar[]) AS k (account_id, idempotency_key)
JOIN ledger_movements m ON m.account_id = k.account_id AND m.idempotency_key = k.idempotency_key

-- name: originals
SELECT m.id, m.account_id, m.kind, m.amount, m.from_holder, m.to_holder, m.reason, m.actor, m.cause, r.id,
    e.movement_id IS NOT NULL OR f.movement_id IS NOT NULL
FROM ledger_movements m LEFT JOIN ledger_movements r ON r.reverses = m.id
LEFT JOIN entry_meetings e ON e.movement_id = m.id
LEFT JOIN matches f ON f.movement_id = m.id
WHERE m.id = ANY (%s::bigint[])

-- name: movements
SELECT m.id, m.account_id, a.account_number, a.currency, m.kind, m.amount, m.from_holder, m.to_holder, m.reason,
    m.actor, m.cause, m.reverses, r.id AS reversed_by, m.idempotency_key, m.at, m.end_to_end_id, m.uetr,
    m.bank_reference, m.instruction_id, m.creditor_reference, m.batch_reference, m.counterparty, m.value_date
FROM ledger_movements m JOIN emi_accounts a ON a.id = m.account_id
LEFT JOIN ledger_movements r ON r.reverses = m.id
WHERE m.account_id = %(account_id)s AND (%(before)s::bigint IS NULL OR m.id < %(before)s::bigint)
ORDER BY m.id DESC LIMIT %(limit)s

-- name: supply
SELECT a.currency, sum(a.ledger_balance) AS supply, count(*) AS accounts,
    (SELECT count(DISTINCT h.holder) FROM ledger_holders h JOIN emi_accounts b ON b.id = h.account_id
     WHERE b.currency = a.currency AND h.balance > 0) AS holders,
    (SELECT coalesce(sum(CASE m.enters WHEN 'replenished' THEN m.amount ELSE -m.amount END), 0)
     FROM ledger_movements m JOIN emi_accounts b ON b.id = m.account_id
     WHERE m.leaves IN ('own_funds', 'replenished') AND b.currency = a.currency) AS own_funds
FROM emi_accounts a GROUP BY a.currency ORDER BY a.currency

-- name: holders_of_token
SELECT h.holder, sum(h.balance) AS balance
FROM ledger_holders h JOIN emi_accounts a ON a.id = h.account_id
WHERE a.currency = %(currency)s AND h.balance > 0 AND (%(after)s::text IS NULL OR h.holder > %(after)s::text)
GROUP BY h.holder ORDER BY h.holder LIMIT %(limit)s

-- name: drift
-- What is kept ready against what the legs make: the balance of an account, and of each holder. None, ever.
SELECT a.account_number, a.currency, NULL AS holder, a.ledger_balance AS stored, coalesce(f.total, 0) AS folded
FROM emi_accounts a LEFT JOIN (
    SELECT m.account_id, sum(p.amount) AS total FROM ledger_postings p JOIN ledger_movements m ON m.id = p.movement_id
    WHERE p.ledger_account = 'holder' GROUP BY m.account_id) f ON f.account_id = a.id
WHERE a.ledger_balance <> coalesce(f.total, 0)
UNION ALL
SELECT a.account_number, a.currency, coalesce(h.holder, f.holder), coalesce(h.balance, 0), coalesce(f.total, 0)
FROM (
    SELECT m.account_id, p.holder, sum(p.amount) AS total
    FROM ledger_postings p JOIN ledger_movements m ON m.id = p.movement_id
    WHERE p.ledger_account = 'holder' GROUP BY m.account_id, p.holder) f
FULL JOIN ledger_holders h ON h.account_id = f.account_id AND h.holder = f.holder
JOIN emi_accounts a ON a.id = coalesce(h.account_id, f.account_id)
WHERE coalesce(h.balance, 0) <> coalesce(f.total, 0)
ORDER BY 1, 2, 3 NULLS FIRST
