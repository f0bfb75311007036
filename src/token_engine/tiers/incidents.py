"""Incidents: a report for each time that a circuit breaker opened."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from token_engine.domain.breaker import Breaker
from token_engine.domain.closing import Closing, ClosingState
from token_engine.domain.incident import Announced, Evidence, Incident, Judgement, Noted
from token_engine.domain.money import EXACT
from token_engine.domain.override import Override, OverrideState
from token_engine.domain.period import Scope
from token_engine.domain.refusal import RefusedError
from token_engine.storage import incidents as stored
from token_engine.storage.database import Transaction
from token_engine.tiers import events
from token_engine.tiers.orders import find_account

_EVENT_OF: Final = {f"breaker_{state.value}": subject for state, subject in events.BREAKER.items()} | {
    f"breaker_{subject.rpartition('.')[2]}": subject for subject in events.BREAKER_ACTS
}
"""Which event a line of the audit log was announced by."""
_REFUSED: Final = "_refused"
_LISTED: Final = (
    "account_id", "account_number", "currency", "opened_at", "cause", "message_id", "closed_at", "closed_by",
    "closing_requested_by", "closing_approved_by", "closing_reason",
)  # fmt: skip


async def listing(tx: Transaction, name: str, currency: str | None, now: datetime) -> list[dict[str, Any]]:
    """Each time that the account's breaker opened, the latest first. Raises RefusedError as `find_account` does."""
    scope = Scope(account_id=await find_account(tx, name, currency))
    found = await stored.openings(tx, scope, now)
    return [
        {"incident_id": row["id"], **{name: row[name] for name in _LISTED}, "open": row["closed_at"] is None}
        for row in reversed(found)
    ]


async def show(tx: Transaction, number: int, now: datetime) -> Incident:
    """The report of one incident. Raises RefusedError: `unknown_incident`."""
    found = await stored.openings(tx, Scope(), now, number=number)
    if not found:
        raise RefusedError("unknown_incident", f"incident_id: no incident {number} is known here", "incident_id")
    [row] = found
    key, start, end = row["account_id"], row["opened_at"], row["closed_at"]
    till = end or now
    rows = await stored.audit(tx, key, start, till)
    audit = [Noted(**line) for line in rows[: stored.AUDIT_SHOWN]]
    message = None if row["message_id"] is None else await stored.message(tx, row["message_id"])
    closings = [
        Closing(**line | {"state": ClosingState(line["state"])}) for line in await stored.closings(tx, key, start, till)
    ]
    overrides = [
        Override(**line | {"state": OverrideState(line["state"])})
        for line in await stored.overrides(tx, key, start, till)
    ]
    return Incident(
        id=number, account_id=key, account_number=row["account_number"], currency=row["currency"], opened_at=start,
        opened_from=row["from_state"], opened_by=row["actor"], cause=row["cause"], until=end,
        seconds=None if end is None else int((end - start).total_seconds()), closed_by=row["closed_by"],
        judgement=_judgement(await stored.judgement(tx, key, start)),
        evidence=None if message is None else _evidence(message), announced=await _announced(tx, audit, row),
        refused_acts=[line for line in audit if line.action.endswith(_REFUSED)],
        refused_requests=await stored.refused_requests(tx, start, till), audit=audit,
        audit_cut=len(rows) > len(audit), closings=closings, overrides=overrides,
    )  # fmt: skip


def _judgement(row: dict[str, Any] | None) -> Judgement | None:
    if row is None or row["bank"] is None:
        return None
    return Judgement(**row, difference=EXACT.subtract(row["bank"], row["ledger"]))


def _evidence(row: dict[str, Any]) -> Evidence:
    return Evidence(
        message=row["id"], bank_message_id=row["bank_message_id"], door=row["door"], source=row["source"],
        received_at=row["received_at"], size=row["raw_size"], sha256=row["sha256"],
    )  # fmt: skip


async def _announced(tx: Transaction, audit: list[Noted], row: dict[str, Any]) -> list[Announced]:
    """The events of the breaker, which were written in the transactions of the audit log's lines."""
    told = [(_EVENT_OF[line.action], line.at) for line in audit if line.action in _EVENT_OF]
    opened = events.BREAKER[Breaker.OPEN], row["opened_at"]
    if opened not in told:
        told.insert(0, opened)
    waits = {subject: await stored.waiting(tx, subject, row["account_id"]) for subject in {s for s, _ in told}}
    return [Announced(subject=subject, at=at, published=not waits[subject]) for subject, at in told]
