-- name: lock
-- One archives at a time, whichever engine it is.
SELECT pg_advisory_xact_lock(7017280452245743464)

-- name: last_bundle
SELECT scope, sequence, day, edition, manifest, engine FROM archive_bundles
WHERE scope = %(scope)s ORDER BY sequence DESC LIMIT 1

-- name: bundle_number
SELECT scope, sequence, day, edition, manifest, engine FROM archive_bundles
WHERE scope = %(scope)s AND sequence = %(sequence)s

-- name: last_edition
SELECT scope, sequence, day, edition, manifest, engine FROM archive_bundles
WHERE scope = %(scope)s AND day = %(day)s ORDER BY edition DESC LIMIT 1

-- name: edition
SELECT scope, sequence, day, edition, manifest, engine FROM archive_bundles
WHERE scope = %(scope)s AND day = %(day)s AND edition = %(edition)s

-- name: keep_bundle
INSERT INTO archive_bundles (scope, sequence, day, edition, manifest, engine, actor, at)
VALUES (%(scope)s, %(sequence)s, %(day)s, %(edition)s, %(manifest)s, %(engine)s, %(actor)s, %(at)s)

-- name: accounts_named
SELECT id, account_number, currency FROM emi_accounts
WHERE account_number = ANY (%(names)s::text[]) OR id::text = ANY (%(names)s::text[]) ORDER BY account_number, currency

-- name: messages
-- Those that came on the day, and those that brought the day's statements. Of one that was rejected nobody can say whose
-- it was, so it stands in the bundle of all accounts only. What a new attempt changes of a message is left out.
SELECT m.id, m.digest, m.raw_size, octet_length(m.raw) AS kept,
    EXISTS (SELECT FROM bank_message_parts p WHERE p.message_id = m.id) AS in_parts,
    m.state = 'REJECTED' AND m.raw_size > octet_length(m.raw) AS beginning_only,
    jsonb_build_object('id', m.id, 'sha256', encode(m.digest, 'hex'), 'received_at', m.received_at, 'door', m.door,
        'source', m.source, 'size', m.raw_size, 'state', m.state, 'bank_message_id', m.bank_message_id,
        'refusal_code', m.refusal_code, 'refusal_message', m.refusal_message, 'refusal_field', m.refusal_field,
        'answer', m.answer)::text AS about
FROM (
    SELECT d.id FROM bank_messages d
    WHERE d.received_at >= %(day)s::date::timestamp AT TIME ZONE 'UTC'
        AND d.received_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC'
        AND (%(accounts)s::uuid[] IS NULL OR EXISTS (
            SELECT FROM jsonb_path_query(d.answer::jsonb, 'strict $.**.account_id') AS named (account)
            WHERE named.account #>> '{}' = ANY (%(accounts)s::uuid[]::text[])))
    UNION
    SELECT s.message_id FROM statements s
    WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
) k JOIN bank_messages m ON m.id = k.id
ORDER BY m.id

-- name: raw
SELECT id, raw FROM bank_messages WHERE id = ANY (%(ids)s::bigint[]) ORDER BY id

-- name: part
SELECT deflated FROM bank_message_parts WHERE message_id = %(id)s AND part = %(part)s

-- name: statements
SELECT to_jsonb(s)::text FROM statements s
WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
ORDER BY s.id

-- name: statement_lines
SELECT to_jsonb(l)::text FROM statements s JOIN statement_lines l ON l.statement_id = s.id
WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
ORDER BY l.statement_id, l.line

-- name: statement_line_details
SELECT to_jsonb(d)::text FROM statements s JOIN statement_line_details d ON d.statement_id = s.id
WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
ORDER BY d.statement_id, d.line, d.detail

-- name: statement_releases
SELECT to_jsonb(r)::text FROM statements s JOIN statement_releases r ON r.statement_id = s.id
WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
ORDER BY r.id

-- name: entries
SELECT to_jsonb(e)::text FROM (
    SELECT DISTINCT l.entry_id FROM statements s JOIN statement_lines l ON l.statement_id = s.id
    WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
) k JOIN bank_entries e ON e.id = k.entry_id ORDER BY e.id

-- name: matches
-- Whole matches: of one that joins several, also the rows whose entry another day's statement has.
SELECT to_jsonb(m)::text FROM (
    SELECT DISTINCT m.match_id FROM statements s JOIN statement_lines l ON l.statement_id = s.id
        JOIN matches m ON m.entry_id = l.entry_id
    WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
) k JOIN matches m ON m.match_id = k.match_id ORDER BY m.match_id, m.entry_id, m.movement_id

-- name: match_events
-- What people did with matches of the day's lines, also with those that they took apart.
SELECT to_jsonb(v)::text FROM match_events v
WHERE (%(accounts)s::uuid[] IS NULL OR v.account_id = ANY (%(accounts)s::uuid[])) AND EXISTS (
    SELECT FROM unnest(v.entry_ids) AS u (entry_id) JOIN statement_lines l ON l.entry_id = u.entry_id
        JOIN statements s ON s.id = l.statement_id
    WHERE s.statement_date = %(day)s)
ORDER BY v.id

-- name: match_requests
SELECT to_jsonb(q)::text FROM match_requests q
WHERE (%(accounts)s::uuid[] IS NULL OR q.account_id = ANY (%(accounts)s::uuid[])) AND EXISTS (
    SELECT FROM unnest(q.entry_ids) AS u (entry_id) JOIN statement_lines l ON l.entry_id = u.entry_id
        JOIN statements s ON s.id = l.statement_id
    WHERE s.statement_date = %(day)s)
ORDER BY q.id

-- name: open_items
-- What nothing answers for: of the day, or stated by its statements.
SELECT to_jsonb(i)::text FROM open_items i
WHERE (%(accounts)s::uuid[] IS NULL OR i.account_id = ANY (%(accounts)s::uuid[])) AND (
    i.dated = %(day)s OR i.statement_id IN (SELECT s.id FROM statements s WHERE s.statement_date = %(day)s))
ORDER BY i.id

-- name: movements
SELECT to_jsonb(v)::text FROM (
    SELECT DISTINCT o.movement_id FROM statements s JOIN statement_lines l ON l.statement_id = s.id
        JOIN matches m ON m.entry_id = l.entry_id JOIN matches o ON o.match_id = m.match_id
    WHERE s.statement_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR s.account_id = ANY (%(accounts)s::uuid[]))
) k JOIN ledger_movements v ON v.id = k.movement_id ORDER BY v.id

-- name: snapshots
SELECT to_jsonb(n)::text FROM emi_account_snapshots n
WHERE n.snapshot_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR n.account_id = ANY (%(accounts)s::uuid[]))
ORDER BY n.account_id

-- name: snapshot_revisions
SELECT to_jsonb(r)::text FROM emi_account_snapshots n JOIN snapshot_revisions r ON r.snapshot_id = n.id
WHERE n.snapshot_date = %(day)s AND (%(accounts)s::uuid[] IS NULL OR n.account_id = ANY (%(accounts)s::uuid[]))
ORDER BY n.account_id, r.revision
