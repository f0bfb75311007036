-- name: meet
-- What entries have met: fundings settled, movements posted, and what each entry was. One statement, because each adds to
-- what a batch costs however small it is, and so to how long a lone message waits. The movement that comes of a payout
-- settles it: see apply_movements.
WITH k AS MATERIALIZED (
    SELECT * FROM unnest(%s::uuid[], %s::numeric[], %s::varchar[], %s::integer[], %s::varchar[], %s::uuid[], %s::uuid[],
        %s::bigint[], %s::varchar[], %s::numeric[], %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[],
        %s::varchar[], %s::varchar[], %s::varchar[], %s::timestamptz[])
        AS k (account_id, booked, identity, occurrence, met, funding_id, payout_id, movement_id, kind, amount, leaves,
            enters, from_holder, to_holder, reason, actor, cause, at)
), settled AS (
    UPDATE fundings f SET state = 'MET', settled_by = k.actor, settled_at = k.at,
        settled_reason = 'the bank''s entry ' || k.cause
    FROM k WHERE f.id = k.funding_id
), posted AS (
    INSERT INTO ledger_movements (id, account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor,
        cause, at)
    OVERRIDING SYSTEM VALUE
    SELECT movement_id, account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor, cause, at
    FROM k
)
INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, funding_id, payout_id, movement_id, actor,
    reason, at)
SELECT account_id, booked, identity, occurrence, met, funding_id, payout_id, movement_id, actor, reason, at FROM k

-- name: keep
INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, funding_id, payout_id, movement_id, actor,
    reason, at, return_reference)
SELECT * FROM unnest(%s::uuid[], %s::numeric[], %s::varchar[], %s::integer[], %s::varchar[], %s::uuid[], %s::uuid[],
    %s::bigint[], %s::varchar[], %s::varchar[], %s::timestamptz[], %s::varchar[])
