"""What people and other ledgers ask of the token ledger, checked, and as the movements that it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType, structs

from token_engine.domain.ledger import (
    LEGS,
    NO_REFERENCES,
    UNATTRIBUTED,
    Kind,
    LedgerAccount,
    Mode,
    Movement,
    References,
    reversal_of,
)
from token_engine.domain.money import parse_amount
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.domain.text import REASON_LENGTH, check_text
from token_engine.iso20022.words import account_number
from token_engine.iso20022.words import reference as usable
from token_engine.storage import ledger
from token_engine.storage.database import Transaction
from token_engine.tiers.acceptance import as_account_id
from token_engine.tiers.ledger import post, reverse

LARGEST_BATCH: Final = 1000
"""Movements of an external ledger in one transaction: their accounts are locked meanwhile."""

LARGEST_BODY: Final = 1024 * 1024
"""Bytes of an order: a thousand movements with room for long names."""
EXTERNAL_MOVEMENTS: Final = "external movements"
"""What a batch of them is called with its idempotency key, through whichever door it comes."""


class _Order(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`account_id` is our id or the bank's number; `currency` is needed where a number is kept in several.
    `amount` is a decimal string in major units.
    """

    account_id: str
    amount: str
    actor: str
    currency: str | None = None


class Burn(_Order):
    """Tokens that `holder` gives up cease to be. `emergency` names a burn that heals a shortfall. `references`: what
    the bank's debit will carry, if one belongs to it.
    """

    holder: str
    reason: str
    emergency: bool = False
    references: References | UnsetType = UNSET


class Transfer(_Order):
    """Tokens pass from one holder to another; as many are outstanding as before."""

    from_holder: str
    to_holder: str
    reason: str = "transfer"


class Replenishment(_Order):
    """The issuer puts money of his own on the bank account. `reference` is the bank's, of the credit.

    It backs tokens when the bank books it: the position moves with the bank's word only.
    """

    reason: str
    reference: str | None = None
    references: References | UnsetType = UNSET


class Reversal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Undo a movement by its opposite."""

    reason: str
    actor: str


class ExternalMovement(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A movement of a ledger kept elsewhere. `reference` is its name there: it is posted once under it.

    A holder who is not named is `unattributed`; an adjustment names who gets tokens or who loses them, so
    that it says which it does; `reverses` is our number of the movement that a reversal undoes, and tells its amount.
    `references`: what the bank's line carries.
    """

    account_id: str
    kind: Kind
    reference: str
    amount: str | None = None
    currency: str | None = None
    from_holder: str | None = None
    to_holder: str | None = None
    reverses: int | None = None
    reason: str = "posted by the external ledger"
    references: References | UnsetType = UNSET


class ExternalMovements(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A batch of an external ledger: all of it is posted, or nothing."""

    actor: str
    movements: list[ExternalMovement]


async def burn(tx: Transaction, wanted: Burn, key: str, now: datetime) -> dict[str, Any]:
    """Burn tokens; the movement's view. An open breaker is no obstacle: a burn heals a shortfall.

    Raises RefusedError, as all of these do, and has then written nothing.
    """
    return await _post_one(
        tx, wanted, now, kind=Kind.EMERGENCY_BURN if wanted.emergency else Kind.BURN,
        from_holder=check_text(wanted.holder, "holder"), key=key,
        reason=check_text(wanted.reason, "reason", REASON_LENGTH), references=_references(wanted.references),
    )  # fmt: skip


async def transfer(tx: Transaction, wanted: Transfer, key: str, now: datetime) -> dict[str, Any]:
    """Pass tokens between holders; the movement's view."""
    return await _post_one(
        tx, wanted, now, kind=Kind.TRANSFER, from_holder=check_text(wanted.from_holder, "from_holder"),
        to_holder=check_text(wanted.to_holder, "to_holder"), key=key,
        reason=check_text(wanted.reason, "reason", REASON_LENGTH),
    )  # fmt: skip


async def replenish(tx: Transaction, wanted: Replenishment, key: str, now: datetime) -> dict[str, Any]:
    """Keep that the issuer's own money backs tokens; the movement's view."""
    cause = None if wanted.reference is None else check_text(wanted.reference, "reference")
    reason = check_text(wanted.reason, "reason", REASON_LENGTH)
    return await _post_one(
        tx, wanted, now, kind=Kind.REPLENISHMENT, reason=reason, cause=cause, key=key,
        references=_references(wanted.references),
    )  # fmt: skip


async def undo(tx: Transaction, number: int, wanted: Reversal, key: str, now: datetime) -> dict[str, Any]:
    """Reverse movement `number`; the view of the movement that does."""
    reason = check_text(wanted.reason, "reason", REASON_LENGTH)
    return await reverse(tx, number, reason, check_actor(wanted.actor), key, now)


async def _post_one(tx: Transaction, wanted: _Order, now: datetime, **more: Any) -> dict[str, Any]:
    movement = Movement(amount=parse_amount(wanted.amount), actor=check_actor(wanted.actor), **more)
    account_id = await find_account(tx, wanted.account_id, wanted.currency)
    return (await post(tx, [(account_id, movement)], Mode.ENGINE, now))[0]


async def post_external(tx: Transaction, wanted: ExternalMovements, _: str, now: datetime) -> dict[str, Any]:
    """Post what a ledger kept elsewhere has moved; the views of all. One that is known by its reference is
    AlreadyRecorded, so that a batch may overlap an earlier one; the key of the request names no movement.
    """
    actor = check_actor(wanted.actor)
    if not 1 <= len(wanted.movements) <= LARGEST_BATCH:
        raise RefusedError("invalid_batch", f"movements: from 1 to {LARGEST_BATCH}", "movements")
    accounts: dict[tuple[str, str | None], UUID] = {}
    originals = await ledger.originals(tx, {m.reverses for m in wanted.movements if m.reverses is not None})
    posted: list[tuple[UUID, Movement]] = []
    for place, m in enumerate(wanted.movements):
        try:
            name = m.account_id, m.currency
            if name not in accounts:
                accounts[name] = await find_account(tx, *name)
            posted.append((accounts[name], _external(m, actor, accounts[name], originals)))
        except RefusedError as refused:
            why, where = refused.refusal, f"movements[{place}]"
            raise RefusedError(why.code, f"{where}.{why.message}", f"{where}.{why.field}") from refused
    return {"movements": await post(tx, posted, Mode.EXTERNAL, now)}


def _external(m: ExternalMovement, actor: str, account_id: UUID, originals: Mapping[int, ledger.Original]) -> Movement:
    reference, reason = check_text(m.reference, "reference"), check_text(m.reason, "reason", REASON_LENGTH)
    if m.kind is Kind.REVERSAL:
        original = originals.get(m.reverses or 0)
        if original is None or original.account_id != account_id:
            raise RefusedError("unknown_movement", "reverses: names no movement of this account", "reverses")
        if m.amount is not None or m.from_holder is not None or m.to_holder is not None:
            raise RefusedError("wrong_holders", "amount: a reversal has its amount and holders from what it undoes")
        return reversal_of(original.movement, m.reverses or 0, reason, actor, reference)
    if m.kind is Kind.OPENING or m.reverses is not None:
        field = "kind" if m.kind is Kind.OPENING else "reverses"
        raise RefusedError("wrong_kind", f"{field}: {m.kind} is not for an external ledger to post so", field)
    if m.amount is None:
        raise RefusedError("missing_field", "amount: is missing", "amount")
    gives = None if m.from_holder is None else check_text(m.from_holder, "from_holder")
    gets = None if m.to_holder is None else check_text(m.to_holder, "to_holder")
    ways = LEGS[m.kind]
    if len(ways) == 1:
        gives = gives or (UNATTRIBUTED if ways[0].leaves is LedgerAccount.HOLDER else None)
        gets = gets or (UNATTRIBUTED if ways[0].enters is LedgerAccount.HOLDER else None)
    return Movement(
        kind=m.kind, amount=parse_amount(m.amount), from_holder=gives, to_holder=gets, reason=reason, actor=actor,
        key=reference, references=_references(m.references),
    )  # fmt: skip


def _references(said: References | UnsetType) -> References:
    """What was said, checked. A word that stands for none (NOTPROVIDED) is none; a UETR's capitals count not."""
    if said is UNSET:
        return NO_REFERENCES
    checked = {
        name: check_text(value, f"references.{name}")
        for name, value in structs.asdict(said).items()
        if isinstance(value, str)
    }
    if "uetr" in checked:
        checked["uetr"] = checked["uetr"].lower()
    named = {name: value if name == "counterparty" else usable(value) for name, value in checked.items()}
    return References(**named, value_date=said.value_date)


async def find_account(tx: Transaction, name: str, currency: str | None = None) -> UUID:
    """The account of an id or number. Raises RefusedError: none is known, or several and no currency to choose."""
    ids = await ledger.accounts_named(tx, as_account_id(name), account_number(name), currency)
    return only_account(ids, name, currency)


def only_account(ids: Sequence[UUID], name: str, currency: str | None) -> UUID:
    """The one account that is meant by a name, of those that have it. Raises RefusedError as `find_account` does."""
    if len(ids) == 1:
        return ids[0]
    if ids:
        text = f"currency: account {name!r} is kept in several currencies; say which"
        raise RefusedError("ambiguous_account", text, "currency")
    shown = f"{name[:50]!r} in {currency[:12]}" if currency else f"{name[:50]!r}"
    raise RefusedError("unknown_account", f"account_id: no account {shown} is known here", "account_id")
