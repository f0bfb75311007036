-- name: prepare
-- One moment for all of a report's questions.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- name: as_sets
-- Every account of a month is a set: a cursor is otherwise planned for its first rows, and a step whose rows were
-- guessed too few is repeated for each row of the next. What is looked up one by one below has no joins.
SELECT set_config('cursor_tuple_fraction', '1', true), set_config('enable_nestloop', 'off', true),
    set_config('jit', 'off', true), set_config('work_mem', '64MB', true)

-- name: as_usual
SELECT set_config('enable_nestloop', 'on', true)

-- name: returned
-- Receipts that somebody sent back, and the day that they were gone. Few, ever.
SELECT r.entry_id, entry_day(r.debit_id) FROM receipt_returns r JOIN emi_accounts a ON a.id = r.account_id
WHERE (%(account_id)s::uuid IS NULL OR r.account_id = %(account_id)s::uuid)
    AND (%(currency)s::text IS NULL OR a.currency = %(currency)s::text)

-- name: account
SELECT account_number, currency FROM emi_accounts WHERE id = %(id)s

-- name: has_currency
SELECT EXISTS (SELECT 1 FROM emi_accounts WHERE currency = %(currency)s)

-- name: account_days
-- A row for each account and day, whether or not the day has a snapshot. Ordered by account, the same in every locale, then
-- day.
WITH period AS MATERIALIZED (
    SELECT calendar, day, due, cut_off, due_by FROM unnest(%(of)s::int[], %(days)s::date[], %(due)s::boolean[],
        %(cut_offs)s::timestamptz[], %(due_by)s::timestamptz[]) AS u (calendar, day, due, cut_off, due_by)
), kept AS MATERIALIZED (
    SELECT account_id, calendar FROM unnest(%(accounts)s::uuid[], %(calendars)s::int[]) AS u (account_id, calendar)
), scope AS MATERIALIZED (
    SELECT a.id, a.account_number, a.currency, b.name AS bank_name, a.ledger_balance, a.ledger_mode, a.closed_at,
        least(a.created_at, o.as_of) AS opened_at, coalesce(k.calendar, 0) AS calendar
    FROM emi_accounts a JOIN banks b ON b.id = a.bank_id LEFT JOIN account_openings o ON o.account_id = a.id
    LEFT JOIN kept k ON k.account_id = a.id
    WHERE (%(account_id)s::uuid IS NULL OR a.id = %(account_id)s::uuid)
        AND (%(currency)s::text IS NULL OR a.currency = %(currency)s::text)
), shot AS MATERIALIZED (
    -- The latest revision stands for its snapshot.
    SELECT DISTINCT ON (s.account_id, s.snapshot_date) s.account_id, s.snapshot_date AS day, s.id,
        coalesce(r.revision, 0) AS revision, r.statement_id,
        CASE WHEN r.id IS NULL THEN s.ledger_balance ELSE r.ledger_balance END AS ledger,
        CASE WHEN r.id IS NULL THEN s.bank_reported_balance ELSE r.bank_reported_balance END AS bank,
        CASE WHEN r.id IS NULL THEN s.reconciled ELSE r.reconciled END AS reconciled,
        CASE WHEN r.id IS NULL THEN s.statement_reference ELSE r.statement_reference END AS reference
    FROM emi_account_snapshots s LEFT JOIN snapshot_revisions r ON r.snapshot_id = s.id
    WHERE s.snapshot_date BETWEEN %(first)s AND %(last)s
        AND (%(account_id)s::uuid IS NULL OR s.account_id = %(account_id)s::uuid)
    ORDER BY s.account_id, s.snapshot_date, r.revision DESC NULLS LAST
), stated AS MATERIALIZED (
    SELECT account_id, statement_date AS day, min(at) AS done_at,
        (array_agg(id ORDER BY state IN ('ACCEPTED', 'RELEASED') DESC, id DESC))[1] AS id
    FROM statements
    WHERE statement_date BETWEEN %(first)s AND %(last)s
        AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s::uuid)
    GROUP BY 1, 2
), judged AS MATERIALIZED (
    SELECT id, state, threshold_level, last_movement, cut_off,
        CASE WHEN checks @> '[{"outcome": "failed"}]' THEN ARRAY(
            SELECT c ->> 'name' FROM jsonb_array_elements(checks) AS c WHERE c ->> 'outcome' = 'failed') END AS failed
    FROM statements
    WHERE statement_date BETWEEN %(first)s AND %(last)s
        AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s::uuid)
), roles AS MATERIALIZED (
    SELECT account_id, role, since, lead(since) OVER (PARTITION BY account_id ORDER BY since, id) AS until
    FROM account_roles
), grid AS MATERIALIZED (
    SELECT s.id AS account_id, s.account_number, s.currency, s.bank_name, s.ledger_balance, s.ledger_mode, p.day,
        p.due, coalesce(r.role, 'safeguarding') AS role, h.id AS snapshot_id, h.revision, h.ledger, h.bank,
        h.reconciled, h.reference, j.id AS statement_id, j.state, j.threshold_level, j.last_movement, j.failed,
        t.done_at, p.due_by, coalesce(j.cut_off, p.cut_off) AS cut_off
    FROM scope s JOIN period p ON p.calendar = s.calendar
    LEFT JOIN shot h ON h.account_id = s.id AND h.day = p.day
    LEFT JOIN stated t ON t.account_id = s.id AND t.day = p.day AND h.id IS NOT NULL
    LEFT JOIN judged j ON j.id = coalesce(h.statement_id, t.id)
    LEFT JOIN roles r ON r.account_id = s.id AND p.day >= r.since AND (r.until IS NULL OR p.day < r.until)
    WHERE h.id IS NOT NULL OR (p.day >= (s.opened_at AT TIME ZONE 'UTC')::date
        AND (s.closed_at IS NULL OR p.day <= (s.closed_at AT TIME ZONE 'UTC')::date))
), unclosed AS MATERIALIZED (
    SELECT account_id, day, cut_off, ledger_balance FROM grid
    WHERE snapshot_id IS NULL AND (due OR %(all_books)s::boolean)
), books AS (
    -- The ledger as it is now, less what was posted after the cut-off; what it began with counts always.
    SELECT account_id, day, ledger_balance - after AS ledger FROM (
        SELECT account_id, day, ledger_balance, sum(change) OVER (
            PARTITION BY account_id ORDER BY at DESC, day IS NULL ROWS UNBOUNDED PRECEDING) AS after
        FROM (
            SELECT account_id, day, ledger_balance, cut_off AS at, 0 AS change FROM unclosed
            UNION ALL
            SELECT account_id, NULL, NULL, at, CASE WHEN leaves = 'issued' THEN amount ELSE -amount END
            FROM ledger_movements
            WHERE 'issued' IN (leaves, enters) AND kind <> 'opening' AND at > (SELECT min(cut_off) FROM unclosed)
                AND account_id IN (SELECT account_id FROM unclosed)) told) summed
    WHERE day IS NOT NULL
), returned AS MATERIALIZED (
    SELECT entry_id, gone_on FROM unnest(%(returned)s::bigint[], %(gone_on)s::date[]) AS u (entry_id, gone_on)
), receipts AS MATERIALIZED (
    -- Credits that nobody had announced: the day they came, and until when nobody had them.
    SELECT e.account_id, e.position_change AS amount, m.met, m.movement_id, m.at AS met_at, entry_day(e.id) AS day,
        r.gone_on
    FROM bank_entries e JOIN scope s ON s.id = e.account_id
    LEFT JOIN entry_meetings m ON (m.account_id, m.amount, m.identity, m.occurrence)
        = (e.account_id, e.amount, e.identity, e.occurrence)
    LEFT JOIN returned r ON r.entry_id = e.id
    WHERE e.unexpected AND e.position_change > 0
        AND (m.at IS NULL OR m.at > %(first)s::date - interval '1 day' OR m.met = 'return'
            AND (r.gone_on IS NULL OR r.gone_on >= %(first)s::date))
), uncredited AS (
    SELECT g.account_id, g.day, sum(r.amount) AS amount
    FROM grid g JOIN receipts r ON r.account_id = g.account_id AND r.day <= g.day
        AND CASE WHEN r.met IS NULL THEN true
            -- Somebody else's until it has left.
            WHEN r.met = 'return' THEN r.gone_on IS NULL OR r.gone_on > g.day
            -- As the ledger of the snapshot had it.
            WHEN g.last_movement IS NOT NULL THEN r.movement_id > g.last_movement
            ELSE r.met_at > g.cut_off END
    GROUP BY 1, 2
), unanswered AS MATERIALIZED (
    -- Movements that no entry of the bank answered for when they were posted.
    SELECT v.id, v.account_id, v.amount, v.at, v.kind = 'mint' AS minted, undone.at AS undone_at, x.match_id,
        x.statement_id AS matched_by,
        (SELECT max(entry_day(o.entry_id)) FROM matches o WHERE o.match_id = x.match_id) AS matched_day
    FROM ledger_movements v JOIN scope s ON s.id = v.account_id
    LEFT JOIN ledger_movements undone ON undone.reverses = v.id
    LEFT JOIN matches x ON x.movement_id = v.id
    WHERE (v.kind = 'burn' OR s.ledger_mode = 'external' AND v.kind IN ('payout_settlement', 'mint'))
        AND NOT EXISTS (SELECT 1 FROM entry_meetings m WHERE m.movement_id = v.id)
), open_movements AS (
    SELECT g.account_id, g.day, sum(u.amount) FILTER (WHERE NOT u.minted) AS unpaid,
        sum(u.amount) FILTER (WHERE u.minted) AS unreceived
    FROM grid g JOIN unanswered u ON u.account_id = g.account_id AND u.at <= g.cut_off
        AND (g.last_movement IS NULL OR u.id <= g.last_movement)
        AND (u.undone_at IS NULL OR u.undone_at > g.cut_off)
        AND (u.match_id IS NULL OR u.matched_day > g.day
            AND (u.matched_by IS NULL OR g.statement_id IS NULL OR u.matched_by > g.statement_id))
    GROUP BY 1, 2
)
SELECT g.account_id, g.account_number, g.currency, g.bank_name, g.role, g.day, g.due, g.cut_off, g.due_by,
    coalesce(b.ledger, 0), coalesce(u.amount, 0), coalesce(o.unpaid, 0), coalesce(o.unreceived, 0), g.snapshot_id,
    g.revision, g.ledger, g.bank, g.reconciled, g.reference, g.state, g.threshold_level, g.failed, g.done_at
FROM grid g LEFT JOIN books b ON b.account_id = g.account_id AND b.day = g.day
LEFT JOIN uncredited u ON u.account_id = g.account_id AND u.day = g.day
LEFT JOIN open_movements o ON o.account_id = g.account_id AND o.day = g.day
ORDER BY g.account_number COLLATE "C", g.currency COLLATE "C", g.day

-- name: with_calendar
SELECT c.account_id FROM statement_calendars c JOIN emi_accounts a ON a.id = c.account_id
WHERE (%(account_id)s::uuid IS NULL OR a.id = %(account_id)s::uuid)
    AND (%(currency)s::text IS NULL OR a.currency = %(currency)s::text)
ORDER BY c.account_id

-- name: under_way
-- What was on its way at the cut-off of a day: held, sent, announced. Accounts with none of it are left out.
WITH scope AS (
    SELECT a.id, coalesce(t.cut_off, k.cut_off, %(cut_off)s::timestamptz) AS cut_off
    FROM emi_accounts a
    LEFT JOIN unnest(%(accounts)s::uuid[], %(cut_offs)s::timestamptz[]) AS k (account_id, cut_off) ON k.account_id = a.id
    LEFT JOIN statements t ON t.account_id = a.id AND t.statement_date = %(day)s::date
        AND t.state IN ('ACCEPTED', 'RELEASED')
    WHERE (%(account_id)s::uuid IS NULL OR a.id = %(account_id)s::uuid)
        AND (%(currency)s::text IS NULL OR a.currency = %(currency)s::text)
), told AS (
    SELECT s.id, CASE WHEN p.sent_at <= s.cut_off THEN 0 ELSE p.amount END AS held,
        CASE WHEN p.sent_at <= s.cut_off THEN p.amount ELSE 0 END AS sent, 0 AS announced
    FROM payouts p JOIN scope s ON s.id = p.account_id AND p.requested_at <= s.cut_off
    -- By the clock: one that was not sent in time held nothing from then on, whenever that was written down.
    WHERE (p.sent_at <= s.cut_off OR p.expires_at > s.cut_off)
        AND coalesce((SELECT m.at FROM entry_meetings m WHERE m.payout_id = p.id AND m.met = 'payout'), p.settled_at,
            'infinity') > s.cut_off
    UNION ALL
    SELECT s.id, 0, 0, f.amount FROM fundings f JOIN scope s ON s.id = f.account_id AND f.announced_at <= s.cut_off
    WHERE f.expires_at > s.cut_off AND (f.settled_at IS NULL OR f.settled_at > s.cut_off)
)
SELECT id, sum(held), sum(sent), sum(announced) FROM told GROUP BY 1

-- name: notified
-- When the bank last told of an entry in the period, of accounts that no statement closed on its last business day.
SELECT e.account_id, max(m.received_at)
FROM bank_messages m JOIN bank_entries e ON e.message_id = m.id
WHERE m.received_at >= %(first)s::date AND m.received_at < %(day)s::date + 1 AND m.state = 'RECORDED'
    AND e.message_id BETWEEN
        (SELECT min(id) FROM bank_messages WHERE received_at >= %(first)s::date AND received_at < %(day)s::date + 1)
        AND (SELECT max(id) FROM bank_messages WHERE received_at >= %(first)s::date AND received_at < %(day)s::date + 1)
    AND (%(account_id)s::uuid IS NULL OR e.account_id = %(account_id)s::uuid)
    AND NOT EXISTS (SELECT 1 FROM emi_account_snapshots s
        WHERE s.account_id = e.account_id AND s.snapshot_date = %(day)s::date)
GROUP BY 1

-- name: discrepancies
-- Open at any time from `from` to `until`, as they stood then.
SELECT d.id, d.account_id, a.account_number, a.currency, d.discrepancy_type AS type, d.subject, l.severity,
    CASE WHEN l.happening = 'resolved' THEN 'RESOLVED' WHEN l.assignee IS NULL THEN 'OPEN' ELSE 'INVESTIGATING' END
        AS status, l.expected_value, l.actual_value, d.opened_at, l.assignee AS owner,
    coalesce(f.text, concat_ws(' ', d.source_system, d.source_reference)) AS cause,
    CASE WHEN l.happening = 'resolved' THEN l.text END AS remedy,
    CASE WHEN l.happening = 'resolved' THEN l.actor END AS signed_off_by,
    CASE WHEN l.happening = 'resolved' THEN l.at END AS signed_off_at
FROM reconciliation_discrepancies d JOIN emi_accounts a ON a.id = d.account_id
CROSS JOIN LATERAL (
    SELECT happening, severity, expected_value, actual_value, assignee, text, actor, at FROM discrepancy_events
    WHERE discrepancy_id = d.id AND at <= %(until)s ORDER BY id DESC LIMIT 1) l
LEFT JOIN LATERAL (
    SELECT text FROM discrepancy_events WHERE discrepancy_id = d.id AND happening = 'opened' ORDER BY id LIMIT 1) f ON true
WHERE d.opened_at <= %(until)s AND (d.resolved_at IS NULL OR d.resolved_at >= %(from)s)
    AND NOT (l.happening = 'resolved' AND l.at < %(from)s)
    AND (%(account_id)s::uuid IS NULL OR d.account_id = %(account_id)s::uuid)
    AND (%(currency)s::text IS NULL OR a.currency = %(currency)s::text)
ORDER BY d.opened_at, d.id

-- name: sign
INSERT INTO report_sign_offs (report_id, dataset_sha256, actor, reason, at)
VALUES (%(report_id)s, %(digest)s, %(actor)s, %(reason)s, %(at)s)
ON CONFLICT (report_id, dataset_sha256, person_key(actor)) DO NOTHING

-- name: sign_offs
SELECT actor, reason, at, dataset_sha256 FROM report_sign_offs WHERE report_id = %(report_id)s ORDER BY id

-- name: assign_role
INSERT INTO account_roles (account_id, role, since, actor, reason, at)
VALUES (%(account_id)s, %(role)s, %(since)s, %(actor)s, %(reason)s, %(at)s)
