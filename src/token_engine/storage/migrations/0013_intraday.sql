-- Asking banks for balances through the day (Tier 2).

-- An access to a bank. `settings` is JSON of its kind; credentials stand in it by reference only.
CREATE TABLE bank_connections (
    name VARCHAR(60) PRIMARY KEY,
    kind VARCHAR(30) NOT NULL,
    settings JSONB NOT NULL,
    set_by VARCHAR(140) NOT NULL,
    set_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT bank_connections_name_form CHECK (name ~ '^[a-z0-9][a-z0-9_.-]*$')
);

-- How often an account's bank is asked, and when next. A slot begins each `every_minutes` after midnight UTC plus
-- the account's own `offset_seconds`, so that thousands do not ask at once.
CREATE TABLE account_polling (
    account_id UUID PRIMARY KEY REFERENCES emi_accounts (id),
    connection VARCHAR(60) NOT NULL REFERENCES bank_connections (name),
    resource VARCHAR(140),           -- the bank's name for the account in its API
    every_minutes INTEGER NOT NULL,
    offset_seconds INTEGER NOT NULL,
    polls_a_day INTEGER,             -- the bank's budget in any 24 hours (PSD2 without the user: 4); NULL: none
    next_slot_at TIMESTAMPTZ NOT NULL,
    suspected BOOLEAN NOT NULL DEFAULT false,  -- the last answer was not as expected: the budget may be spent sooner
    business_days_only BOOLEAN NOT NULL DEFAULT false,  -- by the account's statement calendar
    -- For an account of which the bank sends no messages: what it says when asked is the position.
    replaces_position BOOLEAN NOT NULL DEFAULT false,
    run_id UUID,                     -- the run that waits for this account, if any: it is due now
    set_by VARCHAR(140) NOT NULL,
    set_at TIMESTAMPTZ NOT NULL,

    CONSTRAINT account_polling_every CHECK (every_minutes IN (15, 30, 60)),
    CONSTRAINT account_polling_offset CHECK (offset_seconds >= 0 AND offset_seconds < every_minutes * 60),
    CONSTRAINT account_polling_budget CHECK (polls_a_day > 0)
);
-- A request of somebody to ask the banks of many accounts now.
CREATE TABLE intraday_runs (
    id UUID PRIMARY KEY,
    actor VARCHAR(140) NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    -- Accounts whose bank is not asked are judged again on what it has said, page by page in the order of their ids:
    -- how far that has come, and how many they were; NULL: not begun.
    reviewed_to UUID,
    review_ended BOOLEAN NOT NULL DEFAULT false,
    reviewed INTEGER NOT NULL DEFAULT 0,
    to_ask INTEGER NOT NULL
);
CREATE INDEX intraday_runs_to_review ON intraday_runs (started_at) WHERE NOT review_ended;
ALTER TABLE account_polling ADD CONSTRAINT account_polling_run FOREIGN KEY (run_id) REFERENCES intraday_runs (id);
CREATE INDEX account_polling_due ON account_polling (connection, next_slot_at);
CREATE INDEX account_polling_of_run ON account_polling (run_id) WHERE run_id IS NOT NULL;

-- Every time a bank was to be asked, and what came of it. Claimed before the bank is asked, in a transaction of its
-- own: an engine that is killed while the bank answers leaves a claim without an outcome, and nobody asks twice.
CREATE TABLE balance_polls (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    slot_at TIMESTAMPTZ,             -- NULL: a person asked
    run_id UUID REFERENCES intraday_runs (id),
    claimed_at TIMESTAMPTZ NOT NULL,
    claimed_by VARCHAR(100) NOT NULL,
    answered_at TIMESTAMPTZ,
    requests INTEGER NOT NULL DEFAULT 1,  -- to the bank, retries among them: what its budget counts
    refusal_code VARCHAR(40),        -- why there is no observation
    refusal_text TEXT,

    CONSTRAINT balance_polls_one_per_slot UNIQUE (account_id, slot_at),
    CONSTRAINT balance_polls_refusal_has_text CHECK ((refusal_code IS NULL) = (refusal_text IS NULL)),
    CONSTRAINT balance_polls_refused_is_answered CHECK (refusal_code IS NULL OR answered_at IS NOT NULL)
);
CREATE INDEX balance_polls_of_account ON balance_polls (account_id, claimed_at);
CREATE INDEX balance_polls_of_run ON balance_polls (run_id, id) WHERE run_id IS NOT NULL;

-- What a bank said of a booked balance, and what it was compared with, for ever. `explained` is the part of
-- balance - position that is known to be on its way; `difference` = balance - explained - ledger_balance.
CREATE TABLE balance_observations (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    poll_id BIGINT NOT NULL REFERENCES balance_polls (id),
    observed_at TIMESTAMPTZ NOT NULL,    -- when the engine had the answer
    as_of TIMESTAMPTZ NOT NULL,          -- the bank's reference time
    balance NUMERIC(26,8) NOT NULL,
    balance_type VARCHAR(40) NOT NULL,
    ledger_balance NUMERIC(26,8) NOT NULL,
    position_balance NUMERIC(26,8) NOT NULL,   -- what the bank's messages add up to
    explained NUMERIC(26,8) NOT NULL,
    difference NUMERIC(26,8) NOT NULL,
    level VARCHAR(20) NOT NULL,

    CONSTRAINT balance_observations_of_poll UNIQUE (poll_id),
    CONSTRAINT balance_observations_add_up CHECK (difference = balance - explained - ledger_balance),
    CONSTRAINT balance_observations_level_word CHECK (level IN ('Ok', 'Minor', 'Significant', 'Critical'))
);
CREATE INDEX balance_observations_of_account ON balance_observations (account_id, as_of);
CREATE TRIGGER balance_observations_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON balance_observations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the last observation shows beyond the position and what is expected: money that no message told of. A later
-- message that moves the position the same way is taken to tell of it.
ALTER TABLE emi_accounts
    ADD COLUMN observed_gap NUMERIC(26,8) NOT NULL DEFAULT 0,
    ADD COLUMN observed_at TIMESTAMPTZ;

-- Files of a bank's mailbox (host to host) that went down the road, so that a restarted engine does not fetch them
-- again. In the database and not beside the engine: a database that is put back to yesterday asks for them again.
CREATE TABLE bank_files (
    connection VARCHAR(60) NOT NULL REFERENCES bank_connections (name),
    identity BYTEA NOT NULL,         -- SHA-256 of name, size and time: a bank may use a name every day
    name TEXT NOT NULL,              -- for people
    size BIGINT NOT NULL,
    modified_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ NOT NULL,

    PRIMARY KEY (connection, identity),
    CONSTRAINT bank_files_identity_is_a_digest CHECK (length(identity) = 32)
);
