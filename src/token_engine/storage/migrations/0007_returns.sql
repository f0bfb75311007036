-- A receipt that goes back to who sent it: the end-to-end id of the debit that will take it. Until that debit is booked
-- the money is on the account and is not excess any more; and one debit takes back one receipt. Where the bank's debit
-- does not carry that id a person says which it was: 'return_debit', under the same reference.
ALTER TABLE entry_meetings
    ADD COLUMN return_reference VARCHAR(140) COLLATE "C",
    ADD CONSTRAINT entry_meetings_return_says_how CHECK (
        (met IN ('return', 'return_debit')) = (return_reference IS NOT NULL)),
    DROP CONSTRAINT entry_meetings_word,
    ADD CONSTRAINT entry_meetings_word CHECK (
        CASE met WHEN 'funding' THEN funding_id IS NOT NULL AND payout_id IS NULL
             WHEN 'payout' THEN payout_id IS NOT NULL AND funding_id IS NULL
             WHEN 'payout_return' THEN payout_id IS NOT NULL AND funding_id IS NULL
             ELSE met IN ('allocation', 'own_funds', 'return', 'return_debit')
                 AND num_nonnulls(funding_id, payout_id) = 0 END),
    DROP CONSTRAINT entry_meetings_move_tokens,
    ADD CONSTRAINT entry_meetings_move_tokens CHECK ((met IN ('return', 'return_debit')) = (movement_id IS NULL));
CREATE UNIQUE INDEX entry_meetings_one_return
    ON entry_meetings (account_id, return_reference, met) WHERE return_reference IS NOT NULL;

-- The guard: one movement answers for one entry, and what answers for an entry is found by its movement.
CREATE UNIQUE INDEX entry_meetings_movement ON entry_meetings (movement_id) WHERE movement_id IS NOT NULL;

-- What goes back, and the debit that took it: the one that a person named, or one of its amount under its reference,
-- booked after it and no payout's.
CREATE VIEW receipt_returns AS
SELECT m.account_id, e.id AS entry_id, e.position_change AS amount, m.return_reference, coalesce((
    SELECT d.id FROM entry_meetings o JOIN bank_entries d ON (d.account_id, d.amount, d.identity, d.occurrence)
        = (o.account_id, o.amount, o.identity, o.occurrence)
    WHERE o.account_id = m.account_id AND o.return_reference = m.return_reference AND o.met = 'return_debit'
), (
    SELECT min(d.id) FROM bank_entries d
    WHERE d.account_id = e.account_id AND d.amount = e.amount AND d.end_to_end_id = m.return_reference
        AND d.position_change = -e.position_change AND d.id > e.id
        AND NOT EXISTS (SELECT 1 FROM entry_meetings o WHERE (o.account_id, o.amount, o.identity, o.occurrence)
            = (d.account_id, d.amount, d.identity, d.occurrence))
)) AS debit_id
FROM entry_meetings m JOIN bank_entries e ON (e.account_id, e.amount, e.identity, e.occurrence)
    = (m.account_id, m.amount, m.identity, m.occurrence)
WHERE m.met = 'return';
