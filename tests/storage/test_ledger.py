"""What the database itself refuses of the token ledger, whoever asks: the last guard under all code."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import Any

import psycopg
import pytest
from psycopg.errors import CheckViolation, RestrictViolation, UniqueViolation

from storage.conftest import Databases
from storage.rows import ACCOUNT, migrate_with_rows
from token_engine.domain.ledger import LEGS, Kind, LedgerAccount, Legs
from token_engine.storage.migrate import migrate


@pytest.fixture(scope="module")
def filled_url(another_for_all: Databases) -> str:
    """An account taken on before there was a ledger with 100, to which 10 were minted."""
    url = another_for_all()
    migrate_with_rows(url, 2)
    migrate(url)
    return url


@pytest.fixture
def filled(filled_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Rolled back after the test."""
    with psycopg.connect(filled_url) as connection:
        yield connection
        connection.rollback()


def movement(legs: str, *, kind: str = "mint", amount: str = "5", gives: str = "NULL", gets: str = "'B'",
             reverses: str = "NULL", key: str = "NULL") -> str:  # fmt: skip
    return f"""
        INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, from_holder, to_holder, reason, actor,
            at, reverses, idempotency_key)
        VALUES ('{ACCOUNT}', '{kind}', {amount}, {legs}, {gives}, {gets}, 'r', 'tests', now(), {reverses}, {key})"""


MINT = "'issued', 'holder'"
BURN = "'holder', 'issued'"


def test_what_an_account_was_taken_on_with_before_there_was_a_ledger_is_its_first_movement(
    filled: psycopg.Connection[Any],
) -> None:
    rows = filled.execute("SELECT kind, amount, to_holder, actor FROM ledger_movements ORDER BY id").fetchall()
    assert rows == [("opening", 100, "unattributed", "tests"), ("mint", 10, "BANKAEAD", "tests")]
    assert filled.execute("SELECT ledger_balance, ledger_mode FROM emi_accounts").fetchone() == (110, "engine")
    holders = filled.execute("SELECT holder, balance FROM ledger_holders ORDER BY holder").fetchall()
    assert holders == [("BANKAEAD", 10), ("unattributed", 100)]


def test_an_account_inserted_with_a_ledger_balance_gets_the_movement_that_makes_it(
    filled: psycopg.Connection[Any],
) -> None:
    filled.execute(
        """INSERT INTO emi_accounts (id, bank_id, account_number, currency, ledger_balance)
        SELECT gen_random_uuid(), bank_id, 'SECOND', 'AED', 7.5 FROM emi_accounts"""
    )
    rows = filled.execute(
        """SELECT a.ledger_balance, m.kind, sum(p.amount) FILTER (WHERE p.ledger_account = 'holder'), sum(p.amount)
        FROM emi_accounts a JOIN ledger_movements m ON m.account_id = a.id
        JOIN ledger_postings p ON p.movement_id = m.id
        WHERE a.account_number = 'SECOND' GROUP BY a.ledger_balance, m.kind"""
    ).fetchall()
    assert rows == [(Decimal("7.5"), "opening", Decimal("7.5"), 0)]


def test_a_balanced_movement_moves_ledger_and_holder_in_its_own_statement(filled: psycopg.Connection[Any]) -> None:
    filled.execute(movement(MINT).encode())
    filled.execute(movement(BURN, kind="burn", gives="'B'", gets="NULL").encode())
    filled.execute(movement(MINT).encode())
    assert filled.execute("SELECT ledger_balance FROM emi_accounts").fetchone() == (115,)
    assert filled.execute("SELECT balance FROM ledger_holders WHERE holder = 'B'").fetchone() == (5,)


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("from nowhere", movement("'', 'holder'")),
        ("from a holder that is not named", movement(BURN, kind="burn", gets="NULL")),
        ("from a holder whom a mint does not name", movement("'holder', 'holder'")),
        ("own money minted", movement("'own_funds', 'holder'")),
        ("a mint that nobody gets", movement(MINT, gets="NULL")),
        ("a mint that is a burn", movement(BURN, gives="'B'", gets="NULL")),
        ("nothing", movement(MINT, amount="0")),
        ("less than nothing", movement(MINT, amount="-5")),
        ("a burn of what the holder has not", movement(BURN, kind="burn", amount="11", gives="'BANKAEAD'",
            gets="NULL")),
        ("a burn of nobody's tokens", movement(BURN, kind="burn", gives="'B'", gets="NULL")),
        ("a transfer to oneself", movement("'holder', 'holder'", kind="transfer", gives="'B'")),
        ("a replenishment that takes money out", movement("'replenished', 'own_funds'", kind="replenishment",
            gets="NULL")),
        ("a reversal of nothing", movement(MINT, kind="reversal")),
        ("a mint that reverses", movement(MINT, reverses="(SELECT max(id) FROM ledger_movements)")),
        ("a reversal of another amount", movement(BURN, kind="reversal", gives="'BANKAEAD'", gets="NULL",
            reverses="(SELECT max(id) FROM ledger_movements)")),
        ("a reversal that does it again", movement(MINT, kind="reversal", amount="10", gets="'BANKAEAD'",
            reverses="(SELECT max(id) FROM ledger_movements)")),
        ("a reversal of a reversal", movement(BURN, kind="reversal", amount="10", gives="'BANKAEAD'", gets="NULL",
            reverses="(SELECT last_value + 1 FROM ledger_movements_id_seq)")),
    ],
)  # fmt: skip
def test_a_movement_that_cannot_be_true_is_refused(filled: psycopg.Connection[Any], name: str, statement: str) -> None:
    with pytest.raises(CheckViolation):
        filled.execute(statement.encode())


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.REVERSAL])
def test_the_database_takes_of_each_kind_the_legs_that_the_rules_know_and_no_others(
    filled: psycopg.Connection[Any], kind: Kind
) -> None:
    taken = set()
    for leaves, enters in product(LedgerAccount, repeat=2):
        gives, gets = (
            "'unattributed'" if leaves is LedgerAccount.HOLDER else "NULL",
            "'B'" if enters is LedgerAccount.HOLDER else "NULL",
        )
        legs = f"'{leaves}', '{enters}'"
        try:
            with filled.transaction(force_rollback=True):
                filled.execute(movement(legs, kind=kind, gives=gives, gets=gets).encode())
        except CheckViolation:
            continue
        taken.add(Legs(leaves, enters))
    assert taken == set(LEGS[kind])


PAYOUT = """
    INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, state, requested_by, requested_at, expires_at)
    VALUES (gen_random_uuid(), '{account}', 'E2E-{holder}-{amount}', {amount}, '{holder}', 'HELD', 'tests', now(),
        now() + interval '1 hour')
"""


def hold(holder: str, amount: str) -> bytes:
    return PAYOUT.format(account=ACCOUNT, holder=holder, amount=amount).encode()


def test_a_burn_cannot_take_what_is_reserved_for_payouts(filled: psycopg.Connection[Any]) -> None:
    filled.execute(hold("BANKAEAD", "6"))
    with pytest.raises(CheckViolation, match="reserved_within_balance"):
        filled.execute(
            movement(BURN, kind="burn", gives="'BANKAEAD'", gets="NULL").encode()
        )  # fmt: skip


def reserved(filled: psycopg.Connection[Any]) -> tuple[Any, ...]:
    held = filled.execute("SELECT holder, reserved FROM ledger_holders WHERE reserved > 0 ORDER BY 1").fetchall()
    account = filled.execute("SELECT reserved_balance, available_balance FROM emi_accounts").fetchone()
    return held, account


def test_payouts_move_what_is_reserved(filled: psycopg.Connection[Any]) -> None:
    for holder, amount in (("BANKAEAD", "6"), ("unattributed", "70"), ("unattributed", "30")):
        filled.execute(hold(holder, amount))
    assert reserved(filled) == ([("BANKAEAD", 6), ("unattributed", 100)], (106, 4))
    filled.execute("UPDATE payouts SET state = 'SENT', sent_by = 'ann', sent_at = now() WHERE amount < 50")
    assert reserved(filled) == ([("BANKAEAD", 6), ("unattributed", 100)], (106, 4))
    filled.execute(
        "UPDATE payouts SET state = 'CANCELLED', settled_by = 'ann', settled_at = now(), settled_reason = 'r'"
    )
    assert reserved(filled) == ([], (0, 110))


@pytest.mark.parametrize(
    ("holder", "amount"), [("BANKAEAD", "10.01"), ("unattributed", "100.01"), ("nobody", "1"), ("BANKAEAD", "-1")]
)
def test_nothing_is_held_that_its_holder_has_not(filled: psycopg.Connection[Any], holder: str, amount: str) -> None:
    with pytest.raises(CheckViolation):
        filled.execute(hold(holder, amount))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE emi_accounts SET reserved_balance = 1",
        "UPDATE ledger_holders SET reserved = 1",
        "UPDATE payouts SET amount = 7",
        "UPDATE payouts SET beneficiary = 'somebody else'",
        "DELETE FROM payouts",
        "TRUNCATE payouts CASCADE",
        "DELETE FROM fundings",
    ],
)
def test_what_is_reserved_moves_with_lawful_payouts_only(filled: psycopg.Connection[Any], statement: str) -> None:
    filled.execute(hold("BANKAEAD", "6"))
    with pytest.raises(RestrictViolation):
        filled.execute(statement.encode())


def test_a_movement_is_reversed_once_and_a_key_is_used_once(filled: psycopg.Connection[Any]) -> None:
    back = movement(BURN, kind="reversal", amount="10",
                    gives="'BANKAEAD'", gets="NULL",
                    reverses="(SELECT id FROM ledger_movements WHERE kind = 'mint')")  # fmt: skip
    filled.execute(back.encode())
    for again in (back, movement(MINT, key="'mint 1'")):
        with pytest.raises(UniqueViolation), filled.transaction():
            filled.execute(again.encode())


@pytest.mark.parametrize(
    "statement",
    [
        *(f"{act} {table}{rest}" for table in ("ledger_movements", "idempotency_keys")
          for act, rest in (("DELETE FROM", ""), ("TRUNCATE", " CASCADE"))),
        "UPDATE ledger_movements SET amount = 1",
        "UPDATE idempotency_keys SET status = 200",
        "UPDATE ledger_holders SET balance = balance + 1",
        "DELETE FROM ledger_holders",
        "TRUNCATE ledger_holders",
        "UPDATE emi_accounts SET ledger_balance = ledger_balance + 1",
        "UPDATE emi_accounts SET ledger_mode = 'external'",
    ],
)  # fmt: skip
def test_nothing_is_edited_and_no_balance_moves_without_its_movements(
    filled: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(RestrictViolation):
        filled.execute(statement.encode())
