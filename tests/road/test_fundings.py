"""Fundings from their announcement to their end, and what each step tells."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from road.bench import NOW, NUMBER, Bench, Road, camt, line, note, section
from road.desk import allocate, announce, cancel, code, entry_of, faults, held, state_of, view
from road.people import bank_says
from token_engine.domain.ledger import Mode
from token_engine.domain.refusal import RefusedError
from token_engine.tiers import accounts, fundings, ledger
from token_engine.tiers.accounts import NewAccount

LATER = NOW + timedelta(minutes=5)


def story(bench: Bench, tell: Callable[[Road, UUID], Awaitable[None]]) -> None:
    async def told(road: Road) -> None:
        await tell(road, await road.account())
        assert await faults(road) == []

    bench.void(told)


async def told_since(road: Road, after: int) -> list[str]:
    return [row["subject"] for row in await road.rows("SELECT subject FROM outbox ORDER BY id")][after:]


async def count_of(road: Road, table: str = "outbox") -> int:
    return int((await road.row(f"SELECT count(*) AS n FROM {table}"))["n"])


def test_a_funding_announced_after_its_credit_mints_at_once_and_says_so(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.take(note("C", "100", reference="R", tag="E1"))
        before = await count_of(road)
        said = view(await announce(road, "E1", "100", at=LATER))
        assert (said["state"], said["settled_by"], said["waiting"]) == ("MET", "engine", None)
        assert (said["minted"]["amount"], said["minted"]["threshold_level"]) == ("100.00", "Ok")
        entry = await entry_of(road, "C")
        assert (said["entry"]["entry_id"], said["entry"]["amount"]) == (entry, "100.00")
        assert said["movement"]["id"] == said["minted"]["id"]
        assert await told_since(road, before) == [
            "reconciliation.funding.announced", "reconciliation.ledger.mint", "reconciliation.ledger.ok",
            "reconciliation.funding.met",
        ]  # fmt: skip
        assert await held(road, account) == {"unattributed": 1_000_000, "BANKAEAD": 100}
        met = await road.row("SELECT * FROM entry_meetings")
        assert (met["met"], str(met["funding_id"]), met["actor"]) == ("funding", said["id"], "engine")
        audited = [row["action"] for row in await road.rows("SELECT action FROM audit_log ORDER BY id")][-3:]
        assert audited == ["funding_announced", "ledger_mint", "funding_met"]

    story(bench, tell)


def test_another_amount_than_announced_mints_what_was_booked_and_is_a_discrepancy(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.take(note("C", "98.50", reference="R", tag="E1"))
        said = view(await announce(road, "E1", "100"))
        assert (said["amount"], said["minted"]["amount"]) == ("100.00", "98.50")
        found = await road.row("SELECT * FROM reconciliation_discrepancies WHERE status <> 'RESOLVED'")
        assert (found["discrepancy_type"], found["subject"]) == ("FUNDING_AMOUNT_DIFFERS", said["id"])
        assert (found["expected_value"], found["actual_value"]) == (100, Decimal("98.5"))
        assert (found["severity"], found["source_system"], found["source_reference"]) == ("Minor", "CAMT_054", "C")
        assert found["message_id"] == said["entry"]["message_id"]

    story(bench, tell)


def test_of_several_credits_the_oldest_meets(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.take(*(note(f"C{n}", f"{n}0", reference=f"R{n}", tag="E1") for n in (3, 1, 2)))
        assert view(await announce(road, "E1", "10"))["minted"]["amount"] == "30.00"
        assert view(await announce(road, "E1", "10"))["minted"]["amount"] == "10.00"
        assert await state_of(road, await entry_of(road, "C2")) == "UNALLOCATED"

    story(bench, tell)


def test_two_credits_under_one_reference_of_the_bank_are_two_mints(bench: Bench) -> None:
    """Some banks repeat a reference on separate movements: what was minted goes by the entry, not by its name."""

    async def tell(road: Road, account: UUID) -> None:
        for n in ("1", "2"):
            await road.take(note(f"C{n}", "10", reference="R", tag="E1", booked=f"2025-11-1{n}"))
        assert await count_of(road, "bank_entries") == 2
        for _ in range(2):
            assert view(await announce(road, "E1", "10"))["state"] == "MET"
        assert (await held(road, account))["BANKAEAD"] == 20

    story(bench, tell)


@pytest.mark.parametrize("why", ["breaker_open", "no_fresh_evidence"])
def test_where_nothing_may_be_minted_now_the_funding_waits_and_says_why(bench: Bench, why: str) -> None:
    async def tell(road: Road, account: UUID) -> None:
        at = NOW
        await road.take(note("C", "100", reference="R", tag="E1"))
        if why == "breaker_open":
            await road.take(note("D", "20000", reference="D", debit=True))
            await road.take(note("H", "20000", reference="H", tag="H"))  # healed, and open until people close it
        else:
            at = NOW + timedelta(hours=25)
        said = view(await announce(road, "E1", "100", minutes=60 * 48, at=at))
        assert (said["state"], said["minted"], said["waiting"]["code"]) == ("EXPECTED", None, why)
        assert said["waiting"]["entry_id"] == await entry_of(road, "C")
        assert (await road.state(account))["ledger_balance"] == 1_000_000
        assert await count_of(road, "entry_meetings") == 0
        entry = await entry_of(road, "C")
        assert code(await allocate(road, entry, funding=said["id"], at=at)) == why
        if why == "no_fresh_evidence":
            await bank_says(road, note("F", "1", reference="F"), at=at)
            assert view(await allocate(road, entry, funding=said["id"], at=at))["state"] == "ALLOCATED"
            shown = await fundings.show(road.tx, said["id"], at)
            assert shown is not None
            assert (shown["state"], shown["settled_by"]) == ("MET", "ann")

    story(bench, tell)


def test_more_than_the_bank_holds_is_not_minted_for_a_credit_that_went_again(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.take(note("C", "100", reference="R", tag="E1"))
        await road.take(note("D", "1", reference="D", debit=True))  # a charge, taken from what had come
        said = view(await announce(road, "E1", "100"))
        assert (said["state"], said["waiting"]["code"]) == ("EXPECTED", "not_backed")

    story(bench, tell)


def test_one_is_expected_under_an_end_to_end_id_until_its_time_is_over(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        first = view(await announce(road, minutes=10))
        assert code(await announce(road, at=NOW + timedelta(minutes=9, seconds=59))) == "funding_exists"
        second = view(await announce(road, at=NOW + timedelta(minutes=10)))
        assert second["state"] == "EXPECTED"
        ended = await fundings.show(road.tx, first["id"], NOW)
        assert ended is not None
        assert (ended["state"], ended["settled_by"]) == ("EXPIRED", "engine")

    story(bench, tell)


def test_by_the_clock_none_is_met_or_cancelled_after_its_time_whether_or_not_the_sweep_ran(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        said = view(await announce(road, minutes=10))
        late = NOW + timedelta(minutes=10)
        await bank_says(road, note("C", "100", reference="R", tag="E1"), at=late)
        entry = await entry_of(road, "C")
        assert await state_of(road, entry) == "UNALLOCATED"
        assert code(await allocate(road, entry, funding=said["id"], at=late)) == "funding_settled"
        assert code(await cancel(road, said["id"], at=late)) == "funding_settled"
        shown = await fundings.show(road.tx, said["id"], late)
        assert shown is not None
        assert (shown["state"], shown["settled_by"]) == ("EXPIRED", None)
        for state, found in (("expired", 1), ("expected", 0), ("all", 1), (None, 1)):
            assert len(await fundings.listing(road.tx, NUMBER, late, state=state)) == found
        stored = await road.row("SELECT state FROM fundings")
        assert stored["state"] == "EXPECTED"

    story(bench, tell)


def test_what_may_be_a_payout_that_comes_back_is_not_announced(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.hold(account, "P1")
        assert code(await announce(road, "P1")) == "reference_taken"
        await road.take(note("D", "10", reference="D", tag="P1", debit=True))
        assert code(await announce(road, "P1")) == "reference_taken"
        await road.take(note("B", "10", reference="B", tag="P1"))
        assert view(await announce(road, "P1"))["state"] == "EXPECTED", "it came back, and that is done"

    story(bench, tell)


def test_what_undoes_a_debit_meets_no_funding_by_itself(bench: Bench) -> None:
    """It is a receipt all the same, for a person to say whose it is."""

    async def tell(road: Road, account: UUID) -> None:
        undone = line("100.00", reference="R", tag="E1", reversal=True)
        await road.take(camt("C", section(undone)))
        said = view(await announce(road, "E1", "100"))
        assert (said["state"], said["minted"], said["waiting"]) == ("EXPECTED", None, None)
        assert await state_of(road, await entry_of(road, "C")) == "UNALLOCATED"

    story(bench, tell)


def test_what_is_cancelled_is_not_met(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        said = view(await announce(road))
        before = await count_of(road)
        done = view(await cancel(road, said["id"]))
        assert (done["state"], done["settled_by"], done["settled_reason"]) == ("CANCELLED", "bob", "it will not come")
        assert await told_since(road, before) == ["reconciliation.funding.cancelled"]
        event = (await road.rows("SELECT payload FROM outbox ORDER BY id"))[-1]
        told = json.loads(event["payload"])["data"]
        assert (told["funding_id"], told["state"], told["settled_by"]) == (said["id"], "CANCELLED", "bob")
        assert code(await cancel(road, said["id"])) == "funding_settled"
        await road.take(note("C", "100", reference="R", tag="E1"))
        assert await state_of(road, await entry_of(road, "C")) == "UNALLOCATED"

    story(bench, tell)


def test_a_page_of_fundings_newest_first(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        made = [view(await announce(road, f"E{n}", at=NOW + timedelta(seconds=n // 2)))["id"] for n in range(5)]
        seen: list[str] = []
        while page := await fundings.listing(
            road.tx, NUMBER, NOW, before=UUID(seen[-1]) if seen else None, limit=2
        ):  # fmt: skip
            seen += [one["id"] for one in page]
        assert len(seen) == 5
        assert {seen[0], *seen[1:3], *seen[3:]} == set(made)
        assert seen[0] == made[4]

    story(bench, tell)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount": "0"}, "invalid_amount"),
        ({"amount": "0.001"}, "invalid_amount"),
        ({"amount": "-1"}, "invalid_amount"),
        ({"amount": "1" + "0" * 18}, "invalid_amount"),
        ({"tag": "NOTPROVIDED"}, "invalid_end_to_end_id"),
        ({"tag": "000"}, "invalid_end_to_end_id"),
        ({"tag": " "}, "invalid_text"),
        ({"tag": "E" * 141}, "invalid_text"),
        ({"tag": "E\0"}, "invalid_text"),
        ({"holder": ""}, "invalid_text"),
        ({"holder": "h\n"}, "invalid_text"),
        ({"actor": "engine"}, "invalid_actor"),
        ({"actor": " "}, "invalid_actor"),
        ({"minutes": 0}, "invalid_expires_in_minutes"),
        ({"minutes": 366 * 24 * 60 + 1}, "invalid_expires_in_minutes"),
        ({"minutes": 2**80}, "invalid_expires_in_minutes"),
        ({"currency": "USD"}, "unknown_account"),
        ({"number": "nobody's"}, "unknown_account"),
    ],
)
def test_what_cannot_be_announced(bench: Bench, change: dict[str, Any], expected: str) -> None:
    async def tell(road: Road, account: UUID) -> None:
        before = [await count_of(road, table) for table in ("fundings", "outbox", "audit_log")]
        assert code(await announce(road, **change)) == expected
        assert [await count_of(road, table) for table in ("fundings", "outbox", "audit_log")] == before

    story(bench, tell)


def test_only_an_open_account_whose_ledger_is_ours_has_fundings(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        theirs = NewAccount(
            account_number="X", currency="AED", bank="Bank", bank_balance="5", ledger_mode=Mode.EXTERNAL
        )
        assert isinstance(await accounts.create(road.tx, theirs, "tests", NOW), dict)
        assert code(await announce(road, number="X")) == "wrong_ledger_mode"
        expected = view(await announce(road))
        await accounts.close(road.tx, NUMBER, "tests", NOW)
        assert code(await announce(road, "E2")) == "account_closed"
        assert view(await cancel(road, expected["id"]))["state"] == "CANCELLED"

    story(bench, tell)


def test_a_number_kept_in_two_currencies_needs_to_be_told_apart(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        dinars = await road.account(currency="KWD", ledger="0", bank="0")
        assert code(await announce(road)) == "ambiguous_account"
        assert code(await announce(road, amount="1.005", currency="AED")) == "invalid_amount"
        said = view(await announce(road, amount="1.005", currency="KWD"))
        assert (said["account_id"], said["amount"], said["token"]) == (str(dinars), "1.005", "xKWD")
        await road.take(note("C", "1.005", reference="R", tag="E1"))
        assert await held(road, dinars) == {}, "a credit in dirhams is none of its"
        await road.take(note("K", "1.005", reference="R", tag="E1", currency="KWD"))
        assert await held(road, dinars) == {"BANKAEAD": Decimal("1.005")}

    story(bench, tell)


def test_a_mint_of_a_booked_credit_is_not_reversed(bench: Bench) -> None:
    """The bank's money stays, and what it was is said once: the tokens are passed on or burnt."""

    async def tell(road: Road, account: UUID) -> None:
        await road.take(note("C", "100", reference="R", tag="E1"))
        minted = view(await announce(road))["minted"]
        await road.expect(account, "E2", "100")
        await road.take(note("D", "100", reference="S", tag="E2"))
        numbers = [row["id"] for row in await road.rows("SELECT id FROM ledger_movements WHERE kind = 'mint'")]
        assert minted["id"] in numbers
        assert len(numbers) == 2
        for number in numbers:
            with pytest.raises(RefusedError) as refused:
                await ledger.reverse(road.tx, number, "a mistake", "ann", f"k{number}", LATER)
            assert refused.value.refusal.code == "not_reversible"

    story(bench, tell)


def test_a_funding_that_nobody_knows(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        for name in (str(uuid4()), "x", "", "\0"):
            assert code(await cancel(road, name)) == "unknown_funding"
            assert await fundings.show(road.tx, name, NOW) is None

    story(bench, tell)


# Whatever the order ----------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(st.sampled_from(["credit", "announce"]), st.sampled_from("AB"), st.integers(1, 9)),
    min_size=1, max_size=6, unique_by=lambda act: act[:2],
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(acts=ACTS, data=st.data())
def test_in_whatever_order_credits_and_announcements_come_the_end_is_the_same(
    bench: Bench, acts: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """Tokens, receipts, fundings and discrepancies: none of them tells which was there first."""

    async def end(road: Road, order: list[tuple[str, str, int]]) -> Any:
        account = await road.account()
        for what, tag, amount in order:
            if what == "credit":
                await road.take(note(f"C{tag}", str(amount), reference=f"R{tag}", tag=tag))
            else:
                view(await announce(road, tag, str(amount), holder=f"h{tag}"))
        assert await faults(road) == []
        moved = "SELECT kind, amount, to_holder, cause, reason LIKE %s AS of_funding, actor FROM ledger_movements"
        return {
            "holders": await held(road, account),
            "movements": sorted(map(str, await road.rows(f"{moved} WHERE kind <> 'opening'", "the bank's credit of%"))),
            "fundings": sorted(map(str, await road.rows("SELECT end_to_end_id, state, settled_by, settled_reason"
                                                        " FROM fundings"))),
            "met": sorted(map(str, await road.rows("SELECT amount, identity, met, actor FROM entry_meetings"))),
            "broken": sorted(map(str, await road.rows("SELECT discrepancy_type, expected_value, actual_value, severity,"
                                                      " source_system, source_reference"
                                                      " FROM reconciliation_discrepancies WHERE subject <> ''"))),
            "level": (await road.state(account))["reconciliation_status"],
        }  # fmt: skip

    other = data.draw(st.permutations(acts))
    ends = [bench.void(lambda road, order=order: end(road, order)) for order in (acts, other)]  # type: ignore[misc]
    assert ends[0] == ends[1]
    met = {tag for _, tag, _ in acts if {("credit", tag), ("announce", tag)} <= {act[:2] for act in acts}}
    booked = sum(amount for what, tag, amount in acts if what == "credit" and tag in met)
    assert sum(ends[0]["holders"].values()) == 1_000_000 + booked
