"""What is said of matches, of requests to force one, and of what nothing answers for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from token_engine.domain.matching import DEFAULT_POLICY, KEYS, RULES, Pass, agreed
from token_engine.domain.money import in_currency, sum_exactly
from token_engine.domain.open_item import Reason
from token_engine.domain.person import ENGINE
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.words import account_number
from token_engine.storage import accounts, matches
from token_engine.storage.database import Transaction
from token_engine.tiers.acceptance import as_account_id

LARGEST_PAGE: Final = 1000
_LARGEST_NUMBER: Final = 2**63
_REFERENCES: Final = (*dict.fromkeys(key for _, key in KEYS), "batch_reference")


async def show(tx: Transaction, match_id: int) -> dict[str, Any] | None:
    """A match explained: its pass and the rule behind it, the fields that agreed, how sure it is, both sides, what else
    could have been meant, who made it when. Also one that was taken apart, as its story tells it. None: there is none.
    """
    if not 0 < match_id < _LARGEST_NUMBER:
        return None
    rows, story = await matches.rows(tx, match_id), await matches.story(tx, match_id)
    if not rows and not story:
        return None
    told = story[0] if story else None
    if rows:
        account_id, rule = rows[0]["account_id"], Pass(rows[0]["pass"])
        entry_ids = [row["entry_id"] for row in rows if row["entry_id"] is not None]
        movement_ids = [row["movement_id"] for row in rows if row["movement_id"] is not None]
        statement_id, made_at = rows[0]["statement_id"], rows[0]["made_at"]
    else:
        assert told is not None
        account_id, rule, statement_id = told["account_id"], Pass(told["pass"]), told["statement_id"]
        entry_ids, movement_ids, made_at = told["entry_ids"], told["movement_ids"], None
    made = next((event for event in story if event["happening"] == "made"), None)
    [account] = await accounts.listing(tx, key=account_id, limit=1)
    currency = account["currency"]
    entries, movements = await matches.entries(tx, entry_ids), await matches.movements(tx, movement_ids)
    if made is not None:
        others = made["alternatives"]
    else:
        others = await alternatives(tx, account_id, currency, entries, movements)
    sums = sum_exactly(e["amount"] for e in entries), sum_exactly(m["amount"] for m in movements)
    return {
        "match_id": match_id,
        "account_id": str(account_id),
        "account_number": account["account_number"],
        "currency": currency,
        "state": "MATCHED" if rows else "UNMATCHED",
        "pass": rule,
        "rule": RULES[rule].text,
        "confidence": RULES[rule].confidence,
        "agreed": agreed(entries, movements) if entries and movements else {},
        "entries_sum": in_currency(sums[0], currency),
        "movements_sum": in_currency(sums[1], currency),
        "difference": in_currency(sums[0] - sums[1], currency),
        "entries": [_side(e, currency) for e in entries],
        "movements": [_side(m, currency) for m in movements],
        "alternatives": others,
        "statement_id": statement_id,
        "made_by": made["actor"] if made else ENGINE,
        "made_at": made["at"] if made else made_at,
        "story": [
            {name: event[name] for name in ("happening", "actor", "reason", "at", "request_id")} for event in story
        ],
    }


async def alternatives(
    tx: Transaction, account_id: UUID, currency: str, entries: Sequence[dict[str, Any]],
    movements: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Open items that could be meant instead: with a reference in common, or of an equal amount within the window."""
    sides = [*entries, *movements]
    days = [day for side in sides if (day := _day(side)) is not None]
    if not days:
        return []
    window = timedelta(days=(await matches.policy(tx, account_id) or DEFAULT_POLICY).window_days)
    found = await matches.alternatives(
        tx, account_id, entry_ids=[e["entry_id"] for e in entries],
        movement_ids=[m["movement_id"] for m in movements], amounts=list({side["amount"] for side in sides}),
        references=list({side[name] for side in sides for name in _REFERENCES if side.get(name)}),
        since=min(days) - window, until=max(days) + window,
    )  # fmt: skip
    return [
        {
            "entry_id": row["entry_id"],
            "movement_id": row["movement_id"],
            "amount": in_currency(row["amount"], currency),
            "dated": row["dated"].isoformat(),
            "shares": [*(row["shared"] or []), *(["amount"] if row["same_amount"] else [])],
        }
        for row in found
    ]


async def listing(
    tx: Transaction, *, account: str | None = None, statement_id: int | None = None, rule: str | None = None,
    before: int | None = None, limit: int = 100,
) -> list[dict[str, Any]]:  # fmt: skip
    """Matches, newest first; `before` is the number of the last one seen. Raises RefusedError."""
    if rule is not None and rule not in set(Pass):
        raise RefusedError("invalid_request", f"pass: {rule[:20]!r} is none of {', '.join(Pass)}", "pass")
    found = await matches.listing(
        tx, account_id=await account_named(tx, account), statement_id=statement_id, rule=rule, before=before,
        limit=min(limit, LARGEST_PAGE),
    )  # fmt: skip
    return [{**row, "account_id": str(row["account_id"]), "confidence": RULES[row["pass"]].confidence} for row in found]


async def request(tx: Transaction, number: int) -> dict[str, Any]:
    """One request to match unequal sums, which is known to be there."""
    [row] = await matches.requests(tx, number=number)
    return _request(row)


async def requests(tx: Transaction, *, account: str | None, pending: bool, limit: int) -> list[dict[str, Any]]:
    """Requests to match unequal sums, newest first. Raises RefusedError."""
    account_id = await account_named(tx, account)
    found = await matches.requests(tx, account_id=account_id, pending=pending, limit=min(limit, LARGEST_PAGE))
    return [_request(row) for row in found]


async def open_items(
    tx: Transaction, now: datetime, *, account: str | None = None, side: str | None = None, reason: str | None = None,
    older_than_days: int | None = None, after: int | None = None, limit: int = 100,
) -> list[dict[str, Any]]:  # fmt: skip
    """What nothing answers for, oldest first, with its age in days, the reason that its facts suggest, and whom it may
    belong to. `after` is the id of the last one seen. Raises RefusedError.
    """
    if side not in (None, "bank", "ledger"):
        raise RefusedError("invalid_request", "side: bank or ledger", "side")
    if reason is not None and reason not in set(Reason):
        raise RefusedError("invalid_request", f"reason: {reason[:20]!r} is none of {', '.join(Reason)}", "reason")
    today = now.astimezone(UTC).date()
    days = min(older_than_days or 0, (today - date.min).days)
    found = await matches.open_items(
        tx, account_id=await account_named(tx, account), side=side, reason=reason, today=today,
        dated_before=today - timedelta(days=days) if older_than_days is not None else None, after=after,
        limit=min(limit, LARGEST_PAGE),
    )  # fmt: skip
    return [
        {
            **row,
            "account_id": str(row["account_id"]),
            "side": "bank" if row["entry_id"] is not None else "ledger",
            "amount": in_currency(row["amount"], row["currency"]),
            "candidates": row["candidates"] or [],
        }
        for row in found
    ]


async def account_named(tx: Transaction, name: str | None) -> UUID | None:
    """The account that is meant; None where none is named. Raises RefusedError: none is known by the name."""
    if name is None:
        return None
    key = as_account_id(name)
    rows = await accounts.listing(tx, key=key, limit=1) if key else []
    rows = rows or await accounts.listing(tx, number=account_number(name), limit=1)
    if not rows:
        raise RefusedError("unknown_account", f"account_id: no account {name[:50]!r} is known here", "account_id")
    found: UUID = rows[0]["id"]
    return found


def _side(row: dict[str, Any], currency: str) -> dict[str, Any]:
    hidden = ("account_id", "match_id", "met_by", "met", "booked", "reversed_by")
    told = {name: value for name, value in row.items() if name not in hidden and value is not None}
    return told | {"amount": in_currency(row["amount"], currency)}


def _day(side: dict[str, Any]) -> date | None:
    if side.get("value_date") is not None:
        day: date = side["value_date"]
        return day
    at: datetime | None = side.get("at")
    return at.astimezone(UTC).date() if at is not None else side.get("booking_date")


def _request(row: dict[str, Any]) -> dict[str, Any]:
    difference: Decimal = row["difference"]
    return {**row, "account_id": str(row["account_id"]), "difference": in_currency(difference, row["currency"])}
