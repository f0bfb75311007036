"""Taking accounts on, closing them, and saying how they stand."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

from token_engine.domain.backing import DEFAULT_POLICY, Level, Policy, policy_for, verdict_as_of
from token_engine.domain.ledger import Mode
from token_engine.domain.money import check_currency, check_decimals, in_currency, parse_amount
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.domain.standing import Evidence
from token_engine.iso20022.words import account_number
from token_engine.storage import accounts, breakers, positions
from token_engine.storage.database import Transaction
from token_engine.tiers.acceptance import as_account_id
from token_engine.tiers.changes import Changes
from token_engine.tiers.ledger import open_account

_LOOKS_LIKE_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_ACCOUNT_NUMBER_LENGTH: Final = 50
_LEVEL_OF_STATUS: Final = {level.value.upper(): level for level in Level}


class NewAccount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person says of an account to take on. Balances are decimal strings in major units.

    `bank_balance` is what the bank held at `as_of` (default: now): the position starts from it. Without
    it the account is Unknown, and refuses holds, until the bank speaks. `ledger_balance` becomes the first
    movement of the token ledger. `ledger_mode` says who keeps that ledger, once and for all: this engine, or
    the issuer elsewhere, who posts its movements.
    """

    account_number: str
    currency: str
    bank: str
    bic: str | None = None
    ledger_balance: str = "0"
    bank_balance: str | None = None
    as_of: datetime | None = None
    inverts_reversals: bool = False
    ledger_mode: Mode = Mode.ENGINE


async def create(tx: Transaction, wanted: NewAccount, actor: str, now: datetime) -> dict[str, Any] | Refusal:
    """Take an account on; its view, or why not."""
    try:
        actor = check_actor(actor)
        number, ledger, bank_balance = _checked(wanted, now)
    except RefusedError as refused:
        return refused.refusal
    key = uuid4()
    bank_id = await accounts.upsert_bank(
        tx, uuid4(), wanted.bank, wanted.bic, inverts_reversals=wanted.inverts_reversals
    )
    fresh = await accounts.create(
        tx, key=key, bank_id=bank_id, account_number=number, currency=wanted.currency,
        bank_balance=bank_balance or Decimal(0), ledger_mode=wanted.ledger_mode, now=now,
    )  # fmt: skip
    if not fresh:
        return Refusal(
            "account_exists",
            f"account_number: {number} in {wanted.currency} is known already",
            "account_number",
        )
    if ledger:
        await open_account(tx, key, ledger, actor, now)
    changes = Changes(now)
    changes.note("account_created", key, None, msgspec.to_builtins(wanted), actor)
    if bank_balance is not None:
        as_of = wanted.as_of or now
        await accounts.open_position(tx, key, bank_balance, as_of, actor)
        [account] = await positions.lock_ids(tx, [key])
        policies = await positions.policies_of(tx, [account])
        policy = policy_for(policies, key, account.currency)
        standing = changes.standing(msgspec.structs.replace(account, policy=policy))
        evidence = Evidence("opening", "OPENING", f"opening balance of {number}"[:100], now)
        judgement, moved = standing.take(Decimal(0), 0, evidence, uuid4)
        changes.judged(judgement, moved, evidence, f"opening.{key}", None)
    await changes.write(tx)
    view = await show(tx, str(key), now)
    assert view is not None  # created in this transaction
    return view | {"warnings": _warnings(number)}


def _checked(wanted: NewAccount, now: datetime) -> tuple[str, Decimal, Decimal | None]:
    number = account_number(wanted.account_number)
    if not 1 <= len(number) <= _ACCOUNT_NUMBER_LENGTH or not number.isprintable():
        raise RefusedError(
            "invalid_account_number",
            f"account_number: 1 to {_ACCOUNT_NUMBER_LENGTH} printable characters",
            "account_number",
        )
    check_currency(wanted.currency)
    if not 1 <= len(wanted.bank.strip()) <= 140 or not wanted.bank.isprintable():
        raise RefusedError("invalid_bank", "bank: a name of 1 to 140 printable characters", "bank")
    if wanted.bic is not None and not re.fullmatch(r"[A-Z0-9]{8}([A-Z0-9]{3})?", wanted.bic):
        raise RefusedError("invalid_bic", "bic: 8 or 11 capitals and digits (ISO 9362)", "bic")
    if wanted.as_of is not None and (wanted.as_of.tzinfo is None or wanted.as_of > now):
        raise RefusedError("invalid_as_of", "as_of: a time with its zone, not in the future", "as_of")
    ledger = check_decimals(parse_amount(wanted.ledger_balance, "ledger_balance"), wanted.currency, "ledger_balance")
    bank_balance = None
    if wanted.bank_balance is not None:
        overdrawn = wanted.bank_balance.startswith("-")  # a bank balance, unlike an amount, may be negative
        amount = parse_amount(wanted.bank_balance.removeprefix("-"), "bank_balance")
        bank_balance = check_decimals(-amount if overdrawn else amount, wanted.currency, "bank_balance")
    return number, ledger, bank_balance


def _warnings(number: str) -> list[str]:
    if not _LOOKS_LIKE_IBAN.fullmatch(number):
        return []
    try:
        IBAN(number)
    except SchwiftyException as wrong:
        return [f"account_number looks like an IBAN but is not a valid one: {wrong}"]
    return []


async def close(tx: Transaction, name: str, actor: str, now: datetime) -> dict[str, Any] | Refusal:
    """Close an account: messages for it are rejected from then on. Nothing of it is deleted."""
    try:
        actor = check_actor(actor)
    except RefusedError as refused:
        return refused.refusal
    view = await show(tx, name, now)
    if view is None:
        return Refusal("unknown_account", f"no account {name!r} is known here", "account_id")
    key = UUID(view["id"])
    if not await accounts.close(tx, key, now):
        return Refusal("account_closed", f"account {name} is closed already", "account_id")
    changes = Changes(now)
    changes.note("account_closed", key, None, {}, actor)
    await changes.write(tx)
    return await show(tx, str(key), now) or {}


async def show(tx: Transaction, name: str, now: datetime) -> dict[str, Any] | None:
    """One account by id or number; with a number kept in several currencies, the first of them."""
    key = as_account_id(name)
    rows = await accounts.listing(tx, key=key, limit=1) if key else []
    rows = rows or await accounts.listing(tx, number=account_number(name), limit=1)
    return (await _views(tx, rows, now))[0] if rows else None


async def listing(
    tx: Transaction, now: datetime, *, after: tuple[str, str] | None = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Accounts with position and verdict, in the order of their numbers."""
    return await _views(tx, await accounts.listing(tx, after=after, limit=limit), now)


async def _views(tx: Transaction, rows: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    policies = await positions.all_policies(tx)
    under_way = {(act.account_id, act.act): act.expires_at for act in await breakers.under_way(tx, now)}
    return [
        _view(row, policy_for(policies, row["id"], row["currency"]), now)
        | {
            "override_until": under_way.get((row["id"], "override")),
            "closing_pending_until": under_way.get((row["id"], "closing")),
        }
        for row in rows
    ]


def _view(row: dict[str, Any], policy: Policy, now: datetime) -> dict[str, Any]:
    level = _LEVEL_OF_STATUS.get(row["reconciliation_status"])
    money = ("ledger_balance", "bank_reported_balance", "reserved_balance", "available_balance")
    return {
        "id": str(row["id"]),
        "account_number": row["account_number"],
        "currency": row["currency"],
        "bank": row["bank"],
        **{name: in_currency(row[name], row["currency"]) for name in money},
        "difference": in_currency(row["bank_reported_balance"] - row["ledger_balance"], row["currency"]),
        "verdict": verdict_as_of(
            level, row["last_reconciliation_at"], now, policy, statement_missing_since=row["statement_missing_since"]
        ),
        "circuit_breaker": row["circuit_breaker"],
        "ledger_mode": row["ledger_mode"],
        "reconciliation_status": row["reconciliation_status"],
        "reconciliation_source": row["reconciliation_source"],
        "last_reconciliation_at": row["last_reconciliation_at"],
        "statement_missing_since": row["statement_missing_since"],
        "observed_gap": in_currency(row["observed_gap"], row["currency"]),
        "observed_at": row["observed_at"],
        "created_at": row["created_at"],
        "closed_at": row["closed_at"],
    }


async def summary(tx: Transaction, now: datetime) -> dict[str, Any]:
    """The specification's summary ("Monitoring"). Stale and Unknown accounts count as neither ok nor
    mismatch; they show in their own fields and keep health below 100 %.
    """
    counts = await accounts.counts(tx, now, DEFAULT_POLICY.stale_after)
    severities = await accounts.open_discrepancies(tx)
    total = counts["total"]
    percentage = round(100 * counts["ok"] / total, 2) if total else 100.0  # a share of accounts, not money
    return {
        "total_accounts": total,
        "accounts_ok": counts["ok"],
        "accounts_mismatch": counts["mismatch"],
        "accounts_stale": counts["stale"],
        "accounts_unknown": counts["unknown"],
        "open_discrepancies": sum(severities.values()),
        "critical_discrepancies": severities.get("critical", 0),
        "circuit_breakers_open": counts["breakers_open"],
        "accounts_suspended": counts["suspended"],
        "health_percentage": percentage,
        "timestamp": now,
    }


def health_word(summary_of_all: dict[str, Any]) -> str:
    """HEALTHY, WARNING or CRITICAL (specification, "Monitoring": CRITICAL is an open circuit breaker)."""
    if summary_of_all["circuit_breakers_open"]:
        return "CRITICAL"
    if summary_of_all["accounts_ok"] < summary_of_all["total_accounts"] or summary_of_all["accounts_suspended"]:
        return "WARNING"
    return "HEALTHY"
