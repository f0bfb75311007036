-- name: save_connection
INSERT INTO bank_connections (name, kind, settings, set_by, set_at)
VALUES (%(name)s, %(kind)s, %(settings)s::jsonb, %(actor)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET
    kind = excluded.kind, settings = excluded.settings, set_by = excluded.set_by, set_at = excluded.set_at

-- name: connections
SELECT name, kind, settings::text, set_by, set_at FROM bank_connections
WHERE %(name)s::varchar IS NULL OR name = %(name)s::varchar
ORDER BY name

-- name: save_polling
INSERT INTO account_polling AS p (account_id, connection, resource, every_minutes, offset_seconds, polls_a_day,
    business_days_only, replaces_position, next_slot_at, set_by, set_at)
VALUES (%(account_id)s, %(connection)s, %(resource)s, %(every_minutes)s, %(offset_seconds)s, %(polls_a_day)s,
    %(business_days_only)s, %(replaces_position)s, %(next_slot_at)s, %(actor)s, %(now)s)
ON CONFLICT (account_id) DO UPDATE SET
    connection = excluded.connection, resource = excluded.resource, every_minutes = excluded.every_minutes,
    offset_seconds = excluded.offset_seconds, polls_a_day = excluded.polls_a_day,
    business_days_only = excluded.business_days_only, replaces_position = excluded.replaces_position,
    next_slot_at = excluded.next_slot_at, set_by = excluded.set_by, set_at = excluded.set_at

-- name: end_polling
DELETE FROM account_polling WHERE account_id = %s RETURNING account_id

-- name: polling
SELECT p.connection, p.resource, p.every_minutes, p.polls_a_day, p.business_days_only, p.replaces_position,
    p.suspected, p.next_slot_at, p.set_by, p.set_at,
    (SELECT coalesce(sum(q.requests), 0) FROM balance_polls q
     WHERE q.account_id = p.account_id AND q.claimed_at > %(now)s - interval '24 hours') AS asked_in_24_hours
FROM account_polling p WHERE p.account_id = %(account_id)s

-- name: polls
-- The latest times the bank was asked, with what it said.
SELECT q.id, q.slot_at, q.run_id, q.claimed_at, q.answered_at, q.requests, q.refusal_code, q.refusal_text, o.as_of,
    o.balance, o.balance_type, o.explained, o.difference, o.level
FROM balance_polls q LEFT JOIN balance_observations o ON o.poll_id = q.id
WHERE q.account_id = %(account_id)s
ORDER BY q.claimed_at DESC, q.id DESC LIMIT %(limit)s

-- name: due
-- Accounts of a connection whose time has come, each for one engine: whoever has the row passes it on only once it is
-- claimed. Each with the times of the requests that its budget counts.
SELECT p.account_id, p.connection, a.account_number, a.currency, p.resource, p.every_minutes, p.offset_seconds,
    p.polls_a_day, p.business_days_only, p.suspected, p.run_id, ARRAY(
        SELECT q.claimed_at FROM balance_polls q, generate_series(1, q.requests)
        WHERE p.polls_a_day IS NOT NULL AND q.account_id = p.account_id
            AND q.claimed_at > %(now)s::timestamptz - interval '24 hours' ORDER BY q.claimed_at) AS asked
FROM account_polling p JOIN emi_accounts a ON a.id = p.account_id
WHERE p.connection = %(connection)s AND p.next_slot_at <= %(now)s::timestamptz AND a.closed_at IS NULL
    AND (p.run_id IS NOT NULL OR NOT %(of_runs)s)
ORDER BY p.next_slot_at LIMIT %(limit)s
FOR NO KEY UPDATE OF p SKIP LOCKED

-- name: named
-- The same of accounts that a person asks for now: who claims one at this moment is waited for, and not passed over.
SELECT p.account_id, p.connection, a.account_number, a.currency, p.resource, p.every_minutes, p.offset_seconds,
    p.polls_a_day, p.business_days_only, p.suspected, NULL::uuid AS run_id, ARRAY(
        SELECT q.claimed_at FROM balance_polls q, generate_series(1, q.requests)
        WHERE p.polls_a_day IS NOT NULL AND q.account_id = p.account_id
            AND q.claimed_at > %(now)s::timestamptz - interval '24 hours' ORDER BY q.claimed_at) AS asked
FROM account_polling p JOIN emi_accounts a ON a.id = p.account_id
WHERE p.account_id = ANY (%(ids)s::uuid[]) AND a.closed_at IS NULL
ORDER BY p.account_id
FOR NO KEY UPDATE OF p

-- name: far_ahead
-- Accounts whose next slot lies further ahead than a budget puts it. Of one that is asked on business days it may lie
-- there, unless it was set or last polled at a time that lies ahead: that shows by what clock it was computed.
SELECT p.account_id FROM account_polling p JOIN emi_accounts a ON a.id = p.account_id
WHERE p.connection = ANY (%s::varchar[]) AND p.next_slot_at > %s::timestamptz AND a.closed_at IS NULL
    AND (NOT p.business_days_only
        OR greatest(p.set_at, (SELECT max(q.claimed_at) FROM balance_polls q WHERE q.account_id = p.account_id))
            > %s::timestamptz)

-- name: count_as_now
WITH ahead AS (
    SELECT q.id, q.claimed_at FROM balance_polls q
    WHERE q.account_id = ANY (%(ids)s::uuid[]) AND q.claimed_at > %(now)s::timestamptz
    ORDER BY q.id FOR UPDATE
), counted AS (
    UPDATE balance_polls q SET claimed_at = %(now)s::timestamptz,
        slot_at = CASE WHEN q.slot_at <= %(told_ahead)s::timestamptz THEN q.slot_at END
    FROM ahead h WHERE q.id = h.id
)
SELECT count(*), max(claimed_at) FROM ahead

-- name: bring_forward
-- Unless somebody else has meanwhile; the run that waits for an account goes on to wait for it.
UPDATE account_polling p SET next_slot_at = k.next_slot_at
FROM unnest(%s::uuid[], %s::timestamptz[]) AS k (account_id, next_slot_at)
WHERE p.account_id = k.account_id AND p.next_slot_at > %s::timestamptz AND p.next_slot_at <> k.next_slot_at
RETURNING 1

-- name: clock
SELECT clock_timestamp()

-- name: move_on
UPDATE account_polling p SET next_slot_at = k.next_slot_at, run_id = NULL
FROM unnest(%s::uuid[], %s::timestamptz[]) AS k (account_id, next_slot_at)
WHERE p.account_id = k.account_id

-- name: claim
-- The unique key is the guard: a slot that was claimed is nobody else's.
INSERT INTO balance_polls (account_id, slot_at, run_id, claimed_at, claimed_by, answered_at, requests, refusal_code,
    refusal_text)
SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[], %s::timestamptz[], %s::varchar[], %s::timestamptz[],
    %s::integer[], %s::varchar[], %s::text[])
ON CONFLICT (account_id, slot_at) DO NOTHING
RETURNING account_id, id

-- name: settle
UPDATE balance_polls q SET answered_at = k.at, requests = k.requests, refusal_code = k.code, refusal_text = k.text
FROM unnest(%s::bigint[], %s::timestamptz[], %s::integer[], %s::varchar[], %s::text[])
    AS k (id, at, requests, code, text)
WHERE q.id = k.id

-- name: polled
SELECT account_id FROM account_polling p JOIN emi_accounts a ON a.id = p.account_id
WHERE a.closed_at IS NULL ORDER BY account_id

-- name: counts
SELECT (SELECT count(*) FROM emi_accounts WHERE closed_at IS NULL),
    (SELECT count(*) FROM account_polling p JOIN emi_accounts a ON a.id = p.account_id WHERE a.closed_at IS NULL)

-- name: start_run
-- Every account whose bank can be asked is due now. One that waits for another run already stays that one's.
WITH run AS (
    INSERT INTO intraday_runs (id, actor, started_at) VALUES (%(id)s, %(actor)s, %(now)s) RETURNING id
), due AS (
    UPDATE account_polling p SET run_id = %(id)s, next_slot_at = least(p.next_slot_at, %(now)s)
    FROM emi_accounts a
    WHERE a.id = p.account_id AND a.closed_at IS NULL AND p.run_id IS NULL
    RETURNING 1
)
SELECT count(*) FROM due, run

-- name: run_to_review
SELECT id, reviewed_to FROM intraday_runs WHERE NOT review_ended ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: reviewed
UPDATE intraday_runs SET reviewed_to = coalesce(%(to)s, reviewed_to), reviewed = reviewed + %(number)s,
    review_ended = %(ended)s
WHERE id = %(id)s

-- name: run
SELECT r.id, r.actor, r.started_at, r.reviewed, r.review_ended,
    (SELECT count(*) FROM account_polling p WHERE p.run_id = r.id) AS waiting,
    count(q.id) AS asked, count(q.answered_at) AS answered, count(q.refusal_code) AS refused,
    count(*) FILTER (WHERE o.level = 'Ok') AS ok, count(*) FILTER (WHERE o.level <> 'Ok') AS mismatch,
    max(q.answered_at) AS last_answer_at
FROM intraday_runs r LEFT JOIN balance_polls q ON q.run_id = r.id LEFT JOIN balance_observations o ON o.poll_id = q.id
WHERE r.id = %s GROUP BY r.id

-- name: run_results
SELECT q.id, q.account_id, a.account_number, a.currency, q.answered_at, q.refusal_code, q.refusal_text, o.as_of,
    o.balance, o.ledger_balance, o.explained, o.difference, o.level
FROM balance_polls q JOIN emi_accounts a ON a.id = q.account_id LEFT JOIN balance_observations o ON o.poll_id = q.id
WHERE q.run_id = %(id)s AND q.id > %(after)s ORDER BY q.id LIMIT %(limit)s
