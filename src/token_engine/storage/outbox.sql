-- name: lead
SELECT pg_try_advisory_lock(%s)

-- name: oldest
SELECT id, event_id, subject, payload FROM outbox ORDER BY id LIMIT %s

-- name: delete
DELETE FROM outbox WHERE id = ANY (%s::bigint[])
