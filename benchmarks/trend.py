"""Trends over 30 days of 15-minute observations: all recomputed from the database, and one more observation of each
account taken in.

    python -m benchmarks.trend recompute DATABASE-URL ACCOUNTS     in a process of its own; prints figures as JSON
    python -m benchmarks.trend extend DATABASE-URL ACCOUNTS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import psycopg

from benchmarks.figure import Figure
from benchmarks.servers import Servers, run_module
from token_engine.domain.account import Account
from token_engine.domain.backing import DEFAULT_POLICY
from token_engine.domain.drift import drift_of
from token_engine.domain.trend import Shape, trend_of
from token_engine.storage import positions, trends
from token_engine.storage.database import Database, Transaction, pipelined_transaction
from token_engine.tiers.changes import Changes
from token_engine.tiers.trend import Observed, extend

ACCOUNTS: Final = 1_000
ACCOUNTS_FULL: Final = 10_000
DAYS: Final = 30
BATCH: Final = 1_000
"""Accounts that a sweep takes in with one transaction."""
ALONE: Final = 500
_END: Final = datetime(2026, 11, 1, tzinfo=UTC)

# Receipts wait by day and are allocated by evening; every hundredth account drifts. No keys are looked up and no index
# is kept up while rows are written: what is measured is reading them.
_FILL: Final = """
SET session_replication_role = replica;
SET maintenance_work_mem = '512MB';
INSERT INTO banks (id, name) VALUES (md5('bank')::uuid, 'Bank');
INSERT INTO emi_accounts (id, bank_id, account_number, currency, ledger_balance, bank_reported_balance, created_at)
SELECT md5('account ' || n)::uuid, md5('bank')::uuid, 'AE' || lpad(n::text, 21, '0'), 'AED', 100000000, 100000000,
    '2026-09-01Z' FROM generate_series(1, {accounts}) n;
DROP INDEX balance_observations_of_account;
ALTER TABLE balance_observations DROP CONSTRAINT balance_observations_of_poll;
INSERT INTO balance_observations (account_id, poll_id, observed_at, as_of, balance, balance_type, ledger_balance,
    position_balance, explained, difference, level)
SELECT a.id, p.n * 100000 + a.n, p.at + interval '1 second', p.at, 100000000 + d.difference, 'interimBooked',
    100000000, 100000000 + d.difference, 0, d.difference, 'Ok'
FROM (SELECT n, timestamptz '2026-10-02Z' + n * interval '15 minutes' AS at FROM generate_series(0, {polls} - 1) n) p
CROSS JOIN (SELECT n, md5('account ' || n)::uuid AS id FROM generate_series(1, {accounts}) n) a
CROSS JOIN LATERAL (SELECT round((CASE WHEN p.n % 96 BETWEEN 20 AND 80
    THEN (a.n % 5000) * (1 - abs(p.n % 96 - 50) / 30.0) ELSE 0 END
    + CASE WHEN a.n % 100 = 0 THEN p.n ELSE 0 END + (p.n * 31 + a.n * 17) % 7 / 100.0)::numeric, 2)
    AS difference) d;
ALTER TABLE balance_observations ADD CONSTRAINT balance_observations_of_poll UNIQUE (poll_id);
CREATE INDEX balance_observations_of_account ON balance_observations (account_id, as_of);
SET session_replication_role = origin;
VACUUM ANALYZE balance_observations;
VACUUM ANALYZE emi_accounts;
"""


def run(servers: Servers, *, full: bool) -> Iterator[Figure]:
    """Recompute everything, then take in the next day's first observation of each account, and later ones."""
    accounts = ACCOUNTS_FULL if full else ACCOUNTS
    rows = accounts * DAYS * 96
    with servers.arena(0, []) as arena:
        with psycopg.connect(arena.admin_url, autocommit=True) as connection:
            for statement in _FILL.format(accounts=accounts, polls=DAYS * 96).split(";\n"):
                if statement.strip():
                    connection.execute(statement.encode())
        done = json.loads(run_module("benchmarks.trend", "recompute", arena.database_url, str(accounts), within=900))
        yield Figure(f"trends of {accounts:,} accounts recomputed from {rows:,} observations", done["seconds"], "s")
        yield Figure("the same, reading the observations alone", done["reading"], "s")
        took = json.loads(run_module("benchmarks.trend", "extend", arena.database_url, str(accounts), within=900))
    yield Figure("an observation taken into its trend", took["later"], "ms")
    yield Figure("the same, the first of a day, which looks at the trend", took["first"], "ms")
    yield Figure("the same, alone in its transaction, without the commit", took["alone"], "ms")


async def recompute(url: str, accounts: int) -> dict[str, float]:
    """Make all days again, and every account's trend and drift of them; seconds."""
    database = Database(url, pool_size=1)
    await database.open()
    started = time.perf_counter()
    async with database.transaction() as tx:
        wrong = await trends.recompute(tx)
    reading = time.perf_counter() - started
    today = _END.date()
    drifts = 0
    async with database.transaction() as tx:
        ids = [row[0] for row in await (await tx.execute(b"SELECT id FROM emi_accounts")).fetchall()]
        for page in range(0, len(ids), BATCH):
            for known in (await trends.load(tx, ids[page : page + BATCH], today)).values():
                trend = trend_of(known.days)
                assert trend is not None
                drifts += trend.shape is Shape.DRIFT
                drift_of(trend, Decimal(100_000_000), DEFAULT_POLICY)
    seconds = time.perf_counter() - started
    assert len(wrong) == accounts * DAYS, len(wrong)
    assert drifts == accounts // 100, drifts
    await database.close()
    return {"seconds": seconds, "reading": reading}


async def take_in(url: str, accounts: int) -> dict[str, float]:
    """Milliseconds for each observation in batches with their commits, and alone without. Each is its day's highest so
    far, so that its row is written. The accounts' locks, which the road has anyway, are not taken.
    """
    connection = await Database(url).connect_for_the_road()
    rows = await (await connection.execute(b"SELECT id FROM emi_accounts ORDER BY id")).fetchall()
    found = await positions.lock_ids(Transaction(connection), [row[0] for row in rows])
    assert len(found) == accounts
    took = {}
    for hour, word in enumerate(("first", "later")):
        started = time.perf_counter()
        for page in range(0, accounts, BATCH):
            async with pipelined_transaction(connection) as tx:
                await _take(tx, found[page : page + BATCH], _END + timedelta(hours=hour))
        took[word] = 1000 * (time.perf_counter() - started) / accounts
    alone = 0.0
    for account in found[:ALONE]:
        async with pipelined_transaction(connection) as tx:
            started = time.perf_counter()
            await _take(tx, [account], _END + timedelta(hours=2))
            alone += time.perf_counter() - started
    await connection.close()
    return took | {"alone": 1000 * alone / ALONE}


async def _take(tx: Transaction, accounts: list[Account], at: datetime) -> None:
    changes = Changes(at)
    await extend(tx, changes, [Observed(a, at, Decimal(100_000_000), Decimal(at.hour)) for a in accounts], at)
    await changes.write(tx)


def main() -> None:
    match sys.argv[1:]:
        case ["recompute", url, accounts]:
            print(json.dumps(asyncio.run(recompute(url, int(accounts)))))
        case ["extend", url, accounts]:
            print(json.dumps(asyncio.run(take_in(url, int(accounts)))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
