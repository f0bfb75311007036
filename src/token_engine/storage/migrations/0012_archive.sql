-- The archive (DESIGN 3.6): the audit log as a tree, its checkpoints, and the bundles that were made.

-- The order of the audit log for ever. Ids do not give it: a transaction that took a lower one may commit later. So a
-- row gets its place when it is sealed, and no earlier row can appear under a checkpoint that was signed.
-- No foreign key: it would lock every row of the log once more, and the log deletes none.
CREATE TABLE audit_leaves (
    position BIGINT PRIMARY KEY,         -- from 0, without gaps
    audit_id BIGINT NOT NULL,
    hash BYTEA NOT NULL,                 -- RFC 6962: of the row as one line of JSON
    CONSTRAINT audit_leaves_once UNIQUE (audit_id),
    CONSTRAINT audit_leaves_hash_form CHECK (octet_length(hash) = 32)
);
CREATE TRIGGER audit_leaves_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_leaves
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The log as a day (UTC) left it.
CREATE TABLE archive_checkpoints (
    day DATE PRIMARY KEY,
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    peaks BYTEA NOT NULL,                -- roots of the full subtrees, 32 bytes each: where the next day goes on
    note TEXT NOT NULL,                  -- signed: c2sp.org/tlog-checkpoint
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT archive_checkpoints_root_form CHECK (octet_length(root) = 32),
    CONSTRAINT archive_checkpoints_peaks_form CHECK (octet_length(peaks) = 32 * bit_count(size::bit(64)))
);
CREATE TRIGGER archive_checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON archive_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every bundle, in the order in which those of the same accounts were made: each names the one before.
CREATE TABLE archive_bundles (
    scope TEXT NOT NULL,                 -- 'all', or ids of accounts
    sequence INTEGER NOT NULL,           -- from 1
    day DATE NOT NULL,
    edition INTEGER NOT NULL,            -- from 1: what was learnt since makes another
    manifest BYTEA NOT NULL,             -- SHA-256
    engine VARCHAR(60) NOT NULL,
    actor VARCHAR(140) NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (scope, sequence),
    CONSTRAINT archive_bundles_once UNIQUE (scope, day, edition),
    CONSTRAINT archive_bundles_manifest_form CHECK (octet_length(manifest) = 32)
);
CREATE TRIGGER archive_bundles_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON archive_bundles
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The messages of a day. A block's span costs the road next to nothing, and they come in order of time.
CREATE INDEX bank_messages_received ON bank_messages USING brin (received_at) WITH (pages_per_range = 32, autosummarize = on);
