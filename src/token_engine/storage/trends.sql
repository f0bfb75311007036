-- name: fold
-- Take days in. Of each account whether its trend must be looked at (a day is over that was not when it was last looked
-- at, or one that was over has changed), and whether it drifted when it was.
WITH folded AS (
    INSERT INTO trend_days AS d (account_id, day, low, high)
    SELECT * FROM unnest(%s::uuid[], %s::date[], %s::numeric[], %s::numeric[])
    ON CONFLICT (account_id, day) DO UPDATE SET low = least(d.low, excluded.low), high = greatest(d.high, excluded.high)
    WHERE excluded.low < d.low OR excluded.high > d.high
    RETURNING account_id, day
)
SELECT k.account_id, coalesce(t.shape = 'drift', false),
    t.looked_to IS NULL OR t.looked_to < %s::date - 1
        OR EXISTS (SELECT FROM folded f WHERE f.account_id = k.account_id AND f.day < %s::date)
FROM unnest(%s::uuid[]) AS k (account_id)
LEFT JOIN account_trends t ON t.account_id = k.account_id

-- name: load
SELECT k.account_id, t.drifting, d.days, d.lows, d.highs
FROM unnest(%s::uuid[]) AS k (account_id)
LEFT JOIN account_trends t ON t.account_id = k.account_id
CROSS JOIN LATERAL (
    SELECT array_agg(o.day) AS days, array_agg(o.low) AS lows, array_agg(o.high) AS highs FROM (
        SELECT day, low, high FROM trend_days
        WHERE account_id = k.account_id AND day >= %s::date AND day < %s::date ORDER BY day) o) d

-- name: save
INSERT INTO account_trends (account_id, looked_to, looked_at, shape, slope, since, drifting, crosses_at)
SELECT * FROM unnest(%s::uuid[], %s::date[], %s::timestamptz[], %s::varchar[], %s::numeric[], %s::date[], %s::varchar[],
    %s::timestamptz[])
ON CONFLICT (account_id) DO UPDATE SET looked_to = excluded.looked_to, looked_at = excluded.looked_at,
    shape = excluded.shape, slope = excluded.slope, since = excluded.since, drifting = excluded.drifting,
    crosses_at = excluded.crosses_at

-- name: days
SELECT day, low, high FROM trend_days WHERE account_id = %(account_id)s AND day >= %(from)s ORDER BY day

-- name: state
SELECT drifting, looked_at FROM account_trends WHERE account_id = %s

-- name: last_observations
SELECT as_of, observed_at, balance, explained, ledger_balance, difference, level FROM balance_observations
WHERE account_id = %(account_id)s ORDER BY as_of DESC, id DESC LIMIT %(limit)s

-- name: observations
SELECT count(*) FROM balance_observations
WHERE account_id = %(account_id)s AND as_of >= %(from)s AND as_of < %(until)s

-- name: drifting
SELECT count(*) FROM account_trends WHERE drifting IS NOT NULL

-- name: no_fold_meanwhile
-- What is under way is waited for, and what comes waits: else a day could lose what is folded in while it is recomputed.
LOCK TABLE trend_days IN SHARE ROW EXCLUSIVE MODE

-- name: room_for_the_fold
SELECT set_config('work_mem', '256MB', true)

-- name: forget_fold
DROP TABLE IF EXISTS folded

-- name: fold_all
-- All observations, read once, by as many workers as the server gives (CREATE TABLE AS may run in parallel, INSERT may
-- not). date_bin is arithmetic; a cast to date would look up a time zone for each row.
CREATE TEMPORARY TABLE folded ON COMMIT DROP AS
SELECT account_id, date_bin('1 day', as_of, '2000-01-01Z') AS began, min(difference) AS low, max(difference) AS high
FROM balance_observations GROUP BY 1, 2

-- name: drop_wrong
DELETE FROM trend_days d USING (
    SELECT d.account_id, d.day FROM trend_days d
    LEFT JOIN folded f ON f.account_id = d.account_id AND (f.began AT TIME ZONE 'UTC')::date = d.day
    WHERE (d.low, d.high) IS DISTINCT FROM (f.low, f.high)) wrong
WHERE d.account_id = wrong.account_id AND d.day = wrong.day

-- name: add_missing
INSERT INTO trend_days (account_id, day, low, high)
SELECT account_id, (began AT TIME ZONE 'UTC')::date, low, high FROM folded ON CONFLICT DO NOTHING

-- name: unlike
-- Days that are not what their observations make: none, ever.
SELECT a.account_number, a.currency, coalesce(d.day, (f.began AT TIME ZONE 'UTC')::date) AS day,
    d.low AS stored_low, d.high AS stored_high, f.low AS low, f.high AS high
FROM trend_days d FULL JOIN folded f ON f.account_id = d.account_id AND (f.began AT TIME ZONE 'UTC')::date = d.day
JOIN emi_accounts a ON a.id = coalesce(d.account_id, f.account_id)
WHERE (d.low, d.high) IS DISTINCT FROM (f.low, f.high)
ORDER BY 1, 2, 3
