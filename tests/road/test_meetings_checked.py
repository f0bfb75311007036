"""What `token-engine check` finds where a meeting, its entry, its movement and its funding do not agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from uuid import UUID

import pytest

from road.bench import NOW, Bench, Road, note
from road.desk import announce, entry_of, faults, view
from token_engine.domain.ledger import Kind, Movement, legs_of
from token_engine.storage import ledger, receipts


async def posted(road: Road, account: UUID, kind: Kind = Kind.MINT, amount: str = "100") -> int:
    """A movement that nobody asked the bank about."""
    movement = Movement(
        kind=kind, amount=Decimal(amount), reason="r", actor="psql", to_holder="h" if kind is Kind.MINT else None,
        from_holder="unattributed" if kind is Kind.BURN else None,
    )  # fmt: skip
    return (await ledger.post(road.tx, [(account, movement, legs_of(movement))], NOW))[0]


async def meeting(road: Road, movement: int, met: str = "allocation", *, credit: str = "C") -> None:
    entry = await entry_of(road, credit)
    await road.connection.execute(
        "INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, movement_id, actor, reason, at)"
        " SELECT account_id, amount, identity, occurrence, %s, %s, 'psql', 'r', now() FROM bank_entries WHERE id = %s",
        [met, movement, entry],
    )


async def of_another_amount(road: Road, account: UUID) -> None:
    await meeting(road, await posted(road, account, amount="99"))


async def of_another_kind(road: Road, account: UUID) -> None:
    await meeting(road, await posted(road, account, Kind.BURN))


async def of_another_account(road: Road, _: UUID) -> None:
    await meeting(road, await posted(road, await road.account("OTHER")))


async def a_mint_called_own_funds(road: Road, account: UUID) -> None:
    await meeting(road, await posted(road, account), "own_funds")


@pytest.mark.parametrize(
    "wrong", [of_another_amount, of_another_kind, of_another_account, a_mint_called_own_funds]
)  # fmt: skip
def test_a_movement_that_is_not_what_its_entry_brought(
    bench: Bench, wrong: Callable[[Road, UUID], Awaitable[None]]
) -> None:
    async def tell(road: Road) -> None:
        account = await road.account()
        await road.take(note("C", "100", reference="R"))
        await wrong(road, account)
        [found] = await receipts.unlike_their_movements(road.tx)
        assert found["entry_id"] == await entry_of(road, "C")

    bench.void(tell)


def test_a_mint_against_no_entry(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        account = await road.account()
        number = await posted(road, account)
        [found] = await receipts.mints_without_meeting(road.tx)
        assert (found["id"], found["amount"]) == (number, 100)

    bench.void(tell)


def test_a_funding_that_is_met_by_nothing_and_one_that_is_met_and_does_not_say_so(bench: Bench) -> None:
    async def tell(road: Road) -> None:
        account = await road.account()
        key = await road.expect(account, "E1")
        await road.connection.execute(
            "UPDATE fundings SET state = 'MET', settled_by = 'psql', settled_at = now(), settled_reason = 'r'"
        )
        assert [row["id"] for row in await receipts.met_without_meeting(road.tx)] == [key]
        other = await road.expect(account, "E2")
        await road.take(note("C", "10", reference="R"))
        entry, number = await entry_of(road, "C"), await posted(road, account, amount="10")
        await road.connection.execute(
            "INSERT INTO entry_meetings (account_id, amount, identity, occurrence, met, funding_id, movement_id, actor,"
            " reason, at) SELECT account_id, amount, identity, occurrence, 'funding', %s, %s, 'psql', 'r', now()"
            " FROM bank_entries WHERE id = %s", [other, number, entry],
        )  # fmt: skip
        assert {row["id"] for row in await receipts.met_without_meeting(road.tx)} == {key, other}

    bench.void(tell)


def test_what_the_engine_does_itself_is_no_fault(bench: Bench) -> None:
    """Settled, returned, funded by the road and by an announcement."""

    async def tell(road: Road) -> None:
        account = await road.account()
        await road.hold(account, "P1", "50")
        await road.take(note("D", "49", reference="D", tag="P1", debit=True))
        await road.take(note("B", "48", reference="B", tag="P1"))
        await road.take(note("C", "10", reference="R", tag="E1"))
        view(await announce(road, "E1"))
        await road.expect(account, "E2")
        await road.take(note("C2", "10", reference="R2", tag="E2"))
        assert len(await road.rows("SELECT 1 FROM entry_meetings")) == 4
        assert await faults(road) == []

    bench.void(tell)
