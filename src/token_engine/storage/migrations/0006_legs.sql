-- A movement is its two legs: it takes its amount from where it leaves and puts it where it enters, so that it
-- cannot be out of balance, lack a leg or be given a third. (Legs had rows of their own, and triggers to compare them.)

ALTER TABLE ledger_movements ADD COLUMN leaves VARCHAR(12), ADD COLUMN enters VARCHAR(12);
ALTER TABLE ledger_movements DISABLE TRIGGER ledger_movements_append_only;
UPDATE ledger_movements m SET leaves = g.ledger_account, enters = r.ledger_account
FROM ledger_postings g, ledger_postings r
WHERE g.movement_id = m.id AND g.amount < 0 AND r.movement_id = m.id AND r.amount > 0;
ALTER TABLE ledger_movements ENABLE TRIGGER ledger_movements_append_only;

DROP TRIGGER ledger_movements_balanced ON ledger_movements;
DROP TABLE ledger_postings;
DROP FUNCTION apply_postings, check_movements, refuse_unbalanced;

ALTER TABLE ledger_movements
    ALTER COLUMN leaves SET NOT NULL,
    ALTER COLUMN enters SET NOT NULL,
    -- `issued` is what the issuer owes, the opposite of what holders hold. `replenished` is the issuer's own money
    -- among the fiat on the bank account, `own_funds` that it came from him: it backs tokens and mints none.
    ADD CONSTRAINT ledger_movements_legs CHECK ((leaves, enters) IN (
        ('issued', 'holder'), ('holder', 'issued'), ('holder', 'holder'), ('own_funds', 'replenished'),
        ('replenished', 'own_funds'))),
    ADD CONSTRAINT ledger_movements_legs_name_holders CHECK (
        (leaves = 'holder') = (from_holder IS NOT NULL) AND (enters = 'holder') = (to_holder IS NOT NULL)),
    ADD CONSTRAINT ledger_movements_replenishment_adds CHECK (kind <> 'replenishment' OR enters = 'replenished');
-- Own money is rare among the movements, and asked for by token.
CREATE INDEX ledger_movements_own_funds ON ledger_movements (account_id) WHERE leaves IN ('own_funds', 'replenished');

-- The legs, for whoever counts by ledger account.
CREATE VIEW ledger_postings AS
SELECT id AS movement_id, leaves AS ledger_account, from_holder AS holder, -amount AS amount FROM ledger_movements
UNION ALL SELECT id, enters, to_holder, amount FROM ledger_movements;

-- A reversal is its movement turned round.
CREATE FUNCTION check_reversal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM ledger_movements o
        WHERE o.id = NEW.reverses AND o.id < NEW.id AND o.kind <> 'reversal'
            AND (o.account_id, o.amount, o.leaves, o.enters) = (NEW.account_id, NEW.amount, NEW.enters, NEW.leaves)
            AND (o.from_holder, o.to_holder) IS NOT DISTINCT FROM (NEW.to_holder, NEW.from_holder))
    THEN
        RAISE EXCEPTION 'ledger movement % does not undo movement %', NEW.id, NEW.reverses
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_movements_reversal BEFORE INSERT ON ledger_movements
    FOR EACH ROW WHEN (NEW.kind = 'reversal' AND NEW.reverses IS NOT NULL) EXECUTE FUNCTION check_reversal();

-- Movements move the balances, as sets: a holder or an account is written once for all that a statement did to it.
-- The accounts' rows first, in order of id, as everything that locks accounts does. A plan is made once for a
-- connection and kept: no scan, whatever the tables were like when it was made.
CREATE FUNCTION apply_movements() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    accounts UUID[];
    holders VARCHAR[];
    changes NUMERIC[];
BEGIN
    -- Without a holder: what the account has outstanding.
    SELECT array_agg(account_id), array_agg(holder), array_agg(change) INTO accounts, holders, changes FROM (
        SELECT account_id, holder, sum(change) AS change FROM (
            SELECT account_id, from_holder AS holder, -amount AS change FROM fresh WHERE leaves = 'holder'
            UNION ALL SELECT account_id, to_holder, amount FROM fresh WHERE enters = 'holder'
            UNION ALL SELECT account_id, NULL, amount FROM fresh WHERE leaves = 'issued'
            UNION ALL SELECT account_id, NULL, -amount FROM fresh WHERE enters = 'issued') legs
        GROUP BY 1, 2) k;
    PERFORM 1 FROM emi_accounts WHERE id = ANY (accounts) ORDER BY id FOR NO KEY UPDATE;
    UPDATE ledger_holders h SET balance = h.balance + k.change
    FROM unnest(accounts, holders, changes) AS k (account_id, holder, change)
    WHERE h.account_id = k.account_id AND h.holder = k.holder;
    INSERT INTO ledger_holders (account_id, holder, balance)
    SELECT k.account_id, k.holder, k.change FROM unnest(accounts, holders, changes) AS k (account_id, holder, change)
    WHERE k.holder IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM ledger_holders h WHERE h.account_id = k.account_id AND h.holder = k.holder);
    UPDATE emi_accounts a SET ledger_balance = a.ledger_balance + k.change
    FROM unnest(accounts, holders, changes) AS k (account_id, holder, change)
    WHERE a.id = k.account_id AND k.holder IS NULL AND k.change <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_movements_apply AFTER INSERT ON ledger_movements
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION apply_movements();

-- An account inserted with a ledger balance (the specification's own INSERT) begins with a movement that makes it.
CREATE OR REPLACE FUNCTION post_opening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE emi_accounts SET ledger_balance = 0 WHERE id = NEW.id;
    INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, to_holder, reason, actor, at)
    VALUES (NEW.id, 'opening', NEW.ledger_balance, 'issued', 'holder', 'unattributed',
        'outstanding when the account was inserted', left(session_user, 140), NEW.created_at);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION refuse_without_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% moves with ledger movements only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
ALTER FUNCTION refuse_without_postings RENAME TO refuse_without_movements;
ALTER TRIGGER emi_accounts_ledger_by_postings ON emi_accounts RENAME TO emi_accounts_ledger_by_movements;
ALTER TRIGGER ledger_holders_by_postings ON ledger_holders RENAME TO ledger_holders_by_movements;
