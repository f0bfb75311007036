-- name: checkpoint_before
SELECT day, size, root, peaks, note FROM archive_checkpoints WHERE day < %(day)s ORDER BY day DESC LIMIT 1

-- name: checkpoint
SELECT day, size, root, peaks, note FROM archive_checkpoints WHERE day = %(day)s

-- name: last_checkpoint
SELECT day, size, root, peaks, note FROM archive_checkpoints ORDER BY day DESC LIMIT 1

-- name: keep_checkpoint
INSERT INTO archive_checkpoints (day, size, root, peaks, note, at)
VALUES (%(day)s, %(size)s, %(root)s, %(peaks)s, %(note)s, %(at)s)

-- name: unsealed
-- `line` is what a leaf is the hash of: it stays as it is whatever columns the log gains.
SELECT a.id, (a.at AT TIME ZONE 'UTC')::date AS day,
    jsonb_build_object('id', a.id, 'at', a.at, 'actor', a.actor, 'action', a.action, 'account_id', a.account_id,
        'message_id', a.message_id, 'details', a.details)::text AS line
FROM audit_log a
WHERE a.at < %(until)s AND NOT EXISTS (SELECT FROM audit_leaves l WHERE l.audit_id = a.id)
ORDER BY 2, a.id

-- name: seal
INSERT INTO audit_leaves (position, audit_id, hash)
SELECT * FROM unnest(%(positions)s::bigint[], %(ids)s::bigint[], %(hashes)s::bytea[])

-- name: leaves
SELECT hash FROM audit_leaves WHERE position >= %(start)s AND position < %(end)s ORDER BY position

-- name: lines
SELECT l.hash, a.id,
    jsonb_build_object('id', a.id, 'at', a.at, 'actor', a.actor, 'action', a.action, 'account_id', a.account_id,
        'message_id', a.message_id, 'details', a.details)::text AS line,
    %(accounts)s::uuid[] IS NULL OR a.account_id = ANY (%(accounts)s::uuid[]) IS TRUE AS within
FROM audit_leaves l LEFT JOIN audit_log a ON a.id = l.audit_id
WHERE l.position >= %(start)s AND l.position < %(end)s ORDER BY l.position
