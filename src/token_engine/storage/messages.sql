-- name: rejected_for_replay
SELECT id, raw, raw_size, received_at, door, source FROM bank_messages
WHERE state = 'REJECTED' AND raw_size = octet_length(raw) AND id > %(after)s
    AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
ORDER BY id LIMIT %(limit)s

-- name: listing
SELECT id, received_at, door, source, raw_size, state, bank_message_id, refusal_code, refusal_message,
    refusal_field, attempts, encode(digest, 'hex') AS digest
FROM bank_messages
WHERE (%(state)s::text IS NULL OR state = %(state)s::text) AND (%(before)s::bigint IS NULL OR id < %(before)s::bigint)
ORDER BY id DESC LIMIT %(limit)s

-- name: one
SELECT id, received_at, door, source, raw, raw_size, state, bank_message_id, refusal_code, refusal_message,
    refusal_field, attempts, last_attempt_at, answer, encode(digest, 'hex') AS digest
FROM bank_messages WHERE id = %(id)s
