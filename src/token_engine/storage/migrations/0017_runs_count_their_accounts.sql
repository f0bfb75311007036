-- How many accounts a run asks is told by the accounts and polls that name it.
ALTER TABLE intraday_runs DROP COLUMN to_ask;
