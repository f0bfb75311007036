-- Closing an open breaker by two persons, and overriding it for a time (DESIGN 3.5).

-- What closing rests on. Order is told by the account's lock and not by clocks: engines' clocks differ, and a
-- batch has one time for all its messages. A breaker that is open when this runs waits for the bank's next word.
ALTER TABLE emi_accounts
    ADD COLUMN critical_judgements BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN last_critical_at TIMESTAMPTZ,
    -- The bank has said something after the breaker opened and after the last Critical.
    ADD COLUMN bank_spoke_since_break BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN last_closing_id UUID;

CREATE FUNCTION person_key(name VARCHAR) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN lower(regexp_replace(name, '\s', '', 'g'));

CREATE TABLE breaker_closings (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    state VARCHAR(10) NOT NULL,
    critical_judgements BIGINT NOT NULL,  -- the account's when this was asked for; one more makes it void
    requested_by VARCHAR(140) NOT NULL,
    reason TEXT NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    settled_by VARCHAR(140),
    settled_reason TEXT,
    settled_at TIMESTAMPTZ,

    CONSTRAINT closings_state_word CHECK (state IN ('PENDING', 'APPROVED', 'WITHDRAWN', 'EXPIRED', 'VOID')),
    CONSTRAINT closings_settled_says_how CHECK (
        num_nulls(settled_by, settled_reason, settled_at) = CASE state WHEN 'PENDING' THEN 3 ELSE 0 END),
    CONSTRAINT closings_two_persons CHECK (
        state <> 'APPROVED' OR person_key(settled_by) <> person_key(requested_by)),
    CONSTRAINT closings_approved_in_time CHECK (state <> 'APPROVED' OR settled_at < expires_at),
    CONSTRAINT closings_expire CHECK (expires_at > requested_at),
    CONSTRAINT closings_words CHECK (requested_by <> '' AND reason <> '' AND settled_by <> '' AND settled_reason <> ''),
    CONSTRAINT closings_account UNIQUE (account_id, id)
);
CREATE UNIQUE INDEX breaker_closings_one_pending ON breaker_closings (account_id) WHERE state = 'PENDING';

CREATE TABLE breaker_overrides (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    state VARCHAR(10) NOT NULL,
    requested_by VARCHAR(140) NOT NULL,
    reason TEXT NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    approved_by VARCHAR(140),
    approved_reason TEXT,
    approved_at TIMESTAMPTZ,
    ended_by VARCHAR(140),
    ended_reason TEXT,
    ended_at TIMESTAMPTZ,

    CONSTRAINT overrides_state_word CHECK (state IN ('PENDING', 'IN_FORCE', 'EXPIRED', 'REVOKED', 'VOID')),
    CONSTRAINT overrides_expire_within_a_day CHECK (
        expires_at > requested_at AND expires_at <= requested_at + interval '24 hours'),
    CONSTRAINT overrides_approval_whole CHECK (num_nulls(approved_by, approved_reason, approved_at) IN (0, 3)),
    CONSTRAINT overrides_in_force_is_approved CHECK (
        CASE state WHEN 'PENDING' THEN approved_at IS NULL WHEN 'IN_FORCE' THEN approved_at IS NOT NULL ELSE true END),
    CONSTRAINT overrides_two_persons CHECK (person_key(approved_by) <> person_key(requested_by)),
    CONSTRAINT overrides_approved_in_time CHECK (approved_at < expires_at),
    CONSTRAINT overrides_ended_says_how CHECK (
        num_nulls(ended_by, ended_reason, ended_at) = CASE WHEN state IN ('PENDING', 'IN_FORCE') THEN 3 ELSE 0 END),
    CONSTRAINT overrides_words CHECK (
        requested_by <> '' AND reason <> '' AND approved_by <> '' AND approved_reason <> '' AND ended_by <> ''
        AND ended_reason <> '')
);
CREATE UNIQUE INDEX breaker_overrides_one_open ON breaker_overrides (account_id)
    WHERE state IN ('PENDING', 'IN_FORCE');
CREATE INDEX breaker_overrides_account ON breaker_overrides (account_id, requested_at);

-- History: a row is settled once, and says for ever what was asked and how it ended.
CREATE FUNCTION settle_closing_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'PENDING' OR (NEW.id, NEW.account_id, NEW.critical_judgements, NEW.requested_by, NEW.reason,
        NEW.requested_at, NEW.expires_at) IS DISTINCT FROM (OLD.id, OLD.account_id, OLD.critical_judgements,
        OLD.requested_by, OLD.reason, OLD.requested_at, OLD.expires_at)
    THEN
        RAISE EXCEPTION 'breaker_closings: a closing is settled once, and its request stays as it was'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER breaker_closings_settled_once BEFORE UPDATE ON breaker_closings
    FOR EACH ROW EXECUTE FUNCTION settle_closing_once();
CREATE TRIGGER breaker_closings_no_delete BEFORE DELETE OR TRUNCATE ON breaker_closings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION settle_override_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.state = 'PENDING' AND NEW.state <> 'PENDING'
            OR OLD.state = 'IN_FORCE' AND NEW.state NOT IN ('PENDING', 'IN_FORCE'))
        OR (NEW.id, NEW.account_id, NEW.requested_by, NEW.reason, NEW.requested_at, NEW.expires_at)
            IS DISTINCT FROM (OLD.id, OLD.account_id, OLD.requested_by, OLD.reason, OLD.requested_at, OLD.expires_at)
        OR NEW.state <> 'IN_FORCE' AND (NEW.approved_by, NEW.approved_reason, NEW.approved_at)
            IS DISTINCT FROM (OLD.approved_by, OLD.approved_reason, OLD.approved_at)
    THEN
        RAISE EXCEPTION 'breaker_overrides: an override is approved once and ends once, and stays as it was asked for'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER breaker_overrides_settled_once BEFORE UPDATE ON breaker_overrides
    FOR EACH ROW EXECUTE FUNCTION settle_override_once();
CREATE TRIGGER breaker_overrides_no_delete BEFORE DELETE OR TRUNCATE ON breaker_overrides
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An open breaker is left by an approved closing of its own and in no other way; and whoever opens it, the
-- engine or the specification's UPDATE, takes back what the bank had said until then.
CREATE FUNCTION guard_breaker() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was_open CONSTANT BOOLEAN := OLD.metadata @> '{"circuit_breaker_active": true}';
    is_open CONSTANT BOOLEAN := NEW.metadata @> '{"circuit_breaker_active": true}';
BEGIN
    IF is_open AND NOT was_open THEN
        NEW.bank_spoke_since_break := false;
    ELSIF was_open AND NOT is_open AND (NEW.last_closing_id IS NOT DISTINCT FROM OLD.last_closing_id OR NOT EXISTS (
        SELECT 1 FROM breaker_closings c
        WHERE c.id = NEW.last_closing_id AND c.account_id = NEW.id AND c.state = 'APPROVED'))
    THEN
        RAISE EXCEPTION 'an open circuit breaker is closed by a closing that a second person approved'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER emi_accounts_guard_breaker BEFORE UPDATE OF metadata ON emi_accounts
    FOR EACH ROW WHEN (OLD.metadata IS DISTINCT FROM NEW.metadata) EXECUTE FUNCTION guard_breaker();

ALTER TABLE emi_accounts ADD CONSTRAINT emi_accounts_last_closing
    FOREIGN KEY (id, last_closing_id) REFERENCES breaker_closings (account_id, id);
