"""Holding tokens for payouts: a batch of requests in one transaction (DESIGN 3.3).

    read (pure) → lock the keys, then the accounts, and look up all that decides → decide (pure, request by request)
    → write everything → the caller commits, then answers.

A batch of n does exactly what n batches of one would do: each request sees what those before it did. That is why a
thousand payouts of one account need not queue for its lock one transaction after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from token_engine.domain.gate import Cover, hold_gate, shut
from token_engine.domain.ledger import Mode
from token_engine.domain.money import EXACT, check_decimals, parse_amount
from token_engine.domain.payout import Payout, PayoutState, expiry
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.domain.text import check_text
from token_engine.iso20022.words import account_number, reference
from token_engine.storage import idempotency
from token_engine.storage import payouts as stored
from token_engine.storage.database import Transaction
from token_engine.storage.idempotency import FirstAnswer, Kept
from token_engine.storage.payouts import Known, Named, Payer
from token_engine.tiers import events
from token_engine.tiers.acceptance import as_account_id
from token_engine.tiers.changes import Changes
from token_engine.tiers.once import Answer, done, payload_digest, refused, repeated
from token_engine.tiers.orders import only_account

_OPERATION: Final = "payout"
_DAY: Final = 24 * 60


class NewPayout(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Hold `amount` (a decimal string in major units) of what `holder` has, for an order to the bank to pay
    `beneficiary`. `account_id` is our id or the bank's number; `currency` is needed where a number is kept in several.

    `end_to_end_id` is what the order will carry and the bank's debit bring back: by it the payout is settled. Without
    one it is the payout's id, 32 digits. Not sent within `expires_in_minutes`, the hold is released.
    """

    account_id: str
    amount: str
    holder: str
    actor: str
    currency: str | None = None
    end_to_end_id: str | None = None
    beneficiary: str | None = None
    expires_in_minutes: int = _DAY


class Hold(msgspec.Struct, frozen=True):
    """A request under its idempotency key, and the id that its payout gets if this is the first time."""

    key: str
    payout_id: UUID
    wanted: NewPayout


class _Wish(NamedTuple):
    """A request as far as it can be checked without asking anybody. `named` is None where it was refused for that."""

    digest: bytes
    named: Named | None
    amount: Decimal
    holder: str
    actor: str
    end_to_end_id: str | None
    beneficiary: str | None
    expires_at: datetime
    refusal: Refusal | None = None


async def hold(tx: Transaction, requests: Sequence[Hold], now: datetime) -> list[Answer]:
    """Hold, or refuse, each in turn; the answers in the same order. `now` has a time zone.

    Nothing is reserved, and no answer true, before the caller commits. A refusal is kept under its key too.
    """
    wishes = [_read(request, now) for request in requests]
    named = {w.named for w in wishes if w.named is not None}
    # Keys before accounts, each in one order: as everybody does, so that nobody waits in a circle.
    keys = await idempotency.ask_first_answers(tx, dict.fromkeys(r.key for r in requests).keys())
    asked = await stored.ask(
        tx, named,
        {(w.named, w.holder) for w in wishes if w.named is not None},
        {(w.named, w.end_to_end_id) for w in wishes if w.named is not None and w.end_to_end_id is not None},
        now,
    )  # fmt: skip
    answered = await idempotency.first_answers_from(keys)
    desk = _Desk(answered, await stored.answer_from(asked), now)
    answers = [desk.answer(request, wish) for request, wish in zip(requests, wishes, strict=True)]
    await desk.write(tx)
    return answers


def _read(request: Hold, now: datetime) -> _Wish:
    wanted = request.wanted
    digest = payload_digest(_OPERATION, wanted)
    try:
        amount = parse_amount(wanted.amount)
        if not amount:
            raise RefusedError("invalid_amount", "amount: must be more than nothing", "amount")
        name = check_text(wanted.account_id, "account_id")
        return _Wish(
            digest, Named(as_account_id(name), account_number(name)), amount,
            check_text(wanted.holder, "holder"), check_actor(wanted.actor), _end_to_end_id(wanted.end_to_end_id),
            None if wanted.beneficiary is None else check_text(wanted.beneficiary, "beneficiary"),
            expiry(wanted.expires_in_minutes, now),
        )  # fmt: skip
    except RefusedError as wrong:
        return _Wish(digest, None, Decimal(0), "", "", None, None, now, wrong.refusal)


def _end_to_end_id(text: str | None) -> str | None:
    if text is None:
        return None
    word = check_text(text, "end_to_end_id")
    if reference(word) is None:
        text = f"end_to_end_id: {word!r} names no payment: banks fill the field with it where there is none"
        raise RefusedError("invalid_end_to_end_id", text, "end_to_end_id")
    return word


class _Desk:
    """Requests decided in memory under their accounts' locks; then written in one go."""

    def __init__(self, answered: dict[str, FirstAnswer], known: Known, now: datetime) -> None:
        self._answered = answered
        self._holders = known.holders
        self._used = known.used
        self._awaited = known.awaited
        self._now = now
        self._reserved = {payer.id: payer.reserved for payer in known.payers}
        self._by_name: defaultdict[object, list[Payer]] = defaultdict(list)
        for payer in sorted(known.payers, key=lambda p: p.id):
            self._by_name[payer.id].append(payer)
            self._by_name[payer.number].append(payer)
        self._held: list[Payout] = []
        self._kept: list[Kept] = []
        self._changes = Changes(now)

    def answer(self, request: Hold, wish: _Wish) -> Answer:
        """The answer to one request, seen after those before it."""
        first = self._answered.get(request.key)
        if first is not None:
            return repeated(first, wish.digest)
        try:
            answer = done(self._hold(request, wish))
        except RefusedError as wrong:
            answer = refused(wrong.refusal)
        self._answered[request.key] = FirstAnswer(wish.digest, answer.status, answer.content)
        self._kept.append(Kept(request.key, wish.digest, answer.status, answer.content, self._now))
        return answer

    def _hold(self, request: Hold, wish: _Wish) -> dict[str, Any]:
        if wish.refusal is not None:
            raise RefusedError.of(wish.refusal)
        payer = self._payer(wish, request.wanted)
        if payer.mode is not Mode.ENGINE:
            text = f"account_id: the token ledger of account {payer.number} is kept by its issuer, elsewhere"
            raise RefusedError("wrong_ledger_mode", text, "account_id")
        amount = check_decimals(wish.amount, payer.currency)
        end_to_end_id = wish.end_to_end_id or request.payout_id.hex
        if (payer.id, end_to_end_id) in self._used:
            text = f"end_to_end_id: a payout of account {payer.number} has had {end_to_end_id!r}"
            raise RefusedError("duplicate_end_to_end_id", text, "end_to_end_id")
        if (payer.id, end_to_end_id) in self._awaited:
            text = f"end_to_end_id: a credit with {end_to_end_id!r} is expected, and could be this payout coming back"
            raise RefusedError("reference_taken", text, "end_to_end_id")
        holder = payer.id, wish.holder
        balance, reserved = self._holders.get(holder, (Decimal(0), Decimal(0)))
        cover = Cover(
            ledger=payer.ledger, reserved=self._reserved[payer.id], holder=balance, holder_reserved=reserved
        )  # fmt: skip
        gate = hold_gate(payer.facts, cover, amount, self._now)
        if not gate.allowed:
            raise RefusedError.of(shut(gate, cover, amount, payer.currency))
        self._reserved[payer.id] = EXACT.add(cover.reserved, amount)
        self._holders[holder] = balance, EXACT.add(reserved, amount)
        self._used.add((payer.id, end_to_end_id))
        held = Payout(
            id=request.payout_id, account_id=payer.id, end_to_end_id=end_to_end_id, amount=amount, holder=wish.holder,
            beneficiary=wish.beneficiary, state=PayoutState.HELD, requested_by=wish.actor, requested_at=self._now,
            expires_at=wish.expires_at,
        )  # fmt: skip
        self._held.append(held)
        view = events.payout(held, payer.number, payer.currency)
        note(self._changes, held, view, held.requested_by)
        return view

    def _payer(self, wish: _Wish, wanted: NewPayout) -> Payer:
        assert wish.named is not None
        found = {p.id: p for name in wish.named if name is not None for p in self._by_name.get(name, ())}
        ids = [key for key, p in found.items() if wanted.currency is None or p.currency == wanted.currency]
        return found[only_account(ids, wanted.account_id, wanted.currency)]

    async def write(self, tx: Transaction) -> None:
        """Write what was held, and keep the answers."""
        if self._kept:
            await stored.hold(tx, self._held, self._changes.take_events(), self._changes.take_audit(), self._kept)


def note(changes: Changes, payout: Payout, view: dict[str, Any], actor: str) -> None:
    """Announce the state that a payout has come to, and put it down in the audit log."""
    changes.announce(events.PAYOUT[payout.state], f"payout.{payout.id}.{payout.state.lower()}", None, view)
    details = {
        name: view[name] for name in ("id", "amount", "holder", "beneficiary", "end_to_end_id", "settled_reason")
        if view[name] is not None
    }  # fmt: skip
    changes.note(f"payout_{payout.state.lower()}", payout.account_id, None, details, actor)
