"""What posting to the token ledger causes besides its legs, in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from road.bench import NOW, NUMBER, Bench, Road, mint, note
from token_engine.domain.ledger import UNATTRIBUTED, Kind, Mode, Movement
from token_engine.domain.refusal import RefusedError
from token_engine.tiers import ledger, orders

LATER = NOW + timedelta(minutes=5)


def burn(amount: str, holder: str = "unattributed") -> orders.Burn:
    return orders.Burn(account_id=NUMBER, holder=holder, amount=amount, reason="redeemed", actor="ann")


async def subjects(road: Road, after: int = 0) -> list[str]:
    return [row["subject"] for row in await road.rows("SELECT subject FROM outbox ORDER BY id")][after:]


def test_a_burn_heals_a_shortfall_in_its_own_transaction_and_says_so(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("D", "100", debit=True))
        told = len(await subjects(road))
        view = await orders.burn(road.tx, burn("100"), "k", LATER)
        assert await subjects(road, told) == [
            "reconciliation.ledger.burn", "reconciliation.ledger.ok", "reconciliation.discrepancy.resolved",
        ]  # fmt: skip
        state = await road.state(account)
        assert (state["reconciliation_status"], state["reconciliation_difference"]) == ("OK", 0)
        assert state["circuit_breaker"] == "open", "people close it"
        assert state["last_reconciliation_at"] == NOW, "a movement is no word of the bank"
        [found] = await road.rows("SELECT status, resolution FROM reconciliation_discrepancies")
        said = f"difference within bounds again by LEDGER movement {view['id']}"
        assert (found["status"], found["resolution"]) == ("RESOLVED", said)
        event = (await road.rows("SELECT * FROM outbox ORDER BY id"))[told]
        assert event["event_id"] == f"movement.{view['id']}"
        data = json.loads(event["payload"])["data"]
        assert (data["kind"], data["amount"], data["ledger_balance"]) == ("burn", "100.00", "999900.00")
        audited = await road.row("SELECT actor, details FROM audit_log WHERE action = 'ledger_burn'")
        assert (audited["actor"], audited["details"]["reason"]) == ("ann", "redeemed")

    bench.void(story)


def test_a_burn_without_its_payout_opens_the_breaker_in_its_own_transaction(bench: Bench) -> None:
    """An excess above the bounds is a break as well: fiat that nobody is owed."""

    async def story(road: Road) -> None:
        account = await road.account()
        view = await orders.burn(road.tx, burn("10000"), "k", LATER)
        assert (view["threshold_level"], view["circuit_breaker"]) == ("Critical", "open")
        assert (await road.state(account))["circuit_breaker"] == "open"
        [step] = await road.rows("SELECT * FROM circuit_breaker_steps")
        assert step["cause"] == f"LEDGER movement {view['id']} judged Critical"

    bench.void(story)


def test_a_credit_mints_to_its_holder_and_only_what_the_bank_holds(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("C", "50"))

        async def minted_or(entry: str, amount: str, at: datetime = LATER) -> str:
            try:
                view = await mint(road, account, amount, entry, at=at)
            except RefusedError as refused:
                return refused.refusal.code
            return str(view["receipt"])

        assert await minted_or("C", "50.01") == "not_backed"
        assert await minted_or("C", "50", NOW + timedelta(days=2)) == "no_fresh_evidence"
        assert await minted_or("C", "50") == "Recorded"
        assert await minted_or("C", "50") == "AlreadyRecorded"
        assert await minted_or("C", "40") == "idempotency_conflict"
        assert await minted_or("D", "0.01") == "not_backed"
        minted = await road.row("SELECT * FROM ledger_movements WHERE kind = 'mint'")
        assert (minted["cause"], minted["to_holder"], minted["amount"]) == ("C", "h", 50)
        assert (await road.state(account))["ledger_balance"] == 1_000_050

    bench.void(story)


def test_a_burn_leaves_what_is_reserved_for_payouts(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.connection.execute(
            "INSERT INTO payouts (id, account_id, end_to_end_id, amount, holder, state, requested_by, requested_at,"
            " expires_at) SELECT gen_random_uuid(), id, 'E2E', 999990, %s, 'HELD', 'tests', now(), now()"
            " FROM emi_accounts", [UNATTRIBUTED],
        )  # fmt: skip
        with pytest.raises(RefusedError) as refused:
            await orders.burn(road.tx, burn("10.01"), "k1", LATER)
        assert refused.value.refusal.code == "insufficient_available"
        await orders.burn(road.tx, burn("10"), "k2", LATER)
        assert (await road.state(account))["available_balance"] == 0

    bench.void(story)


def test_an_account_the_bank_has_not_spoken_of_is_not_judged_by_its_ledger(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account(bank=None)
        view = await orders.burn(road.tx, burn("1"), "k", LATER)
        assert view["threshold_level"] is None
        state = await road.state(account)
        assert (state["reconciliation_status"], state["circuit_breaker"]) == ("PENDING", "closed")

    bench.void(story)


def test_movements_of_several_accounts_are_one_act(bench: Bench) -> None:
    async def story(road: Road) -> None:
        ids = [await road.account(number) for number in ("A", "B")]

        def of(holders: Sequence[str]) -> list[Movement]:
            return [
                Movement(kind=Kind.BURN, amount=Decimal(1), from_holder=holder, reason="r", actor="a")
                for holder in holders
            ]

        bad = list(zip([*ids, ids[0]], of(["unattributed", "unattributed", "nobody"]), strict=True))
        with pytest.raises(RefusedError) as refused:
            await ledger.post(road.tx, bad, Mode.ENGINE, LATER)
        assert refused.value.refusal.field == "movements[2].amount"
        assert [(await road.state(key))["ledger_balance"] for key in ids] == [1_000_000, 1_000_000]
        await ledger.post(road.tx, bad[:2], Mode.ENGINE, LATER)
        assert [(await road.state(key))["ledger_balance"] for key in ids] == [999_999, 999_999]

    bench.void(story)
