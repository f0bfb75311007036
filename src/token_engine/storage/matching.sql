-- Matching of statements, in one transaction, on temporary tables, each pass a set operation over what the passes before
-- it left. The caller holds the accounts' locks. `matching_open` has both sides in one table, so that a pass is one
-- grouping and no join: an item is an entry's number, or a movement's with a minus.

-- name: accounts
-- `begins`: on an account's first run, the first day that its statements list. What the ledger moved before answers for
-- what is in the opening balance.
CREATE TEMP TABLE matching_accounts ON COMMIT DROP AS
SELECT k.account_id, k.statement_id, k.cut_off, greatest(k.stated_until, (
        SELECT max(o.statement_date) FROM statements o
        WHERE o.account_id = k.account_id AND o.state IN ('ACCEPTED', 'RELEASED'))) AS stated_until,
    coalesce(c.last_movement, 0) AS last_movement, coalesce(c.last_entry, 0) AS last_entry,
    coalesce((SELECT max(m.id) FROM ledger_movements m WHERE m.account_id = k.account_id), 0) AS newest_movement,
    coalesce((SELECT max(e.id) FROM bank_entries e
        WHERE e.account_id = k.account_id AND e.origin <> 'camt.053'), 0) AS newest_entry,
    coalesce(p.passes, %(passes)s::varchar[]) AS passes, coalesce(p.window_days, %(window_days)s) AS window_days,
    coalesce(p.counterparty_needed, %(counterparty_needed)s) AS counterparty_needed,
    CASE WHEN c.account_id IS NULL THEN (
        SELECT s.lists_from FROM statements s WHERE s.account_id = k.account_id
            AND (s.state IN ('ACCEPTED', 'RELEASED') OR s.id = ANY (%(statements)s::bigint[]))
        ORDER BY s.statement_date, s.id LIMIT 1) END AS begins
FROM (
    SELECT account_id, max(id) AS statement_id, max(statement_date) AS stated_until, max(cut_off) AS cut_off
    FROM statements WHERE id = ANY (%(statements)s::bigint[]) GROUP BY account_id) k
LEFT JOIN matching_cursors c ON c.account_id = k.account_id
LEFT JOIN matching_policies p ON p.account_id = k.account_id

-- name: reversed
-- Of the movements since the last run, those that undo others: neither they nor what they undo moved money at the bank.
CREATE TEMP TABLE matching_reversed ON COMMIT DROP AS
SELECT m.reverses AS movement_id, m.id AS by_movement, m.account_id
FROM matching_accounts a JOIN ledger_movements m ON m.account_id = a.account_id
    AND m.id > a.last_movement AND m.id <= a.newest_movement
WHERE m.reverses IS NOT NULL

-- name: broken
-- A ledger kept elsewhere may take back what was matched: what the bank booked waits for an answer again.
WITH broken AS (
    SELECT m.match_id, m.account_id, min(m.pass) AS pass,
        min(m.statement_id) AS statement_id, min(r.by_movement) AS by_movement,
        array_remove(array_agg(m.entry_id ORDER BY m.entry_id), NULL) AS entry_ids,
        array_remove(array_agg(m.movement_id ORDER BY m.movement_id), NULL) AS movement_ids
    FROM matches m LEFT JOIN matching_reversed r ON r.movement_id = m.movement_id
    WHERE m.match_id IN (
        SELECT f.match_id FROM matching_reversed r JOIN matches f ON f.movement_id = r.movement_id)
    GROUP BY m.match_id, m.account_id
), told AS (
    INSERT INTO match_events (match_id, account_id, happening, pass, entry_ids, movement_ids, difference, statement_id,
        alternatives, actor, reason, at)
    SELECT match_id, account_id, 'unmatched', pass, entry_ids, movement_ids, 0, statement_id, '[]', 'engine',
        'movement ' || by_movement || ' reversed what was matched', %(now)s FROM broken
), waiting AS (
    INSERT INTO open_items (account_id, kind, entry_id, movement_id, statement_id, line, amount, dated, reason,
        opened_at)
    SELECT b.account_id, CASE WHEN l.line IS NULL THEN 'awaiting_statement' ELSE 'unmatched' END, e.id, NULL::bigint,
        l.statement_id, l.line, e.position_change,
        coalesce(l.value_date, l.booking_date, e.value_date, e.booking_date, %(now)s::date),
        CASE WHEN l.line IS NULL THEN 'not_stated' ELSE 'unknown' END, %(now)s
    FROM broken b CROSS JOIN unnest(b.entry_ids) AS k (id) JOIN bank_entries e ON e.id = k.id
    LEFT JOIN LATERAL (
        SELECT * FROM statement_lines l WHERE l.entry_id = e.id ORDER BY l.statement_id DESC LIMIT 1) l ON true
    UNION ALL
    SELECT b.account_id, 'unmatched', NULL, m.id, NULL, NULL,
        CASE WHEN m.leaves IN ('issued', 'own_funds') THEN m.amount ELSE -m.amount END,
        coalesce(m.value_date, (m.at AT TIME ZONE 'UTC')::date), 'unknown', %(now)s
    FROM broken b CROSS JOIN unnest(b.movement_ids) AS k (id) JOIN ledger_movements m ON m.id = k.id
    WHERE NOT EXISTS (SELECT FROM matching_reversed r WHERE r.movement_id = m.id)
)
DELETE FROM matches WHERE match_id IN (SELECT match_id FROM broken)

-- name: close_reversed
UPDATE open_items i SET closed_at = %(now)s, closed_by = 'reversed'
FROM matching_reversed r WHERE i.movement_id = r.movement_id AND i.closed_at IS NULL

-- name: unstated
-- Entries that were notified and that no standing statement lists, those of a statement that is replaced among them.
CREATE TEMP TABLE matching_unstated ON COMMIT DROP AS
WITH asked AS (
    SELECT e.id FROM matching_accounts a JOIN bank_entries e ON e.account_id = a.account_id
        AND e.id > a.last_entry AND e.id <= a.newest_entry AND e.origin <> 'camt.053'
    WHERE e.status = 'BOOK' AND e.amount <> 0
    UNION
    SELECT i.entry_id FROM matching_accounts a JOIN open_items i ON i.account_id = a.account_id
    WHERE i.closed_at IS NULL AND i.kind <> 'unmatched'
    UNION
    SELECT l.entry_id FROM statements s JOIN statement_lines l ON l.statement_id = s.corrects
    WHERE s.id = ANY (%(statements)s::bigint[]) AND l.status = 'BOOK' AND l.amount <> 0 AND l.entry_id IS NOT NULL
), left_over AS MATERIALIZED (
    SELECT id FROM asked WHERE NOT EXISTS (
        SELECT FROM statement_lines l WHERE l.statement_id = ANY (%(statements)s::bigint[]) AND l.entry_id = asked.id)
), unstated AS MATERIALIZED (
    SELECT u.id FROM left_over u WHERE NOT EXISTS (
        SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id
        WHERE l.entry_id = u.id AND s.state IN ('ACCEPTED', 'RELEASED'))
)
SELECT e.id AS entry_id, e.account_id, e.position_change AS amount,
    coalesce(e.booking_date, e.value_date, (m.received_at AT TIME ZONE 'UTC')::date) AS dated
FROM unstated u JOIN bank_entries e ON e.id = u.id JOIN bank_messages m ON m.id = e.message_id

-- name: close_stated
-- Whatever waited for a statement and is listed now; whatever a replaced statement listed and the new one does not.
UPDATE open_items i SET closed_at = %(now)s,
    closed_by = CASE WHEN i.kind = 'unmatched' THEN 'statement replaced' ELSE 'stated' END
FROM matching_accounts a
WHERE i.account_id = a.account_id AND i.closed_at IS NULL AND i.entry_id IS NOT NULL
    AND (i.kind = 'unmatched') = EXISTS (SELECT FROM matching_unstated u WHERE u.entry_id = i.entry_id)

-- name: covered
-- What was booked before the first statement that reaches its day begins is in the opening balance of that statement.
WITH covered AS (
    DELETE FROM matching_unstated u USING (
        SELECT u.entry_id FROM matching_unstated u CROSS JOIN LATERAL (
            SELECT s.lists_from FROM statements s
            WHERE s.account_id = u.account_id AND s.statement_date >= u.dated
                AND (s.state IN ('ACCEPTED', 'RELEASED') OR s.id = ANY (%(statements)s::bigint[]))
            ORDER BY s.statement_date, s.id DESC LIMIT 1) s
        WHERE s.lists_from > u.dated) k
    WHERE u.entry_id = k.entry_id RETURNING u.entry_id
)
UPDATE open_items i SET closed_at = %(now)s, closed_by = 'opening balance'
FROM covered c WHERE i.entry_id = c.entry_id AND i.closed_at IS NULL

-- name: keep_unstated
WITH due AS (
    SELECT u.*, CASE WHEN u.dated <= a.stated_until THEN 'missing_from_statement' ELSE 'awaiting_statement' END AS kind
    FROM matching_unstated u JOIN matching_accounts a ON a.account_id = u.account_id
), moved AS (
    UPDATE open_items i SET kind = d.kind FROM due d
    WHERE i.entry_id = d.entry_id AND i.closed_at IS NULL AND i.kind <> d.kind
)
INSERT INTO open_items (account_id, kind, entry_id, amount, dated, reason, opened_at)
SELECT d.account_id, d.kind, d.entry_id, d.amount, d.dated, 'not_stated', %(now)s FROM due d
WHERE NOT EXISTS (SELECT FROM open_items i WHERE i.entry_id = d.entry_id AND i.closed_at IS NULL)

-- name: open
-- Both sides: what these statements list, what the ledger moved since the last run, and what waits from before.
CREATE TEMP TABLE matching_open ON COMMIT DROP AS
SELECT l.entry_id AS item, l.entry_id, NULL::bigint AS movement_id, l.account_id, l.statement_id, l.line, l.amount,
    coalesce(l.value_date, l.booking_date, s.statement_date) AS day, lower(l.uetr) AS uetr, l.end_to_end_id,
    l.servicer_reference AS bank_reference, l.instruction_id, l.transaction_id, l.creditor_reference,
    l.batch_reference, l.counterparty, i.id AS waiting, coalesce(i.for_people, false) AS for_people
FROM statement_lines l JOIN statements s ON s.id = l.statement_id
LEFT JOIN open_items i ON i.entry_id = l.entry_id AND i.closed_at IS NULL
WHERE l.statement_id = ANY (%(statements)s::bigint[]) AND l.status = 'BOOK' AND l.entry_id IS NOT NULL AND l.amount <> 0
    AND NOT EXISTS (SELECT FROM matches m WHERE m.entry_id = l.entry_id)
UNION ALL
SELECT i.entry_id, i.entry_id, NULL, i.account_id, i.statement_id, i.line, l.amount,
    coalesce(l.value_date, l.booking_date, i.dated), lower(l.uetr), l.end_to_end_id, l.servicer_reference,
    l.instruction_id, l.transaction_id, l.creditor_reference, l.batch_reference, l.counterparty, i.id, i.for_people
FROM matching_accounts a JOIN open_items i ON i.account_id = a.account_id
JOIN statement_lines l ON l.statement_id = i.statement_id AND l.line = i.line
WHERE i.closed_at IS NULL AND i.kind = 'unmatched' AND NOT EXISTS (
    SELECT FROM statement_lines n WHERE n.statement_id = ANY (%(statements)s::bigint[]) AND n.entry_id = i.entry_id)
UNION ALL
SELECT -m.id, NULL, m.id, m.account_id, NULL, NULL,
    CASE WHEN m.leaves IN ('issued', 'own_funds') THEN m.amount ELSE -m.amount END,
    coalesce(m.value_date, (m.at AT TIME ZONE 'UTC')::date), lower(m.uetr), m.end_to_end_id,
    coalesce(m.bank_reference, CASE WHEN m.kind = 'replenishment' THEN m.cause END), m.instruction_id,
    m.instruction_id, m.creditor_reference, m.batch_reference, m.counterparty, NULL, false
FROM matching_accounts a JOIN ledger_movements m ON m.account_id = a.account_id
    AND m.id > a.last_movement AND m.id <= a.newest_movement
WHERE m.kind IN ('mint', 'burn', 'emergency_burn', 'payout_settlement', 'replenishment', 'adjustment')
    AND NOT EXISTS (SELECT FROM matching_reversed r WHERE r.movement_id = m.id)
    AND NOT EXISTS (SELECT FROM matches f WHERE f.movement_id = m.id)
    AND CASE WHEN a.begins IS NULL THEN true
        WHEN coalesce(m.value_date, (m.at AT TIME ZONE 'UTC')::date) < a.begins - a.window_days THEN false
        ELSE NOT EXISTS (
            SELECT FROM entry_meetings t JOIN bank_entries e ON (e.account_id, e.amount, e.identity, e.occurrence)
                = (t.account_id, t.amount, t.identity, t.occurrence)
            WHERE t.movement_id = m.id AND coalesce(e.booking_date, e.value_date) < a.begins) END
UNION ALL
SELECT -m.id, NULL, m.id, m.account_id, NULL, NULL, i.amount,
    coalesce(m.value_date, (m.at AT TIME ZONE 'UTC')::date), lower(m.uetr), m.end_to_end_id,
    coalesce(m.bank_reference, CASE WHEN m.kind = 'replenishment' THEN m.cause END), m.instruction_id,
    m.instruction_id, m.creditor_reference, m.batch_reference, m.counterparty, i.id, i.for_people
FROM matching_accounts a JOIN open_items i ON i.account_id = a.account_id
JOIN ledger_movements m ON m.id = i.movement_id
WHERE i.closed_at IS NULL AND i.movement_id IS NOT NULL AND m.id <= a.last_movement

-- name: found
CREATE TEMP TABLE matching_found (match_id BIGINT, account_id UUID, entry_id BIGINT, movement_id BIGINT,
    pass VARCHAR(20), statement_id BIGINT) ON COMMIT DROP

-- name: met
-- What Tier 1 or a person said when it came.
WITH met AS (
    SELECT nextval('match_numbers') AS match_id, b.account_id, b.entry_id, l.movement_id, b.statement_id
    FROM matching_open l JOIN entry_meetings m ON m.movement_id = l.movement_id
    JOIN bank_entries e ON (e.account_id, e.amount, e.identity, e.occurrence)
        = (m.account_id, m.amount, m.identity, m.occurrence)
    JOIN matching_open b ON b.entry_id = e.id
)
INSERT INTO matching_found SELECT match_id, account_id, entry_id, movement_id, 'met', statement_id FROM met

-- name: returned
-- A receipt that went back: credit and debit undo each other, and no token moved.
WITH returned AS MATERIALIZED (
    SELECT r.account_id, r.entry_id, r.debit_id FROM matching_accounts a
    CROSS JOIN LATERAL (SELECT * FROM receipt_returns r WHERE r.account_id = a.account_id OFFSET 0) r
), pairs AS (
    SELECT nextval('match_numbers') AS match_id, c.account_id, c.entry_id AS credit, d.entry_id AS debit, d.statement_id
    FROM returned r JOIN matching_open c ON c.entry_id = r.entry_id JOIN matching_open d ON d.entry_id = r.debit_id
)
INSERT INTO matching_found
SELECT match_id, account_id, unnest(ARRAY[credit, debit]), NULL, 'met', statement_id FROM pairs

-- name: keys_known
-- How many items of each side have each key.
SELECT count(uetr) AS uetr, count(end_to_end_id) AS end_to_end_id, count(bank_reference) AS bank_reference,
    count(instruction_id) AS instruction_id, count(transaction_id) AS transaction_id,
    count(creditor_reference) AS creditor_reference
FROM matching_open GROUP BY movement_id IS NULL

-- name: one_to_one
-- A key and amount that each side has once. A stronger key that both have must not tell them apart (`shared`: the keys
-- that anything on either side has). Banks give every line a reference and ledgers know few of them: the others are left
-- out before they are grouped.
WITH paired AS (
    SELECT o.account_id, max(o.entry_id) AS entry_id, max(o.movement_id) AS movement_id,
        max(o.statement_id) AS statement_id
    FROM matching_open o
    WHERE CASE %(key)s WHEN 'uetr' THEN uetr WHEN 'end_to_end_id' THEN end_to_end_id
            WHEN 'bank_reference' THEN bank_reference WHEN 'instruction_id' THEN instruction_id
            WHEN 'transaction_id' THEN transaction_id ELSE creditor_reference END IS NOT NULL
        AND account_id IN (SELECT a.account_id FROM matching_accounts a WHERE %(pass)s = ANY (a.passes))
        AND (%(key)s <> 'bank_reference' OR o.movement_id IS NOT NULL OR o.bank_reference IN (
            SELECT l.bank_reference FROM matching_open l WHERE l.movement_id IS NOT NULL AND l.bank_reference IS NOT NULL))
        AND NOT EXISTS (
            SELECT FROM (SELECT entry_id AS item FROM matching_found UNION ALL SELECT -movement_id FROM matching_found) f
            WHERE f.item = o.item)
    GROUP BY o.account_id, CASE %(key)s WHEN 'uetr' THEN uetr WHEN 'end_to_end_id' THEN end_to_end_id
            WHEN 'bank_reference' THEN bank_reference WHEN 'instruction_id' THEN instruction_id
            WHEN 'transaction_id' THEN transaction_id ELSE creditor_reference END, o.amount
    HAVING count(o.entry_id) = 1 AND count(o.movement_id) = 1 AND count(*) FILTER (WHERE o.for_people) = 0
        AND (%(key)s = 'uetr' OR 'uetr' <> ALL (%(shared)s::varchar[]) OR (min(o.uetr) = max(o.uetr)) IS NOT FALSE)
        AND (%(key)s IN ('uetr', 'end_to_end_id') OR 'end_to_end_id' <> ALL (%(shared)s::varchar[])
            OR (min(o.end_to_end_id) = max(o.end_to_end_id)) IS NOT FALSE)
        AND (%(key)s IN ('uetr', 'end_to_end_id', 'bank_reference') OR 'bank_reference' <> ALL (%(shared)s::varchar[])
            OR (min(o.bank_reference) = max(o.bank_reference)) IS NOT FALSE)
)
INSERT INTO matching_found
SELECT nextval('match_numbers'), account_id, entry_id, movement_id, %(pass)s, statement_id
FROM (SELECT * FROM paired ORDER BY entry_id) p

-- name: rest
-- What nothing was found for yet. Written anew: taking most of a large table out of it row by row costs more.
CREATE TEMP TABLE matching_rest ON COMMIT DROP AS
SELECT o.* FROM matching_open o WHERE NOT EXISTS (
    SELECT FROM (SELECT entry_id AS item FROM matching_found UNION ALL SELECT -movement_id FROM matching_found) f
    WHERE f.item = o.item)

-- name: details
-- The single payments of the lines that are still open.
CREATE TEMP TABLE matching_details ON COMMIT DROP AS
SELECT o.account_id, o.entry_id, o.statement_id, o.amount AS line_amount, o.for_people, d.detail, d.amount,
    lower(d.uetr) AS uetr, d.end_to_end_id, d.instruction_id, d.transaction_id, d.creditor_reference
FROM matching_open o JOIN statement_line_details d ON d.statement_id = o.statement_id AND d.line = o.line
WHERE o.account_id IN (SELECT a.account_id FROM matching_accounts a WHERE 'details' = ANY (a.passes))

-- name: by_details
-- A detail and a movement that one key and their amount name; several alike only within one line, where it makes no
-- difference which is which. Then the line, if every detail has its movement and they sum to it.
WITH of_details AS MATERIALIZED (
    SELECT account_id, 'uetr' AS key_name, uetr AS key, amount, entry_id, detail FROM matching_details
    WHERE uetr IS NOT NULL
    UNION ALL SELECT account_id, 'end_to_end_id', end_to_end_id, amount, entry_id, detail FROM matching_details
    WHERE end_to_end_id IS NOT NULL
    UNION ALL SELECT account_id, 'instruction_id', instruction_id, amount, entry_id, detail FROM matching_details
    WHERE instruction_id IS NOT NULL
    UNION ALL SELECT account_id, 'creditor_reference', creditor_reference, amount, entry_id, detail FROM matching_details
    WHERE creditor_reference IS NOT NULL
    UNION ALL SELECT account_id, 'instruction_id', transaction_id, amount, entry_id, detail FROM matching_details
    WHERE transaction_id IS NOT NULL AND transaction_id IS DISTINCT FROM instruction_id
), asked AS (
    SELECT account_id, key_name, key, amount FROM of_details
), of_ledger AS (
    SELECT * FROM matching_open WHERE movement_id IS NOT NULL AND NOT for_people
), named AS (
    SELECT account_id, key_name, key, amount, entry_id, detail, NULL::bigint AS movement_id FROM of_details
    UNION ALL SELECT account_id, 'uetr', uetr, amount, NULL, NULL, movement_id FROM of_ledger
    WHERE (account_id, 'uetr', uetr, amount) IN (TABLE asked)
    UNION ALL SELECT account_id, 'end_to_end_id', end_to_end_id, amount, NULL, NULL, movement_id FROM of_ledger
    WHERE (account_id, 'end_to_end_id', end_to_end_id, amount) IN (TABLE asked)
    UNION ALL SELECT account_id, 'instruction_id', instruction_id, amount, NULL, NULL, movement_id FROM of_ledger
    WHERE (account_id, 'instruction_id', instruction_id, amount) IN (TABLE asked)
    UNION ALL SELECT account_id, 'creditor_reference', creditor_reference, amount, NULL, NULL, movement_id FROM of_ledger
    WHERE (account_id, 'creditor_reference', creditor_reference, amount) IN (TABLE asked)
), ranked AS (
    SELECT n.*, row_number() OVER (PARTITION BY account_id, key_name, key, amount, entry_id IS NULL
            ORDER BY entry_id, detail, movement_id) AS place,
        count(entry_id) OVER w AS details, count(movement_id) OVER w AS movements, min(entry_id) OVER w AS first_line,
        max(entry_id) OVER w AS last_line
    FROM named n WINDOW w AS (PARTITION BY account_id, key_name, key, amount)
), pairs AS (
    SELECT DISTINCT max(entry_id) AS entry_id, max(detail) AS detail, max(movement_id) AS movement_id
    FROM ranked WHERE details = movements AND first_line = last_line
    GROUP BY account_id, key_name, key, amount, place
), sure AS (
    SELECT entry_id, detail, movement_id FROM (
        SELECT p.*, count(*) OVER (PARTITION BY entry_id, detail) AS movements,
            count(*) OVER (PARTITION BY movement_id) AS details FROM pairs p) p
    WHERE movements = 1 AND details = 1
), lines AS (
    SELECT d.entry_id, d.account_id, d.statement_id, nextval('match_numbers') AS match_id
    FROM matching_details d LEFT JOIN sure s ON s.entry_id = d.entry_id AND s.detail = d.detail
    GROUP BY d.entry_id, d.account_id, d.statement_id
    HAVING count(*) = count(s.movement_id) AND sum(d.amount) = min(d.line_amount) AND NOT bool_or(d.for_people)
)
INSERT INTO matching_found
SELECT l.match_id, l.account_id, CASE WHEN row_number() OVER (PARTITION BY l.entry_id ORDER BY s.detail) = 1
    THEN l.entry_id END, s.movement_id, 'details', l.statement_id
FROM lines l JOIN sure s ON s.entry_id = l.entry_id

-- name: kin
-- Of what is left, every reference that both sides know: what the passes over several read, what keeps an item from
-- being matched by its amount, and what suggestions are made of.
CREATE TEMP TABLE matching_kin ON COMMIT DROP AS
WITH left_over AS MATERIALIZED (
    SELECT o.* FROM matching_open o WHERE NOT EXISTS (
        SELECT FROM (
            SELECT entry_id AS item FROM matching_found WHERE pass = 'details'
            UNION ALL SELECT -movement_id FROM matching_found WHERE pass = 'details') f
        WHERE f.item = o.item)
), named AS (
    SELECT item, account_id, 'uetr' AS pass, 'uetr' AS key_name, uetr AS key FROM left_over WHERE uetr IS NOT NULL
    UNION ALL SELECT item, account_id, 'end_to_end', 'end_to_end_id', end_to_end_id FROM left_over
    WHERE end_to_end_id IS NOT NULL
    UNION ALL SELECT item, account_id, 'bank_reference', 'bank_reference', bank_reference FROM left_over
    WHERE bank_reference IN (SELECT bank_reference FROM left_over WHERE movement_id IS NOT NULL)
    UNION ALL SELECT item, account_id, 'instruction', 'instruction_id', instruction_id FROM left_over
    WHERE instruction_id IS NOT NULL
    UNION ALL SELECT item, account_id, 'instruction', 'instruction_id', transaction_id FROM left_over
    WHERE transaction_id IS NOT NULL AND entry_id IS NOT NULL AND transaction_id IS DISTINCT FROM instruction_id
    UNION ALL SELECT item, account_id, 'creditor_reference', 'creditor_reference', creditor_reference FROM left_over
    WHERE creditor_reference IS NOT NULL
    UNION ALL SELECT item, account_id, 'batch', 'batch_reference', batch_reference FROM left_over
    WHERE batch_reference IS NOT NULL
), shared AS (
    SELECT account_id, key_name, key FROM named GROUP BY 1, 2, 3
    HAVING bool_or(item > 0) AND bool_or(item < 0)
)
SELECT o.item, o.entry_id, o.movement_id, o.account_id, o.statement_id, o.amount, o.for_people, o.uetr, o.end_to_end_id,
    o.bank_reference, n.pass, n.key_name, n.key
FROM named n JOIN shared USING (account_id, key_name, key) JOIN left_over o ON o.item = n.item

-- name: forget_found
DELETE FROM matching_kin WHERE item IN (
    SELECT entry_id FROM matching_found WHERE pass = %(pass)s
    UNION ALL SELECT -movement_id FROM matching_found WHERE pass = %(pass)s)

-- name: alike
-- As many entries as movements under one key, all of one amount: whichever is whose, together they are the same.
WITH alike AS MATERIALIZED (
    SELECT nextval('match_numbers') AS match_id, k.account_id, k.key, k.amount, max(k.statement_id) AS statement_id
    FROM matching_kin k
    WHERE k.key_name = %(key)s AND k.pass = %(pass)s
        AND k.account_id IN (SELECT a.account_id FROM matching_accounts a WHERE %(pass)s = ANY (a.passes))
    GROUP BY k.account_id, k.key, k.amount
    HAVING count(k.entry_id) = count(k.movement_id) AND NOT bool_or(k.for_people)
        AND (%(key)s = 'uetr' OR min(k.uetr) = max(k.uetr)
            OR count(k.uetr) FILTER (WHERE k.entry_id IS NOT NULL) = 0
            OR count(k.uetr) FILTER (WHERE k.movement_id IS NOT NULL) = 0)
        AND (%(key)s IN ('uetr', 'end_to_end_id') OR min(k.end_to_end_id) = max(k.end_to_end_id)
            OR count(k.end_to_end_id) FILTER (WHERE k.entry_id IS NOT NULL) = 0
            OR count(k.end_to_end_id) FILTER (WHERE k.movement_id IS NOT NULL) = 0)
        AND (%(key)s IN ('uetr', 'end_to_end_id', 'bank_reference') OR min(k.bank_reference) = max(k.bank_reference)
            OR count(k.bank_reference) FILTER (WHERE k.entry_id IS NOT NULL) = 0
            OR count(k.bank_reference) FILTER (WHERE k.movement_id IS NOT NULL) = 0)
), placed AS (
    SELECT a.match_id, a.statement_id, k.account_id, k.entry_id, k.movement_id,
        row_number() OVER (PARTITION BY a.match_id, k.entry_id IS NULL ORDER BY k.entry_id, k.movement_id) AS place
    FROM alike a JOIN matching_kin k ON k.account_id = a.account_id AND k.key_name = %(key)s AND k.key = a.key
        AND k.amount = a.amount
)
INSERT INTO matching_found
SELECT match_id, account_id, max(entry_id), max(movement_id), %(pass)s, min(statement_id)
FROM placed GROUP BY match_id, account_id, place

-- name: sums
-- One item of a side and several of the other, all of one reference, of exactly the same sum.
WITH sums AS MATERIALIZED (
    SELECT nextval('match_numbers') AS match_id, k.account_id, k.key, max(k.statement_id) AS statement_id
    FROM matching_kin k
    WHERE k.key_name = %(key)s
        AND k.account_id IN (SELECT a.account_id FROM matching_accounts a WHERE 'batch' = ANY (a.passes))
    GROUP BY k.account_id, k.key
    HAVING least(count(k.entry_id), count(k.movement_id)) = 1 AND NOT bool_or(k.for_people)
        AND sum(k.amount) FILTER (WHERE k.entry_id IS NOT NULL)
            = sum(k.amount) FILTER (WHERE k.movement_id IS NOT NULL)
        AND (count(*) > 2 OR (min(k.uetr) = max(k.uetr)) IS NOT FALSE
            AND (min(k.end_to_end_id) = max(k.end_to_end_id)) IS NOT FALSE
            AND (min(k.bank_reference) = max(k.bank_reference)) IS NOT FALSE)
), placed AS (
    SELECT s.match_id, s.statement_id, k.account_id, k.entry_id, k.movement_id,
        row_number() OVER (PARTITION BY s.match_id, k.entry_id IS NULL ORDER BY k.entry_id, k.movement_id) AS place
    FROM sums s JOIN matching_kin k ON k.account_id = s.account_id AND k.key_name = %(key)s AND k.key = s.key
)
INSERT INTO matching_found
SELECT match_id, account_id, max(entry_id), max(movement_id), 'batch', min(statement_id)
FROM placed GROUP BY match_id, account_id, place

-- name: near
-- What could be meant by its amount alone: how many of each side lie within the window of it and may be of its party.
-- One that tells no counterparty might be anybody's. An item that shares a reference with the other side is not guessed
-- by its amount.
CREATE TEMP TABLE matching_near ON COMMIT DROP AS
WITH days AS (
    SELECT o.item, o.entry_id, o.movement_id, o.account_id, o.statement_id, o.amount, o.day - date '2000-01-01' AS day,
        o.for_people, o.uetr, o.end_to_end_id, o.bank_reference, a.counterparty_needed,
        'amount_date' = ANY (a.passes) AS allowed, nullif(translate(
            upper(o.counterparty), ' !"#$%%&''()*+,-./:;<=>?@[\]^_`{|}~', ''), '') COLLATE "C" AS party
    FROM matching_open o JOIN matching_accounts a ON a.account_id = o.account_id
    WHERE a.window_days = %(window)s::integer AND NOT EXISTS (SELECT FROM matching_kin k WHERE k.item = o.item)
), counted AS (
    SELECT d.*, count(entry_id) OVER every AS all_entries, count(movement_id) OVER every AS all_movements,
        count(entry_id) OVER own AS own_entries, count(movement_id) OVER own AS own_movements,
        count(entry_id) FILTER (WHERE party IS NULL) OVER every AS bare_entries,
        count(movement_id) FILTER (WHERE party IS NULL) OVER every AS bare_movements
    FROM days d
    WINDOW every AS (PARTITION BY account_id, amount ORDER BY day
            RANGE BETWEEN %(window)s::integer PRECEDING AND %(window)s::integer FOLLOWING),
        own AS (PARTITION BY account_id, amount, party ORDER BY day
            RANGE BETWEEN %(window)s::integer PRECEDING AND %(window)s::integer FOLLOWING)
)
SELECT item, entry_id, movement_id, account_id, statement_id, amount, day, for_people, uetr, end_to_end_id,
    bank_reference, counterparty_needed, allowed, party, all_entries, all_movements,
    CASE WHEN party IS NULL THEN all_entries ELSE own_entries + bare_entries END AS entries,
    CASE WHEN party IS NULL THEN all_movements ELSE own_movements + bare_movements END AS movements
FROM counted

-- name: amount_date
-- Each is the only one that the other can mean, and nothing tells them apart.
WITH paired AS (
    SELECT b.account_id, b.entry_id, l.movement_id, b.statement_id
    FROM matching_near b JOIN matching_near l ON l.account_id = b.account_id AND l.amount = b.amount
        AND abs(l.day - b.day) <= %(window)s::integer
        AND (b.party = l.party OR NOT b.counterparty_needed AND (b.party = l.party) IS NOT FALSE)
    WHERE b.entry_id IS NOT NULL AND b.movements = 1 AND l.movement_id IS NOT NULL AND l.entries = 1
        AND b.allowed AND NOT b.for_people AND NOT l.for_people
        AND (b.uetr = l.uetr) IS NOT FALSE AND (b.end_to_end_id = l.end_to_end_id) IS NOT FALSE
        AND (b.bank_reference = l.bank_reference) IS NOT FALSE
)
INSERT INTO matching_found
SELECT nextval('match_numbers'), account_id, entry_id, movement_id, 'amount_date', statement_id
FROM (SELECT * FROM paired ORDER BY entry_id) p

-- name: forget_suggestions
DELETE FROM match_suggestions WHERE account_id IN (SELECT account_id FROM matching_accounts)

-- name: suggest_by_key
-- One reference and one amount, and not as many on each side, or something tells them apart.
WITH several AS MATERIALIZED (
    SELECT nextval('suggestion_numbers') AS suggestion_id, account_id, pass, key_name, key, amount
    FROM matching_kin GROUP BY account_id, pass, key_name, key, amount
    HAVING count(entry_id) > 0 AND count(movement_id) > 0
)
INSERT INTO match_suggestions
SELECT s.suggestion_id, k.account_id, s.pass, k.entry_id, k.movement_id
FROM several s JOIN matching_kin k USING (account_id, pass, key_name, key, amount)

-- name: suggest_by_amount
-- Equal amounts within the window, without another word between them: one suggestion for a run of days.
WITH left_over AS (
    SELECT n.*, n.day - lag(n.day) OVER (PARTITION BY n.account_id, n.amount ORDER BY n.day, n.item) AS apart
    FROM matching_near n
    WHERE CASE WHEN n.entry_id IS NULL THEN n.all_entries ELSE n.all_movements END > 0
        AND NOT EXISTS (
            SELECT FROM (
                SELECT entry_id AS item FROM matching_found WHERE pass = 'amount_date'
                UNION ALL SELECT -movement_id FROM matching_found WHERE pass = 'amount_date') f
            WHERE f.item = n.item)
), runs AS (
    SELECT l.*, count(*) FILTER (WHERE apart > %(window)s::integer)
        OVER (PARTITION BY account_id, amount ORDER BY day, item) AS run
    FROM left_over l
), groups AS MATERIALIZED (
    SELECT nextval('suggestion_numbers') AS suggestion_id, account_id, amount, run FROM runs
    GROUP BY account_id, amount, run HAVING count(entry_id) > 0 AND count(movement_id) > 0
)
INSERT INTO match_suggestions
SELECT g.suggestion_id, r.account_id, 'amount_date', r.entry_id, r.movement_id
FROM groups g JOIN runs r USING (account_id, amount, run)

-- name: recent_statements
-- These statements, and the one before each.
SELECT unnest(%(statements)s::bigint[]) UNION
SELECT s.id FROM matching_accounts a CROSS JOIN LATERAL (
    SELECT s.id FROM statements s
    WHERE s.account_id = a.account_id AND s.state IN ('ACCEPTED', 'RELEASED') AND s.id <> ALL (%(statements)s::bigint[])
    ORDER BY s.statement_date DESC LIMIT 1) s

-- name: recent
-- The lines that are answered for, of these statements and the one before each: what is left may repeat or undo them.
CREATE TEMP TABLE matching_recent ON COMMIT DROP AS
SELECT l.entry_id, l.account_id, l.amount, coalesce(l.value_date, l.booking_date) AS day, l.end_to_end_id,
    upper(l.counterparty) AS counterparty
FROM statement_lines l
WHERE l.statement_id = ANY (%(recent)s::bigint[]) AND l.status = 'BOOK' AND l.entry_id IS NOT NULL
    AND (l.account_id, abs(l.amount)) IN (
        SELECT o.account_id, abs(o.amount) FROM matching_open o WHERE o.entry_id IS NOT NULL)
    AND NOT EXISTS (SELECT FROM matching_open o WHERE o.entry_id = l.entry_id)

-- name: residue
-- What is left, each with the reason that its own facts suggest: domain/open_item.py.
CREATE TEMP TABLE matching_residue ON COMMIT DROP AS
WITH sides AS (
    SELECT account_id, key_name, key, entry_id IS NULL AS of_ledger, min(entry_id) AS entry_id,
        min(movement_id) AS movement_id
    FROM matching_kin GROUP BY 1, 2, 3, 4
), keyed AS (
    SELECT k.item, min(o.entry_id) AS entry_id, min(o.movement_id) AS movement_id
    FROM matching_kin k JOIN sides o ON o.account_id = k.account_id AND o.key_name = k.key_name AND o.key = k.key
        AND o.of_ledger = (k.entry_id IS NOT NULL)
    GROUP BY k.item
), alike AS (
    SELECT k.item, bool_or(g.entries > g.movements) AS more_entries, bool_or(g.movements > g.entries) AS more_movements
    FROM matching_kin k JOIN (
        SELECT account_id, key_name, key, amount, count(entry_id) AS entries, count(movement_id) AS movements
        FROM matching_kin GROUP BY 1, 2, 3, 4 HAVING count(entry_id) > 0 AND count(movement_id) > 0) g
        USING (account_id, key_name, key, amount)
    GROUP BY k.item
), suggested AS (
    SELECT entry_id AS item FROM match_suggestions
    WHERE account_id IN (SELECT account_id FROM matching_accounts) AND entry_id IS NOT NULL
    UNION SELECT -movement_id FROM match_suggestions
    WHERE account_id IN (SELECT account_id FROM matching_accounts) AND movement_id IS NOT NULL
), answered AS (
    SELECT r.account_id, r.amount, w.name, w.word, r.day, r.entry_id
    FROM matching_recent r CROSS JOIN LATERAL (VALUES ('party', r.counterparty), ('end_to_end_id', r.end_to_end_id))
        AS w (name, word) WHERE w.word IS NOT NULL
), asking AS (
    SELECT o.item, o.account_id, o.amount, w.name, w.word, o.day
    FROM matching_open o CROSS JOIN LATERAL (VALUES
        ('party', upper(o.counterparty)), ('end_to_end_id', o.end_to_end_id)) AS w (name, word)
    WHERE o.entry_id IS NOT NULL AND w.word IS NOT NULL
), twins AS (
    SELECT q.item, min(t.entry_id) AS entry_id FROM asking q JOIN (
        SELECT account_id, amount, name, word, day, min(entry_id) AS entry_id FROM answered GROUP BY 1, 2, 3, 4, 5) t
        USING (account_id, amount, name, word, day)
    GROUP BY q.item
), opposites AS (
    SELECT q.item, min(t.entry_id) AS entry_id FROM asking q JOIN (
        SELECT account_id, amount, name, word, min(day) AS day, min(entry_id) AS entry_id
        FROM answered GROUP BY 1, 2, 3, 4) t
        ON t.account_id = q.account_id AND t.amount = -q.amount AND t.name = q.name AND t.word = q.word
            AND t.day <= q.day
    GROUP BY q.item
), facts AS (
    SELECT o.*, a.stated_until, l.transaction_code, l.remittance, k.item IS NOT NULL AS same_amount,
        d.entry_id AS differs_entry, d.movement_id AS differs_movement, k.more_entries, k.more_movements,
        s.item IS NOT NULL AS suggested,
        t.entry_id AS twin, p.entry_id AS opposite
    FROM matching_open o JOIN matching_accounts a ON a.account_id = o.account_id
    LEFT JOIN statement_lines l ON l.statement_id = o.statement_id AND l.line = o.line
    LEFT JOIN keyed d ON d.item = o.item LEFT JOIN alike k ON k.item = o.item LEFT JOIN suggested s ON s.item = o.item
    LEFT JOIN twins t ON t.item = o.item LEFT JOIN opposites p ON p.item = o.item
), reasoned AS (
    SELECT f.*, CASE
        WHEN transaction_code ~* %(return_codes)s OR remittance ~* %(return_words)s THEN 'return'
        WHEN transaction_code ~* %(interest_codes)s OR remittance ~* %(interest_words)s THEN 'interest'
        WHEN transaction_code ~* %(fee_codes)s OR amount < 0 AND remittance ~* %(fee_words)s THEN 'fee'
        WHEN twin IS NOT NULL OR entry_id IS NOT NULL AND more_entries OR movement_id IS NOT NULL AND more_movements
            THEN 'duplicate'
        WHEN same_amount THEN 'ambiguous'
        WHEN coalesce(differs_entry, differs_movement) IS NOT NULL THEN 'amount_differs'
        WHEN opposite IS NOT NULL THEN 'return'
        WHEN suggested THEN 'ambiguous'
        WHEN entry_id IS NOT NULL AND amount < 0 AND amount >= -%(small)s::numeric AND counterparty IS NULL
            AND end_to_end_id IS NULL THEN 'fee'
        WHEN entry_id IS NOT NULL AND day >= stated_until OR movement_id IS NOT NULL AND day >= stated_until - 1
            THEN 'timing'
        ELSE 'unknown' END AS reason
    FROM facts f
)
SELECT item, entry_id, movement_id, account_id, statement_id, line, amount, day, waiting, reason,
    CASE reason WHEN 'duplicate' THEN twin WHEN 'return' THEN opposite WHEN 'amount_differs' THEN differs_entry
        END AS other_entry_id,
    CASE reason WHEN 'amount_differs' THEN differs_movement END AS other_movement_id
FROM reasoned

-- name: keep_matches
INSERT INTO matches (match_id, account_id, entry_id, movement_id, pass, statement_id)
SELECT f.match_id, f.account_id, f.entry_id, f.movement_id, f.pass,
    CASE WHEN f.statement_id = ANY (%(statements)s::bigint[]) THEN f.statement_id ELSE a.statement_id END
FROM matching_found f JOIN matching_accounts a ON a.account_id = f.account_id
ORDER BY f.match_id

-- name: close_found
UPDATE open_items i SET closed_at = %(now)s, closed_by = 'match ' || f.match_id
FROM (SELECT match_id, entry_id AS item FROM matching_found WHERE entry_id IS NOT NULL
    UNION ALL SELECT match_id, -movement_id FROM matching_found WHERE movement_id IS NOT NULL) f
WHERE coalesce(i.entry_id, -i.movement_id) = f.item AND i.closed_at IS NULL
    AND i.account_id IN (SELECT account_id FROM matching_accounts)

-- name: keep_waiting
-- Written again only where something about it is new. What a line was once seen to repeat or undo is true for ever, also
-- when that line is no recent one any more.
UPDATE open_items i SET reason = r.reason, other_entry_id = r.other_entry_id, other_movement_id = r.other_movement_id,
    statement_id = r.statement_id, line = r.line
FROM (
    SELECT r.waiting, r.statement_id, r.line, CASE WHEN kept THEN w.reason ELSE r.reason END AS reason,
        CASE WHEN kept THEN w.other_entry_id ELSE r.other_entry_id END AS other_entry_id,
        CASE WHEN kept THEN w.other_movement_id ELSE r.other_movement_id END AS other_movement_id
    FROM matching_residue r JOIN open_items w ON w.id = r.waiting CROSS JOIN LATERAL (
        SELECT r.reason IN ('timing', 'unknown') AND w.reason IN ('duplicate', 'return') AS kept) k) r
WHERE i.id = r.waiting AND (i.reason, i.other_entry_id, i.other_movement_id, i.statement_id, i.line)
    IS DISTINCT FROM (r.reason, r.other_entry_id, r.other_movement_id, r.statement_id, r.line)

-- name: keep_new
INSERT INTO open_items (account_id, kind, entry_id, movement_id, statement_id, line, amount, dated, reason,
    other_entry_id, other_movement_id, opened_at)
SELECT account_id, 'unmatched', entry_id, movement_id, statement_id, line, amount, day, reason, other_entry_id,
    other_movement_id, %(now)s
FROM matching_residue WHERE waiting IS NULL ORDER BY item

-- name: keep_cursors
INSERT INTO matching_cursors AS c (account_id, last_movement, last_entry)
SELECT account_id, newest_movement, newest_entry FROM matching_accounts
ON CONFLICT (account_id) DO UPDATE SET last_movement = excluded.last_movement, last_entry = excluded.last_entry

-- name: counts
-- Booked lines of each statement that something answers for, and those of which nothing does.
SELECT l.statement_id, count(*) - count(*) FILTER (WHERE l.entry_id IS NULL) - coalesce(min(o.waiting), 0),
    count(*) FILTER (WHERE l.entry_id IS NULL) + coalesce(min(o.waiting), 0)
FROM statement_lines l LEFT JOIN (
    SELECT statement_id, count(*) AS waiting FROM matching_open WHERE entry_id IS NOT NULL GROUP BY 1) o
    ON o.statement_id = l.statement_id
WHERE l.statement_id = ANY (%(statements)s::bigint[]) AND l.status = 'BOOK'
GROUP BY l.statement_id

-- name: settings
-- What the plans of matching need, which is not what the road's look-ups need: see `database.py`.
SELECT set_config('enable_seqscan', %(seqscan)s, true), set_config('enable_hashjoin', %(hashjoin)s, true),
    set_config('enable_mergejoin', %(mergejoin)s, true), set_config('enable_bitmapscan', %(bitmapscan)s, true),
    set_config('plan_cache_mode', %(plans)s, true), set_config('work_mem', %(memory)s, true)

-- name: current_settings
SELECT current_setting('enable_seqscan') AS seqscan, current_setting('enable_hashjoin') AS hashjoin,
    current_setting('enable_mergejoin') AS mergejoin, current_setting('enable_bitmapscan') AS bitmapscan,
    current_setting('plan_cache_mode') AS plans, current_setting('work_mem') AS memory
