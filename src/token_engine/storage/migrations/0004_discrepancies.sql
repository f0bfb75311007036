-- Discrepancies as work: somebody owns one, people write what they found, and its whole story is kept.

ALTER TABLE reconciliation_discrepancies
    ADD COLUMN assignee VARCHAR(140),
    -- With auto_resolve off the difference can be gone while the discrepancy still waits for a person.
    ADD COLUMN difference_gone_since TIMESTAMPTZ,
    -- A person said that it is not done: from then on only a person says that it is.
    ADD COLUMN reopened_at TIMESTAMPTZ,
    ADD COLUMN resolved_by VARCHAR(140),
    -- The message that made the figures; NULL where none did (an opening balance, a review).
    ADD COLUMN message_id BIGINT REFERENCES bank_messages (id);

UPDATE reconciliation_discrepancies SET resolved_by = 'engine' WHERE status = 'RESOLVED';

ALTER TABLE reconciliation_discrepancies
    DROP CONSTRAINT discrepancies_status_word,
    ADD CONSTRAINT discrepancies_status_word CHECK (
        status IS NOT NULL AND status IN ('OPEN', 'INVESTIGATING', 'RESOLVED')),
    ADD CONSTRAINT discrepancies_investigated_by_its_assignee CHECK (
        status = 'RESOLVED' OR (status = 'INVESTIGATING') = (assignee IS NOT NULL)),
    ADD CONSTRAINT discrepancies_resolved_says_by_whom CHECK ((status = 'RESOLVED') = (resolved_by IS NOT NULL)),
    ADD CONSTRAINT discrepancies_resolved_waits_for_nobody CHECK (
        status <> 'RESOLVED' OR difference_gone_since IS NULL);

-- One that somebody investigates is open still: a later message updates it and opens no second.
DROP INDEX discrepancies_one_open;
CREATE UNIQUE INDEX discrepancies_one_open
    ON reconciliation_discrepancies (account_id, discrepancy_type) WHERE status <> 'RESOLVED';
-- The listing, page by page: of all, of what is left to do, and of an account.
CREATE INDEX discrepancies_by_age ON reconciliation_discrepancies (opened_at, id);
CREATE INDEX discrepancies_unresolved_by_age
    ON reconciliation_discrepancies (opened_at, id) WHERE status <> 'RESOLVED';
CREATE INDEX discrepancies_of_account ON reconciliation_discrepancies (account_id, opened_at, id);

-- None is dropped: it is resolved, with a reason.
CREATE TRIGGER discrepancies_no_delete BEFORE DELETE OR TRUNCATE ON reconciliation_discrepancies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The story of each, line by line, for ever. The figures are those at that moment.
CREATE TABLE discrepancy_events (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    discrepancy_id UUID NOT NULL REFERENCES reconciliation_discrepancies (id),
    happening VARCHAR(20) NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    actor VARCHAR(140) NOT NULL,   -- 'engine', or the person
    text TEXT,                     -- what the person wrote, or the engine's evidence
    severity VARCHAR(20) NOT NULL,
    expected_value NUMERIC(26,8),
    actual_value NUMERIC(26,8),
    assignee VARCHAR(140),         -- the owner from then on
    message_id BIGINT REFERENCES bank_messages (id),

    CONSTRAINT discrepancy_events_happening_word CHECK (happening IN (
        'opened', 'severity_changed', 'difference_gone', 'difference_returned', 'assigned', 'commented',
        'resolved', 'reopened')),
    CONSTRAINT discrepancy_events_severity_word CHECK (severity IN ('Minor', 'Significant', 'Critical')),
    CONSTRAINT discrepancy_events_people_say_why CHECK (
        happening NOT IN ('commented', 'resolved', 'reopened') OR text IS NOT NULL)
);
CREATE INDEX discrepancy_events_of_discrepancy ON discrepancy_events (discrepancy_id, id);
CREATE TRIGGER discrepancy_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON discrepancy_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What is known of those that were there before their story was kept.
INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, text, severity, expected_value, actual_value)
SELECT d.id, t.happening, t.at, 'engine', t.text, d.severity,
    CASE WHEN t.happening = 'resolved' OR d.status = 'OPEN' THEN d.expected_value END,
    CASE WHEN t.happening = 'resolved' OR d.status = 'OPEN' THEN d.actual_value END
FROM reconciliation_discrepancies d CROSS JOIN LATERAL (
    VALUES ('opened', d.opened_at, 'before the history was kept; the figures and severity are the last ones known'),
           ('resolved', d.resolved_at, d.resolution)) AS t (happening, at, text)
WHERE t.at IS NOT NULL
ORDER BY t.at, d.id, t.happening;

-- False: where the difference is gone, a person says so.
ALTER TABLE threshold_policies ADD COLUMN auto_resolve BOOLEAN NOT NULL DEFAULT true;
