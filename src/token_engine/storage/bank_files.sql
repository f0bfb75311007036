-- name: of_identities
SELECT identity FROM bank_files WHERE connection = %s AND identity = ANY (%s::bytea[])

-- name: keep
INSERT INTO bank_files (connection, identity, name, size, modified_at, delivered_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
