"""An account's trend as people ask for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from token_engine.domain.backing import bounds, policy_for
from token_engine.domain.drift import crossing, drift_of
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.trend import DAYS_KEPT, Trend, trend_of
from token_engine.storage import positions, trends
from token_engine.storage.database import Transaction
from token_engine.tiers import accounts

LAST: Final = 24
"""Observations that are shown: six hours of one each quarter of an hour."""


async def view(tx: Transaction, name: str, now: datetime) -> dict[str, Any] | None:
    """The trend of account `name` (id or number) on the days that are over, the bounds of its verdict with when each
    would be crossed, its days, and what the bank said last; None if there is no such account.
    """
    account = await accounts.show(tx, name, now)
    if account is None:
        return None
    key, currency, today = UUID(account["id"]), account["currency"], now.astimezone(UTC).date()
    days = await trends.days(tx, key, today - timedelta(days=DAYS_KEPT))
    raised, looked_at = await trends.state(tx, key)
    last = await trends.last_observations(tx, key, LAST)
    trend = trend_of([day for day in days if day.day < today], lasting=raised is not None)
    policy = policy_for(await positions.all_policies(tx), key, currency)
    bank = EXACT.subtract(last[0]["balance"], last[0]["explained"]) if last else Decimal(0)
    drift = drift_of(trend, bank, policy) if trend is not None else None

    def money(amount: Decimal | None) -> str | None:
        return None if amount is None else in_currency(amount, currency)

    below, above = bounds(bank, policy)
    crossings = {
        b: crossing(trend, b) if trend is not None and drift is not None else None for b in (*reversed(below), *above)
    }
    return {
        "account_id": account["id"],
        "account_number": account["account_number"],
        "currency": currency,
        "difference": money(last[0]["difference"]) if last else None,
        "as_of": last[0]["as_of"] if last else None,
        "trend": None if trend is None else _said(trend, currency),
        "direction": drift and drift.direction,
        "drift_raised": raised is not None,
        "next_bound": money(drift.bound.difference) if drift and drift.bound else None,
        "crosses_at": drift and drift.crosses_at,
        "bounds": [
            {"difference": money(bound.difference), "beyond": bound.beyond, "crosses_at": at}
            for bound, at in crossings.items()
        ],
        "observations": await trends.observations(tx, key, days[0].day, days[-1].day) if days else 0,
        "looked_at": looked_at,
        "days": [{"day": day.day, "low": money(day.low), "high": money(day.high)} for day in days],
        "last_observations": [
            row | {name: money(row[name]) for name in ("balance", "explained", "ledger_balance", "difference")}
            for row in last
        ],
    }  # fmt: skip


def _said(trend: Trend, currency: str) -> dict[str, Any]:
    return {
        "shape": trend.shape,
        "since": trend.since,
        "until": trend.until,
        "days": trend.days,
        "slope_per_day": in_currency(trend.slope, currency),
        "consistency": str(trend.consistency),
        "level": in_currency(trend.level, currency),
        "lowest": in_currency(trend.lowest, currency),
        "highest": in_currency(trend.highest, currency),
        "changed_on": trend.changed_on,
        "changed_by": None if trend.changed_by is None else in_currency(trend.changed_by, currency),
    }
