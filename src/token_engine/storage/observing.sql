-- name: facts
-- What an observation is compared with, of accounts under lock. The changes of the position since `since`, newest
-- first: of a busy account the last thousand. Expectations the oldest first.
SELECT a.id, a.bank_reported_balance, a.observed_gap, a.observed_at, a.last_critical_at,
    a.last_reconciliation_at IS NULL,
    coalesce((SELECT p.replaces_position FROM account_polling p WHERE p.account_id = a.id), false)
        AND NOT EXISTS (SELECT 1 FROM statements s WHERE s.account_id = a.id AND s.state IN ('ACCEPTED', 'RELEASED')),
    (SELECT json_agg(json_build_array(e.position_change::text, e.received_at) ORDER BY e.id DESC) FROM (
        SELECT e.id, e.position_change, m.received_at
        FROM bank_entries e JOIN bank_messages m ON m.id = e.message_id
        WHERE e.account_id = a.id AND e.origin <> 'camt.053' ORDER BY e.id DESC LIMIT 1000) e
        WHERE e.received_at > k.since)::text,
    (SELECT json_agg(json_build_array(f.id, f.amount::text) ORDER BY f.at, f.id) FROM (
        SELECT f.id, f.amount, f.announced_at AS at FROM fundings f
        WHERE f.account_id = a.id AND f.state = 'EXPECTED' AND f.expires_at > %s
        UNION ALL
        SELECT p.id, -p.amount, p.sent_at FROM payouts p WHERE p.account_id = a.id AND p.state = 'SENT'
        ORDER BY 3, 1 LIMIT %s) f)::text
FROM unnest(%s::uuid[], %s::timestamptz[]) AS k (account_id, since)
JOIN emi_accounts a ON a.id = k.account_id

-- name: record
WITH observed AS (
    INSERT INTO balance_observations (account_id, poll_id, observed_at, as_of, balance, balance_type, ledger_balance,
        position_balance, explained, difference, level)
    SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::numeric[], %s::varchar[],
        %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::varchar[])
    ON CONFLICT (poll_id) DO NOTHING  -- committed, and only the news of it got lost: the batch is tried again
)
UPDATE emi_accounts a SET observed_at = k.as_of
FROM unnest(%s::uuid[], %s::timestamptz[]) AS k (account_id, as_of)
WHERE a.id = k.account_id

-- name: suspect
UPDATE account_polling p SET suspected = k.suspected
FROM unnest(%s::uuid[], %s::boolean[]) AS k (account_id, suspected)
WHERE p.account_id = k.account_id AND p.suspected <> k.suspected

-- name: reopen_position
-- The position starts anew from what the bank said when asked; what messages added to it stays added.
INSERT INTO account_openings AS o (account_id, balance, as_of, actor) VALUES (%s, %s, %s, 'engine')
ON CONFLICT (account_id) DO UPDATE SET balance = o.balance + %s, as_of = excluded.as_of, actor = excluded.actor
