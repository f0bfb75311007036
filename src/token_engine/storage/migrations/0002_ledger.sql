-- The token ledger (DESIGN 3.3): movements of two legs that sum to zero, written in one statement and never
-- changed. What an EMI account has outstanding is the sum of its holders' legs; `ledger_balance` and
-- `ledger_holders` are that sum kept ready, moved by the legs themselves and by nothing else.

-- 'external': the issuer keeps the token ledger elsewhere and posts its movements; the engine only watches.
ALTER TABLE emi_accounts
    ADD COLUMN ledger_mode VARCHAR(10) NOT NULL DEFAULT 'engine',
    ADD CONSTRAINT emi_accounts_ledger_mode_word CHECK (ledger_mode IN ('engine', 'external'));

CREATE TABLE ledger_movements (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL,
    kind VARCHAR(20) NOT NULL,
    amount NUMERIC(26,8) NOT NULL,     -- major units of the account's currency
    from_holder VARCHAR(140) COLLATE "C",          -- who gives tokens, an opaque id (a bank's BIC, a wallet)
    to_holder VARCHAR(140) COLLATE "C",            -- who gets them
    reason VARCHAR(500) NOT NULL,
    actor VARCHAR(140) NOT NULL,
    cause VARCHAR(140),                -- what it came of: a bank entry, a payout, a reference of the bank
    reverses BIGINT,
    idempotency_key VARCHAR(255) COLLATE "C",
    at TIMESTAMPTZ NOT NULL,

    CONSTRAINT ledger_movements_account FOREIGN KEY (account_id) REFERENCES emi_accounts (id),
    CONSTRAINT ledger_movements_reverses FOREIGN KEY (reverses) REFERENCES ledger_movements (id),
    CONSTRAINT ledger_movements_reversed_once UNIQUE (reverses),
    -- The guard: whatever the code above it believes, a key moves an account's tokens once.
    CONSTRAINT ledger_movements_once UNIQUE (account_id, idempotency_key),
    CONSTRAINT ledger_movements_amount_positive CHECK (amount > 0),
    CONSTRAINT ledger_movements_other_holder CHECK (from_holder <> to_holder),
    CONSTRAINT ledger_movements_reversal_names_it CHECK ((kind = 'reversal') = (reverses IS NOT NULL)),
    CONSTRAINT ledger_movements_kind_has_its_holders CHECK (
        CASE WHEN kind IN ('opening', 'mint') THEN from_holder IS NULL AND to_holder IS NOT NULL
             WHEN kind IN ('burn', 'emergency_burn', 'payout_settlement')
                 THEN from_holder IS NOT NULL AND to_holder IS NULL
             WHEN kind = 'transfer' THEN from_holder IS NOT NULL AND to_holder IS NOT NULL
             WHEN kind = 'replenishment' THEN from_holder IS NULL AND to_holder IS NULL
             WHEN kind = 'adjustment' THEN (from_holder IS NULL) <> (to_holder IS NULL)
             ELSE kind = 'reversal' END)
);
CREATE INDEX ledger_movements_account ON ledger_movements (account_id, id);
CREATE TRIGGER ledger_movements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_movements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The legs. `issued` is what the issuer owes, the opposite of what holders hold. `replenished` is the issuer's own
-- money among the fiat on the bank account, `own_funds` that it came from him: it backs tokens and mints none, so
-- neither leg is one of holders or of `issued`.
CREATE TABLE ledger_postings (
    movement_id BIGINT NOT NULL REFERENCES ledger_movements (id),
    ledger_account VARCHAR(12) NOT NULL,
    holder VARCHAR(140) COLLATE "C",
    amount NUMERIC(26,8) NOT NULL,     -- below zero for the leg that gives

    CONSTRAINT ledger_postings_leg PRIMARY KEY (movement_id, amount),
    CONSTRAINT ledger_postings_account_word CHECK (
        ledger_account IN ('issued', 'holder', 'own_funds', 'replenished')),
    CONSTRAINT ledger_postings_holder_named CHECK ((ledger_account = 'holder') = (holder IS NOT NULL)),
    CONSTRAINT ledger_postings_amount_not_zero CHECK (amount <> 0)
);
-- Own money is rare among the legs, and asked for by token.
CREATE INDEX ledger_postings_replenished ON ledger_postings (movement_id) WHERE ledger_account = 'replenished';
CREATE TRIGGER ledger_postings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What each holder holds against each EMI account: the sum of his legs.
CREATE TABLE ledger_holders (
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    holder VARCHAR(140) COLLATE "C" NOT NULL,
    balance NUMERIC(26,8) NOT NULL,
    PRIMARY KEY (account_id, holder),
    CONSTRAINT ledger_holders_not_negative CHECK (balance >= 0)
);

-- The first answer to each key, so that it can be given again. Whoever asks holds the lock on the key meanwhile.
CREATE TABLE idempotency_keys (
    key VARCHAR(255) COLLATE "C" PRIMARY KEY,
    payload_digest BYTEA NOT NULL,     -- SHA-256 of what was asked, in one spelling
    status SMALLINT NOT NULL,          -- of HTTP
    answer JSON NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT idempotency_keys_digest_form CHECK (octet_length(payload_digest) = 32)
);
CREATE TRIGGER idempotency_keys_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON idempotency_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Accounts taken on before there was a ledger: what they were taken on with is their first movement. Nobody knows
-- who held those tokens, until transfers say it.
WITH opened AS (
    INSERT INTO ledger_movements (account_id, kind, amount, to_holder, reason, actor, at)
    SELECT a.id, 'opening', a.ledger_balance, 'unattributed', 'outstanding when the ledger began',
        coalesce(o.actor, 'migration'), a.created_at
    FROM emi_accounts a LEFT JOIN account_openings o ON o.account_id = a.id
    WHERE a.ledger_balance > 0 ORDER BY a.created_at, a.id
    RETURNING id, account_id, amount
), held AS (
    INSERT INTO ledger_holders (account_id, holder, balance) SELECT account_id, 'unattributed', amount FROM opened
)
INSERT INTO ledger_postings (movement_id, ledger_account, holder, amount)
SELECT id, 'issued', NULL, -amount FROM opened
UNION ALL SELECT id, 'holder', 'unattributed', amount FROM opened;

-- Every movement has its two legs, of its amount and its holders, from the statement that wrote it; a reversal is
-- its movement turned round. So legs can neither be missing nor be added later. A plan is made once for a connection
-- and kept: no scan, and OFFSET 0, let one made on empty tables still be right when there are millions of movements.
CREATE FUNCTION refuse_unbalanced(movements BIGINT[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE wrong BIGINT;
BEGIN
    SELECT m.id INTO wrong
    FROM unnest(movements) AS k (id)
    CROSS JOIN LATERAL (SELECT * FROM ledger_movements m WHERE m.id = k.id OFFSET 0) m
    CROSS JOIN LATERAL (
        SELECT count(*) AS legs, sum(p.amount) AS total, max(p.amount) AS largest,
            bool_and(p.holder IS NOT DISTINCT FROM CASE WHEN p.amount > 0 THEN m.to_holder ELSE m.from_holder END)
                AS holders_fit,
            max(p.ledger_account) FILTER (WHERE p.amount < 0) AS from_account,
            max(p.ledger_account) FILTER (WHERE p.amount > 0) AS to_account
        FROM ledger_postings p WHERE p.movement_id = m.id) s
    WHERE (s.legs, s.total, s.largest, s.holders_fit) IS DISTINCT FROM (2, 0, m.amount, true)
        OR (s.from_account, s.to_account) NOT IN (
            ('issued', 'holder'), ('holder', 'issued'), ('holder', 'holder'), ('own_funds', 'replenished'),
            ('replenished', 'own_funds'))
        OR (m.kind = 'replenishment' AND s.from_account <> 'own_funds')
        OR (m.kind = 'reversal' AND NOT EXISTS (
            SELECT 1 FROM ledger_movements o JOIN ledger_postings p ON p.movement_id = o.id AND p.amount > 0
            WHERE o.id = m.reverses AND o.id < m.id AND o.kind <> 'reversal'
                AND (o.account_id, o.amount) = (m.account_id, m.amount)
                AND (o.from_holder, o.to_holder) IS NOT DISTINCT FROM (m.to_holder, m.from_holder)
                AND p.ledger_account = s.from_account))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger movement % is not balanced: two legs of its amount and holders, or nothing', wrong
            USING ERRCODE = 'check_violation';
    END IF;
END $$;

CREATE FUNCTION check_movements() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse_unbalanced(ARRAY(SELECT id FROM fresh));
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_movements_balanced AFTER INSERT ON ledger_movements
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_movements();

-- Legs move the balances. The account's row first, in order of id, as everything that locks accounts does.
CREATE FUNCTION apply_postings() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    accounts UUID[];
    leg RECORD;
BEGIN
    PERFORM refuse_unbalanced(ARRAY(SELECT DISTINCT movement_id FROM fresh));
    accounts := ARRAY(
        SELECT DISTINCT m.account_id FROM fresh p
        CROSS JOIN LATERAL (SELECT account_id FROM ledger_movements WHERE id = p.movement_id OFFSET 0) m);
    PERFORM 1 FROM emi_accounts WHERE id = ANY (accounts) ORDER BY id FOR NO KEY UPDATE;
    FOR leg IN
        SELECT m.account_id, p.ledger_account, p.holder, sum(p.amount) AS change FROM fresh p
        CROSS JOIN LATERAL (SELECT account_id FROM ledger_movements WHERE id = p.movement_id OFFSET 0) m
        WHERE p.ledger_account IN ('holder', 'issued') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    LOOP
        IF leg.ledger_account = 'issued' THEN
            UPDATE emi_accounts SET ledger_balance = ledger_balance - leg.change WHERE id = leg.account_id;
        ELSE
            UPDATE ledger_holders SET balance = balance + leg.change
            WHERE account_id = leg.account_id AND holder = leg.holder;
            IF NOT FOUND THEN
                INSERT INTO ledger_holders (account_id, holder, balance)
                VALUES (leg.account_id, leg.holder, leg.change);
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_postings_apply AFTER INSERT ON ledger_postings
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION apply_postings();

-- An account inserted with a ledger balance (the specification's own INSERT) begins with a movement that makes it.
CREATE FUNCTION post_opening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE emi_accounts SET ledger_balance = 0 WHERE id = NEW.id;
    WITH opened AS (
        INSERT INTO ledger_movements (account_id, kind, amount, to_holder, reason, actor, at)
        VALUES (NEW.id, 'opening', NEW.ledger_balance, 'unattributed', 'outstanding when the account was inserted',
            left(session_user, 140), NEW.created_at)
        RETURNING id
    )
    INSERT INTO ledger_postings (movement_id, ledger_account, holder, amount)
    SELECT id, 'issued', NULL, -NEW.ledger_balance FROM opened
    UNION ALL SELECT id, 'holder', 'unattributed', NEW.ledger_balance FROM opened;
    RETURN NULL;
END $$;
CREATE TRIGGER emi_accounts_opening AFTER INSERT ON emi_accounts
    FOR EACH ROW WHEN (NEW.ledger_balance > 0) EXECUTE FUNCTION post_opening();

-- Depth 0 is a statement of ours or of a person's; the functions above run deeper.
CREATE FUNCTION refuse_without_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% moves with ledger postings only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER emi_accounts_ledger_by_postings AFTER UPDATE OF ledger_balance ON emi_accounts
    FOR EACH ROW WHEN (NEW.ledger_balance <> OLD.ledger_balance AND pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_without_postings();
-- Which ledger is the true one is said once: history of both kinds under one balance would prove nothing.
CREATE TRIGGER emi_accounts_one_ledger BEFORE UPDATE OF ledger_mode ON emi_accounts
    FOR EACH ROW WHEN (NEW.ledger_mode <> OLD.ledger_mode) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_holders_by_postings BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_holders
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_without_postings();
