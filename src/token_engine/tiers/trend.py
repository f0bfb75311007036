"""Tier 2's trend: observations that were judged are taken into their days; a drift is raised before it crosses a bound,
once while it lasts, kept at its latest figures, and resolved when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from token_engine.domain.account import Account
from token_engine.domain.discrepancy import DRIFT, Happening
from token_engine.domain.drift import Direction, Drift, drift_of, still_there, to_be_raised
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.standing import Discrepancy
from token_engine.domain.trend import Shape, Trend, trend_of
from token_engine.storage import trends, unresolved
from token_engine.storage.database import Transaction
from token_engine.storage.trends import Known, Looked, SeenDay
from token_engine.storage.unresolved import Unresolved
from token_engine.tiers import events, resolving
from token_engine.tiers.changes import Changes

_AT_ONCE: Final = 16
"""Accounts whose trend is computed before others of this process may go on: some milliseconds."""


class Observed(NamedTuple):
    """An observation as it was judged. `account` with the policy that holds for it; `bank` is the balance less what was
    explained, `difference` that less the ledger balance, in major units; `as_of` is the bank's reference time (with a
    time zone).
    """

    account: Account
    as_of: datetime
    bank: Decimal
    difference: Decimal


class Extended(NamedTuple):
    """`suspected`: of each account, whether it is seen to drift, near a bound or not. `alarms`: what was raised, in the
    words of its event, for the log of whoever commits.
    """

    suspected: dict[UUID, bool]
    alarms: list[dict[str, Any]]


async def extend(tx: Transaction, changes: Changes, observed: Sequence[Observed], now: datetime) -> Extended:
    """Take observations in (late, repeated and in any order) and judge the trend of those accounts for which a day is
    over; of a closed one nothing is raised. Call in the transaction that keeps them, under the accounts' locks;
    `changes` is the caller's to write.
    """
    today = now.astimezone(UTC).date()
    if not observed:
        return Extended({}, [])
    latest: dict[UUID, Observed] = {}
    for each in sorted(observed, key=lambda o: o.as_of):
        latest[each.account.id] = each
    due, drifted = await trends.fold(tx, _days(observed), today)
    extended = Extended(drifted, [])
    due = [account_id for account_id in due if latest[account_id].account.closed_at is None]
    if not due:
        return extended
    known = await trends.load(tx, due, today)
    seen: list[tuple[Observed, Known, Trend | None]] = []
    for number, account_id in enumerate(sorted(due)):
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        lasting = known[account_id].drifting is not None
        seen.append((latest[account_id], known[account_id], trend_of(known[account_id].days, lasting=lasting)))
    drifts = {
        o.account.id: drift_of(trend, o.bank, o.account.policy)
        for o, _, trend in seen
        if trend is not None and trend.shape is Shape.DRIFT
    }
    concerned = {o.account.id for o, k, _ in seen if k.drifting is not None} | drifts.keys()
    rows = await unresolved.of_types(tx, concerned, [DRIFT]) if concerned else []
    open_now = {(row.account_id, row.subject): row for row in rows}
    looked = []
    for each, before, trend in seen:
        drift = drifts.get(each.account.id)
        drifting = _settle(changes, each, before.drifting, drift, open_now, now, extended.alarms)
        extended.suspected[each.account.id] = drift is not None
        looked.append(_looked(each.account.id, trend, drift, drifting, today, now))
    await trends.save(tx, looked)
    return extended


def _days(observed: Sequence[Observed]) -> list[SeenDay]:
    found: dict[tuple[UUID, date], SeenDay] = {}
    for each in observed:
        key = each.account.id, each.as_of.astimezone(UTC).date()
        was = found.get(key)
        low = each.difference if was is None else min(was.low, each.difference)
        high = each.difference if was is None else max(was.high, each.difference)
        found[key] = SeenDay(*key, low, high)
    return list(found.values())


def _looked(
    account_id: UUID, trend: Trend | None, drift: Drift | None, drifting: Direction | None, today: date, now: datetime
) -> Looked:
    shape, slope = (trend.shape, trend.slope) if trend is not None else (Shape.TOO_SHORT, Decimal(0))
    return Looked(
        account_id, today - timedelta(days=1), now, shape, slope, trend.since if trend is not None else None, drifting,
        drift.crosses_at if drift is not None else None,
    )  # fmt: skip


def _settle(
    changes: Changes, observed: Observed, before: Direction | None, drift: Drift | None,
    open_now: dict[tuple[UUID, str], Unresolved], now: datetime, alarms: list[dict[str, Any]],
) -> Direction | None:  # fmt: skip
    """Raise, update or resolve; which way the account drifts from now on."""
    account = observed.account
    if before is not None:
        row = open_now.get((account.id, before))
        if still_there(drift, before):
            assert drift is not None
            if row is not None:  # or a person resolved it: it is not raised again while it lasts
                changes.updated(_discrepancy(row.id, observed, drift, now))
            return before
        if row is not None:
            _over(changes, observed, row, now)
    if drift is None or not to_be_raised(drift, now):
        return None
    row = open_now.get((account.id, drift.direction))
    found = _discrepancy(uuid4() if row is None else row.id, observed, drift, now)
    content = view_of_drift(drift, observed)
    if row is None:
        changes.raised(found, account, _text(drift, account.currency), f"drift.{found.id}")
    else:
        text = _text(drift, account.currency)
        changes.returned(found, resolving.told(found, Happening.DIFFERENCE_RETURNED, text, row.assignee))
    changes.announce(
        events.DRIFT, f"drift.{found.id}.{drift.trend.until}", None, content | {"discrepancy_id": found.id}
    )
    alarms.append(content)
    return drift.direction


def _discrepancy(key: UUID, observed: Observed, drift: Drift, now: datetime) -> Discrepancy:
    reference = f"days {drift.trend.since} to {drift.trend.until}"
    return Discrepancy(
        key, observed.account.id, EXACT.subtract(observed.bank, observed.difference), observed.bank, drift.severity,
        "TREND", reference, now, None, type=DRIFT, subject=drift.direction,
    )  # fmt: skip


def _over(changes: Changes, observed: Observed, row: Unresolved, now: datetime) -> None:
    account = observed.account
    text = f"it does not drift any more; the difference is {in_currency(observed.difference, account.currency)}"
    last = row.last_seen("TREND", row.source_reference, now, None)
    resolving.resolve(changes, account, row, last, text, f"drift.{row.id}.over")


def _text(drift: Drift, currency: str) -> str:
    trend = drift.trend
    pace = f"{drift.direction} {in_currency(abs(trend.slope), currency)} {currency} a day since {trend.since}"
    assert drift.bound is not None
    assert drift.crosses_at is not None  # that is why it is raised
    bound = in_currency(drift.bound.difference, currency)
    return f"{pace}; beyond {bound} ({drift.bound.beyond}) from {drift.crosses_at:%Y-%m-%dT%H:%M:%SZ} on"


def view_of_drift(drift: Drift, observed: Observed) -> dict[str, Any]:
    """A drift in the words of its event and its log line."""
    account, trend = observed.account, drift.trend
    return {
        "account_id": account.id,
        "account_number": account.number,
        "currency": account.currency,
        "direction": drift.direction,
        "slope_per_day": in_currency(trend.slope, account.currency),
        "since": trend.since,
        "days": trend.days,
        "consistency": str(trend.consistency),
        "difference": in_currency(observed.difference, account.currency),
        "bound": drift.bound and in_currency(drift.bound.difference, account.currency),
        "beyond": drift.bound and drift.bound.beyond,
        "crosses_at": drift.crosses_at,
        "severity": drift.severity,
    }
