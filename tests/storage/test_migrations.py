"""An upgraded database is a fresh one with rows in it; and a database is never guessed about."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from storage.conftest import Databases
from storage.rows import REPRESENTATIVE, migrate_with_rows
from token_engine.storage.migrate import MigrationError, migrate, migrations

NEWEST = len(migrations())

CATALOG = {
    "columns": """SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,
            attidentity::text, attgenerated::text, coalesce(collname, ''), coalesce(pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum LEFT JOIN pg_collation k ON k.oid = attcollation
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p') AND attnum > 0
            AND NOT attisdropped""",
    "relations": """SELECT relname, relkind::text, coalesce(relreplident::text, ''), coalesce(reloptions::text, ''),
            pg_get_userbyid(relowner), coalesce(relacl::text, '')
        FROM pg_class WHERE relnamespace = 'public'::regnamespace""",
    "constraints": """SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid), convalidated
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "triggers": """SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger
        WHERE NOT tgisinternal""",
    "functions": """SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        AND prokind IN ('f', 'p')""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "types": """SELECT typname, typtype::text FROM pg_type WHERE typnamespace = 'public'::regnamespace
        AND typtype IN ('e', 'd')""",
    "sequences": """SELECT sequencename, data_type::text, start_value, increment_by, max_value, cycle FROM pg_sequences
        WHERE schemaname = 'public'""",
    "comments": """SELECT objoid::regclass::text, objsubid, description FROM pg_description
        JOIN pg_class c ON c.oid = objoid AND classoid = 'pg_class'::regclass
        WHERE relnamespace = 'public'::regnamespace""",
}


def catalog(url: str) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(url) as connection:
        return {name: sorted(connection.execute(query.encode()).fetchall()) for name, query in CATALOG.items()}


def rows_in(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " UNION ALL SELECT viewname FROM pg_views WHERE schemaname = 'public'"
        ).fetchall()
        counts = {}
        for (table,) in tables:
            found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            assert found is not None
            counts[table] = int(found[0])
        return counts


def test_versions_count_up_from_one_without_gaps_and_each_has_rows_to_be_upgraded() -> None:
    versions = [step.version for step in migrations()]
    assert versions == list(range(1, NEWEST + 1))
    assert sorted(REPRESENTATIVE) == versions, "tests/storage/rows.py: say what rows the new version can hold"


def test_the_rows_to_be_upgraded_fill_every_table(another: Databases) -> None:
    url = another()
    migrate_with_rows(url, NEWEST)
    assert {table for table, count in rows_in(url).items() if not count} == set()


@pytest.mark.parametrize("version", range(NEWEST + 1))
def test_a_database_upgraded_with_rows_in_it_is_the_same_as_a_fresh_one(another: Databases, version: int) -> None:
    fresh, upgraded = another(), another()
    migrate(fresh)
    migrate_with_rows(upgraded, version)
    before = rows_in(upgraded)
    assert [step.version for step in migrate(upgraded)] == list(range(version + 1, NEWEST + 1))
    assert catalog(upgraded) == catalog(fresh)
    after = rows_in(upgraded)
    lost = {t for t, count in before.items() if t != "schema_migrations" and after.get(t, 0) < count}
    assert lost == set()


def test_discrepancies_from_before_their_history_was_kept_begin_with_what_is_known(another: Databases) -> None:
    url = another()
    migrate(url, up_to=1)
    with psycopg.connect(url) as connection:
        connection.execute(REPRESENTATIVE[1].encode())
        connection.execute(
            """INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type, expected_value, actual_value,
                severity, status, opened_at, resolved_at, resolution)
            SELECT gen_random_uuid(), account_id, discrepancy_type, 5, 5, 'Critical', 'RESOLVED', '2025-11-01Z',
                '2025-11-02Z', 'so' FROM reconciliation_discrepancies"""
        )
    migrate(url)
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            """SELECT d.status, d.resolved_by, e.happening, e.at = d.opened_at, e.at = d.resolved_at, e.actor,
                e.expected_value, e.text = d.resolution
            FROM reconciliation_discrepancies d JOIN discrepancy_events e ON e.discrepancy_id = d.id ORDER BY e.id"""
        ).fetchall()
    assert rows == [
        ("RESOLVED", "engine", "opened", True, False, "engine", None, False),
        ("RESOLVED", "engine", "resolved", False, True, "engine", 5, True),
        ("OPEN", None, "opened", True, None, "engine", None, None),
    ]


def test_observations_from_before_there_were_trends_are_in_their_days(another: Databases) -> None:
    url = another()
    migrate_with_rows(url, 13)
    migrate(url, up_to=14)
    with psycopg.connect(url) as connection:
        days = connection.execute("SELECT day::text, low, high FROM trend_days").fetchall()
    assert days == [("2025-11-19", 0, 0)]


def test_running_again_changes_nothing(another: Databases) -> None:
    url = another()
    migrate(url)
    before = catalog(url), rows_in(url)
    assert migrate(url) == []
    assert (catalog(url), rows_in(url)) == before


def test_several_migrators_at_once_apply_each_step_once(another: Databases) -> None:
    url = another()
    with ThreadPoolExecutor(4) as pool:
        taken = [f.result() for f in [pool.submit(migrate, url) for _ in range(4)]]
    assert sorted(len(steps) for steps in taken) == [0, 0, 0, NEWEST]


def test_a_step_that_was_altered_after_it_was_applied_is_refused(another: Databases) -> None:
    url = another()
    migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE schema_migrations SET digest = 'other' WHERE version = 1")
    before = catalog(url)
    with pytest.raises(MigrationError, match="migration 1 was altered"):
        migrate(url)
    assert catalog(url) == before


def test_a_database_newer_than_the_engine_is_refused_with_both_versions(another: Databases) -> None:
    url = another()
    migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'later', 'x', now())")
    with pytest.raises(MigrationError, match=rf"9999, newer than the {NEWEST}\b"):
        migrate(url)


def test_a_step_that_fails_leaves_nothing_of_itself_and_can_be_tried_again(another: Databases) -> None:
    url = another()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE threshold_policies (in_the_way INTEGER)")  # near the end of the step
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate(url)
    assert set(rows_in(url)) == {"schema_migrations", "threshold_policies"}
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE threshold_policies")
    assert len(migrate(url)) == NEWEST
