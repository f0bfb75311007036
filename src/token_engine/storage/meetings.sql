-- name: settle
-- Fundings and payouts that entries have met. Before the legs: what a settlement burns must not be reserved any more.
WITH met AS (
    UPDATE fundings f SET state = 'MET', settled_by = 'engine', settled_at = k.at, settled_reason = k.reason
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::varchar[]) AS k (id, at, reason)
    WHERE f.id = k.id
)
UPDATE payouts p SET state = k.state, settled_by = coalesce(p.settled_by, 'engine'),
    settled_at = coalesce(p.settled_at, k.at), settled_reason = coalesce(p.settled_reason, k.reason)
FROM unnest(%s::uuid[], %s::varchar[], %s::timestamptz[], %s::varchar[]) AS k (id, state, at, reason)
WHERE p.id = k.id

-- name: keep
INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, funding_id, payout_id, movement_id, actor,
    reason, at, return_reference)
SELECT * FROM unnest(%s::uuid[], %s::numeric[], %s::varchar[], %s::integer[], %s::varchar[], %s::uuid[], %s::uuid[],
    %s::bigint[], %s::varchar[], %s::varchar[], %s::timestamptz[], %s::varchar[])
