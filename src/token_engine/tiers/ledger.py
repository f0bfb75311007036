"""Posting to the token ledger: check under the account's lock, post both legs, judge the account again.

Everything that a movement causes is in its transaction: legs, balances, verdict, breaks, breaker, events, audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import Verdict, judge_observed, policy_for, verdict_as_of
from token_engine.domain.ledger import UNATTRIBUTED, Kind, Legs, Mode, Movement, check_issuance, legs_of, reversal_of
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.refusal import RefusedError
from token_engine.domain.standing import Evidence
from token_engine.storage import ledger, positions
from token_engine.storage.database import Transaction
from token_engine.storage.ledger import OpenBook, Posted
from token_engine.tiers import events
from token_engine.tiers.changes import Changes


async def open_account(tx: Transaction, account_id: UUID, balance: Decimal, actor: str, now: datetime) -> None:
    """Post what an account is taken on with, by the transaction that takes it on."""
    movement = Movement(
        kind=Kind.OPENING, amount=balance, to_holder=UNATTRIBUTED, reason="outstanding when taken on", actor=actor
    )
    await ledger.post(tx, [(account_id, movement, legs_of(movement))], now)


async def reverse(tx: Transaction, number: int, reason: str, actor: str, key: str, now: datetime) -> dict[str, Any]:
    """Post the movement that undoes movement `number`; its view. Raises RefusedError.

    One that answers for an entry of the bank stays: the bank's money is there or gone, and what it was is said once.
    """
    original = (await ledger.originals(tx, [number])).get(number)
    if original is None:
        raise RefusedError("unknown_movement", f"no movement {number} is known here", "movement_id")
    if original.of_entry:
        text = f"movement {number} answers for an entry of the bank: transfer its tokens or burn them instead"
        raise RefusedError("not_reversible", text, "reverses")
    movement = reversal_of(original.movement, number, reason, actor, key)
    return (await post(tx, [(original.account_id, movement)], Mode.ENGINE, now))[0]


async def post(
    tx: Transaction, wanted: Sequence[tuple[UUID, Movement]], poster: Mode, now: datetime
) -> list[dict[str, Any]]:
    """Post movements, each after those before it, all or none; their views in the same order.

    One that is posted under its key already is AlreadyRecorded. Raises RefusedError, naming the movement's
    place where there are several, before anything is written. An account is judged once, by what all of them
    come to: a batch is one act. `now` has a time zone.
    """
    posting = await _load(tx, wanted, now)
    views: list[dict[str, Any]] = []
    for place, (account_id, movement) in enumerate(wanted):
        try:
            views.append(posting.decide(account_id, movement, poster))
        except RefusedError as refused:
            if len(wanted) == 1:
                raise
            raise _at(place, refused) from refused
    await posting.write(tx, views)
    return views


def _at(place: int, refused: RefusedError) -> RefusedError:
    why, where = refused.refusal, f"movements[{place}]"
    return RefusedError(why.code, f"{where}.{why.message}", f"{where}.{why.field}" if why.field else where)


async def _load(tx: Transaction, wanted: Sequence[tuple[UUID, Movement]], now: datetime) -> _Posting:
    ids = {account_id for account_id, _ in wanted}
    locked = await positions.lock_ids(tx, ids)
    breaks = await positions.open_discrepancies(tx, ids)
    policies = await positions.policies_of(tx, locked)
    accounts = {
        a.id: structs.replace(
            a,
            policy=policy_for(policies, a.id, a.currency),
            open_discrepancy=breaks.get(a.id),
        )
        for a in locked
    }
    named = [(account_id, holder) for account_id, m in wanted for holder in (m.from_holder, m.to_holder)]
    books = await ledger.books(tx, named)
    keys = {(account_id, m.key) for account_id, m in wanted if m.key is not None}
    known = await ledger.of_keys(tx, keys) if keys else {}
    numbers = {m.reverses for _, m in wanted if m.reverses is not None}
    originals = await ledger.originals(tx, numbers) if numbers else {}
    reversed_by = {number: o.reversed_by for number, o in originals.items() if o.reversed_by is not None}
    return _Posting(accounts, books, known, reversed_by, now)


class _Fresh(NamedTuple):
    """A movement to write, the place of its view, and its legs."""

    place: int
    account_id: UUID
    movement: Movement
    legs: Legs


class _Posting:
    """Movements decided in memory under their accounts' locks; then written in one go."""

    def __init__(
        self, accounts: Mapping[UUID, Account], books: Mapping[UUID, OpenBook],
        known: Mapping[tuple[UUID, str], Posted], reversed_by: dict[int, int], now: datetime,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._books = books
        self._known = known
        self._reversed_by = reversed_by
        self._now = now
        self._fresh: list[_Fresh] = []
        self._keys: set[tuple[UUID, str]] = set()
        self._decided = 0

    def decide(self, account_id: UUID, movement: Movement, poster: Mode) -> dict[str, Any]:
        """One movement's view; without its number yet where it is new."""
        place, self._decided = self._decided, self._decided + 1
        if movement.key is not None:
            if (account_id, movement.key) in self._keys:
                text = f"reference: {movement.key!r} stands twice in this batch"
                raise RefusedError("duplicate_reference", text, "reference")
            self._keys.add((account_id, movement.key))
            if posted := self._known.get((account_id, movement.key)):
                return self._again(account_id, movement, posted)
        self._check_reversal(movement)
        book = self._books[account_id].book
        if poster is Mode.ENGINE and book.mode is Mode.ENGINE and legs_of(movement).issues > 0:
            check_issuance(self._accounts[account_id].breaker, self._verdict_on(account_id))
        legs = book.post(movement, poster)
        if movement.reverses is not None:
            self._reversed_by[movement.reverses] = 0  # by one of this batch, whose number is not drawn yet
        self._fresh.append(_Fresh(place, account_id, movement, legs))
        return self._view(account_id, movement, "Recorded") | {
            "ledger_balance": in_currency(book.ledger, book.currency)
        }

    def _again(self, account_id: UUID, movement: Movement, posted: Posted) -> dict[str, Any]:
        if not posted.is_of(movement):
            text = f"reference: {movement.key!r} is movement {posted.id} already, and that says something else"
            raise RefusedError("idempotency_conflict", text, "reference")
        return {"id": posted.id, **self._view(account_id, movement, "AlreadyRecorded")}

    def _check_reversal(self, movement: Movement) -> None:
        if movement.reverses is not None and (by := self._reversed_by.get(movement.reverses)) is not None:
            whose = f"by movement {by}" if by else "by another of this batch"
            text = f"reverses: movement {movement.reverses} was reversed {whose}"
            raise RefusedError("already_reversed", text, "reverses")

    def _verdict_on(self, account_id: UUID) -> Verdict:
        account, opened = self._accounts[account_id], self._books[account_id]
        level, _ = judge_observed(opened.book.ledger, account.bank, account.observed_gap, account.policy)
        return verdict_as_of(
            level, opened.evidence_at, self._now, account.policy,
            statement_missing_since=account.statement_missing_since,
        )  # fmt: skip

    def _view(self, account_id: UUID, m: Movement, receipt: str) -> dict[str, Any]:
        book = self._books[account_id].book
        return {
            "receipt": receipt,
            "account_id": str(account_id),
            "account_number": book.number,
            "currency": book.currency,
            "token": f"x{book.currency}",
            "kind": m.kind,
            "amount": in_currency(m.amount, book.currency),
            "from_holder": m.from_holder,
            "to_holder": m.to_holder,
            "reason": m.reason,
            "actor": m.actor,
            "cause": m.cause,
            "reverses": m.reverses,
            "idempotency_key": m.key,
        }

    async def write(self, tx: Transaction, views: list[dict[str, Any]]) -> None:
        """Write what is new, and complete its views with numbers and what their accounts were judged to be."""
        if not self._fresh:
            return
        numbers = await ledger.post(tx, [(f.account_id, f.movement, f.legs) for f in self._fresh], self._now)
        changes = Changes(self._now)
        last: dict[UUID, int] = {}
        for fresh, number in zip(self._fresh, numbers, strict=True):
            view = views[fresh.place] = {"id": number, **views[fresh.place], "at": self._now}
            kind = fresh.movement.kind
            changes.announce(f"{events.LEDGER}.{kind}", f"movement.{number}", fresh.movement.cause, view)
            changes.note(f"ledger_{kind}", fresh.account_id, None, events.audited(view), fresh.movement.actor)
            last[fresh.account_id] = number
        judged = {key: self._judge(changes, key, number) for key, number in last.items()}
        for fresh in self._fresh:
            views[fresh.place] |= judged[fresh.account_id]
        await changes.write(tx)

    def _judge(self, changes: Changes, account_id: UUID, number: int) -> dict[str, Any]:
        """Judge again on what the bank said last: a ledger that moved may close a break, or open one."""
        opened, standing = self._books[account_id], changes.standing(self._accounts[account_id])
        change = EXACT.subtract(opened.book.ledger, standing.account.ledger)
        if opened.evidence_at is None:  # the bank has not spoken: Unknown, and no ledger movement changes that
            return {"threshold_level": None, "circuit_breaker": standing.breaker}
        if change:
            standing.issue(change)
            evidence = Evidence("ledger", "LEDGER", f"movement {number}", self._now, fresh=False)
            judgement, moved = standing.take(Decimal(0), 0, evidence, uuid4)
            changes.judged(judgement, moved, evidence, f"movement.{number}.judged", None)
        judgement = standing.judgement()
        return {"threshold_level": judgement.threshold_level, "circuit_breaker": judgement.circuit_breaker}
