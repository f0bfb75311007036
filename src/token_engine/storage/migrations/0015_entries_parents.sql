-- That an entry has its account and its message is checked once for all that a statement inserts. A foreign key asks
-- row by row, which was a third of what recording the million entries of a statement cost (docs/adr/0026).
-- Nothing else that a foreign key does is given up: neither parent can go, nor get another id.

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

-- Messages are never deleted (bank_messages_no_delete).
CREATE TRIGGER bank_messages_keep_id BEFORE UPDATE OF id ON bank_messages
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER emi_accounts_keep_id BEFORE UPDATE OF id ON emi_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION keep_account_of_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM bank_entries WHERE account_id = OLD.id) THEN
        RAISE EXCEPTION 'emi_accounts: account % has entries of its bank', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER emi_accounts_with_entries_stay BEFORE DELETE ON emi_accounts
    FOR EACH ROW EXECUTE FUNCTION keep_account_of_entries();
