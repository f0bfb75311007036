-- What an entry of the bank met is settled by the movement that came of it, and what its payout held is released where it
-- burns: one writing of the holder and one of the account, instead of one for the release and one for the burn (docs/adr/0028).

-- What payouts reserve they release themselves, unless a movement ends them: then that does both at once.
DROP TRIGGER payouts_release ON payouts;
CREATE TRIGGER payouts_release AFTER UPDATE ON payouts
    REFERENCING OLD TABLE AS stale NEW TABLE AS fresh FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION release_ended();

-- Movements move the balances, as sets: a holder or an account is written once for all that a statement did to it. The
-- accounts' rows first, in order of id, as everything that locks accounts does, and it says whether they are there. A
-- plan is made once for a connection and kept: no scan, whatever the tables were like when it was made.
CREATE OR REPLACE FUNCTION apply_movements() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    locked UUID[];
    there BIGINT;
    named BIGINT;
    written BIGINT;
BEGIN
    SELECT array_agg(DISTINCT account_id) INTO locked FROM fresh;
    PERFORM 1 FROM emi_accounts WHERE id = ANY (locked) ORDER BY id FOR NO KEY UPDATE;
    GET DIAGNOSTICS there = ROW_COUNT;
    IF there <> coalesce(cardinality(locked), 0) THEN
        RAISE EXCEPTION 'ledger_movements: a movement of an account that is not there'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    WITH ended AS (
        -- Debit and return may have come at once: then it is written as it ended, with the reason for which it was settled.
        UPDATE payouts p SET state = CASE k.met WHEN 'payout' THEN 'SETTLED' ELSE 'RETURNED' END,
            settled_by = coalesce(p.settled_by, k.actor), settled_at = coalesce(p.settled_at, k.at),
            settled_reason = coalesce(p.settled_reason, 'the bank''s entry ' || k.cause)
        FROM (
            SELECT e.payout_id, max(e.met) AS met, min(m.actor) AS actor, min(m.at) AS at,
                (array_agg(m.cause ORDER BY e.met))[1] AS cause
            FROM fresh m CROSS JOIN LATERAL (
                SELECT e.payout_id, e.met FROM entry_meetings e WHERE e.movement_id = m.id OFFSET 0) e
            WHERE e.payout_id IS NOT NULL
            GROUP BY e.payout_id) k
        CROSS JOIN LATERAL (SELECT o.state FROM payouts o WHERE o.id = k.payout_id OFFSET 0) was
        WHERE p.id = k.payout_id
        RETURNING p.account_id, p.holder, CASE WHEN was.state IN ('HELD', 'SENT') THEN p.amount ELSE 0 END AS released
    ), legs AS MATERIALIZED (
        SELECT account_id, holder, sum(change) AS change, sum(issued) AS issued, sum(released) AS released FROM (
            SELECT account_id, from_holder AS holder, -amount AS change,
                CASE enters WHEN 'issued' THEN -amount ELSE 0 END AS issued, 0 AS released
            FROM fresh WHERE leaves = 'holder'
            UNION ALL SELECT account_id, to_holder, amount, CASE leaves WHEN 'issued' THEN amount ELSE 0 END, 0
            FROM fresh WHERE enters = 'holder'
            UNION ALL SELECT account_id, holder, 0, 0, released FROM ended) u
        GROUP BY 1, 2
    ), held AS (
        UPDATE ledger_holders h SET balance = h.balance + k.change, reserved = h.reserved - k.released
        FROM legs k WHERE h.account_id = k.account_id AND h.holder = k.holder
        RETURNING 1
    ), outstanding AS (
        UPDATE emi_accounts a SET ledger_balance = a.ledger_balance + k.issued,
            reserved_balance = a.reserved_balance - k.released
        FROM (SELECT account_id, sum(issued) AS issued, sum(released) AS released FROM legs GROUP BY 1) k
        WHERE a.id = k.account_id AND (k.issued <> 0 OR k.released <> 0)
    )
    SELECT count(*), (SELECT count(*) FROM held) INTO named, written FROM legs;
    IF written < named THEN  -- somebody holds tokens for the first time, and has nothing that could be released
        INSERT INTO ledger_holders (account_id, holder, balance)
        SELECT k.account_id, k.holder, sum(k.change) FROM (
            SELECT account_id, from_holder AS holder, -amount AS change FROM fresh WHERE leaves = 'holder'
            UNION ALL SELECT account_id, to_holder, amount FROM fresh WHERE enters = 'holder') k
        WHERE NOT EXISTS (
            SELECT 1 FROM ledger_holders h WHERE h.account_id = k.account_id AND h.holder = k.holder)
        GROUP BY 1, 2;
    END IF;
    RETURN NULL;
END $$;

-- A foreign key is checked anew whenever a transaction writes a row that it has written before, although nothing that it
-- refers to changed: here the account's, row by row, for its bank, and the holder's for his account. A trigger is asked only
-- where a bank is named. An account's bank is locked meanwhile, as by the foreign key, so that it cannot go.
CREATE FUNCTION account_has_its_bank() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM banks WHERE id = NEW.bank_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'emi_accounts: there is no bank %', NEW.bank_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER emi_accounts_have_their_bank AFTER INSERT OR UPDATE OF bank_id ON emi_accounts
    FOR EACH ROW EXECUTE FUNCTION account_has_its_bank();
ALTER TABLE emi_accounts DROP CONSTRAINT emi_accounts_bank;

CREATE FUNCTION keep_bank_with_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM emi_accounts WHERE bank_id = OLD.id) THEN
        RAISE EXCEPTION 'banks: bank % has accounts', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER banks_with_accounts_stay BEFORE DELETE ON banks
    FOR EACH ROW EXECUTE FUNCTION keep_bank_with_accounts();
CREATE TRIGGER banks_keep_id BEFORE UPDATE OF id OR TRUNCATE ON banks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who holds something does so by movements, and an account with movements stays (emi_accounts_with_history_stay).
ALTER TABLE ledger_holders DROP CONSTRAINT ledger_holders_account_id_fkey;
