"""Questions and reviews: summary, health, metrics, messages, Tier 2."""

from __future__ import annotations

import base64
from collections import Counter
from io import BytesIO
from typing import Any, Final

from starlette.responses import Response

from token_engine.entrypoints.api import envelope
from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage import accounts as stored_accounts
from token_engine.storage import breakers as stored_breakers
from token_engine.storage import discrepancies as stored_discrepancies
from token_engine.storage import messages as stored_messages
from token_engine.storage import parts
from token_engine.storage import payouts as stored_payouts
from token_engine.storage import trends as stored_trends
from token_engine.telemetry import metrics
from token_engine.tiers import accounts, trend_view
from token_engine.tiers.intake import LARGEST_BODY

LARGEST_PAGE: Final = 1000


async def summary(rooms: Rooms) -> Response:
    async with rooms.database.transaction() as tx:
        return envelope.ok(await accounts.summary(tx, rooms.clock()))


async def health(rooms: Rooms) -> Response:
    """200 HEALTHY or WARNING, 503 CRITICAL (specification, "Monitoring")."""
    async with rooms.database.transaction() as tx:
        figures = await accounts.summary(tx, rooms.clock())
    word = accounts.health_word(figures)
    return envelope.ok({"status": word, **figures}, 503 if word == "CRITICAL" else 200)


async def scrape(rooms: Rooms) -> Response:
    async with rooms.database.transaction() as tx:
        discrepancies = await stored_accounts.open_discrepancies(tx)
        oldest = await stored_discrepancies.oldest_by_severity(tx)
        breakers = await stored_accounts.breakers(tx)
        under_way = Counter(act.act for act in await stored_breakers.under_way(tx, rooms.clock()))
        payouts = await stored_payouts.under_way(tx)
        drifting = await stored_trends.drifting(tx)
        unpublished, rejected = await stored_accounts.backlog(tx)
    now = rooms.clock()
    ages = {severity: (now - opened_at).total_seconds() for severity, opened_at in oldest.items()}
    text = metrics.exposition(
        discrepancies, breakers, under_way, unpublished, rejected, oldest_seconds=ages, payouts=payouts,
        drifting=drifting,
    )  # fmt: skip
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def trend(rooms: Rooms, name: str) -> Response:
    """404 where no account is named so."""
    async with rooms.database.transaction() as tx:
        view = await trend_view.view(tx, name, rooms.clock())
    return envelope.ok(view) if view else envelope.not_found("account", name)


def count_reviews(results: list[dict[str, Any]]) -> None:
    """Add committed reviews to this process's counters."""
    for result in results:
        status = "ok" if result["threshold_level"] == "Ok" else "mismatch"
        metrics.CHECKS.labels(tier="tier2", status=status).inc()


async def messages(rooms: Rooms, state: str | None, before: int | None, limit: int) -> Response:
    async with rooms.database.transaction() as tx:
        rows = await stored_messages.listing(
            tx, state=state and state.upper(), before=before, limit=min(limit, LARGEST_PAGE)
        )
    return envelope.ok({"messages": rows})


async def message(rooms: Rooms, number: int) -> Response:
    """One message; its bytes as text where they are UTF-8, else in base 64. One too large for an answer is shown by
    `token-engine messages NUMBER --raw`.
    """
    async with rooms.database.transaction() as tx:
        row = await stored_messages.one(tx, number)
        if row is None:
            return envelope.not_found("message", str(number))
        raw = row.pop("raw")
        if not raw and row["raw_size"]:
            if row["raw_size"] > LARGEST_BODY:
                return envelope.ok(row | {"raw": None, "raw_encoding": "in parts"})
            whole = BytesIO()
            await parts.read(tx, number, whole)
            raw = whole.getvalue()
    try:
        row["raw"], row["raw_encoding"] = raw.decode(), "utf-8"
    except UnicodeDecodeError:
        row["raw"], row["raw_encoding"] = base64.b64encode(raw).decode(), "base64"
    return envelope.ok(row)
