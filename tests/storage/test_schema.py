"""The specification's tables to the letter, and what the database itself refuses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import CheckViolation, ForeignKeyViolation, NotNullViolation, RestrictViolation, UniqueViolation

from storage.conftest import Databases
from storage.rows import ACCOUNT, REPRESENTATIVE, migrate_with_rows
from token_engine.storage.migrate import migrate


@pytest.fixture(scope="module")
def filled_url(another_for_all: Databases) -> str:
    """A database with a row of everything."""
    url = another_for_all()
    migrate_with_rows(url, len(REPRESENTATIVE))
    return url


@pytest.fixture
def filled(filled_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Rolled back after the test."""
    with psycopg.connect(filled_url) as connection:
        yield connection
        connection.rollback()


# Name, type, nullable, default, generated: the specification's "Database Schema", line by line.
SPECIFIED: dict[str, list[tuple[str, str, bool, str | None, str | None]]] = {
    "emi_accounts": [
        ("id", "uuid", False, None, None),
        ("bank_id", "uuid", False, None, None),
        ("account_number", "character varying(50)", False, None, None),
        ("currency", "character varying(3)", False, None, None),
        ("ledger_balance", "numeric(26,8)", True, "0", None),
        ("bank_reported_balance", "numeric(26,8)", True, "0", None),
        ("reserved_balance", "numeric(26,8)", True, "0", None),
        ("available_balance", "numeric(26,8)", True, None, "(ledger_balance - reserved_balance)"),
        ("last_reconciliation_at", "timestamp with time zone", True, None, None),
        ("reconciliation_status", "character varying(20)", True, "'PENDING'", None),
        ("reconciliation_source", "character varying(50)", True, None, None),
        ("reconciliation_difference", "numeric(26,8)", True, "0", None),
        ("metadata", "jsonb", True, "'{}'", None),
    ],
    "emi_account_snapshots": [
        ("id", "uuid", False, None, None),
        ("account_id", "uuid", False, None, None),
        ("snapshot_date", "date", False, None, None),
        ("ledger_balance", "numeric(26,8)", False, None, None),
        ("bank_reported_balance", "numeric(26,8)", False, None, None),
        ("difference", "numeric(26,8)", True, "0", None),
        ("reconciled", "boolean", True, "false", None),
        ("statement_reference", "character varying(100)", True, None, None),
    ],
    "reconciliation_discrepancies": [
        ("id", "uuid", False, None, None),
        ("account_id", "uuid", False, None, None),
        ("discrepancy_type", "character varying(30)", False, None, None),
        ("expected_value", "numeric(26,8)", True, None, None),
        ("actual_value", "numeric(26,8)", True, None, None),
        ("difference", "numeric(26,8)", True, None, None),
        ("threshold_exceeded", "boolean", True, "false", None),
        ("status", "character varying(20)", True, "'OPEN'", None),
        ("source_system", "character varying(50)", True, None, None),
        ("source_reference", "character varying(100)", True, None, None),
    ],
}


@pytest.mark.parametrize("table", SPECIFIED)
def test_the_specifications_columns_are_there_to_the_letter_and_in_its_order(
    filled: psycopg.Connection[Any], table: str
) -> None:
    rows = filled.execute(
        """SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, attgenerated::text,
            split_part(pg_get_expr(adbin, adrelid), '::', 1)
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        [table],
    ).fetchall()
    found = [
        (name, kind, nullable, None if generated else default, default if generated else None)
        for name, kind, nullable, generated, default in rows
    ]
    assert found[: len(SPECIFIED[table])] == SPECIFIED[table]
    extra = found[len(SPECIFIED[table]) :]
    assert all(nullable or default is not None for _, _, nullable, default, _ in extra), "its INSERTs must still work"


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("emi_accounts", {"PRIMARY KEY (id)"}),
        (
            "emi_account_snapshots",
            {"PRIMARY KEY (id)", "UNIQUE (account_id, snapshot_date)",
             "FOREIGN KEY (account_id) REFERENCES emi_accounts(id)"},
        ),
        ("reconciliation_discrepancies", {"PRIMARY KEY (id)"}),
    ],
)  # fmt: skip
def test_the_specifications_keys_are_there(filled: psycopg.Connection[Any], table: str, keys: set[str]) -> None:
    rows = filled.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass", [table])
    assert keys <= {row[0] for row in rows.fetchall()}


def test_the_specifications_update_works_verbatim_and_reads_as_an_open_breaker(
    filled: psycopg.Connection[Any],
) -> None:
    assert filled.execute("SELECT circuit_breaker FROM emi_accounts").fetchone() == ("closed",)
    done = filled.execute(
        """UPDATE emi_accounts
SET metadata = jsonb_set(metadata, '{circuit_breaker_active}', 'true')
WHERE id = %s""",
        [ACCOUNT],
    )
    assert done.rowcount == 1
    assert filled.execute("SELECT circuit_breaker FROM emi_accounts").fetchone() == ("open",)


@pytest.mark.parametrize(
    ("metadata", "breaker"),
    [
        ("{}", "closed"), ('{"payouts_suspended": true}', "suspended"),
        ('{"circuit_breaker_active": false}', "closed"),
        ('{"payouts_suspended": true, "circuit_breaker_active": true}', "open"),
        ('{"payouts_suspended": "true"}', "closed"),
        ('{"circuit_breaker_active": null}', "closed"),
        ('{"x": {"circuit_breaker_active": true}}', "closed"), ("[]", "closed"),
    ],
)  # fmt: skip
def test_the_breaker_is_read_off_the_metadata(filled: psycopg.Connection[Any], metadata: str, breaker: str) -> None:
    filled.execute("UPDATE emi_accounts SET metadata = %s", [metadata])
    assert filled.execute("SELECT circuit_breaker FROM emi_accounts").fetchone() == (breaker,)


APPEND_ONLY = (
    "bank_entries", "bank_entry_sightings", "circuit_breaker_steps", "audit_log", "discrepancy_events",
    "account_roles", "report_sign_offs",
)  # fmt: skip


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = DEFAULT", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_only_grows_refuses_every_other_change(
    filled: psycopg.Connection[Any], table: str, statement: str
) -> None:
    with pytest.raises(RestrictViolation, match="append-only"):
        filled.execute(sql.SQL(statement).format(sql.Identifier(table)))


@pytest.mark.parametrize(
    "statement", ["DELETE FROM reconciliation_discrepancies", "TRUNCATE reconciliation_discrepancies CASCADE"]
)
def test_a_discrepancy_is_never_dropped(filled: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(RestrictViolation):
        filled.execute(statement.encode())


@pytest.mark.parametrize("table", ["bank_messages", "emi_accounts"])
def test_what_entries_are_of_keeps_its_id(filled: psycopg.Connection[Any], table: str) -> None:
    with pytest.raises(RestrictViolation):
        filled.execute(sql.SQL("UPDATE {} SET id = id").format(sql.Identifier(table)))


def test_an_account_with_entries_stays(filled: psycopg.Connection[Any]) -> None:
    """Before any other table that refers to it has a say."""
    filled.execute("""INSERT INTO emi_accounts (id, bank_id, account_number, currency)
        SELECT gen_random_uuid(), bank_id, 'other', 'AED' FROM emi_accounts LIMIT 1""")
    assert filled.execute("DELETE FROM emi_accounts WHERE account_number = 'other'").rowcount == 1
    with pytest.raises(ForeignKeyViolation, match="has entries of its bank, or movements"):
        filled.execute("DELETE FROM emi_accounts")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO emi_accounts (id, bank_id, account_number, currency)"
        " VALUES (gen_random_uuid(), gen_random_uuid(), 'X', 'AED')",
        "UPDATE emi_accounts SET bank_id = gen_random_uuid()",
        "DELETE FROM banks",
    ],
)
def test_an_account_has_its_bank(filled: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(ForeignKeyViolation, match="bank"):
        filled.execute(statement.encode())


@pytest.mark.parametrize("statement", ["UPDATE banks SET id = gen_random_uuid()", "TRUNCATE banks CASCADE"])
def test_a_bank_keeps_its_id(filled: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(RestrictViolation):
        filled.execute(statement.encode())


def test_a_bank_without_accounts_may_go(filled: psycopg.Connection[Any]) -> None:
    filled.execute("INSERT INTO banks (id, name) VALUES (gen_random_uuid(), 'Nobody''s')")
    assert filled.execute("DELETE FROM banks WHERE name = 'Nobody''s'").rowcount == 1


def test_the_bank_of_an_account_that_is_about_to_be_there_stays(another: Databases) -> None:
    """It cannot be taken away between the look at it and the commit, by one who sees no account yet."""
    url = another()
    migrate(url)
    bank = "'00000000-0000-4000-8000-0000000000ff'"
    with psycopg.connect(url) as opening, psycopg.connect(url) as closing, ThreadPoolExecutor(1) as beside:
        opening.execute(f"INSERT INTO banks (id, name) VALUES ({bank}, 'New')".encode())
        opening.commit()
        opening.execute(
            "INSERT INTO emi_accounts (id, bank_id, account_number, currency)"
            f" VALUES (gen_random_uuid(), {bank}, 'NEW', 'AED')".encode()
        )
        deleting = beside.submit(closing.execute, b"DELETE FROM banks")
        blocked = "SELECT cardinality(pg_blocking_pids(%s))"
        while opening.execute(blocked, [closing.info.backend_pid]).fetchone() == (0,) and not deleting.done():
            sleep(0.01)
        opening.commit()
        with pytest.raises(ForeignKeyViolation, match="has accounts"):
            deleting.result()


@pytest.mark.parametrize("orphan", ["gen_random_uuid(), 1", f"'{ACCOUNT}', 999999"])
def test_one_entry_without_account_or_message_spoils_all_that_come_with_it(
    filled: psycopg.Connection[Any], orphan: str
) -> None:
    insert = f"""INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit,
        status, reversal, position_change, identity, occurrence)
        SELECT account, message, 'camt.053', 'M', 10, 'CRDT', 'BOOK', false, 10, 'CRDT BOOK ref BULK', 1000 + n FROM (
            SELECT '{ACCOUNT}'::uuid, 1, n FROM generate_series(1, 5000) AS n UNION ALL SELECT {orphan}, 5001 LIMIT %s
        ) AS k (account, message, n)"""
    assert filled.execute(insert.encode(), [5000]).rowcount == 5000
    filled.rollback()
    with pytest.raises(ForeignKeyViolation, match=r"no account .+ or no message"):
        filled.execute(insert.encode(), [5001])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account_id", "gen_random_uuid()"), ("amount", "10.01"), ("identity", "'CRDT BOOK ref NONE'"),
        ("occurrence", "7"), ("funding_id", "gen_random_uuid()"), ("movement_id", "999999"),
    ],
)  # fmt: skip
def test_a_meeting_has_its_entry_and_all_that_it_names(filled: psycopg.Connection[Any], name: str, value: str) -> None:
    meeting = {
        "account_id": f"'{ACCOUNT}'", "amount": "10", "identity": "'CRDT BOOK ref R15'", "occurrence": "0",
        "met": "'funding'", "funding_id": "f.id", "movement_id": "m.id", "actor": "'engine'",
        "reason": "'r'", "at": "now()",
    }  # fmt: skip
    insert = """WITH f AS (
            INSERT INTO fundings
            SELECT gen_random_uuid(), account_id, 'E2E-15', 10, 'h', 'EXPECTED', 'ann', now(), now()
            FROM fundings LIMIT 1 RETURNING id),
        m AS (INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, to_holder, reason, actor, at)
            SELECT id, 'mint', 10, 'issued', 'holder', 'h', 'r', 'ann', now() FROM emi_accounts LIMIT 1 RETURNING id)
        INSERT INTO entry_meetings ({}) SELECT {} FROM f, m"""
    filled.execute(insert.format(", ".join(meeting), ", ".join(meeting.values())).encode())
    filled.rollback()
    wrong = meeting | {name: value}
    with pytest.raises(ForeignKeyViolation, match="no entry"):
        filled.execute(insert.format(", ".join(wrong), ", ".join(wrong.values())).encode())


def test_a_movement_has_its_account(filled: psycopg.Connection[Any]) -> None:
    with pytest.raises(ForeignKeyViolation, match="not there"):
        filled.execute("""
            INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, to_holder, reason, actor, at)
            SELECT k, 'mint', 10, 'issued', 'holder', 'h', 'r', 'ann', now()
            FROM (SELECT id FROM emi_accounts UNION ALL SELECT gen_random_uuid()) AS u (k)""")


@pytest.mark.parametrize("statement", ["DELETE FROM bank_messages", "TRUNCATE bank_messages CASCADE"])
def test_a_message_is_never_deleted(filled: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(RestrictViolation):
        filled.execute(statement.encode())


@pytest.mark.parametrize(
    "change",
    ["raw = ''", "digest = sha256('other')", "raw_size = 9", "door = 'CLI'", "source = ''", "received_at = now()"],
)
@pytest.mark.parametrize("state", ["RECORDED", "REJECTED"])
def test_what_came_stays_as_it_came(filled: psycopg.Connection[Any], change: str, state: str) -> None:
    with pytest.raises(RestrictViolation):
        filled.execute(f"UPDATE bank_messages SET {change} WHERE state = '{state}'".encode())


def test_a_recorded_message_is_settled_for_good_and_a_rejected_one_may_be_settled_anew(
    filled: psycopg.Connection[Any],
) -> None:
    settle = """UPDATE bank_messages SET state = 'RECORDED', answer = '{}', refusal_code = NULL, refusal_message = NULL,
        attempts = attempts + 1 WHERE state = 'REJECTED'"""
    assert filled.execute(settle).rowcount == 1
    with pytest.raises(RestrictViolation):
        filled.execute("UPDATE bank_messages SET answer = '{}'")


ENTRY = """INSERT INTO bank_entries (account_id, message_id, origin, bank_message_id, amount, credit_debit, status,
    reversal, position_change, identity, occurrence) VALUES ({account}, {message}, {origin}, 'M', {amount}, {side},
    {status}, false, {change}, {identity}, {occurrence})"""
GOOD = {
    "account": f"'{ACCOUNT}'", "message": "1", "origin": "'camt.054'", "amount": "10", "side": "'CRDT'",
    "status": "'BOOK'", "change": "10", "identity": "'CRDT BOOK ref OTHER'", "occurrence": "0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"identity": "'CRDT BOOK ref R1'"}, UniqueViolation),
        ({"amount": "-10", "change": "-10"}, CheckViolation),
        ({"change": "11"}, CheckViolation),
        ({"change": "0"}, CheckViolation),
        ({"status": "'PDNG'"}, CheckViolation),
        ({"status": "'INFO'", "change": "-10"}, CheckViolation),
        ({"side": "'crdt'"}, CheckViolation),
        ({"origin": "'camt.055'"}, CheckViolation),
        ({"account": f"'{UUID(int=9)}'"}, ForeignKeyViolation),
        ({"message": "999999"}, ForeignKeyViolation),
        ({"identity": "NULL"}, NotNullViolation),
    ],
)
def test_a_bad_entry_is_refused_by_the_database_itself(
    filled: psycopg.Connection[Any], wrong: dict[str, str], error: type[psycopg.Error]
) -> None:
    filled.execute(ENTRY.format(**GOOD).encode())
    filled.rollback()
    with pytest.raises(error):
        filled.execute(ENTRY.format(**GOOD | wrong).encode())


def test_the_same_name_may_be_kept_twice_only_as_another_occurrence(filled: psycopg.Connection[Any]) -> None:
    again = GOOD | {"identity": "'CRDT BOOK ref R1'"}
    filled.execute(ENTRY.format(**again | {"occurrence": "1"}).encode())
    with pytest.raises(UniqueViolation):
        filled.execute(ENTRY.format(**again | {"occurrence": "1"}).encode())


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE emi_accounts SET ledger_balance = -1", CheckViolation),
        ("UPDATE emi_accounts SET ledger_balance = NULL", CheckViolation),
        ("UPDATE emi_accounts SET bank_reported_balance = NULL", CheckViolation),
        ("UPDATE emi_accounts SET metadata = NULL", CheckViolation),
        ("UPDATE emi_accounts SET reserved_balance = -1", CheckViolation),
        ("UPDATE emi_accounts SET currency = 'aed'", CheckViolation),
        ("UPDATE emi_accounts SET reconciliation_status = 'FINE'", CheckViolation),
        ("INSERT INTO emi_accounts (id, bank_id, account_number, currency) SELECT gen_random_uuid(), bank_id, "
         "account_number, currency FROM emi_accounts", UniqueViolation),
        ("INSERT INTO emi_accounts (id, bank_id, account_number, currency) VALUES (gen_random_uuid(), "
         "gen_random_uuid(), 'X', 'AED')", ForeignKeyViolation),
        ("DELETE FROM emi_accounts", ForeignKeyViolation),
        ("INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type) SELECT gen_random_uuid(), "
         "account_id, discrepancy_type FROM reconciliation_discrepancies", UniqueViolation),
        ("UPDATE reconciliation_discrepancies SET status = 'RESOLVED'", CheckViolation),
        ("UPDATE reconciliation_discrepancies SET resolution = 'so', resolved_at = now()", CheckViolation),
        ("UPDATE reconciliation_discrepancies SET severity = 'Ok'", CheckViolation),
        ("UPDATE reconciliation_discrepancies SET status = NULL", CheckViolation),
        ("UPDATE reconciliation_discrepancies SET status = 'INVESTIGATING', assignee = NULL", CheckViolation),
        ("UPDATE reconciliation_discrepancies SET status = 'OPEN', assignee = 'ann'", CheckViolation),
        ("UPDATE reconciliation_discrepancies SET resolved_by = 'ann'", CheckViolation),
        ("UPDATE reconciliation_discrepancies SET status = 'RESOLVED', resolved_at = now(), resolution = 'so'",
         CheckViolation),
        ("INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type, status, assignee) SELECT "
         "gen_random_uuid(), account_id, discrepancy_type, 'INVESTIGATING', 'ann' FROM reconciliation_discrepancies "
         "WHERE status = 'OPEN'", UniqueViolation),
        ("INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, severity) SELECT id, 'lost', now(), "
         "'ann', 'Minor' FROM reconciliation_discrepancies", CheckViolation),
        ("INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, severity) SELECT id, 'resolved', "
         "now(), 'ann', 'Minor' FROM reconciliation_discrepancies", CheckViolation),
        ("INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, severity) VALUES (gen_random_uuid(), "
         "'opened', now(), 'ann', 'Minor')", ForeignKeyViolation),
        ("UPDATE bank_messages SET answer = '{}' WHERE state = 'REJECTED'", CheckViolation),
        ("UPDATE bank_messages SET refusal_code = NULL WHERE state = 'REJECTED'", CheckViolation),
        ("INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer, last_attempt_at) "
         "VALUES ('short', now(), 'NATS', '', '', 0, 'RECORDED', '{}', now())", CheckViolation),
        ("INSERT INTO emi_account_snapshots SELECT gen_random_uuid(), account_id, snapshot_date, 0, 0 "
         "FROM emi_account_snapshots", UniqueViolation),
        ("INSERT INTO circuit_breaker_steps (account_id, from_state, to_state, cause, actor, at) SELECT id, 'open', "
         "'open', '', '', now() FROM emi_accounts", CheckViolation),
        ("INSERT INTO threshold_policies VALUES ('x', 2, 1, 3, 0, NULL, NULL, NULL, '1 day')", CheckViolation),
        ("INSERT INTO threshold_policies VALUES ('x', 1, 2, 3, -1, NULL, NULL, NULL, '1 day')", CheckViolation),
        ("INSERT INTO threshold_policies VALUES ('x', 1, 2, 3, 0, NULL, NULL, NULL, '0')", CheckViolation),
        ("INSERT INTO threshold_policies VALUES ('global', 1, 2, 3, 0, NULL, NULL, NULL, '1 day')", UniqueViolation),
        ("INSERT INTO report_sign_offs (report_id, dataset_sha256, actor, reason, at) SELECT report_id, "
         "dataset_sha256, upper(actor) || ' ', 'again', now() FROM report_sign_offs", UniqueViolation),
        ("INSERT INTO report_sign_offs (report_id, dataset_sha256, actor, reason, at) VALUES ('r', 'short', 'ann', "
         "'r', now())", CheckViolation),
        ("INSERT INTO report_sign_offs (report_id, dataset_sha256, actor, reason, at) VALUES ('r', sha256('2'), '', "
         "'r', now())", CheckViolation),
        ("INSERT INTO account_roles (account_id, role, since, actor, reason, at) SELECT id, 'pocket', now(), 'ann', "
         "'r', now() FROM emi_accounts", CheckViolation),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_true_is_refused_by_the_database_itself(
    filled: psycopg.Connection[Any], statement: str, error: type[psycopg.Error]
) -> None:
    with pytest.raises(error):
        filled.execute(statement.encode())


def test_available_is_ledger_less_reserved_and_nobody_writes_it(filled: psycopg.Connection[Any]) -> None:
    # rows.py issues 110 and holds 5 twice.
    assert filled.execute("SELECT reserved_balance, available_balance FROM emi_accounts").fetchone() == (10, 100)
    with pytest.raises(psycopg.errors.GeneratedAlways):
        filled.execute("UPDATE emi_accounts SET available_balance = 7")
