-- When an account's statement is due, what follows where it does not come, and how one that failed is released.

CREATE TABLE statement_calendars (
    account_id UUID PRIMARY KEY REFERENCES emi_accounts (id),
    time_zone VARCHAR(60) NOT NULL,      -- IANA, of the bank: "Asia/Dubai"
    cut_off TIME NOT NULL,               -- when the bank's day ends, in its time
    ends_next_day BOOLEAN NOT NULL,      -- the cut-off lies after midnight: 00:00 closes the day before
    due_after INTERVAL NOT NULL,         -- how long after the cut-off the statement may take
    weekend VARCHAR(3)[] NOT NULL,       -- BYDAY of RFC 5545: "SA", or "2SA" for the second Saturday
    holidays VARCHAR(6),                 -- whose published ones: "AE", "IN-MH", "TARGET"
    extra_holidays DATE[] NOT NULL,
    -- Each day is looked at once, when its statement is due, by the calendar that holds then.
    looked_to DATE NOT NULL,
    next_due_at TIMESTAMPTZ NOT NULL,
    set_by VARCHAR(140) NOT NULL,
    set_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT calendars_due_after CHECK (due_after BETWEEN interval '0' AND interval '7 days')
);
CREATE INDEX statement_calendars_due ON statement_calendars (next_due_at);

-- Since when the statement of a day is due and not there: the oldest one. What gates and verdicts go by.
ALTER TABLE emi_accounts ADD COLUMN statement_missing_since TIMESTAMPTZ;

-- Whoever opens, resolves or reopens such a discrepancy, the account says what is left of them. One whose statement is
-- there, and that a person is still to resolve, is none of them.
CREATE FUNCTION keep_statement_missing_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE emi_accounts SET statement_missing_since = (
        SELECT min(d.opened_at) FROM reconciliation_discrepancies d
        WHERE d.account_id = NEW.account_id AND d.discrepancy_type = 'STATEMENT_MISSING' AND d.status <> 'RESOLVED'
            AND NOT EXISTS (
                SELECT 1 FROM statements s WHERE s.account_id = d.account_id AND s.state <> 'PENDING'
                    AND s.statement_date = CASE d.discrepancy_type WHEN 'STATEMENT_MISSING' THEN d.subject::date END))
    WHERE id = NEW.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER discrepancies_keep_statement_missing_since
    AFTER INSERT OR UPDATE OF status ON reconciliation_discrepancies
    FOR EACH ROW WHEN (NEW.discrepancy_type = 'STATEMENT_MISSING') EXECUTE FUNCTION keep_statement_missing_since();

-- Releasing a quarantined statement: a request, and its approval by another person in time. A story, for ever.
CREATE TABLE statement_releases (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    statement_id BIGINT NOT NULL REFERENCES statements (id),
    act VARCHAR(10) NOT NULL,
    actor VARCHAR(140) NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,     -- of the request
    request_id BIGINT,                   -- what an approval approves, and who had asked
    requested_by VARCHAR(140),

    CONSTRAINT releases_act_word CHECK (act IN ('REQUESTED', 'APPROVED')),
    CONSTRAINT releases_words CHECK (actor <> '' AND reason <> ''),
    CONSTRAINT releases_approval_names_its_request CHECK (
        num_nulls(request_id, requested_by) = CASE act WHEN 'REQUESTED' THEN 2 ELSE 0 END),
    CONSTRAINT releases_two_persons CHECK (person_key(actor) <> person_key(requested_by)),
    CONSTRAINT releases_in_time CHECK (at < expires_at),
    CONSTRAINT releases_requests UNIQUE (id, statement_id, actor, expires_at),
    CONSTRAINT releases_of_request FOREIGN KEY (request_id, statement_id, requested_by, expires_at)
        REFERENCES statement_releases (id, statement_id, actor, expires_at)
);
CREATE INDEX statement_releases_of_statement ON statement_releases (statement_id, id);
CREATE UNIQUE INDEX statement_releases_once ON statement_releases (statement_id) WHERE act = 'APPROVED';
CREATE TRIGGER statement_releases_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_releases
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The listing: of an account, and of what waits for people or pages.
CREATE INDEX statements_listed ON statements (account_id, id);
CREATE INDEX statements_waiting ON statements (state, id) WHERE state IN ('PENDING', 'QUARANTINED');
