-- Expectations (DESIGN 2): fundings and payouts that we know of and the bank has not booked yet; and what each of
-- the bank's entries turned out to be. An entry meets one thing once, whoever asks and however often.

CREATE TABLE fundings (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    end_to_end_id VARCHAR(140) COLLATE "C" NOT NULL,   -- what the bank's credit will carry
    amount NUMERIC(26,8) NOT NULL,                     -- announced, in major units of the account's currency
    holder VARCHAR(140) COLLATE "C" NOT NULL,          -- the beneficiary: who gets the tokens
    state VARCHAR(10) NOT NULL,
    announced_by VARCHAR(140) NOT NULL,
    announced_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    settled_by VARCHAR(140),
    settled_at TIMESTAMPTZ,
    settled_reason VARCHAR(500),

    CONSTRAINT fundings_state_word CHECK (state IN ('EXPECTED', 'MET', 'CANCELLED', 'EXPIRED')),
    CONSTRAINT fundings_amount_positive CHECK (amount > 0),
    CONSTRAINT fundings_settled_says_how CHECK (
        num_nulls(settled_by, settled_at, settled_reason) = CASE state WHEN 'EXPECTED' THEN 3 ELSE 0 END)
);
-- A credit that comes must find one funding.
CREATE UNIQUE INDEX fundings_one_expected ON fundings (account_id, end_to_end_id) WHERE state = 'EXPECTED';
-- By `settled_at`: a condition on the state, too, and a plan made on an empty table might look fundings up here.
CREATE INDEX fundings_due ON fundings (expires_at) WHERE settled_at IS NULL;
CREATE INDEX fundings_of_account ON fundings (account_id, announced_at, id);

CREATE TABLE payouts (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    end_to_end_id VARCHAR(140) COLLATE "C" NOT NULL,   -- what the bank's debit will carry
    amount NUMERIC(26,8) NOT NULL,                     -- held, in major units of the account's currency
    holder VARCHAR(140) COLLATE "C" NOT NULL,          -- whose tokens are held, and burnt when the bank has paid
    beneficiary VARCHAR(140),                          -- who is paid, in the requester's words
    state VARCHAR(10) NOT NULL,
    requested_by VARCHAR(140) NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,                   -- a hold that was not sent by then is released
    sent_by VARCHAR(140),
    sent_at TIMESTAMPTZ,
    settled_by VARCHAR(140),
    settled_at TIMESTAMPTZ,
    settled_reason VARCHAR(500),

    CONSTRAINT payouts_state_word CHECK (
        state IN ('HELD', 'SENT', 'SETTLED', 'CANCELLED', 'EXPIRED', 'RETURNED')),
    CONSTRAINT payouts_amount_positive CHECK (amount > 0),
    CONSTRAINT payouts_sent_says_who CHECK (num_nulls(sent_by, sent_at) IN (0, 2)),
    CONSTRAINT payouts_state_fits_sending CHECK (
        CASE state WHEN 'HELD' THEN sent_at IS NULL WHEN 'EXPIRED' THEN sent_at IS NULL
            WHEN 'SENT' THEN sent_at IS NOT NULL ELSE true END),
    CONSTRAINT payouts_settled_says_how CHECK (
        num_nulls(settled_by, settled_at, settled_reason) = CASE WHEN state IN ('HELD', 'SENT') THEN 3 ELSE 0 END)
);
-- For ever: a debit that comes late must not find another payout than its own.
CREATE UNIQUE INDEX payouts_one_of_end_to_end ON payouts (account_id, end_to_end_id);
CREATE INDEX payouts_due ON payouts (expires_at) WHERE state = 'HELD';
CREATE INDEX payouts_under_way ON payouts (sent_at) WHERE state = 'SENT';
CREATE INDEX payouts_of_account ON payouts (account_id, requested_at, id);

-- What was asked stays as it was, and what is over stays over.
CREATE FUNCTION settle_funding_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'EXPECTED' OR (NEW.id, NEW.account_id, NEW.end_to_end_id, NEW.amount, NEW.holder,
        NEW.announced_by, NEW.announced_at, NEW.expires_at) IS DISTINCT FROM (OLD.id, OLD.account_id,
        OLD.end_to_end_id, OLD.amount, OLD.holder, OLD.announced_by, OLD.announced_at, OLD.expires_at)
    THEN
        RAISE EXCEPTION 'fundings: a funding is settled once, and its announcement stays as it was'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fundings_settled_once BEFORE UPDATE ON fundings FOR EACH ROW EXECUTE FUNCTION settle_funding_once();
CREATE TRIGGER fundings_no_delete BEFORE DELETE OR TRUNCATE ON fundings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION keep_payout_lawful() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A batch of messages writes where a payout ended: debit and return may have come in one.
    IF NOT (OLD.state = 'HELD' AND NEW.state IN ('SENT', 'SETTLED', 'CANCELLED', 'EXPIRED', 'RETURNED')
            OR OLD.state = 'SENT' AND NEW.state IN ('SETTLED', 'CANCELLED', 'RETURNED')
            OR OLD.state = 'SETTLED' AND NEW.state = 'RETURNED')
        OR (NEW.id, NEW.account_id, NEW.end_to_end_id, NEW.amount, NEW.holder, NEW.beneficiary, NEW.requested_by,
            NEW.requested_at, NEW.expires_at) IS DISTINCT FROM (OLD.id, OLD.account_id, OLD.end_to_end_id, OLD.amount,
            OLD.holder, OLD.beneficiary, OLD.requested_by, OLD.requested_at, OLD.expires_at)
        OR OLD.sent_at IS NOT NULL AND (NEW.sent_by, NEW.sent_at) IS DISTINCT FROM (OLD.sent_by, OLD.sent_at)
    THEN
        RAISE EXCEPTION 'payouts: a payout goes from % to no such state, and stays as it was asked for', OLD.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payouts_lawful BEFORE UPDATE ON payouts FOR EACH ROW EXECUTE FUNCTION keep_payout_lawful();
CREATE TRIGGER payouts_no_delete BEFORE DELETE OR TRUNCATE ON payouts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What holders may not spend meanwhile. Like balances by their legs, what is reserved is moved by payouts alone:
-- the sum of those that are HELD or SENT.
ALTER TABLE ledger_holders
    ADD COLUMN reserved NUMERIC(26,8) NOT NULL DEFAULT 0,
    ADD CONSTRAINT ledger_holders_reserved_within_balance CHECK (reserved BETWEEN 0 AND balance);

-- As sets, however many they are: a holder or account is written once for all that a statement did to it.
CREATE FUNCTION move_reserved(accounts UUID[], holders VARCHAR[], changes NUMERIC[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE moved BIGINT;
BEGIN
    UPDATE ledger_holders h SET reserved = h.reserved + k.change
    FROM unnest(accounts, holders, changes) AS k (account_id, holder, change)
    WHERE h.account_id = k.account_id AND h.holder = k.holder;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(accounts) THEN
        RAISE EXCEPTION 'payouts: who holds nothing has nothing that could be held' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE emi_accounts a SET reserved_balance = a.reserved_balance + k.change
    FROM (SELECT account_id, sum(change) AS change FROM unnest(accounts, changes) AS u (account_id, change) GROUP BY 1) k
    WHERE a.id = k.account_id;
END $$;

CREATE FUNCTION reserve_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM move_reserved(array_agg(account_id), array_agg(holder), array_agg(amount)) FROM (
        SELECT account_id, holder, sum(amount) AS amount FROM fresh WHERE state IN ('HELD', 'SENT') GROUP BY 1, 2) k
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER payouts_reserve AFTER INSERT ON payouts
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION reserve_held();

CREATE FUNCTION release_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What was reserved before and is not any more, without a join of the two: what is reserved still cancels out.
    PERFORM move_reserved(array_agg(account_id), array_agg(holder), array_agg(change)) FROM (
        SELECT account_id, holder, sum(change) AS change FROM (
            SELECT account_id, holder, -amount AS change FROM stale WHERE state IN ('HELD', 'SENT')
            UNION ALL SELECT account_id, holder, amount FROM fresh WHERE state IN ('HELD', 'SENT')) u
        GROUP BY 1, 2 HAVING sum(change) <> 0) k
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER payouts_release AFTER UPDATE ON payouts
    REFERENCING OLD TABLE AS stale NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION release_ended();

CREATE FUNCTION refuse_without_payouts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: what is reserved moves with payouts only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER emi_accounts_reserved_by_payouts AFTER UPDATE OF reserved_balance ON emi_accounts
    FOR EACH ROW WHEN (NEW.reserved_balance <> OLD.reserved_balance AND pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_without_payouts();

-- What an entry of the bank was: the funding or payout that it met, or what a person made of a credit that nobody
-- had announced. One row for an entry, so that money is minted for once.
CREATE TABLE entry_meetings (
    account_id UUID NOT NULL,
    amount NUMERIC(26,8) NOT NULL,
    identity VARCHAR(300) COLLATE "C" NOT NULL,
    occurrence INTEGER NOT NULL,
    met VARCHAR(15) NOT NULL,
    funding_id UUID REFERENCES fundings (id),
    payout_id UUID REFERENCES payouts (id),
    movement_id BIGINT REFERENCES ledger_movements (id),   -- none where the money goes back to who sent it
    actor VARCHAR(140) NOT NULL,
    reason VARCHAR(500) NOT NULL,
    at TIMESTAMPTZ NOT NULL,

    CONSTRAINT entry_meetings_once PRIMARY KEY (account_id, amount, identity, occurrence),
    CONSTRAINT entry_meetings_of_entry FOREIGN KEY (account_id, amount, identity, occurrence)
        REFERENCES bank_entries (account_id, amount, identity, occurrence),
    CONSTRAINT entry_meetings_word CHECK (
        CASE met WHEN 'funding' THEN funding_id IS NOT NULL AND payout_id IS NULL
             WHEN 'payout' THEN payout_id IS NOT NULL AND funding_id IS NULL
             WHEN 'payout_return' THEN payout_id IS NOT NULL AND funding_id IS NULL
             WHEN 'allocation' THEN num_nonnulls(funding_id, payout_id) = 0
             WHEN 'own_funds' THEN num_nonnulls(funding_id, payout_id) = 0
             WHEN 'return' THEN num_nonnulls(funding_id, payout_id) = 0
             ELSE false END),
    CONSTRAINT entry_meetings_move_tokens CHECK ((met = 'return') = (movement_id IS NULL))
);
CREATE UNIQUE INDEX entry_meetings_funding ON entry_meetings (funding_id) WHERE funding_id IS NOT NULL;
CREATE UNIQUE INDEX entry_meetings_payout ON entry_meetings (payout_id, met) WHERE payout_id IS NOT NULL;
CREATE TRIGGER entry_meetings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_meetings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A booked credit that met nothing when it came: a receipt for a person to allocate or return, unless a meeting says
-- that it was done. Entries from before are none: the tokens of their time are the account's opening.
ALTER TABLE bank_entries ADD COLUMN unexpected BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX bank_entries_unexpected ON bank_entries (account_id, end_to_end_id) WHERE unexpected;

-- What a discrepancy is about where that is not the balance as a whole: a funding, a payout.
ALTER TABLE reconciliation_discrepancies ADD COLUMN subject VARCHAR(140) COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX discrepancies_one_open;
CREATE UNIQUE INDEX discrepancies_one_open
    ON reconciliation_discrepancies (account_id, discrepancy_type, subject) WHERE status <> 'RESOLVED';
