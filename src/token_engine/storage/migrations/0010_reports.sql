-- What a report needs that no other table keeps.

-- What an account is for. None said: safeguarding. A change is a new row, so that a past day keeps the role it had.
CREATE TABLE account_roles (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL REFERENCES emi_accounts (id),
    role VARCHAR(20) NOT NULL,
    since DATE NOT NULL,                 -- the first day that it was for this
    actor VARCHAR(140) NOT NULL,
    reason VARCHAR(1000) NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    -- Only money on a safeguarding account is a resource. `settlement`: money on its way through a payment scheme.
    CONSTRAINT account_roles_word CHECK (role IN ('safeguarding', 'settlement', 'own_funds'))
);
CREATE INDEX account_roles_of_account ON account_roles (account_id, since, id);
CREATE TRIGGER account_roles_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_roles
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who stands for a report. What was signed is named by the hash of its dataset: where the data has changed since, the
-- signature is for what it was then.
CREATE TABLE report_sign_offs (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    report_id VARCHAR(200) COLLATE "C" NOT NULL,   -- its period and scope: month.2025-11.firm
    dataset_sha256 BYTEA NOT NULL,
    actor VARCHAR(140) NOT NULL,
    reason VARCHAR(1000) NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT report_sign_offs_hash_form CHECK (octet_length(dataset_sha256) = 32),
    CONSTRAINT report_sign_offs_words CHECK (actor <> '' AND reason <> '')
);
-- One person signs one state of a report once.
CREATE UNIQUE INDEX report_sign_offs_once ON report_sign_offs (report_id, dataset_sha256, person_key(actor));
CREATE TRIGGER report_sign_offs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON report_sign_offs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A report asks for all accounts of a few days.
CREATE INDEX snapshots_by_day ON emi_account_snapshots (snapshot_date);
CREATE INDEX statements_by_day ON statements (statement_date);
-- Tables that grow in the order of time: some bytes for every 128 pages, nothing to be felt where rows are written.
CREATE INDEX ledger_movements_by_time ON ledger_movements USING brin (at);
CREATE INDEX audit_log_by_time ON audit_log USING brin (at);
CREATE INDEX bank_messages_by_time ON bank_messages USING brin (received_at);
CREATE INDEX bank_entries_by_message ON bank_entries USING brin (message_id);

-- The day that an entry of the bank counts on: of the first standing statement that contains it, else when it was
-- booked, else when it was told. Without joins, so that it is two look-ups whatever the plan around it is.
CREATE FUNCTION entry_day(entry BIGINT) RETURNS DATE LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(
        (SELECT min((SELECT t.statement_date FROM statements t
                WHERE t.id = l.statement_id AND t.state IN ('ACCEPTED', 'RELEASED')))
            FROM statement_lines l WHERE l.entry_id = e.id AND l.in_closing),
        e.booking_date, e.value_date,
        (SELECT (m.received_at AT TIME ZONE 'UTC')::date FROM bank_messages m WHERE m.id = e.message_id))
    FROM bank_entries e WHERE e.id = entry);
