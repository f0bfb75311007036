"""What people do with matches: make one where the sums are equal, take one apart, and, two of them, match unequal sums.

All under the account's lock, in one transaction: claims, open items, the story, the event, the audit.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from token_engine.domain.ledger import Kind
from token_engine.domain.matching import Pass
from token_engine.domain.money import EXACT, in_currency, sum_exactly
from token_engine.domain.person import check_actor, same_person
from token_engine.domain.refusal import RefusedError
from token_engine.domain.text import REASON_LENGTH, check_text
from token_engine.storage import matches, positions
from token_engine.storage.database import Transaction
from token_engine.tiers import events, match_views
from token_engine.tiers.changes import Changes

LARGEST_MATCH: Final = 1000
"""Items of a side: more than a person can have looked at."""
_MATCHABLE: Final = frozenset(
    {Kind.MINT, Kind.BURN, Kind.EMERGENCY_BURN, Kind.PAYOUT_SETTLEMENT, Kind.REPLENISHMENT, Kind.ADJUSTMENT}
)
_LARGEST_NUMBER: Final = 2**63


class NewMatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """These entries answer for these movements. One side may be empty where the other undoes itself (a payment and its
    return). The same words ask for a match of unequal sums, which a second person approves.
    """

    entry_ids: list[int]
    movement_ids: list[int]
    actor: str
    reason: str


class MatchWord(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who takes a match apart, or settles a request, and why."""

    actor: str
    reason: str


class _Sides(NamedTuple):
    account_id: UUID
    number: str
    currency: str
    entry_ids: list[int]
    movement_ids: list[int]
    difference: Decimal
    alternatives: list[dict[str, Any]]


async def make(tx: Transaction, wanted: NewMatch, now: datetime) -> dict[str, Any]:
    """Match what a person says belongs together; the match's view. `now` has a time zone.

    Raises RefusedError, as all of these do, and has then written nothing: a side is claimed already, the sums differ.
    """
    actor, reason = _words(wanted.actor, wanted.reason)
    sides = await _load(tx, wanted.entry_ids, wanted.movement_ids)
    if sides.difference:
        text = f"the entries are {_shown(sides)} apart from the movements: two people may match them all the same"
        raise RefusedError("sums_differ", text)
    return await _made(tx, sides, Pass.MANUAL, None, actor, reason, now)


async def request(tx: Transaction, wanted: NewMatch, now: datetime) -> dict[str, Any]:
    """Ask for a match of unequal sums; the request's view. Nothing is claimed before another person approves."""
    actor, reason = _words(wanted.actor, wanted.reason)
    sides = await _load(tx, wanted.entry_ids, wanted.movement_ids)
    if not sides.difference:
        raise RefusedError("sums_equal", "the sums are equal: one person matches them")
    if not sides.entry_ids or not sides.movement_ids:
        raise RefusedError("sums_differ", "one side is empty: nothing answers for the other")
    number = await matches.request(
        tx, sides.account_id, sides.entry_ids, sides.movement_ids, sides.difference, actor, reason, now
    )
    await _tell_request(tx, number, sides, "force_requested", actor, reason, now)
    return await match_views.request(tx, number)


async def approve(tx: Transaction, number: int, wanted: MatchWord, now: datetime) -> dict[str, Any]:
    """Match unequal sums as the second person; the match's view, which keeps the difference."""
    actor, reason = _words(wanted.actor, wanted.reason)
    asked = await _pending(tx, number)
    if same_person(asked["requested_by"], actor):
        raise RefusedError("same_person", f"actor: {asked['requested_by']} asked; another person approves", "actor")
    sides = await _load(tx, asked["entry_ids"], asked["movement_ids"])
    view = await _made(tx, sides, Pass.FORCED, number, actor, reason, now)
    await matches.settle_request(tx, number, "APPROVED", actor, reason, now, view["match_id"])
    return view


async def withdraw(tx: Transaction, number: int, wanted: MatchWord, now: datetime) -> dict[str, Any]:
    """Take a request back, or refuse it: anybody may, for nothing is matched by it."""
    actor, reason = _words(wanted.actor, wanted.reason)
    asked = await _pending(tx, number)
    await matches.settle_request(tx, number, "WITHDRAWN", actor, reason, now, None)
    sides = _Sides(
        asked["account_id"], asked["account_number"], asked["currency"], asked["entry_ids"], asked["movement_ids"],
        asked["difference"], [],
    )  # fmt: skip
    await _tell_request(tx, number, sides, "force_withdrawn", actor, reason, now)
    return await match_views.request(tx, number)


async def unmatch(tx: Transaction, match_id: int, wanted: MatchWord, now: datetime) -> dict[str, Any]:
    """Take a match apart; its view. Both sides are open again, and only people match them from then on."""
    actor, reason = _words(wanted.actor, wanted.reason)
    before = await match_views.show(tx, match_id)
    if before is None:
        raise RefusedError("unknown_match", f"no match {match_id} is known here", "match_id")
    account_id = UUID(before["account_id"])
    await positions.lock_ids(tx, [account_id])
    rows = await matches.rows(tx, match_id)  # a statement after the lock sees what it waited for
    if not rows:
        raise RefusedError("match_undone", f"match {match_id} was taken apart already", "match_id")
    if rows[0]["pass"] == Pass.MET:
        text = f"match {match_id} is what the movement was posted for: that was said once, when it was"
        raise RefusedError("match_not_undone", text, "match_id")
    entry_ids = [row["entry_id"] for row in rows if row["entry_id"] is not None]
    movement_ids = [row["movement_id"] for row in rows if row["movement_id"] is not None]
    await matches.undo(tx, match_id, entry_ids, movement_ids, now)
    difference = _difference(await matches.entries(tx, entry_ids), await matches.movements(tx, movement_ids))
    await matches.tell(
        tx, match_id=match_id, account_id=account_id, happening="unmatched", entry_ids=entry_ids,
        movement_ids=movement_ids, difference=difference, statement_id=rows[0]["statement_id"], request_id=None,
        alternatives="[]", actor=actor, reason=reason, at=now, **{"pass": rows[0]["pass"]},
    )  # fmt: skip
    sides = _Sides(
        account_id, before["account_number"], before["currency"], entry_ids, movement_ids, difference, []
    )  # fmt: skip
    await _tell(tx, "unmatched", sides, {"match_id": match_id, "pass": rows[0]["pass"]}, match_id, actor, reason, now)
    shown = await match_views.show(tx, match_id)
    assert shown is not None  # its story says it
    return shown


async def _load(tx: Transaction, entry_ids: list[int], movement_ids: list[int]) -> _Sides:
    """Lock the account of what is named, and hold every rule but that of the sums against it. Raises RefusedError."""
    for field, ids in (("entry_ids", entry_ids), ("movement_ids", movement_ids)):
        if len(ids) > LARGEST_MATCH or len(set(ids)) != len(ids) or not all(0 < n < _LARGEST_NUMBER for n in ids):
            raise RefusedError("invalid_request", f"{field}: up to {LARGEST_MATCH} numbers, each once", field)
    if len(entry_ids) + len(movement_ids) < 2:
        raise RefusedError("invalid_request", "entry_ids: a match has two items at least", "entry_ids")
    accounts = {e["account_id"] for e in await _entries(tx, entry_ids)}
    accounts |= {m["account_id"] for m in await _movements(tx, movement_ids)}
    if len(accounts) != 1:
        raise RefusedError("invalid_request", "entry_ids: they are of several accounts", "entry_ids")
    [account] = await positions.lock_ids(tx, accounts)
    # Statements after the lock see what it waited for.
    entries, movements = await _entries(tx, entry_ids), await _movements(tx, movement_ids)
    for entry in entries:
        _check_free("entry", "entry_ids", entry["entry_id"], entry["match_id"], met=entry["met_by"] is not None)
        if not entry["booked"]:
            text = f"entry_ids: entry {entry['entry_id']} is not booked"
            raise RefusedError("entry_not_booked", text, "entry_ids")
    for movement in movements:
        number = movement["movement_id"]
        _check_free("movement", "movement_ids", number, movement["match_id"], met=movement["met"])
        if movement["kind"] not in _MATCHABLE or movement["reversed_by"] is not None:
            what = f"is a {movement['kind']}" if movement["reversed_by"] is None else "was reversed"
            text = f"movement_ids: movement {number} {what}: it answers for no money at the bank"
            raise RefusedError("movement_not_matchable", text, "movement_ids")
    others = await match_views.alternatives(tx, account.id, account.currency, entries, movements)
    return _Sides(
        account.id, account.number, account.currency, sorted(entry_ids), sorted(movement_ids),
        _difference(entries, movements), others,
    )  # fmt: skip


def _check_free(what: str, field: str, number: int, match_id: int | None, *, met: bool) -> None:
    if match_id is not None:
        text = f"{field}: {what} {number} is in match {match_id} already"
        raise RefusedError("already_matched", text, field)
    if met:
        text = f"{field}: {what} {number} was met when it came, and is matched by that with its statement"
        raise RefusedError("already_matched", text, field)


async def _entries(tx: Transaction, ids: list[int]) -> list[dict[str, Any]]:
    found = await matches.entries(tx, ids)
    if missing := set(ids) - {e["entry_id"] for e in found}:
        raise RefusedError("unknown_entry", f"entry_ids: no entry {min(missing)} is known here", "entry_ids")
    return found


async def _movements(tx: Transaction, ids: list[int]) -> list[dict[str, Any]]:
    found = await matches.movements(tx, ids)
    if missing := set(ids) - {m["movement_id"] for m in found}:
        text = f"movement_ids: no movement {min(missing)} is known here"
        raise RefusedError("unknown_movement", text, "movement_ids")
    return found


async def _pending(tx: Transaction, number: int) -> dict[str, Any]:
    """A request that waits, its account locked. Raises RefusedError."""
    known = await matches.requests(tx, number=number) if 0 < number < _LARGEST_NUMBER else []
    if not known:
        raise RefusedError("unknown_match_request", f"no match request {number} is known here", "request_id")
    await positions.lock_ids(tx, [known[0]["account_id"]])
    [asked] = await matches.requests(tx, number=number)
    if asked["state"] != "PENDING":
        text = f"match request {number} was settled by {asked['settled_by']}: {asked['state']}"
        raise RefusedError("match_request_settled", text, "request_id")
    return asked


async def _made(
    tx: Transaction, sides: _Sides, rule: Pass, request_id: int | None, actor: str, reason: str, now: datetime
) -> dict[str, Any]:
    number = await matches.make(tx, sides.account_id, rule, sides.entry_ids, sides.movement_ids, now)
    await matches.tell(
        tx, match_id=number, account_id=sides.account_id, happening="made", entry_ids=sides.entry_ids,
        movement_ids=sides.movement_ids, difference=sides.difference, statement_id=None, request_id=request_id,
        alternatives=msgspec.json.encode(sides.alternatives).decode(), actor=actor, reason=reason, at=now,
        **{"pass": rule},
    )  # fmt: skip
    more = {"match_id": number, "pass": rule, "request_id": request_id}
    await _tell(tx, "made" if rule is Pass.MANUAL else "forced", sides, more, number, actor, reason, now)
    view = await match_views.show(tx, number)
    assert view is not None
    return view


async def _tell_request(
    tx: Transaction, number: int, sides: _Sides, word: str, actor: str, reason: str, now: datetime
) -> None:
    await _tell(tx, word, sides, {"request_id": number}, f"request.{number}", actor, reason, now)


async def _tell(
    tx: Transaction,
    word: str,
    sides: _Sides,
    more: dict[str, Any],
    name: object,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    content = {
        "account_id": sides.account_id, "account_number": sides.number, "currency": sides.currency,
        "entry_ids": sides.entry_ids, "movement_ids": sides.movement_ids, "difference": _shown(sides),
        "actor": actor, "reason": reason, **more,
    }  # fmt: skip
    changes = Changes(now)
    changes.announce(f"{events.MATCH}.{word}", f"match.{name}.{word}", None, content)
    details = {k: v for k, v in content.items() if k not in ("account_id", "account_number", "actor")}
    changes.note(f"match_{word}", sides.account_id, None, details, actor)
    await changes.write(tx)


def _difference(entries: list[dict[str, Any]], movements: list[dict[str, Any]]) -> Decimal:
    return EXACT.subtract(sum_exactly(e["amount"] for e in entries), sum_exactly(m["amount"] for m in movements))


def _shown(sides: _Sides) -> str:
    return in_currency(sides.difference, sides.currency)


def _words(actor: str, reason: str) -> tuple[str, str]:
    return check_actor(actor), check_text(reason, "reason", REASON_LENGTH)
