"""What a payout held is released in the writing that burns it: neither can be had without the other, whoever asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from road.bench import NUMBER, Bench, Road, note
from road.desk import entry_of
from token_engine.storage import ledger, payouts

HELD = """SELECT h.balance, h.reserved, a.ledger_balance, a.reserved_balance FROM ledger_holders h
    JOIN emi_accounts a ON a.id = h.account_id WHERE h.holder = 'unattributed' AND a.account_number = %s"""


def story(bench: Bench, tell: Callable[[Road, UUID], Awaitable[None]]) -> None:
    """About an account that stands at 100 on both sides, all of it held by nobody in particular."""

    async def told(road: Road) -> None:
        await tell(road, await road.account(ledger="100", bank="100"))

    bench.void(told)


async def stands(road: Road) -> tuple[Any, ...]:
    """The holder's balance and what of it is reserved, and the same of his account."""
    return tuple((await road.row(HELD, NUMBER)).values())


async def drifts(road: Road) -> list[dict[str, Any]]:
    return [*await payouts.drift(road.tx), *await ledger.drift(road.tx), *await payouts.unlike_their_meetings(road.tx)]


async def settle_by_hand(road: Road, account: UUID, payout: UUID, *, meeting_first: bool) -> None:
    """A movement that burns, and the meeting that says of which payout it is: as two statements, in either order."""
    await road.take_one(note("D", "10", reference="D", debit=True, tag="SOMETHING ELSE"))
    entry = await entry_of(road, "D")
    movement = (
        "INSERT INTO ledger_movements (id, account_id, kind, amount, leaves, enters, from_holder, reason, actor, cause,"
        " at) OVERRIDING SYSTEM VALUE"
        " VALUES (900, %s, 'payout_settlement', 10, 'holder', 'issued', 'unattributed', 'r',"
        " 'psql', 'D', now()) RETURNING id", account,
    )  # fmt: skip
    meeting = (
        "INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, payout_id, movement_id, actor,"
        " reason, at) SELECT account_id, amount, identity, occurrence, 'payout', %s, 900, 'psql', 'r', now()"
        " FROM bank_entries WHERE id = %s RETURNING movement_id", payout, entry,
    )  # fmt: skip
    for statement in (meeting, movement) if meeting_first else (movement, meeting):
        await road.rows(*statement)


async def touched(road: Road) -> dict[str, tuple[int, int]]:
    """How often rows of each table were updated and looked up in this transaction."""
    rows = await road.rows("SELECT relname, n_tup_upd, seq_scan + idx_scan AS read FROM pg_stat_xact_user_tables")
    return {row["relname"]: (row["n_tup_upd"], row["read"]) for row in rows}


def test_holder_and_account_are_written_once_for_burn_and_release(bench: Bench) -> None:
    """And an account that was written before in this transaction is not held against its bank again."""

    async def cost(road: Road, *messages: bytes) -> dict[str, int]:
        before = await touched(road)
        await road.take(*messages)
        after = await touched(road)
        return {
            "holders": after["ledger_holders"][0] - before["ledger_holders"][0],
            "accounts": after["emi_accounts"][0] - before["emi_accounts"][0],
            "banks read": after["banks"][1] - before["banks"][1],
        }

    async def tell(road: Road, account: UUID) -> None:
        for tag in ("P1", "P2", "P3"):
            await road.hold(account, tag, "10")
        bare = await cost(road, note("M0", "0.01", reference="R0"))
        assert bare == {"holders": 0, "accounts": 1, "banks read": 1}, "judged, and locked with its bank"
        debits = [note(f"M{tag}", "10", reference=tag, tag=tag, debit=True) for tag in ("P1", "P2", "P3")]
        assert await cost(road, *debits) == {"holders": 1, "accounts": 2, "banks read": 1}
        assert await stands(road) == (70, 0, 70, 0)

    story(bench, tell)


@pytest.mark.parametrize(("booked", "burnt"), [("100", 100), ("99", 99), ("101", 100)])
def test_all_that_a_holder_has_may_be_held_and_paid_out(bench: Bench, booked: str, burnt: int) -> None:
    """The hold goes whole, the tokens as far as the bank has paid."""

    async def tell(road: Road, account: UUID) -> None:
        await road.hold(account, "P1", "100")
        assert await stands(road) == (100, 100, 100, 100)
        await road.take_one(note("M", booked, reference="R", tag="P1", debit=True))
        assert await stands(road) == (100 - burnt, 0, 100 - burnt, 0)
        assert await drifts(road) == []

    story(bench, tell)


def test_a_movement_settles_the_payout_of_its_meeting(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        payout = await road.hold(account, "P1", "30")
        other = await road.hold(account, "P2", "5")
        await road.take_one(note("M", "20", reference="R", tag="P1", debit=True))
        assert await stands(road) == (80, 5, 80, 5)
        settled = await road.row("SELECT state, settled_by, settled_reason FROM payouts WHERE id = %s", payout)
        assert tuple(settled.values()) == ("SETTLED", "engine", "the bank's entry R")
        assert (await road.row("SELECT state FROM payouts WHERE id = %s", other))["state"] == "HELD"

    story(bench, tell)


def test_a_meeting_that_is_there_before_its_movement_is_refused(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        payout = await road.hold(account, "P1", "10")
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="not what it met"):
            await settle_by_hand(road, account, payout, meeting_first=True)

    story(bench, tell)


def test_a_movement_whose_meeting_comes_too_late_releases_nothing_and_is_found(bench: Bench) -> None:
    """What is reserved is what payouts hold in any case; that one is held still says `token-engine check`."""

    async def tell(road: Road, account: UUID) -> None:
        payout = await road.hold(account, "P1", "10")
        await settle_by_hand(road, account, payout, meeting_first=False)
        assert await stands(road) == (90, 10, 90, 10)
        assert [row["id"] for row in await drifts(road)] == [payout]

    story(bench, tell)


@pytest.mark.parametrize("state", ["SETTLED", "CANCELLED"])
def test_a_payout_that_is_over_is_not_settled_by_a_movement(bench: Bench, state: str) -> None:
    """A settled one has its meeting; one that was called off has none, and is kept by what a payout may do."""

    async def tell(road: Road, account: UUID) -> None:
        payout = await road.hold(account, "P1", "10")
        await road.rows(
            "UPDATE payouts SET state = %s, settled_by = 'psql', settled_at = now(), settled_reason = 'r' RETURNING id",
            state,
        )
        assert await stands(road) == (100, 0, 100, 0), "released by the payout itself"
        await road.take_one(note("D", "10", reference="D", debit=True))
        entry = await entry_of(road, "D")
        with pytest.raises(psycopg.errors.RestrictViolation, match=f"a payout goes from {state} to no such state"):
            await road.rows(
                "WITH k AS (INSERT INTO ledger_movements (id, account_id, kind, amount, leaves, enters, from_holder,"
                " reason, actor, cause, at) OVERRIDING SYSTEM VALUE VALUES (900, %s, 'payout_settlement', 10, 'holder',"
                " 'issued', 'unattributed', 'r', 'psql', 'D', now()))"
                " INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, payout_id, movement_id,"
                " actor, reason, at) SELECT account_id, amount, identity, occurrence, 'payout', %s, 900, 'psql', 'r',"
                " now() FROM bank_entries WHERE id = %s RETURNING movement_id", account, payout, entry,
            )  # fmt: skip

    story(bench, tell)


def test_a_payout_that_no_entry_settled_is_found(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        payout = await road.hold(account, "P1", "10")
        assert await payouts.unlike_their_meetings(road.tx) == []
        await road.rows(
            "UPDATE payouts SET state = 'SETTLED', settled_by = 'psql', settled_at = now(), settled_reason = 'r'"
            " RETURNING id"
        )
        [found] = await payouts.unlike_their_meetings(road.tx)
        assert (found["id"], found["account_number"], found["state"]) == (payout, NUMBER, "SETTLED")

    story(bench, tell)


def test_debit_and_return_at_once_burn_and_mint_and_release_once(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        first = await road.hold(account, "P1", "40")
        second = await road.hold(account, "P2", "10")
        await road.take(
            note("A", "40", reference="A", tag="P1", debit=True), note("B", "40", reference="B", tag="P1"),
            note("C", "10", reference="C", tag="P2", debit=True),
        )  # fmt: skip
        states = {row["id"]: row["state"] for row in await road.rows("SELECT id, state FROM payouts")}
        assert states == {first: "RETURNED", second: "SETTLED"}
        await road.take(note("D", "10", reference="D", tag="P2"))
        assert await stands(road) == (Decimal(100), 0, 100, 0)
        assert await drifts(road) == []

    story(bench, tell)
