-- name: schema
CREATE TABLE IF NOT EXISTS accounts (
    id        INTEGER PRIMARY KEY,
    resource  TEXT NOT NULL UNIQUE,
    number    TEXT NOT NULL,
    currency  TEXT NOT NULL,
    holder    TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    opening   INTEGER NOT NULL,
    UNIQUE (number, currency)
) STRICT;

CREATE TABLE IF NOT EXISTS entries (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account      INTEGER NOT NULL REFERENCES accounts,
    amount       INTEGER NOT NULL CHECK (amount <> 0),
    balance      INTEGER NOT NULL,
    booked_at    TEXT NOT NULL,
    booking_date TEXT NOT NULL,
    reference    TEXT NOT NULL,
    end_to_end   TEXT,
    text         TEXT,
    listed       INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS entries_in_time ON entries (account, booked_at, id);

CREATE TRIGGER IF NOT EXISTS entries_stand BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry stands as it was booked'); END;

CREATE TRIGGER IF NOT EXISTS entries_stay BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry is never taken back'); END;

CREATE TABLE IF NOT EXISTS notifications (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    entry   INTEGER NOT NULL REFERENCES entries,
    told_at TEXT
) STRICT;

CREATE INDEX IF NOT EXISTS notifications_untold ON notifications (id) WHERE told_at IS NULL;

CREATE TABLE IF NOT EXISTS statements (
    account     INTEGER NOT NULL REFERENCES accounts,
    number      INTEGER NOT NULL,
    day         TEXT NOT NULL,
    first_day   TEXT NOT NULL,
    after_entry INTEGER NOT NULL,
    last_entry  INTEGER NOT NULL,
    opening     INTEGER NOT NULL,
    closing     INTEGER NOT NULL,
    made_at     TEXT NOT NULL,
    PRIMARY KEY (account, number),
    UNIQUE (account, day)
) STRICT;

-- name: open_account
INSERT INTO accounts (resource, number, currency, holder, opened_at, opening) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (number, currency) DO NOTHING;

-- name: account
SELECT id, resource, number, currency, holder, opened_at, opening FROM accounts WHERE resource = ?;

-- name: accounts_numbered
SELECT id, resource, number, currency, holder, opened_at, opening FROM accounts WHERE number = ?;

-- name: accounts
SELECT id, resource, number, currency, holder, opened_at, opening FROM accounts ORDER BY id LIMIT ? OFFSET ?;

-- name: count_accounts
SELECT count(*) FROM accounts;

-- name: latest
SELECT id, balance, booked_at FROM entries WHERE account = ? ORDER BY booked_at DESC, id DESC LIMIT 1;

-- name: latest_of_day
SELECT id, balance FROM entries WHERE account = ? AND booking_date <= ? ORDER BY booked_at DESC, id DESC LIMIT 1;

-- name: balance_at
SELECT balance FROM entries WHERE account = ? AND booked_at <= ? ORDER BY booked_at DESC, id DESC LIMIT 1;

-- name: book
INSERT INTO entries (account, amount, balance, booked_at, booking_date, reference, end_to_end, text, listed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: refer
SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'entries';

-- name: last_saying
SELECT amount FROM entries WHERE account = ? AND text = ? ORDER BY booked_at DESC, id DESC LIMIT 1;

-- name: entries
SELECT id, amount, balance, booked_at, booking_date, reference, end_to_end, text, listed
FROM entries WHERE account = ? AND id > ? AND id <= ? ORDER BY id;

-- name: notify
INSERT INTO notifications (entry) VALUES (?);

-- name: untold
SELECT n.id, e.account, a.resource, e.id, e.amount, e.balance, e.booked_at, e.booking_date, e.reference, e.end_to_end,
       e.text, e.listed
FROM notifications n JOIN entries e ON e.id = n.entry JOIN accounts a ON a.id = e.account
WHERE n.told_at IS NULL ORDER BY n.id LIMIT 1;

-- name: told
UPDATE notifications SET told_at = ? WHERE id = ?;

-- name: last_statement
SELECT number, day, first_day, after_entry, last_entry, opening, closing, made_at
FROM statements WHERE account = ? ORDER BY number DESC LIMIT 1;

-- name: statement_of
SELECT number, day, first_day, after_entry, last_entry, opening, closing, made_at
FROM statements WHERE account = ? AND day = ?;

-- name: close
INSERT INTO statements (account, number, day, first_day, after_entry, last_entry, opening, closing, made_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);
