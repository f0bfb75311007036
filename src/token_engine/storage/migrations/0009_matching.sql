-- Which lines of the bank answer for which movements of the token ledger (DESIGN 3.4, matching).

CREATE SEQUENCE match_numbers;
-- One row where one entry answers for one movement. A match of several has several rows under its number, with an
-- entry, a movement or both in each. The two unique keys are the guard: every side is claimed once.
CREATE TABLE matches (
    match_id BIGINT NOT NULL,
    account_id UUID NOT NULL,
    entry_id BIGINT,
    movement_id BIGINT,
    pass VARCHAR(20) NOT NULL,
    statement_id BIGINT,                 -- the statement whose matching made it; NULL: a person did
    CONSTRAINT matches_entry_once UNIQUE (entry_id),
    CONSTRAINT matches_movement_once UNIQUE (movement_id),
    CONSTRAINT matches_name_a_side CHECK (num_nonnulls(entry_id, movement_id) > 0)
);
CREATE INDEX matches_by_number ON matches (match_id);
CREATE INDEX matches_of_account ON matches (account_id, match_id);

-- How an account's lines are matched, where that is not as everywhere.
CREATE TABLE matching_policies (
    account_id UUID PRIMARY KEY REFERENCES emi_accounts (id),
    passes VARCHAR(20)[] NOT NULL,       -- those that are run, besides `met`
    window_days INTEGER NOT NULL,        -- how far apart the value dates may be where only amounts agree
    counterparty_needed BOOLEAN NOT NULL,
    CONSTRAINT matching_policies_window CHECK (window_days BETWEEN 0 AND 31)
);

-- What earlier runs have looked at, so that none reads an account's whole past.
CREATE TABLE matching_cursors (
    account_id UUID PRIMARY KEY REFERENCES emi_accounts (id),
    last_movement BIGINT NOT NULL,
    last_entry BIGINT NOT NULL           -- of those that were notified; what statements brought is in statements
);
CREATE INDEX bank_entries_notified ON bank_entries (account_id, id) WHERE origin <> 'camt.053';

-- What nothing answers for, aged from `dated`. One that is closed stays, for whoever asks how a day stood.
CREATE TABLE open_items (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL,
    -- 'unmatched' on either side; 'awaiting_statement': notified, and no statement has reached its day yet;
    -- 'missing_from_statement': one has, and does not list it.
    kind VARCHAR(22) NOT NULL,
    entry_id BIGINT,
    movement_id BIGINT,
    statement_id BIGINT,                 -- where the entry is stated
    line INTEGER,
    amount NUMERIC(26,8) NOT NULL,       -- signed as the bank's side has it
    dated DATE NOT NULL,
    reason VARCHAR(15) NOT NULL,         -- suggested: see domain/open_item.py
    other_entry_id BIGINT,               -- what the suggestion is about
    other_movement_id BIGINT,
    -- A person took its match apart: from then on only a person matches it.
    for_people BOOLEAN NOT NULL DEFAULT false,
    opened_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    closed_by VARCHAR(60),               -- 'match 12', 'reversed', 'stated', 'opening balance'
    CONSTRAINT open_items_kind_word CHECK (
        CASE kind WHEN 'unmatched' THEN num_nonnulls(entry_id, movement_id) = 1
             WHEN 'awaiting_statement' THEN entry_id IS NOT NULL AND movement_id IS NULL
             WHEN 'missing_from_statement' THEN entry_id IS NOT NULL AND movement_id IS NULL
             ELSE false END),
    CONSTRAINT open_items_reason_word CHECK (reason IN (
        'fee', 'interest', 'return', 'duplicate', 'amount_differs', 'timing', 'ambiguous', 'not_stated', 'unknown')),
    CONSTRAINT open_items_closed_says_how CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
-- The guard: a side waits once.
CREATE UNIQUE INDEX open_items_entry ON open_items (entry_id) WHERE closed_at IS NULL AND entry_id IS NOT NULL;
CREATE UNIQUE INDEX open_items_movement ON open_items (movement_id) WHERE closed_at IS NULL AND movement_id IS NOT NULL;
CREATE INDEX open_items_by_age ON open_items (dated, id) WHERE closed_at IS NULL;
CREATE INDEX open_items_of_account ON open_items (account_id, dated, id) WHERE closed_at IS NULL;
CREATE TRIGGER open_items_no_delete BEFORE DELETE OR TRUNCATE ON open_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What may belong together and no rule can tell: for a person to choose. Made anew with every run.
CREATE SEQUENCE suggestion_numbers;
CREATE TABLE match_suggestions (
    suggestion_id BIGINT NOT NULL,
    account_id UUID NOT NULL,
    pass VARCHAR(20) NOT NULL,           -- the rule that finds more than one answer
    entry_id BIGINT,
    movement_id BIGINT,
    CONSTRAINT match_suggestions_name_a_side CHECK (num_nonnulls(entry_id, movement_id) = 1)
);
CREATE INDEX match_suggestions_of_account ON match_suggestions (account_id, suggestion_id);
CREATE INDEX match_suggestions_entry ON match_suggestions (entry_id);
CREATE INDEX match_suggestions_movement ON match_suggestions (movement_id);

-- A match of unequal sums, which two people answer for.
CREATE TABLE match_requests (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    entry_ids BIGINT[] NOT NULL,
    movement_ids BIGINT[] NOT NULL,
    difference NUMERIC(26,8) NOT NULL,   -- entries less movements
    state VARCHAR(10) NOT NULL,
    requested_by VARCHAR(140) NOT NULL,
    reason VARCHAR(500) NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    settled_by VARCHAR(140),
    settled_reason VARCHAR(500),
    settled_at TIMESTAMPTZ,
    match_id BIGINT,
    CONSTRAINT match_requests_state_word CHECK (state IN ('PENDING', 'APPROVED', 'WITHDRAWN')),
    CONSTRAINT match_requests_settled_says_how CHECK (
        num_nulls(settled_by, settled_reason, settled_at) = CASE state WHEN 'PENDING' THEN 3 ELSE 0 END
        AND (match_id IS NOT NULL) = (state = 'APPROVED')),
    CONSTRAINT match_requests_of_two CHECK (state <> 'APPROVED' OR settled_by <> requested_by)
);
CREATE INDEX match_requests_pending ON match_requests (account_id, id) WHERE state = 'PENDING';
CREATE FUNCTION settle_match_request_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'PENDING' OR (NEW.id, NEW.account_id, NEW.entry_ids, NEW.movement_ids, NEW.difference,
        NEW.requested_by, NEW.reason, NEW.requested_at) IS DISTINCT FROM (OLD.id, OLD.account_id, OLD.entry_ids,
        OLD.movement_ids, OLD.difference, OLD.requested_by, OLD.reason, OLD.requested_at)
    THEN
        RAISE EXCEPTION 'match_requests: a request is settled once, and stays as it was asked for'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER match_requests_settled_once BEFORE UPDATE ON match_requests
    FOR EACH ROW EXECUTE FUNCTION settle_match_request_once();
CREATE TRIGGER match_requests_no_delete BEFORE DELETE OR TRUNCATE ON match_requests
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What people, and reversals, did with matches, for ever. What a run matched is in `matches`, under its statement.
CREATE TABLE match_events (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    match_id BIGINT NOT NULL,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    happening VARCHAR(10) NOT NULL,
    pass VARCHAR(20) NOT NULL,
    entry_ids BIGINT[] NOT NULL,
    movement_ids BIGINT[] NOT NULL,
    difference NUMERIC(26,8) NOT NULL,
    statement_id BIGINT,                 -- the statement whose matching had made what was taken apart
    request_id BIGINT REFERENCES match_requests (id),
    alternatives JSONB NOT NULL,         -- what else the person could have chosen
    actor VARCHAR(140) NOT NULL,
    reason VARCHAR(500) NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT match_events_happening_word CHECK (happening IN ('made', 'unmatched'))
);
CREATE INDEX match_events_of_match ON match_events (match_id, id);
CREATE TRIGGER match_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON match_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
