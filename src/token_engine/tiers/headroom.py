"""How much may be minted and paid out right now, and whether this much may be: what a hold would be told.

Takes no lock: a hold asks again under its own.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from token_engine.domain.gate import (
    Cover,
    Gate,
    Reason,
    hold_gate,
    mint_gate,
    most_to_mint,
    most_to_pay_out,
    payout_gate,
)  # fmt: skip
from token_engine.domain.money import check_decimals, in_currency, parse_amount
from token_engine.domain.refusal import RefusedError
from token_engine.storage import payouts as stored
from token_engine.storage.database import Transaction
from token_engine.storage.payouts import Payer
from token_engine.tiers import accounts, breakers


async def headroom(tx: Transaction, name: str, holder: str | None, now: datetime) -> dict[str, Any] | None:
    """What may be minted and paid out of account `name` (id or number) `now`, as decimal strings in major units, and
    why no more where it is nothing; of `holder`'s tokens if one is named. None if there is no such account.

    Of an account whose ledger is kept elsewhere it says what its issuer may do and stay backed.
    """
    view = await accounts.show(tx, name, now)
    if view is None:
        return None
    payer = await stored.payer(tx, UUID(view["id"]))
    cover = await _cover(tx, payer, holder)
    mint, pay_out = most_to_mint(payer.facts, payer.ledger, payer.bank, now), most_to_pay_out(payer.facts, cover, now)

    def money(amount: Decimal) -> str:
        return in_currency(amount, payer.currency)

    found = {
        "account_id": payer.id,
        "account_number": payer.number,
        "currency": payer.currency,
        "ledger_mode": payer.mode,
        "as_of": now,
        "may_mint": money(mint),
        "may_mint_reasons": _why_nothing(mint_gate(payer.facts, now), mint),
        "may_pay_out": money(pay_out),
        "may_pay_out_reasons": _why_nothing(payout_gate(payer.facts, now), pay_out),
        "ledger_balance": money(payer.ledger),
        "bank_balance": money(payer.bank),
        "reserved_balance": money(payer.reserved),
        "available_balance": money(cover.available),
    }
    if cover.holder is None:
        return found
    of_holder = {"holder": holder, "balance": money(cover.holder), "reserved": money(cover.holder_reserved)}
    return found | {"holder": of_holder}


async def gate(
    tx: Transaction, name: str, amount: str | None, holder: str | None, now: datetime
) -> dict[str, Any] | None:  # fmt: skip
    """What the gates say, as `breakers.gate`; with an amount, whether it is covered as well. None if there is no such
    account. Raises RefusedError: an amount that is none.
    """
    said = await breakers.gate(tx, name, now)
    if not isinstance(said, dict):
        return None
    if amount is None:
        return said
    wanted = parse_amount(amount)
    if not wanted:
        raise RefusedError("invalid_amount", "amount: must be more than nothing", "amount")
    payer = await stored.payer(tx, UUID(said["account_id"]))
    check_decimals(wanted, payer.currency)
    payout = hold_gate(payer.facts, await _cover(tx, payer, holder), wanted, now)
    return said | {"payout": {"allowed": payout.allowed, "reasons": payout.reasons}}


async def _cover(tx: Transaction, payer: Payer, holder: str | None) -> Cover:
    if holder is None:
        return Cover(ledger=payer.ledger, reserved=payer.reserved)
    balance, reserved = await stored.holding(tx, payer.id, holder.strip())
    return Cover(ledger=payer.ledger, reserved=payer.reserved, holder=balance, holder_reserved=reserved)


def _why_nothing(gate: Gate, most: Decimal) -> tuple[Reason, ...]:
    return gate.reasons if most or gate.reasons else (Reason.INSUFFICIENT,)
