-- When an account's statement is due: the bank's days, its cut-off, its time zone.

CREATE TABLE statement_calendars (
    account_id UUID PRIMARY KEY REFERENCES emi_accounts (id),
    time_zone VARCHAR(60) NOT NULL,      -- IANA, of the bank: "Asia/Dubai"
    cut_off TIME NOT NULL,               -- when the bank's day ends, in its time
    ends_next_day BOOLEAN NOT NULL,      -- the cut-off lies after midnight: 00:00 closes the day before
    due_after INTERVAL NOT NULL          -- how long after the cut-off the statement may take
);
