-- A row of `statements` is a whole statement. Pages that wait for others lie in `statement_pages` and have no row here
-- until all are there: no engine has ever written one as PENDING, so that there is none for the new constraint to refuse.
ALTER TABLE statements
    DROP CONSTRAINT statements_state_word,
    ADD CONSTRAINT statements_state_word CHECK (state IN ('ACCEPTED', 'QUARANTINED', 'RELEASED', 'REPLACED'));

DROP INDEX statements_once;
CREATE UNIQUE INDEX statements_once ON statements (account_id, identity);

-- What waits for people.
DROP INDEX statements_waiting;
CREATE INDEX statements_waiting ON statements (state, id) WHERE state = 'QUARANTINED';

-- As before, of any statement there is: also one whose checks failed.
CREATE OR REPLACE FUNCTION keep_statement_missing_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE emi_accounts SET statement_missing_since = (
        SELECT min(d.opened_at) FROM reconciliation_discrepancies d
        WHERE d.account_id = NEW.account_id AND d.discrepancy_type = 'STATEMENT_MISSING' AND d.status <> 'RESOLVED'
            AND NOT EXISTS (
                SELECT 1 FROM statements s WHERE s.account_id = d.account_id
                    AND s.statement_date = CASE d.discrepancy_type WHEN 'STATEMENT_MISSING' THEN d.subject::date END))
    WHERE id = NEW.account_id;
    RETURN NULL;
END $$;
