-- A receipt that goes back to who sent it: the end-to-end id of the debit that will take it. Until that debit is booked
-- the money is on the account and is not excess any more; and one debit takes back one receipt.
ALTER TABLE entry_meetings
    ADD COLUMN return_reference VARCHAR(140) COLLATE "C",
    ADD CONSTRAINT entry_meetings_return_says_how CHECK ((met = 'return') = (return_reference IS NOT NULL));
CREATE UNIQUE INDEX entry_meetings_one_return
    ON entry_meetings (account_id, return_reference) WHERE return_reference IS NOT NULL;

-- The guard: one movement answers for one entry, and what answers for an entry is found by its movement.
CREATE UNIQUE INDEX entry_meetings_movement ON entry_meetings (movement_id) WHERE movement_id IS NOT NULL;
