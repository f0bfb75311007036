-- name: lock
-- Until the end of the transaction. Two keys of one hash wait for each other without need, and do no harm.
SELECT pg_advisory_xact_lock(1801812339, hashtext(%s))

-- name: lock_all
-- As `lock`, in order of hash: no two batches wait for each other.
SELECT pg_advisory_xact_lock(1801812339, hash)
FROM (SELECT DISTINCT hashtext(key) AS hash FROM unnest(%s::varchar[]) AS k (key) ORDER BY hash) k

-- name: first_answers
SELECT i.key, i.payload_digest, i.status, i.answer::text
FROM unnest(%s::varchar[]) AS k (key) JOIN idempotency_keys i ON i.key = k.key

-- name: first_answer
SELECT payload_digest, status, answer::text FROM idempotency_keys WHERE key = %s

-- name: keep
INSERT INTO idempotency_keys (key, payload_digest, status, answer, at) VALUES (%s, %s, %s, %s, %s)
