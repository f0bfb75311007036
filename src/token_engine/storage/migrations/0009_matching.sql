-- Which lines of the bank answer for which movements of the token ledger (DESIGN 3.4, matching).

CREATE SEQUENCE match_numbers;
-- One row where one entry answers for one movement. A match of several has several rows under its number, with an
-- entry, a movement or both in each. The two unique keys are the guard: every side is claimed once.
CREATE TABLE matches (
    match_id BIGINT NOT NULL,
    account_id UUID NOT NULL,
    entry_id BIGINT,
    movement_id BIGINT,
    pass VARCHAR(20) NOT NULL,
    statement_id BIGINT,                 -- the statement whose matching made it; NULL: a person did
    CONSTRAINT matches_entry_once UNIQUE (entry_id),
    CONSTRAINT matches_movement_once UNIQUE (movement_id),
    CONSTRAINT matches_name_a_side CHECK (num_nonnulls(entry_id, movement_id) > 0)
);
CREATE INDEX matches_by_number ON matches (match_id);
