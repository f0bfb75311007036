-- name: lock_messages
-- Until the end of the transaction, in one order: no two batches wait for each other. Two messages of one hash wait
-- without need, and do no harm.
SELECT pg_advisory_xact_lock(1937010036, hash)
FROM (SELECT DISTINCT hashtext(encode(digest, 'hex')) AS hash FROM unnest(%s::bytea[]) AS k (digest) ORDER BY hash) k

-- name: kept
-- Messages as an earlier attempt left them, and an id for each of which nothing is kept.
SELECT k.digest, nextval('bank_messages_id_seq'), m.id, m.state, m.answer::text
FROM unnest(%s::bytea[]) AS k (digest) LEFT JOIN bank_messages m ON m.digest = k.digest

-- name: keep_message
-- One that is recorded already stays as it is.
INSERT INTO bank_messages AS m (id, digest, received_at, door, source, raw, raw_size, state, bank_message_id, answer,
    last_attempt_at)
VALUES (%(id)s, %(digest)b, %(received_at)s, %(door)s, %(source)s, %(raw)b, %(raw_size)s, %(state)s, %(bank_message_id)s,
    %(answer)s, %(last_attempt_at)s)
ON CONFLICT (digest) DO UPDATE SET
    state = excluded.state, bank_message_id = excluded.bank_message_id, refusal_code = NULL, refusal_message = NULL,
    refusal_field = NULL, answer = excluded.answer, attempts = m.attempts + 1, last_attempt_at = excluded.last_attempt_at
WHERE m.state = 'REJECTED'

-- name: draw_number
SELECT nextval('statements_id_seq')

-- name: before
-- The statement that stands for the latest earlier day of an account.
SELECT id, statement_date, closing_balance, sequence_number FROM statements
WHERE account_id = %(account_id)s AND statement_date < %(day)s AND state IN ('ACCEPTED', 'RELEASED')
ORDER BY statement_date DESC LIMIT 1

-- name: last
SELECT id, statement_date, closing_balance, sequence_number FROM statements
WHERE account_id = %(account_id)s AND state IN ('ACCEPTED', 'RELEASED')
ORDER BY statement_date DESC LIMIT 1

-- name: standing
SELECT id FROM statements
WHERE account_id = %(account_id)s AND statement_date = %(day)s AND state IN ('ACCEPTED', 'RELEASED')

-- name: of_identity
SELECT id, content, answer::text FROM statements
WHERE account_id = %(account_id)s AND identity = %(identity)s

-- name: answers
SELECT s.answer::text FROM unnest(%s::bigint[]) WITH ORDINALITY AS k (id, place) JOIN statements s ON s.id = k.id
ORDER BY k.place

-- name: replace
UPDATE statements SET state = 'REPLACED' WHERE id = %(id)s AND state IN ('ACCEPTED', 'RELEASED')

-- name: insert
INSERT INTO statements (id, account_id, message_id, place, bank_message_id, statement_id, identity, content, sequence_number,
    statement_date, opening_balance, closing_balance, entries, booked_sum, cut_off, lists_from, state, corrects, checks, at)
VALUES (%(id)s, %(account_id)s, %(message_id)s, %(place)s, %(bank_message_id)s, %(statement_id)s, %(identity)s, %(content)s,
    %(sequence_number)s, %(statement_date)s, %(opening_balance)s, %(closing_balance)s, %(entries)s, %(booked_sum)s,
    %(cut_off)s, %(lists_from)s, %(state)s, %(corrects)s, %(checks)s, %(at)s)

-- name: quarantined
-- A quarantined statement as it was kept, and where it or its pages lie: message, and place in it.
SELECT a.account_number, s.message_id, s.checks::text, coalesce((
    SELECT array_agg(ARRAY[p.message_id, p.place] ORDER BY p.message_id, p.place)
    FROM statement_pages p WHERE p.statement_id = s.id), ARRAY[ARRAY[s.message_id, s.place]])
FROM statements s JOIN emi_accounts a ON a.id = s.account_id
WHERE s.id = %(id)s AND s.state = 'QUARANTINED'

-- name: quarantined_of_day
SELECT id FROM statements WHERE account_id = %(account_id)s AND statement_date = %(day)s AND state = 'QUARANTINED'

-- name: release
UPDATE statements SET state = 'RELEASED', corrects = %(corrects)s, lists_from = %(lists_from)s
WHERE id = %(id)s AND state = 'QUARANTINED'

-- name: judge
UPDATE statements SET ledger_balance = %(ledger_balance)s, threshold_level = %(threshold_level)s,
    entries_matched = %(entries_matched)s, entries_unmatched = %(entries_unmatched)s, answer = %(answer)s,
    last_movement = (SELECT max(m.id) FROM ledger_movements m WHERE m.account_id = statements.account_id),
    last_entry = coalesce((SELECT max(e.id) FROM bank_entries e
        WHERE e.account_id = statements.account_id AND e.origin <> 'camt.053'), 0)
WHERE id = %(id)s

-- name: position
-- The fold of DESIGN 3.2: the closing balance of the last statement that stands, and what is known but in none that
-- does. What only a statement told of counts while it stands. Entries from before the first day that a statement
-- lists are in its opening balance.
WITH last AS (
    SELECT closing_balance FROM statements WHERE account_id = %(account_id)s AND state IN ('ACCEPTED', 'RELEASED')
    ORDER BY statement_date DESC LIMIT 1
), since AS (
    SELECT lists_from FROM statements
    WHERE account_id = %(account_id)s AND state IN ('ACCEPTED', 'RELEASED') AND lists_from IS NOT NULL
    ORDER BY statement_date DESC LIMIT 1
)
SELECT (SELECT closing_balance FROM last) + coalesce((
    SELECT sum(e.position_change) FROM bank_entries e JOIN bank_messages m ON m.id = e.message_id
    WHERE e.account_id = %(account_id)s AND e.status = 'BOOK' AND e.origin <> 'camt.053'
        AND coalesce(e.booking_date, e.value_date, (m.received_at AT TIME ZONE 'UTC')::date)
            >= (SELECT lists_from FROM since)
        AND NOT EXISTS (SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id
            WHERE l.entry_id = e.id AND s.state IN ('ACCEPTED', 'RELEASED') AND l.in_closing)
), 0) + coalesce((
    -- Booked, and valued later than the balance that closes its statement, from banks that leave that out.
    SELECT sum(l.amount) FROM statement_lines l JOIN statements s ON s.id = l.statement_id
    JOIN bank_entries e ON e.id = l.entry_id
    WHERE l.account_id = %(account_id)s AND NOT l.in_closing AND l.status = 'BOOK' AND l.entry_id IS NOT NULL
        AND s.state IN ('ACCEPTED', 'RELEASED') AND e.origin = 'camt.053'
        AND NOT EXISTS (SELECT FROM statement_lines o JOIN statements t ON t.id = o.statement_id
            WHERE o.entry_id = e.id AND t.state IN ('ACCEPTED', 'RELEASED') AND o.in_closing)
), 0)

-- name: ledger_as_of
-- What was outstanding when the day ended. A movement that answers for an entry of the bank counts on that entry's day,
-- whenever it was posted: contained in a statement that stands for the day or an earlier one, or booked by then.
-- Any other counts when it was posted by the cut-off, and what was outstanding when the ledger began always. So what does
-- not count is looked for: what was posted later and answers for nothing of the day, and what answers for an entry of a
-- later day. Only what came in the last week can: no entry is booked further ahead.
WITH since AS (
    SELECT s.last_movement, s.last_entry FROM statements s
    WHERE s.account_id = %(account_id)s AND s.at <= %(cut_off)s - interval '7 days' AND s.last_movement IS NOT NULL
    ORDER BY s.statement_date DESC LIMIT 1
), later_entries AS (
    SELECT e.* FROM bank_entries e
    WHERE e.account_id = %(account_id)s AND e.origin <> 'camt.053'
        AND e.id > coalesce((SELECT last_entry FROM since), 0) AND coalesce(e.booking_date, e.value_date) > %(day)s
        AND NOT EXISTS (SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id
            WHERE l.entry_id = e.id AND s.state IN ('ACCEPTED', 'RELEASED') AND l.in_closing)
    UNION
    SELECT e.* FROM statements s JOIN statement_lines l ON l.statement_id = s.id JOIN bank_entries e ON e.id = l.entry_id
    WHERE s.account_id = %(account_id)s AND s.statement_date > %(day)s AND s.state IN ('ACCEPTED', 'RELEASED')
        AND l.in_closing
), of_later AS (
    SELECT t.movement_id FROM later_entries e JOIN entry_meetings t
        ON (t.account_id, t.amount, t.identity, t.occurrence) = (e.account_id, e.amount, e.identity, e.occurrence)
    UNION
    SELECT o.movement_id FROM later_entries e JOIN matches g ON g.entry_id = e.id JOIN matches o ON o.match_id = g.match_id
), posted_later AS (
    SELECT m.id FROM ledger_movements m
    WHERE m.account_id = %(account_id)s AND m.id > coalesce((SELECT last_movement FROM since), 0) AND m.at > %(cut_off)s
        AND NOT EXISTS (SELECT FROM matches g WHERE g.movement_id = m.id)
        AND NOT EXISTS (SELECT FROM entry_meetings t JOIN bank_entries e
            ON (e.account_id, e.amount, e.identity, e.occurrence) = (t.account_id, t.amount, t.identity, t.occurrence)
            WHERE t.movement_id = m.id AND (coalesce(e.booking_date, e.value_date) <= %(day)s OR EXISTS (
                SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id
                WHERE l.entry_id = e.id AND s.state IN ('ACCEPTED', 'RELEASED') AND l.in_closing)))
)
SELECT a.ledger_balance - coalesce((
    SELECT sum(CASE WHEN m.leaves = 'issued' THEN m.amount WHEN m.enters = 'issued' THEN -m.amount ELSE 0 END)
    FROM (SELECT id FROM posted_later UNION SELECT movement_id FROM of_later) k JOIN ledger_movements m ON m.id = k.id
    WHERE m.kind <> 'opening'), 0)
FROM emi_accounts a WHERE a.id = %(account_id)s

-- name: snapshot
INSERT INTO emi_account_snapshots (id, account_id, snapshot_date, ledger_balance, bank_reported_balance, difference,
    reconciled, statement_reference)
VALUES (%(id)s, %(account_id)s, %(day)s, %(ledger)s, %(bank)s, %(difference)s, %(reconciled)s, %(reference)s)
ON CONFLICT (account_id, snapshot_date) DO NOTHING
RETURNING id

-- name: snapshot_of
SELECT id FROM emi_account_snapshots WHERE account_id = %(account_id)s AND snapshot_date = %(day)s

-- name: revise
INSERT INTO snapshot_revisions (id, snapshot_id, revision, statement_id, ledger_balance, bank_reported_balance,
    difference, reconciled, statement_reference, reason, actor, at)
SELECT %(id)s, s.id, 1 + (SELECT count(*) FROM snapshot_revisions r WHERE r.snapshot_id = s.id), %(statement)s,
    %(ledger)s, %(bank)s, %(difference)s, %(reconciled)s, %(reference)s, %(reason)s, %(actor)s, %(at)s
FROM emi_account_snapshots s WHERE s.account_id = %(account_id)s AND s.snapshot_date = %(day)s

-- name: missing
-- What was notified as booked by a day and is in no statement that stands, though one stands for that day: how many
-- entries, and their signed sum, by the day of the entry.
SELECT coalesce(e.booking_date, e.value_date) AS day, count(*), sum(e.position_change)
FROM bank_entries e
WHERE e.account_id = %(account_id)s AND e.status = 'BOOK' AND e.origin <> 'camt.053'
    AND coalesce(e.booking_date, e.value_date) <= %(day)s AND coalesce(e.booking_date, e.value_date) >= (
        SELECT s.lists_from FROM statements s
        WHERE s.account_id = %(account_id)s AND s.state IN ('ACCEPTED', 'RELEASED') AND s.lists_from IS NOT NULL
        ORDER BY s.statement_date DESC LIMIT 1)
    AND NOT EXISTS (SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id
        WHERE l.entry_id = e.id AND s.state IN ('ACCEPTED', 'RELEASED'))
GROUP BY 1 ORDER BY 1

-- name: notified
-- Whether the account's bank notifies at all, so that a line which it did not notify tells something.
SELECT EXISTS (
    SELECT FROM bank_entries e WHERE e.account_id = %(account_id)s AND e.origin <> 'camt.053' ORDER BY e.id LIMIT 1)

-- name: occurrences
SELECT id, occurrence FROM bank_entries WHERE id = ANY (%s::bigint[])

-- name: waiting_pages
SELECT message_id, place FROM statement_pages
WHERE account_id = %(account_id)s AND pages_of = %(pages_of)s AND statement_id IS NULL ORDER BY message_id, place

-- name: keep_page
INSERT INTO statement_pages (message_id, place, account_id, pages_of)
VALUES (%(message_id)s, %(place)s, %(account_id)s, %(pages_of)s)

-- name: join_pages
INSERT INTO statement_pages (message_id, place, account_id, pages_of, statement_id)
SELECT m, p, %(account_id)s, %(pages_of)s, %(statement_id)s FROM unnest(%(messages)s::bigint[], %(places)s::integer[]) AS k (m, p)
ON CONFLICT (message_id, place) DO UPDATE SET statement_id = excluded.statement_id

-- name: joined_from
SELECT place, statement_id FROM statement_pages WHERE message_id = %(message_id)s AND statement_id IS NOT NULL

-- name: raw_of
SELECT CASE WHEN raw_size = octet_length(raw) THEN raw END FROM bank_messages WHERE id = %(message_id)s
