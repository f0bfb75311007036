-- name: lock
-- Until the end of the transaction. Two keys of one hash wait for each other without need, and do no harm.
SELECT pg_advisory_xact_lock(1801812339, hashtext(%s))

-- name: first_answer
SELECT payload_digest, status, answer::text FROM idempotency_keys WHERE key = %s

-- name: keep
INSERT INTO idempotency_keys (key, payload_digest, status, answer, at) VALUES (%s, %s, %s, %s, %s)
