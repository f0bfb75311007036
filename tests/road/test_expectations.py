"""The bank's entry and what was expected of it: one transaction, once, and never more tokens than money."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from road.bench import NOW, NUMBER, Bench, Road, camt, line, note, report, section
from token_engine.domain.backing import Level
from token_engine.domain.ledger import Mode
from token_engine.domain.receipt import Receipt, Recorded
from token_engine.tiers import accounts
from token_engine.tiers.accounts import NewAccount

STANDS = Decimal(1_000_000)


def level(receipt: Receipt) -> Level:
    assert isinstance(receipt, Recorded), receipt
    return receipt.judgements[-1].threshold_level


async def balances(road: Road, account: UUID) -> tuple[Any, ...]:
    """Ledger, bank and reserved, as they differ from the opening."""
    state = await road.state(account)
    return state["ledger_balance"] - STANDS, state["bank_reported_balance"] - STANDS, state["reserved_balance"]


async def funding(road: Road, key: UUID) -> str:
    return str((await road.row("SELECT state FROM fundings WHERE id = %s", key))["state"])


async def payout(road: Road, key: UUID) -> str:
    return str((await road.row("SELECT state FROM payouts WHERE id = %s", key))["state"])


async def minted(road: Road) -> list[tuple[Any, ...]]:
    rows = await road.rows(
        "SELECT kind, amount, from_holder, to_holder FROM ledger_movements WHERE kind <> 'opening' ORDER BY id"
    )
    return [tuple(row.values()) for row in rows]


async def unexpected(road: Road) -> list[Decimal]:
    return [row["amount"] for row in await road.rows("SELECT amount FROM bank_entries WHERE unexpected ORDER BY id")]


async def open_discrepancies(road: Road) -> list[tuple[Any, ...]]:
    rows = await road.rows(
        "SELECT discrepancy_type, subject, expected_value, actual_value FROM reconciliation_discrepancies"
        " WHERE status <> 'RESOLVED' ORDER BY 1"
    )
    return [tuple(row.values()) for row in rows]


def story(bench: Bench, tell: Callable[[Road, UUID], Awaitable[None]]) -> None:
    async def told(road: Road) -> None:
        await tell(road, await road.account())

    bench.void(told)


def test_a_credit_that_was_announced_becomes_tokens_in_its_own_transaction(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        key = await road.expect(account, "E1", "100")
        receipt = await road.take_one(note("M1", "100.00", reference="B1", tag="E1"))
        assert level(receipt) is Level.OK
        assert await balances(road, account) == (100, 100, 0)
        assert await funding(road, key) == "MET"
        assert await minted(road) == [("mint", 100, None, "BANKAEAD")]
        assert await unexpected(road) == await open_discrepancies(road) == []
        met = await road.row("SELECT * FROM entry_meetings")
        movement = await road.row("SELECT * FROM ledger_movements WHERE kind = 'mint'")
        assert (met["met"], met["funding_id"], met["movement_id"]) == ("funding", key, movement["id"])
        assert (movement["cause"], movement["actor"]) == ("B1", "engine")
        for subject in ("reconciliation.ledger.mint", "reconciliation.funding.met"):
            event = await road.row("SELECT * FROM outbox WHERE subject = %s", subject)
            assert str(key) in event["payload"]

    story(bench, tell)


def test_what_was_booked_is_minted_and_not_what_was_announced(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        key = await road.expect(account, "E1", "100")
        assert level(await road.take_one(note("M1", "98.50", reference="B1", tag="E1"))) is Level.OK
        assert await balances(road, account) == (Decimal("98.5"), Decimal("98.5"), 0)
        assert await open_discrepancies(road) == [("FUNDING_AMOUNT_DIFFERS", str(key), 100, Decimal("98.5"))]
        opened = await road.row("SELECT * FROM discrepancy_events")
        assert "100.00 expected, 98.50 booked" in opened["text"]
        assert await road.row("SELECT * FROM outbox WHERE subject = 'reconciliation.discrepancy.opened'")

    story(bench, tell)


def test_a_credit_that_nobody_announced_is_excess_for_a_person_to_look_at(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.expect(account, "E2", "600")
        receipt = await road.take_one(note("M1", "600.00", reference="B1", tag="E1"))
        assert level(receipt) is Level.SIGNIFICANT
        await road.take(note("M2", "5.00", reference="B2", debit=True))
        assert await minted(road) == []
        assert await unexpected(road) == [600]

    story(bench, tell)


@pytest.mark.parametrize("together", [True, False])
def test_a_credit_meets_once_however_often_and_in_whatever_messages_it_comes(bench: Bench, together: bool) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.expect(account, "E1", "100")
        credit: dict[str, Any] = {"reference": "B1", "tag": "E1", "booked": "2025-11-18"}
        messages = [
            report("R1", line("100.00", tag="E1", booked="2025-11-18")),
            note("M1", "100.00", **credit),
            note("M2", "100.00", **credit),
            report("R2", line("100.00", **credit)),
            camt("M3", section(line("100.00", **credit), extra="<CpyDplctInd>DUPL</CpyDplctInd>")),
        ]
        if together:
            await road.take(*messages)
        else:
            for message in messages:
                await road.take_one(message)
        assert await minted(road) == [("mint", 100, None, "BANKAEAD")]
        assert await balances(road, account) == (100, 100, 0)

    story(bench, tell)


def test_one_announcement_mints_for_one_credit(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.expect(account, "E1", "10")
        await road.take(note("M1", reference="B1", tag="E1"), note("M2", reference="B2", tag="E1"))
        assert await minted(road) == [("mint", 10, None, "BANKAEAD")]
        assert await unexpected(road) == [10]

    story(bench, tell)


@pytest.mark.parametrize(
    "credit",
    [
        camt("M", section(line("10.00", reference="B", tag="E1", status="PDNG"))),
        camt("M", section(line("10.00", reference="B", tag="E1", status="INFO"))),
        camt("M", section(line("10.00", reference="B", tag="E1", reversal=True))),
        note("M", reference="B", tag="E1", debit=True),
        note("M", reference="B", tag="e1"),
        note("M", reference="B"),
    ],
)
def test_what_is_no_booked_credit_of_this_name_mints_nothing(bench: Bench, credit: bytes) -> None:
    async def tell(road: Road, account: UUID) -> None:
        key = await road.expect(account, "E1")
        await road.take_one(credit)
        assert await minted(road) == []
        assert await funding(road, key) == "EXPECTED"

    story(bench, tell)


def test_another_accounts_funding_is_not_met(bench: Bench) -> None:
    async def tell(road: Road, _: UUID) -> None:
        other = await road.account("OTHER")
        dollars = await road.account(NUMBER, "USD")
        for key in (other, dollars):
            await road.expect(key, "E1")
        await road.take_one(note("M", reference="B", tag="E1"))
        assert await minted(road) == []
        assert await unexpected(road) == [10]

    story(bench, tell)


def test_a_funding_is_over_by_the_clock_whether_or_not_anybody_wrote_it_down(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.expect(account, "E1", until=NOW)
        await road.expect(account, "E2", until=NOW + timedelta(microseconds=1))
        await road.take(note("M1", reference="B1", tag="E1"), note("M2", reference="B2", tag="E2"))
        met = await road.rows("SELECT f.end_to_end_id FROM entry_meetings m JOIN fundings f ON f.id = m.funding_id")
        assert [row["end_to_end_id"] for row in met] == ["E2"]
        assert await unexpected(road) == [10]

    story(bench, tell)


def test_nothing_is_minted_under_an_open_breaker(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        key = await road.expect(account, "E1", "100")
        await road.take_one(note("M1", "50.00", reference="B1", debit=True))  # nobody knows of it: Critical
        await road.take_one(note("M2", "50.00", reference="B2"))
        await road.take_one(note("M3", "100.00", reference="B3", tag="E1"))
        assert await minted(road) == []
        assert await balances(road, account) == (0, 100, 0)
        assert await funding(road, key) == "EXPECTED"
        assert await unexpected(road) == [50, 100]

    story(bench, tell)


def test_nothing_is_minted_that_another_entry_of_the_notification_has_taken_away(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.expect(account, "E1", "100")
        both = section(line("100.00", reference="B1", tag="E1"), line("0.01", reference="B2", debit=True))
        assert level(await road.take_one(camt("M1", both))) is Level.OK  # an excess of 99.99
        assert await minted(road) == []
        assert await balances(road, account) == (0, Decimal("99.99"), 0)

    story(bench, tell)


@pytest.mark.parametrize("sent", [True, False])
def test_the_banks_debit_settles_a_payout_in_its_own_transaction(bench: Bench, sent: bool) -> None:
    async def tell(road: Road, account: UUID) -> None:
        key = await road.hold(account, "P1", "100", sent=sent)
        assert await balances(road, account) == (0, 0, 100)
        assert level(await road.take_one(note("M1", "100.00", debit=True, reference="B1", tag="P1"))) is Level.OK
        assert await balances(road, account) == (-100, -100, 0)
        assert await payout(road, key) == "SETTLED"
        assert await minted(road) == [("payout_settlement", 100, "unattributed", None)]
        met = await road.row("SELECT met, payout_id FROM entry_meetings")
        assert tuple(met.values()) == ("payout", key)
        assert await road.row("SELECT * FROM outbox WHERE subject = 'reconciliation.ledger.payout_settlement'")
        assert await road.row("SELECT * FROM outbox WHERE subject = 'reconciliation.payout.settled'")
        assert (await road.state(account))["circuit_breaker"] == "closed"

    story(bench, tell)


def test_a_debit_of_more_than_was_held_burns_what_was_held_and_the_rest_is_a_shortfall(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        key = await road.hold(account, "P1", "100", sent=True)
        receipt = await road.take_one(note("M1", "100.25", debit=True, reference="B1", tag="P1"))
        assert level(receipt) is Level.CRITICAL
        assert await balances(road, account) == (-100, Decimal("-100.25"), 0)
        found = await open_discrepancies(road)
        assert [kind for kind, *_ in found] == ["BALANCE_MISMATCH", "PAYOUT_AMOUNT_DIFFERS"]
        assert found[1][1:] == (str(key), 100, Decimal("100.25"))

    story(bench, tell)


def test_a_debit_of_less_than_was_held_burns_what_was_paid_and_releases_all(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.hold(account, "P1", "100", sent=True)
        assert level(await road.take_one(note("M1", "99.00", debit=True, reference="B1", tag="P1"))) is Level.OK
        assert await balances(road, account) == (-99, -99, 0)
        assert [kind for kind, *_ in await open_discrepancies(road)] == ["PAYOUT_AMOUNT_DIFFERS"]

    story(bench, tell)


def test_a_debit_of_a_payout_that_was_released_is_a_shortfall(bench: Bench) -> None:
    """Its tokens may be spent already: nobody burns them behind their holder's back."""

    async def tell(road: Road, account: UUID) -> None:
        key = await road.hold(account, "P1", "100")
        await road.rows(
            "UPDATE payouts SET state = 'CANCELLED', settled_by = 'ann', settled_at = now(), settled_reason = 'r'"
            " WHERE id = %s RETURNING id", key
        )  # fmt: skip
        receipt = await road.take_one(note("M1", "100.00", debit=True, reference="B1", tag="P1"))
        assert level(receipt) is Level.CRITICAL
        assert await balances(road, account) == (0, -100, 0)
        assert await payout(road, key) == "CANCELLED"

    story(bench, tell)


def test_a_debit_settles_once(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.hold(account, "P1", "100")
        again = note("M2", "100.00", debit=True, reference="B2", tag="P1")
        receipts = await road.take(note("M1", "100.00", debit=True, reference="B1", tag="P1"), again)
        assert level(receipts[1]) is Level.CRITICAL
        assert await balances(road, account) == (-100, -200, 0)

    story(bench, tell)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("reversal", [True, False])
def test_a_payout_that_comes_back_is_minted_again_to_who_gave_it(bench: Bench, together: bool, reversal: bool) -> None:
    async def tell(road: Road, account: UUID) -> None:
        key = await road.hold(account, "P1", "100")
        out = camt("M1", section(line("100.00", debit=True, reference="B1", tag="P1")))
        back = camt("M2", section(line("100.00", reference="B2", tag="P1", reversal=reversal)))
        twice = camt("M3", section(line("100.00", reference="B3", tag="P1", reversal=reversal)))
        if together:
            receipts = await road.take(out, back)
        else:
            receipts = [await road.take_one(out), await road.take_one(back)]
        assert [level(receipt) for receipt in receipts] == [Level.OK, Level.OK]
        assert await payout(road, key) == "RETURNED"
        assert await balances(road, account) == (0, 0, 0)
        settled = await road.row("SELECT settled_reason FROM payouts")
        assert settled["settled_reason"] == "the bank's entry B1", "what settled it, not what brought it back"
        assert await minted(road) == [
            ("payout_settlement", 100, "unattributed", None),
            ("mint", 100, None, "unattributed"),
        ]
        await road.take_one(twice)
        assert await unexpected(road) == [100]

    story(bench, tell)


@pytest.mark.parametrize(
    ("back", "tokens", "kinds"),
    [("99.00", 99, ["RETURN_AMOUNT_DIFFERS"]), ("100.01", 0, ["BALANCE_MISMATCH"])],
)
def test_no_more_comes_back_than_was_burnt(bench: Bench, back: str, tokens: int, kinds: list[str]) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.hold(account, "P1", "100")
        await road.take_one(note("M1", "100.00", debit=True, reference="B1", tag="P1"))
        await road.take_one(note("M2", back, reference="B2", tag="P1"))
        assert await balances(road, account) == (tokens - 100, Decimal(back) - 100, 0)
        # An excess of 100.01 in a million is more than the 0.01 % that are Ok.
        assert [kind for kind, *_ in await open_discrepancies(road)] == kinds

    story(bench, tell)


def test_a_settlement_makes_room_for_a_mint_of_the_same_notification_whichever_is_named_first(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.hold(account, "P1", "100")
        await road.expect(account, "E1", "100")
        both = section(line("100.00", reference="B1", tag="E1"), line("100.00", debit=True, reference="B2", tag="P1"))
        assert level(await road.take_one(camt("M1", both))) is Level.OK
        assert await balances(road, account) == (0, 0, 0)
        assert len(await minted(road)) == 2

    story(bench, tell)


def test_a_credit_of_a_ledger_kept_elsewhere_is_nobodys_receipt_here(bench: Bench) -> None:
    async def told(road: Road) -> None:
        wanted = NewAccount(
            account_number=NUMBER, currency="AED", bank="Bank", ledger_balance="1000000", bank_balance="1000000",
            ledger_mode=Mode.EXTERNAL,
        )  # fmt: skip
        await accounts.create(road.tx, wanted, "tests", NOW)
        await road.take_one(note("M1", reference="B1", tag="E1"))
        assert await unexpected(road) == []

    bench.void(told)
