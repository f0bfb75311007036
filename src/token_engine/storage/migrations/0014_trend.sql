-- What an account's differences come to, day by day: enough to see a drift without reading observations again.

-- The lowest and highest difference of an account's day (UTC, by the bank's reference time). A fold over the set of its
-- observations: late, repeated and out of order they come to the same.
CREATE TABLE trend_days (
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    day DATE NOT NULL,
    low NUMERIC(26,8) NOT NULL,
    high NUMERIC(26,8) NOT NULL,

    PRIMARY KEY (account_id, day),
    CONSTRAINT trend_days_order CHECK (low <= high)
) WITH (fillfactor = 80);  -- a day is updated in place while it lasts

-- What the days said when they were last looked at: once a day, and when one that was over changed.
CREATE TABLE account_trends (
    account_id UUID PRIMARY KEY REFERENCES emi_accounts (id),
    looked_to DATE NOT NULL,         -- the last day that was over by then
    looked_at TIMESTAMPTZ NOT NULL,
    shape VARCHAR(10) NOT NULL,
    slope NUMERIC(34,8) NOT NULL,    -- major units a day
    since DATE,
    drifting VARCHAR(10),            -- which way, from when it was raised until it is over, whoever resolved it
    crosses_at TIMESTAMPTZ,          -- when a busy day crosses the next bound

    CONSTRAINT account_trends_shape_word CHECK (shape IN ('too_short', 'steady', 'step', 'drift')),
    CONSTRAINT account_trends_drifting_word CHECK (drifting IN ('rising', 'falling'))
) WITH (fillfactor = 80);
CREATE INDEX account_trends_drifting ON account_trends (account_id) WHERE drifting IS NOT NULL;

-- Whoever comes from an engine before this step has its observations in the days too.
INSERT INTO trend_days (account_id, day, low, high)
SELECT account_id, (as_of AT TIME ZONE 'UTC')::date, min(difference), max(difference)
FROM balance_observations GROUP BY 1, 2;
