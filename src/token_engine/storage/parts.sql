-- name: keep
INSERT INTO bank_message_parts (message_id, part, deflated) VALUES (%s, %s, %s)
-- Of one that was rejected before, and is kept already.
ON CONFLICT (message_id, part) DO NOTHING

-- name: of_message
SELECT deflated FROM bank_message_parts WHERE message_id = %s ORDER BY part
