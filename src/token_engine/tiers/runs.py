"""A run: somebody asks for all accounts at once, and is told where to look what came of it.

Nothing of a run lives in a process: accounts whose banks are asked are made due, and any engine asks them; the others
are judged again page by page, each page in one transaction with how far that has come.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from token_engine.domain.money import in_currency
from token_engine.domain.person import check_actor
from token_engine.storage import accounts, polling
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import intraday
from token_engine.tiers.changes import Changes

PAGE: Final = 500
"""Accounts judged in one transaction: a run must not hold all their locks at once."""
_LOST_AFTER: Final = timedelta(minutes=10)
"""Longer than any bank is waited for: a claim of that age without an outcome went with its engine."""


async def start(tx: Transaction, actor: str, now: datetime) -> dict[str, Any]:
    """Begin a run; its view. Raises RefusedError."""
    actor = check_actor(actor)
    key = uuid4()
    to_ask = await polling.start_run(tx, key, actor, now)
    changes = Changes(now)
    changes.note("intraday_run_started", None, None, {"run": str(key), "to_ask": to_ask}, actor)
    await changes.write(tx)
    view = await show(tx, key, now)
    assert view is not None  # begun in this transaction
    return view


async def review_a_page(database: Database, now: datetime) -> list[dict[str, Any]] | None:
    """Judge the next page of the oldest run that is not through; None if there is none, or another engine is at it."""
    async with database.transaction() as tx:
        run = await polling.run_to_review(tx)
        if run is None:
            return None
        key, after = run
        ids = await accounts.ids_to_review(tx, after, PAGE, unpolled=True)
        results = await intraday.review(tx, ids, now)
        await polling.reviewed(tx, key, ids[-1] if ids else None, len(results), ended=len(ids) < PAGE)
        return results


async def show(tx: Transaction, key: UUID, now: datetime) -> dict[str, Any] | None:
    """How far a run has come: RUNNING until every bank was asked and every other account judged. None: no such run."""
    run = await polling.run(tx, key)
    if run is None:
        return None
    lost = 0
    if run["waiting"] == 0 and run["asked"] > run["answered"] and now - run["started_at"] > _LOST_AFTER:
        lost = run["asked"] - run["answered"]
    through = run["review_ended"] and run["waiting"] == 0 and run["answered"] + lost >= run["asked"]
    return {
        "run_id": run["id"],
        "state": "DONE" if through else "RUNNING",
        "actor": run["actor"],
        "started_at": run["started_at"],
        "accounts_to_ask": run["waiting"] + run["asked"],
        "asked": run["asked"],
        "answered": run["answered"],
        "refused": run["refused"],
        "lost": lost,
        "ok": run["ok"],
        "mismatch": run["mismatch"],
        "accounts_reviewed": run["reviewed"],
        "last_answer_at": run["last_answer_at"],
    }


async def results(tx: Transaction, key: UUID, after: int, limit: int) -> list[dict[str, Any]]:
    """What came of a run, account by account; balances are decimal strings in major units."""
    return [_result(row) for row in await polling.run_results(tx, key, after, limit)]


def _result(row: dict[str, Any]) -> dict[str, Any]:
    said = {"poll_id": row["id"], "account_id": row["account_id"], "account_number": row["account_number"]}
    if row["level"] is None:
        refusal = {"code": row["refusal_code"], "message": row["refusal_text"]} if row["refusal_code"] else None
        return said | {"answered_at": row["answered_at"], "refusal": refusal}
    money = {name: in_currency(row[name], row["currency"]) for name in ("ledger_balance", "explained", "difference")}
    return said | {
        "answered_at": row["answered_at"],
        "observed_balance": in_currency(row["balance"], row["currency"]),
        "as_of": row["as_of"],
        "threshold_level": row["level"],
        **money,
    }
