"""Matching of statements against the token ledger, as set operations: the statements are in matching.sql.

A million lines meet a million movements in the time that a few passes over them take: one grouping for each key, no
nested loop. What is matched and what is left is decided by the rules of `domain/matching.py` alone, never by the order
in which rows lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg.rows import dict_row

from token_engine.domain import open_item
from token_engine.domain.matching import DEFAULT_POLICY, KEYS, SUMS, Pass
from token_engine.storage.database import Transaction
from token_engine.storage.queries import load

_sql = load("matching")
_TEMPORARY: Final = frozenset(
    {
        "one_to_one", "rest", "by_details", "kin", "forget_found", "alike", "sums", "near", "amount_date",
        "suggest_by_key", "suggest_by_amount", "recent",
    }
)  # fmt: skip
"""Statements on temporary tables, and lines of named statements: no nested loops there, whatever the planner thinks of
sizes that no statistics know yet. What looks into tables that hold years may look up a row at a time.
"""

_PAIRS: Final = frozenset({"met", "one_to_one", "amount_date"})
"""Passes of which each row names two items, an entry and a movement; a row of another names one at least."""
_TABLES: Final = (
    "accounts", "reversed", "unstated", "open", "found", "details", "kin", "near", "recent", "residue",
)  # fmt: skip
_SETTINGS: Final = {
    "seqscan": "on", "hashjoin": "on", "mergejoin": "on", "bitmapscan": "on", "plans": "force_custom_plan",
    "memory": "256MB",
}  # fmt: skip
"""A grouping of two million rows in memory; PostgreSQL takes of it what it needs."""

_KIN: Final[tuple[tuple[Pass, str], ...]] = tuple(
    dict.fromkeys((p, "instruction_id" if key == "transaction_id" else key) for p, key in KEYS)
)


class Counts(NamedTuple):
    """Booked lines of a statement: those that something answers for, and those that nothing does."""

    matched: int
    unmatched: int


async def match(tx: Transaction, statement_ids: Sequence[int], now: datetime) -> dict[int, Counts]:
    """Match the booked lines of these statements, and what earlier ones left open on their accounts, with the
    movements that answer for money at the bank; keep what is left as open items. `now` has a time zone.

    Call with the accounts locked, after the lines have their `entry_id` and before anything else needs the plans of
    the connection to be others. These statements count as standing, whatever state their rows have yet.
    """
    run = _Run(tx, statement_ids, now)
    cursor = tx.connection.cursor(row_factory=dict_row)
    await cursor.execute(_sql.current_settings)
    [before] = await cursor.fetchall()
    await tx.execute(_sql.settings, _SETTINGS)
    await run.gather()
    await run.pair()
    while await run.group() and await run.pair():
        pass  # what several took may leave two that a key names alone, and these again a sum
    await run.guess()
    counts = await run.keep()
    for table in _TABLES:
        await tx.execute(f"DROP TABLE IF EXISTS matching_{table}".encode())
    await tx.execute(_sql.settings, before)
    return counts


class _Run:
    """One run over the temporary tables."""

    def __init__(self, tx: Transaction, statement_ids: Sequence[int], now: datetime) -> None:
        self._tx = tx
        self._statements = list(statement_ids)
        self._common = {"statements": self._statements, "now": now}
        self._open = 0
        """Items of both sides that nothing had been found for when they were last counted; `_found`: how many of them
        at least rows written since name.
        """
        self._found = 0
        self._matches = 0
        """Rows of matches written so far."""

    async def gather(self) -> None:
        """Both sides into `matching_open`; what no statement lists into the open items."""
        policy = DEFAULT_POLICY
        await self._do(
            "accounts", passes=[p.value for p in policy.passes], window_days=policy.window_days,
            counterparty_needed=policy.counterparty_needed,
        )  # fmt: skip
        await self._analyze("accounts")
        for name in ("reversed", "broken", "close_reversed", "unstated", "close_stated", "covered", "keep_unstated"):
            await self._do(name)
        self._open = await self._do("open")
        await self._analyze("open")
        await self._do("found")

    async def pair(self) -> bool:
        """What is said to belong together, and one to one by every key. Whether there was any."""
        before = self._matches
        await self._find("met")
        await self._find("returned")
        shared = await self._shared_keys()
        for rule, key in KEYS:
            # Most ledgers know one reference of the bank's many: the others pair nothing, and cost as much.
            if key in shared:
                await self._find("one_to_one", key=key, shared=list(shared), **{"pass": rule})
                if self._found * 2 > self._open:
                    await self._go_on_with_the_rest()
        await self._go_on_with_the_rest()
        return self._matches > before

    async def group(self) -> bool:
        """Lines of several payments, several alike under a key, and sums inside a reference. Whether there was any."""
        before = self._matches
        for table in ("details", "kin"):
            await self._tx.execute(f"DROP TABLE IF EXISTS matching_{table}".encode())
        await self._do("details")
        await self._find("by_details")
        await self._do("kin")
        await self._analyze("kin")
        for rule, key in _KIN:
            await self._found_in_kin("alike", rule, key)
        for key in SUMS:
            await self._found_in_kin("sums", Pass.BATCH, key)
        await self._go_on_with_the_rest()
        return self._matches > before

    async def guess(self) -> None:
        """By amount and date, where only one can be meant; what may be meant else is suggested."""
        await self._do("forget_suggestions")
        await self._do("suggest_by_key")
        cursor = await self._tx.execute(b"SELECT DISTINCT window_days FROM matching_accounts")
        for (window,) in await cursor.fetchall():
            await self._do("near", window=window)
            await self._analyze("near")
            await self._find("amount_date", window=window)
            await self._do("suggest_by_amount", window=window)
            await self._tx.execute(b"DROP TABLE matching_near")
        await self._go_on_with_the_rest()

    async def keep(self) -> dict[int, Counts]:
        """Write matches and open items, and say how many lines have an answer."""
        cursor = await self._tx.execute(_sql.recent_statements, self._common)
        await self._do("recent", recent=[row[0] for row in await cursor.fetchall()])
        await self._do(
            "residue", return_codes=open_item.RETURN_CODES, return_words=open_item.RETURN_WORDS,
            interest_codes=open_item.INTEREST_CODES, interest_words=open_item.INTEREST_WORDS,
            fee_codes=open_item.FEE_CODES, fee_words=open_item.FEE_WORDS, small=open_item.SMALL_DEBIT,
        )  # fmt: skip
        await self._analyze("residue")
        for name in ("keep_matches", "close_found", "keep_waiting"):
            await self._do(name)
        await self._do("keep_new")
        await self._do("keep_cursors")
        cursor = await self._tx.execute(_sql.counts, self._common)
        counted = {row[0]: Counts(row[1], row[2]) for row in await cursor.fetchall()}
        return {number: counted.get(number, Counts(0, 0)) for number in self._statements}

    async def _found_in_kin(self, name: str, rule: Pass, key: str) -> None:
        if await self._find(name, key=key, **{"pass": rule}):
            await self._do("forget_found", **{"pass": rule})

    async def _shared_keys(self) -> set[str]:
        """The keys that something on either side has."""
        cursor = self._tx.connection.cursor(row_factory=dict_row)
        await cursor.execute(_sql.keys_known)
        sides = await cursor.fetchall()
        return {key for _, key in KEYS if len(sides) == 2 and all(side[key] for side in sides)}

    async def _find(self, name: str, **more: Any) -> int:
        """Run a pass; how many rows it wrote into `matching_found`."""
        found = await self._do(name, **more)
        self._matches += found
        self._found += found * 2 if name in _PAIRS else found
        return found

    async def _go_on_with_the_rest(self) -> None:
        """Leave out what the passes since have found."""
        if not self._found:
            return
        if self._found == self._open:  # of most statements, nothing is left
            self._found = self._open = 0
            await self._tx.execute(b"TRUNCATE matching_open")
            return
        self._found = 0
        self._open = await self._do("rest")
        await self._tx.execute(b"DROP TABLE matching_open")
        await self._tx.execute(b"ALTER TABLE matching_rest RENAME TO matching_open")
        await self._analyze("open")

    async def _do(self, name: str, **more: Any) -> int:
        """Run a statement; how many rows it wrote."""
        if name in _TEMPORARY:
            await self._tx.execute(b"SET LOCAL enable_nestloop = off")
        cursor = await self._tx.connection.execute(getattr(_sql, name), self._common | more, prepare=False)
        if name in _TEMPORARY:
            await self._tx.execute(b"SET LOCAL enable_nestloop = on")
        return cursor.rowcount

    async def _analyze(self, table: str) -> None:
        await self._tx.execute(f"ANALYZE matching_{table}".encode())
