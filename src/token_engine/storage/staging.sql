-- Lines of statements on their way in: in tables of the transaction's own until it is known what they are. All of
-- it works on sets, so that a statement of a million lines takes what a thousand of a thousand take.

-- name: create
-- `entry_id` is drawn for every line: one that turns out to be a known movement leaves a gap.
CREATE TEMPORARY TABLE IF NOT EXISTS stated (
    statement INTEGER NOT NULL, line INTEGER NOT NULL, amount NUMERIC NOT NULL, change NUMERIC NOT NULL,
    turned NUMERIC NOT NULL, credit_debit VARCHAR NOT NULL, status VARCHAR NOT NULL, reversal BOOLEAN NOT NULL,
    booking_date DATE, value_date DATE, servicer_reference VARCHAR COLLATE "C", entry_reference VARCHAR COLLATE "C",
    end_to_end_id VARCHAR COLLATE "C", uetr VARCHAR COLLATE "C", instruction_id VARCHAR COLLATE "C",
    transaction_id VARCHAR COLLATE "C", creditor_reference VARCHAR COLLATE "C", batch_reference VARCHAR COLLATE "C",
    counterparty VARCHAR, counterparty_account VARCHAR COLLATE "C", transaction_code VARCHAR, remittance VARCHAR,
    details JSON, identity VARCHAR COLLATE "C" NOT NULL,
    entry_id BIGINT NOT NULL DEFAULT nextval('bank_entries_id_seq')
) ON COMMIT DROP

-- name: create_paired
CREATE TEMPORARY TABLE IF NOT EXISTS paired (
    statement INTEGER NOT NULL, line INTEGER NOT NULL, entry_id BIGINT NOT NULL
) ON COMMIT DROP

-- name: create_closing
-- The statements that are taken in now: their number in this transaction, and as what they are kept.
CREATE TEMPORARY TABLE IF NOT EXISTS closing (
    statement INTEGER PRIMARY KEY, statement_id BIGINT NOT NULL, account_id UUID NOT NULL, message_id BIGINT NOT NULL,
    bank_message_id VARCHAR NOT NULL, turned BOOLEAN NOT NULL, ours BOOLEAN NOT NULL, valued_until DATE
) ON COMMIT DROP

-- name: create_named
-- Names that lines have and entries have already, and how many entries.
CREATE TEMPORARY TABLE IF NOT EXISTS named (
    account_id UUID NOT NULL, amount NUMERIC NOT NULL, identity VARCHAR COLLATE "C" NOT NULL, entries BIGINT NOT NULL
) ON COMMIT DROP

-- name: copy
COPY stated (statement, line, amount, change, turned, credit_debit, status, reversal, booking_date, value_date,
    servicer_reference, entry_reference, end_to_end_id, uetr, instruction_id, transaction_id, creditor_reference,
    batch_reference, counterparty, counterparty_account, transaction_code, remittance, details, identity) FROM STDIN

-- name: void
DELETE FROM stated WHERE statement = ANY (%s::integer[])

-- name: renumber
UPDATE stated SET statement = %(into)s, line = line + %(after)s WHERE statement = %(statement)s

-- name: analyze
ANALYZE stated

-- name: learn_pairs
ANALYZE paired

-- name: learn_named
ANALYZE named

-- name: entries_stored
-- As they were last counted: -1 where they never were.
SELECT reltuples::bigint FROM pg_class WHERE oid = 'bank_entries'::regclass

-- name: learn_entries
ANALYZE (SKIP_LOCKED) bank_entries (account_id, amount, identity, message_id)

-- name: learn_lines
ANALYZE (SKIP_LOCKED) statement_lines (statement_id, account_id, entry_id, in_closing)

-- name: learn_matches
ANALYZE (SKIP_LOCKED) matches (match_id, account_id, entry_id, movement_id)

-- name: learn_open_items
ANALYZE (SKIP_LOCKED) open_items (id, account_id, entry_id, movement_id)

-- name: take
INSERT INTO closing
SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::uuid[], %s::bigint[], %s::varchar[], %s::boolean[], %s::boolean[],
    %s::date[])

-- name: settings
SET LOCAL work_mem = '256MB'

-- name: clear
TRUNCATE stated, paired, named, closing

-- name: forget
TRUNCATE closing, paired, named

-- name: loose
-- Whether any of these accounts may have movements that no standing statement contains: notified ones, those of a
-- statement that was replaced, or those that are valued later than the balance which closes theirs.
SELECT EXISTS (SELECT FROM closing c JOIN LATERAL (
        SELECT FROM bank_entries e WHERE e.account_id = c.account_id AND e.origin <> 'camt.053' LIMIT 1) e ON true)
    OR EXISTS (SELECT FROM closing c JOIN statements s ON s.account_id = c.account_id WHERE s.state = 'REPLACED')
    OR EXISTS (SELECT FROM closing c JOIN LATERAL (SELECT FROM statement_lines l WHERE l.account_id = c.account_id
        AND NOT l.in_closing AND l.status = 'BOOK' AND l.entry_id IS NOT NULL LIMIT 1) l ON true)

-- name: pair_certain
-- A line is a known movement beyond doubt where both have the servicer's reference, which names no other line and no
-- other movement of that account, amount, indicator and status, and a date in common while none differs. These are
-- the closest claims of docs/adr/0002, so nothing that is paired later could have taken one of them. What a standing
-- statement contains is no candidate: the balance that closes this one counts its line again.
INSERT INTO paired
WITH named AS (
    SELECT s.statement, s.line, c.account_id, s.amount, s.identity, s.servicer_reference, s.booking_date, s.value_date,
        count(*) OVER (PARTITION BY c.account_id, s.amount, s.identity) AS alike
    FROM stated s JOIN closing c USING (statement)
    WHERE s.servicer_reference IS NOT NULL
        AND EXISTS (SELECT FROM bank_entries e  -- before lines are counted: most statements of a large bank were not notified
            WHERE (e.account_id, e.amount, e.identity) = (c.account_id, s.amount, s.identity))
        AND NOT EXISTS (SELECT FROM bank_entry_sightings t
            WHERE (t.account_id, t.amount, t.servicer_reference) = (c.account_id, s.amount, s.servicer_reference))
)
SELECT n.statement, n.line, min(e.id)
FROM named n JOIN bank_entries e ON (e.account_id, e.amount, e.identity) = (n.account_id, n.amount, n.identity)
WHERE n.alike = 1
GROUP BY n.statement, n.line, n.booking_date, n.value_date
HAVING count(*) = 1
    AND bool_and(e.servicer_reference IS NOT NULL)
    AND bool_and((e.booking_date = n.booking_date) IS NOT FALSE AND (e.value_date = n.value_date) IS NOT FALSE
        AND ((e.booking_date = n.booking_date) IS TRUE OR (e.value_date = n.value_date) IS TRUE))
    AND NOT bool_or(EXISTS (SELECT FROM statement_lines l JOIN statements k ON k.id = l.statement_id
        WHERE l.entry_id = e.id AND k.state IN ('ACCEPTED', 'RELEASED') AND l.in_closing))

-- name: doubtful
-- Lines that some known movement could be, by amount, indicator, status and dates, and no reference speaks against it.
SELECT c.account_id, s.statement, s.line, s.amount, s.credit_debit, s.status, s.booking_date, s.value_date,
    s.servicer_reference, s.entry_reference, c.bank_message_id
FROM stated s JOIN closing c USING (statement)
WHERE NOT EXISTS (SELECT FROM paired p WHERE (p.statement, p.line) = (s.statement, s.line))
    AND EXISTS (SELECT FROM bank_entries e WHERE (e.account_id, e.amount) = (c.account_id, s.amount)
        AND left(e.identity, 9) = left(s.identity, 9)
        AND (e.booking_date = s.booking_date) IS NOT FALSE AND (e.value_date = s.value_date) IS NOT FALSE
        AND NOT EXISTS (SELECT FROM paired p WHERE p.entry_id = e.id)
        AND NOT EXISTS (SELECT FROM statement_lines l JOIN statements k ON k.id = l.statement_id
            WHERE l.entry_id = e.id AND k.state IN ('ACCEPTED', 'RELEASED') AND l.in_closing))
ORDER BY c.account_id, s.amount, left(s.identity, 9), s.statement, s.line

-- name: candidates
-- The movements that these amounts could be, each with what else was told of it.
SELECT e.account_id, e.amount, e.identity, e.occurrence, e.origin, e.bank_message_id, e.servicer_reference,
    e.entry_reference, e.booking_date, e.value_date, t.origin, t.bank_message_id, t.servicer_reference,
    t.entry_reference, t.booking_date, t.value_date, e.id
FROM unnest(%s::uuid[], %s::numeric[]) AS k (account_id, amount)
JOIN bank_entries e ON (e.account_id, e.amount) = (k.account_id, k.amount)
LEFT JOIN bank_entry_sightings t ON t.account_id = e.account_id AND t.amount = e.amount
    AND t.entry_identity = e.identity AND t.entry_occurrence = e.occurrence
WHERE NOT EXISTS (SELECT FROM paired p WHERE p.entry_id = e.id)
    AND NOT EXISTS (SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id
        WHERE l.entry_id = e.id AND s.state IN ('ACCEPTED', 'RELEASED') AND l.in_closing)
ORDER BY e.id

-- name: pair
INSERT INTO paired SELECT * FROM unnest(%s::integer[], %s::integer[], %s::bigint[])

-- name: find_named
INSERT INTO named
SELECT e.account_id, e.amount, e.identity, count(*) FROM bank_entries e
WHERE (e.account_id, e.amount, e.identity) IN (
    SELECT c.account_id, s.amount, s.identity
    FROM stated s JOIN closing c USING (statement) LEFT JOIN paired p USING (statement, line)
    WHERE p.entry_id IS NULL)
GROUP BY 1, 2, 3

-- name: record
-- What no known movement is, is a movement. Those of one name are numbered on from the entries that have it. Few have
-- one name: lines of which another has the hash are looked for, and names compared among them alone.
WITH repeated AS MATERIALIZED (
    SELECT hash_record_extended((c.account_id, s.amount, s.identity), 0) AS hash
    FROM stated s JOIN closing c USING (statement) LEFT JOIN paired p USING (statement, line)
    WHERE p.entry_id IS NULL GROUP BY 1 HAVING count(*) > 1
), numbered AS (
    SELECT s.entry_id, row_number() OVER (PARTITION BY c.account_id, s.amount, s.identity ORDER BY s.statement, s.line) - 1 AS n
    FROM stated s JOIN closing c USING (statement) LEFT JOIN paired p USING (statement, line)
    WHERE p.entry_id IS NULL
        AND hash_record_extended((c.account_id, s.amount, s.identity), 0) IN (SELECT hash FROM repeated)
)
INSERT INTO bank_entries (id, account_id, message_id, origin, bank_message_id, amount, credit_debit, status, reversal,
    position_change, booking_date, value_date, servicer_reference, entry_reference, end_to_end_id, uetr, instruction_id,
    transaction_id, identity, occurrence, unexpected)
OVERRIDING SYSTEM VALUE
SELECT s.entry_id, c.account_id, c.message_id, 'camt.053', c.bank_message_id, s.amount, s.credit_debit, s.status,
    s.reversal, f.moves, s.booking_date, s.value_date, s.servicer_reference, s.entry_reference, s.end_to_end_id, s.uetr,
    s.instruction_id, s.transaction_id, s.identity, coalesce(k.entries, 0) + coalesce(m.n, 0),
    c.ours AND f.moves > 0 AND s.entry_id <> ALL (%s::bigint[])
FROM stated s JOIN closing c USING (statement) LEFT JOIN paired p USING (statement, line)
    LEFT JOIN numbered m ON m.entry_id = s.entry_id LEFT JOIN named k USING (account_id, amount, identity)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN s.status <> 'BOOK' THEN 0 WHEN c.turned THEN s.turned ELSE s.change END AS moves) f
WHERE p.entry_id IS NULL

-- name: tell
-- Dates and references that nobody had given of a known movement (docs/adr/0002).
INSERT INTO bank_entry_sightings (account_id, amount, identity, entry_identity, entry_occurrence, message_id, origin,
    bank_message_id, servicer_reference, entry_reference, booking_date, value_date)
SELECT e.account_id, e.amount, s.identity, e.identity, e.occurrence, c.message_id, 'camt.053', c.bank_message_id,
    s.servicer_reference, s.entry_reference, s.booking_date, s.value_date
FROM paired p JOIN stated s USING (statement, line) JOIN closing c USING (statement) JOIN bank_entries e ON e.id = p.entry_id
WHERE (e.servicer_reference IS NULL AND s.servicer_reference IS NOT NULL
        OR e.entry_reference IS NULL AND s.entry_reference IS NOT NULL
        OR e.booking_date IS NULL AND s.booking_date IS NOT NULL OR e.value_date IS NULL AND s.value_date IS NOT NULL)
    AND NOT EXISTS (SELECT FROM bank_entry_sightings t
        WHERE (t.account_id, t.amount, t.entry_identity, t.entry_occurrence)
            = (e.account_id, e.amount, e.identity, e.occurrence)
        AND (s.servicer_reference IS NULL OR t.servicer_reference IS NOT NULL OR e.servicer_reference IS NOT NULL)
        AND (s.entry_reference IS NULL OR t.entry_reference IS NOT NULL OR e.entry_reference IS NOT NULL)
        AND (s.booking_date IS NULL OR t.booking_date IS NOT NULL OR e.booking_date IS NOT NULL)
        AND (s.value_date IS NULL OR t.value_date IS NOT NULL OR e.value_date IS NOT NULL))

-- name: keep_lines
INSERT INTO statement_lines (statement_id, line, account_id, entry_id, amount, status, in_closing, booking_date,
    value_date, servicer_reference, end_to_end_id, uetr, instruction_id, transaction_id, creditor_reference,
    batch_reference, counterparty, counterparty_account, transaction_code, remittance)
SELECT c.statement_id, s.line, c.account_id, coalesce(p.entry_id, s.entry_id), CASE WHEN c.turned THEN s.turned ELSE s.change END,
    s.status, (s.value_date > c.valued_until) IS NOT TRUE, s.booking_date, s.value_date, s.servicer_reference,
    s.end_to_end_id, s.uetr, s.instruction_id, s.transaction_id, s.creditor_reference, s.batch_reference,
    s.counterparty, s.counterparty_account, s.transaction_code, s.remittance
FROM stated s JOIN closing c USING (statement) LEFT JOIN paired p USING (statement, line)

-- name: keep_quarantined
INSERT INTO statement_lines (statement_id, line, account_id, amount, status, in_closing, booking_date,
    value_date, servicer_reference, end_to_end_id, uetr, instruction_id, transaction_id, creditor_reference,
    batch_reference, counterparty, counterparty_account, transaction_code, remittance)
SELECT c.statement_id, s.line, c.account_id, CASE WHEN c.turned THEN s.turned ELSE s.change END,
    s.status, false, s.booking_date, s.value_date, s.servicer_reference,
    s.end_to_end_id, s.uetr, s.instruction_id, s.transaction_id, s.creditor_reference, s.batch_reference,
    s.counterparty, s.counterparty_account, s.transaction_code, s.remittance
FROM stated s JOIN closing c USING (statement)

-- name: release_lines
-- The lines of a statement that was quarantined become the entries that they are.
UPDATE statement_lines l SET entry_id = coalesce(p.entry_id, s.entry_id),
    in_closing = (s.value_date > c.valued_until) IS NOT TRUE
FROM stated s JOIN closing c USING (statement) LEFT JOIN paired p USING (statement, line)
WHERE l.statement_id = c.statement_id AND l.line = s.line

-- name: keep_details
INSERT INTO statement_line_details (statement_id, line, detail, amount, end_to_end_id, uetr, instruction_id,
    transaction_id, creditor_reference)
SELECT c.statement_id, s.line, d.detail, d.amount * sign(CASE WHEN c.turned THEN s.turned ELSE s.change END)
        * CASE WHEN d.credit_debit <> s.credit_debit THEN -1 ELSE 1 END,  -- some go against their entry
    d.end_to_end_id, d.uetr, d.instruction_id, d.transaction_id, d.creditor_reference
FROM stated s JOIN closing c USING (statement) CROSS JOIN LATERAL json_to_recordset(s.details) AS d (detail INTEGER,
    amount NUMERIC, credit_debit VARCHAR, end_to_end_id VARCHAR, uetr VARCHAR, instruction_id VARCHAR, transaction_id VARCHAR,
    creditor_reference VARCHAR)
WHERE s.details IS NOT NULL

-- name: moved
-- What each statement brought that was not known: lines, and the signed sum of what is booked of them.
SELECT c.statement, count(*) FILTER (WHERE s.line IS NOT NULL AND p.entry_id IS NULL),
    coalesce(sum(CASE WHEN c.turned THEN s.turned ELSE s.change END) FILTER (WHERE s.status = 'BOOK' AND p.entry_id IS NULL), 0)
FROM closing c LEFT JOIN stated s USING (statement) LEFT JOIN paired p USING (statement, line)
GROUP BY c.statement

-- name: awaited
-- New booked lines under the end-to-end id of something that is expected.
SELECT c.statement, s.line, s.entry_id, s.amount, s.credit_debit, s.reversal, s.booking_date, s.value_date,
    s.servicer_reference, s.entry_reference, s.end_to_end_id, s.identity,
    CASE WHEN c.turned THEN s.turned ELSE s.change END
FROM stated s JOIN closing c USING (statement) LEFT JOIN paired p USING (statement, line)
WHERE p.entry_id IS NULL AND s.status = 'BOOK' AND s.end_to_end_id IS NOT NULL AND c.ours
    AND (EXISTS (SELECT FROM fundings f WHERE f.account_id = c.account_id AND f.end_to_end_id = s.end_to_end_id
            AND f.state = 'EXPECTED')
        OR EXISTS (SELECT FROM payouts p WHERE p.account_id = c.account_id AND p.end_to_end_id = s.end_to_end_id
            AND p.state IN ('HELD', 'SENT', 'SETTLED')))
ORDER BY c.statement, s.line
