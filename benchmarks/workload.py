"""The work: accounts, and notifications about them, the same for every service that is measured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

SUBJECT: Final = "iso20022.camt.054"
CURRENCY: Final = "AED"
OPENING: Final = Decimal("10050000.00")
LEDGER: Final = Decimal("10049500.00")  # 500 too much at the bank: Ok, and a few debits away from it
_BANK: Final = UUID(int=0xBA)
_SEED: Final = 54


class Movement(NamedTuple):
    """One notification: account by number, amount in cents, CRDT or DBIT."""

    place: int
    account: int
    cents: int
    credit: bool


class Workload(NamedTuple):
    """`messages` notifications spread at random over `accounts` accounts; deterministic.

    Amounts are up to 10.00 and the accounts stand 500.00 inside their bounds, except every fiftieth,
    which starts without any excess: its first net debits are a shortfall, so that discrepancies open
    and resolve and breakers trip at a rate that an unlucky day might have (2 % of accounts).
    """

    messages: int
    accounts: int

    def movements(self) -> Iterator[Movement]:
        """The notifications in order."""
        random = Random(_SEED)
        draw, accounts = random.random, self.accounts
        for place in range(self.messages):
            yield Movement(place, int(draw() * accounts), 1 + int(draw() * 1000), draw() < 0.5)

    def bodies(self) -> Iterator[bytes]:
        """The notifications as the specification's JSON."""
        return map(body, self.movements())

    def positions(self) -> dict[str, Decimal]:
        """What the bank must hold on each account afterwards: computed here, from nothing of the engine's."""
        cents = [0] * self.accounts
        for movement in self.movements():
            cents[movement.account] += movement.cents if movement.credit else -movement.cents
        return {account_number(n): OPENING + Decimal(c) / 100 for n, c in enumerate(cents)}


def body(movement: Movement) -> bytes:
    """One notification as the specification writes it."""
    place, account, cents, credit = movement
    return (
        f'{{"message_id":"CAMT054-{place:09d}","account_id":"{account_number(account)}",'
        f'"currency":"{CURRENCY}","credit_debit_indicator":"{"CRDT" if credit else "DBIT"}",'
        f'"amount":"{cents // 100}.{cents % 100:02d}","bank_reference":"BNK-REF-{place:09d}",'
        f'"end_to_end_id":"E2E-TXN-{place:09d}"}}'
    ).encode()


def account_number(n: int) -> str:
    """An Emirati IBAN with right check digits."""
    basic = f"033{n:016d}"
    check = 98 - int(f"{basic}101400") % 97  # A = 10, E = 14
    return f"AE{check:02d}{basic}"


def account_id(n: int) -> UUID:
    return UUID(int=(0xE << 124) | n)


def open_accounts(url: str, count: int) -> None:
    """Open the workload's accounts in an empty database, and let PostgreSQL know how many there are."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO banks (id, name) VALUES (%s, 'Bank of the benchmark')", [_BANK])
        with connection.transaction():
            with connection.cursor().copy(
                "COPY emi_accounts (id, bank_id, account_number, currency, ledger_balance,"
                " bank_reported_balance) FROM STDIN"
            ) as copy:
                for n in range(count):
                    ledger = OPENING if n % 50 == 49 else LEDGER
                    copy.write_row((account_id(n), _BANK, account_number(n), CURRENCY, ledger, OPENING))
            connection.execute(
                "INSERT INTO account_openings (account_id, balance, as_of, actor)"
                " SELECT id, bank_reported_balance, now(), 'benchmark' FROM emi_accounts"
            )
        connection.execute("VACUUM ANALYZE emi_accounts")


def open_polled(
    url: str, connection_name: str, accounts: list[tuple[str, str]], balance: Decimal, due_at: datetime
) -> None:
    """Open accounts, by number and the bank's name for each, that hold `balance` on both sides and whose bank is asked
    over a connection: all of them at `due_at`, and again an hour later.
    """
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        copy_into = connection.cursor().copy
        keys = [UUID(int=(0xF << 124) | n) for n in range(len(accounts))]
        columns = "id, bank_id, account_number, currency, ledger_balance, bank_reported_balance, reconciliation_status,"
        with copy_into(f"COPY emi_accounts ({columns} last_reconciliation_at) FROM STDIN".encode()) as copy:
            for key, (number, _) in zip(keys, accounts, strict=True):
                copy.write_row((key, _BANK, number, CURRENCY, balance, balance, "OK", "2025-01-01T00:00Z"))
        columns = "account_id, connection, resource, every_minutes, offset_seconds, next_slot_at, set_by, set_at"
        with copy_into(f"COPY account_polling ({columns}) FROM STDIN".encode()) as copy:
            for key, (_, resource) in zip(keys, accounts, strict=True):
                row = (key, connection_name, resource, 60, int(due_at.timestamp()) % 3600, due_at)
                copy.write_row((*row, "benchmark", "2025-01-01T00:00Z"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE emi_accounts")
        connection.execute("VACUUM ANALYZE account_polling")


def expect_all(url: str, workload: Workload) -> None:
    """Announce every credit as a funding, and hold the tokens of every debit as a payout."""
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        for credit, table, columns, rest in (
            (True, "fundings", "announced_by, announced_at, expires_at", ["EXPECTED", "benchmark"]),
            (False, "payouts", "requested_by, requested_at, expires_at", ["HELD", "benchmark"]),
        ):
            with connection.cursor().copy(
                f"COPY {table} (id, account_id, end_to_end_id, amount, holder, state, {columns}) FROM STDIN".encode()
            ) as copy:
                for m in workload.movements():
                    if m.credit is credit:
                        amount = Decimal(m.cents) / 100
                        name = f"E2E-TXN-{m.place:09d}"
                        row = [UUID(int=m.place), account_id(m.account), name, amount, "unattributed", *rest]
                        copy.write_row((*row, "2025-01-01T00:00Z", "2099-01-01T00:00Z"))
        connection.execute("ANALYZE fundings, payouts")


def check(url: str, workload: Workload) -> None:
    """Every message recorded once, and every position what an independent sum says. Raises AssertionError."""
    with psycopg.connect(url) as connection:
        states: dict[str, int] = dict(
            connection.execute("SELECT state, count(*) FROM bank_messages GROUP BY 1").fetchall()
        )
        assert states == {"RECORDED": workload.messages}, f"messages by state: {states}"
        stored = connection.execute("SELECT count(*), count(DISTINCT message_id) FROM bank_entries").fetchone()
        assert stored == (workload.messages, workload.messages), f"entries, and their messages: {stored}"
        held: dict[str, Decimal] = dict(
            connection.execute("SELECT account_number, bank_reported_balance FROM emi_accounts")
        )
        expected = workload.positions()
        wrong = [number for number, position in expected.items() if held[number] != position]
        assert not wrong, f"{len(wrong)} positions differ, first {wrong[0]}"
