-- name: record
-- Messages as they were settled, events, accounts as they stand now, and new entries. One statement, because each
-- adds to what a batch costs however small it is, and so to how long a lone message waits.
WITH settled AS (
    INSERT INTO bank_messages AS m (id, digest, received_at, door, source, raw, raw_size, state, bank_message_id,
        refusal_code, refusal_message, refusal_field, answer, last_attempt_at)
    SELECT * FROM unnest(%s::bigint[], %s::bytea[], %s::timestamptz[], %s::varchar[], %s::varchar[], %s::bytea[],
        %s::bigint[], %s::varchar[], %s::varchar[], %s::varchar[], %s::text[], %s::varchar[], %s::json[],
        %s::timestamptz[])
    ON CONFLICT (digest) DO UPDATE SET
        state = excluded.state, bank_message_id = excluded.bank_message_id, refusal_code = excluded.refusal_code,
        refusal_message = excluded.refusal_message, refusal_field = excluded.refusal_field,
        answer = excluded.answer, attempts = m.attempts + 1, last_attempt_at = excluded.last_attempt_at
    WHERE m.state = 'REJECTED'
), announced AS (
    INSERT INTO outbox (event_id, subject, payload)
    SELECT * FROM unnest(%s::varchar[], %s::varchar[], %s::text[])
), judged AS (
    UPDATE emi_accounts a SET
        bank_reported_balance = k.bank, observed_gap = k.observed_gap, reconciliation_difference = k.difference, reconciliation_status = k.status,
        reconciliation_source = CASE WHEN k.at IS NULL THEN a.reconciliation_source ELSE k.source END,
        last_reconciliation_at = coalesce(k.at, a.last_reconciliation_at),
        critical_judgements = a.critical_judgements + k.criticals,
        last_critical_at = coalesce(k.critical_at, a.last_critical_at),
        bank_spoke_since_break = coalesce(k.spoke_since_break, a.bank_spoke_since_break)
    FROM unnest(%s::uuid[], %s::numeric[], %s::numeric[], %s::numeric[], %s::varchar[], %s::varchar[],
        %s::timestamptz[], %s::bigint[], %s::timestamptz[], %s::boolean[])
        AS k (id, bank, observed_gap, difference, status, source, at, criticals, critical_at, spoke_since_break)
    WHERE a.id = k.id
)
INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status, reversal,
    position_change, booking_date, value_date, servicer_reference, entry_reference, end_to_end_id, uetr,
    instruction_id, transaction_id, identity, occurrence, unexpected)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::varchar[], %s::varchar[], %s::numeric[], %s::varchar[],
    %s::varchar[], %s::boolean[], %s::numeric[], %s::date[], %s::date[], %s::varchar[], %s::varchar[],
    %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[], %s::varchar[], %s::integer[], %s::boolean[])
