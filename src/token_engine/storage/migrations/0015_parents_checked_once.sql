-- That an entry has its account and its message, and a meeting its entry, is checked once for all that a statement
-- inserts. A foreign key asks row by row, which was a third of what recording the entries of a large statement cost, and
-- two thirds of writing down what notifications met (docs/adr/0026).
-- Nothing else that a foreign key does is given up: what is referred to can neither go nor get another id.

CREATE FUNCTION entries_have_parents() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE orphan RECORD;
BEGIN
    SELECT k.account_id, k.message_id INTO orphan
    FROM (SELECT DISTINCT account_id, message_id FROM fresh) k
    LEFT JOIN LATERAL (SELECT a.id FROM emi_accounts a WHERE a.id = k.account_id OFFSET 0) a ON true
    LEFT JOIN LATERAL (SELECT m.id FROM bank_messages m WHERE m.id = k.message_id OFFSET 0) m ON true
    WHERE a.id IS NULL OR m.id IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'bank_entries: there is no account % or no message %', orphan.account_id, orphan.message_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bank_entries_have_parents AFTER INSERT ON bank_entries
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION entries_have_parents();
ALTER TABLE bank_entries DROP CONSTRAINT bank_entries_account, DROP CONSTRAINT bank_entries_message;

-- Entries, movements, fundings and payouts are never deleted, nor get another id.
CREATE FUNCTION meetings_have_parents() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE orphan RECORD;
BEGIN
    SELECT k.* INTO orphan FROM fresh k
    LEFT JOIN LATERAL (SELECT 1 AS there FROM bank_entries e
        WHERE e.account_id = k.account_id AND e.amount = k.amount AND e.identity = k.identity
            AND e.occurrence = k.occurrence OFFSET 0) e ON true
    LEFT JOIN LATERAL (SELECT 1 AS there FROM fundings f WHERE f.id = k.funding_id OFFSET 0) f ON true
    LEFT JOIN LATERAL (SELECT 1 AS there FROM payouts p WHERE p.id = k.payout_id OFFSET 0) p ON true
    LEFT JOIN LATERAL (SELECT 1 AS there FROM ledger_movements m WHERE m.id = k.movement_id OFFSET 0) m ON true
    WHERE e.there IS NULL OR k.funding_id IS NOT NULL AND f.there IS NULL OR k.payout_id IS NOT NULL AND p.there IS NULL
        OR k.movement_id IS NOT NULL AND m.there IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry_meetings: there is no entry % of account %, or not what it met', orphan.identity,
            orphan.account_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entry_meetings_have_parents AFTER INSERT ON entry_meetings
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION meetings_have_parents();
ALTER TABLE entry_meetings DROP CONSTRAINT entry_meetings_of_entry, DROP CONSTRAINT entry_meetings_funding_id_fkey,
    DROP CONSTRAINT entry_meetings_payout_id_fkey, DROP CONSTRAINT entry_meetings_movement_id_fkey;

-- As before, and the accounts' lock says whether they are there. What a reversal undoes is looked up by check_reversal.
CREATE OR REPLACE FUNCTION apply_movements() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    locked UUID[];
    there BIGINT;
    accounts UUID[];
    holders VARCHAR[];
    changes NUMERIC[];
BEGIN
    SELECT array_agg(DISTINCT account_id) INTO locked FROM fresh;
    PERFORM 1 FROM emi_accounts WHERE id = ANY (locked) ORDER BY id FOR NO KEY UPDATE;
    GET DIAGNOSTICS there = ROW_COUNT;
    IF there <> coalesce(cardinality(locked), 0) THEN
        RAISE EXCEPTION 'ledger_movements: a movement of an account that is not there'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    -- Without a holder: what the account has outstanding.
    SELECT array_agg(account_id), array_agg(holder), array_agg(change) INTO accounts, holders, changes FROM (
        SELECT account_id, holder, sum(change) AS change FROM (
            SELECT account_id, from_holder AS holder, -amount AS change FROM fresh WHERE leaves = 'holder'
            UNION ALL SELECT account_id, to_holder, amount FROM fresh WHERE enters = 'holder'
            UNION ALL SELECT account_id, NULL, amount FROM fresh WHERE leaves = 'issued'
            UNION ALL SELECT account_id, NULL, -amount FROM fresh WHERE enters = 'issued') legs
        GROUP BY 1, 2) k;
    UPDATE ledger_holders h SET balance = h.balance + k.change
    FROM unnest(accounts, holders, changes) AS k (account_id, holder, change)
    WHERE h.account_id = k.account_id AND h.holder = k.holder;
    GET DIAGNOSTICS there = ROW_COUNT;
    IF there < cardinality(array_remove(holders, NULL)) THEN  -- somebody holds tokens for the first time
        INSERT INTO ledger_holders (account_id, holder, balance)
        SELECT k.account_id, k.holder, k.change FROM unnest(accounts, holders, changes) AS k (account_id, holder, change)
        WHERE k.holder IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM ledger_holders h WHERE h.account_id = k.account_id AND h.holder = k.holder);
    END IF;
    UPDATE emi_accounts a SET ledger_balance = a.ledger_balance + k.change
    FROM unnest(accounts, holders, changes) AS k (account_id, holder, change)
    WHERE a.id = k.account_id AND k.holder IS NULL AND k.change <> 0;
    RETURN NULL;
END $$;
-- Most movements have no key and undo nothing.
ALTER TABLE ledger_movements DROP CONSTRAINT ledger_movements_account, DROP CONSTRAINT ledger_movements_reverses,
    DROP CONSTRAINT ledger_movements_once, DROP CONSTRAINT ledger_movements_reversed_once;
CREATE UNIQUE INDEX ledger_movements_once ON ledger_movements (account_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX ledger_movements_reversed_once ON ledger_movements (reverses) WHERE reverses IS NOT NULL;

-- Messages are never deleted (bank_messages_no_delete).
CREATE TRIGGER bank_messages_keep_id BEFORE UPDATE OF id ON bank_messages
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER emi_accounts_keep_id BEFORE UPDATE OF id ON emi_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION keep_account_with_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM bank_entries WHERE account_id = OLD.id)
        OR EXISTS (SELECT FROM ledger_movements WHERE account_id = OLD.id)
    THEN
        RAISE EXCEPTION 'emi_accounts: account % has entries of its bank, or movements', OLD.id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER emi_accounts_with_history_stay BEFORE DELETE ON emi_accounts
    FOR EACH ROW EXECUTE FUNCTION keep_account_with_history();
