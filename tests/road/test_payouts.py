"""One payout from its hold to its end, as far as people and clocks decide it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest

from road.bench import NOW, NUMBER, Bench, Road, note, road_on
from road.payers import HOLDER, asked, cancelled, codes, held, held_one, reserved, said, sent, why
from road.people import act, after, approve_override, ask_override, override
from token_engine.domain.backing import DEFAULT_POLICY, Policy
from token_engine.domain.payout import PayoutState
from token_engine.storage import payouts as stored
from token_engine.storage import positions
from token_engine.storage.database import Database, pipelined_transaction
from token_engine.tiers import accounts, discrepancies, headroom, overrides, payout_acts, payout_story, policies
from token_engine.tiers.payouts import hold

DAY = timedelta(hours=24)


def test_a_hold_reserves_and_says_so_everywhere(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        wanted = asked("12.5", key="k", beneficiary="Supplier LLC", end_to_end_id=" INV-7 ", payout_id=UUID(int=7))
        [answer] = await held(road, wanted)
        view = said(answer)
        assert (answer.status, answer.again) == (201, False)
        assert view == {
            "id": str(UUID(int=7)), "account_id": str(account), "account_number": NUMBER, "currency": "AED",
            "token": "xAED", "amount": "12.50", "holder": HOLDER, "beneficiary": "Supplier LLC",
            "end_to_end_id": "INV-7", "state": "HELD", "requested_by": "ann", "requested_at": "2025-11-18T12:00:00Z",
            "expires_at": "2025-11-19T12:00:00Z", "sent_by": None, "sent_at": None, "settled_by": None,
            "settled_at": None, "settled_reason": None,
        }  # fmt: skip
        state = await road.state(account)
        assert (state["ledger_balance"], state["reserved_balance"]) == (1_000_000, 12.5)
        [event] = await road.rows("SELECT * FROM outbox WHERE subject LIKE '%%.payout.%%'")
        assert event["subject"] == "reconciliation.payout.held"
        assert event["event_id"] == f"payout.{UUID(int=7)}.held"
        assert json.loads(event["payload"])["data"] == view
        [noted] = await road.rows("SELECT * FROM audit_log WHERE action LIKE 'payout%%'")
        assert (noted["action"], noted["actor"], noted["account_id"]) == ("payout_held", "ann", account)
        assert noted["details"]["amount"] == "12.50"
        [again] = await held(road, wanted)
        assert (again.content, again.again) == (answer.content, True)

    bench.void(story)


def test_without_a_reference_it_goes_by_its_id(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        key = await held_one(road)
        [row] = await road.rows("SELECT end_to_end_id FROM payouts")
        assert row["end_to_end_id"] == key.hex

    bench.void(story)


def test_an_end_to_end_id_is_used_once_for_ever(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await road.account("OTHER")
        first = await held_one(road, asked(end_to_end_id="E"))
        assert codes([await cancelled(road, first)]) == ["CANCELLED"]
        [again] = await held(road, asked(end_to_end_id="E"))
        assert why(again)[0] == "duplicate_end_to_end_id"
        await held_one(road, asked(end_to_end_id="E", number="OTHER"))

    bench.void(story)


def test_no_payout_goes_by_the_id_of_an_expected_credit(bench: Bench) -> None:
    """Should it come back, nobody could tell which of the two the credit is."""

    async def story(road: Road) -> None:
        account = await road.account()
        await road.account("OTHER")
        await road.expect(account, "E", "10")
        [answer] = await held(road, asked(end_to_end_id="E"))
        assert why(answer)[0] == "reference_taken"
        assert codes(await held(road, asked(end_to_end_id="E", number="OTHER"))) == ["HELD"]
        # Met, or over by the clock, it waits for no credit any more.
        await road.take(note("M", "10.00", tag="E", reference="B"))
        assert codes(await held(road, asked(end_to_end_id="E"))) == ["HELD"]
        await road.expect(account, "OVER", "10", until=after(minutes=1))
        assert codes(await held(road, asked(end_to_end_id="OVER"))) == ["reference_taken"]
        assert codes(await held(road, asked(end_to_end_id="OVER"), at=after(minutes=1))) == ["HELD"]

    bench.void(story)


def test_every_reason_is_told_at_once(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await road.take(note("SHORT", "1.00", debit=True))
        await accounts.close(road.tx, NUMBER, "tests", NOW)
        [answer] = await held(road, asked("1000001"), at=NOW + timedelta(days=2))
        assert answer.status == 409
        assert why(answer) == ("account_closed", ["account_closed", "open", "stale", "insufficient"])

    bench.void(story)


@pytest.mark.parametrize("scope", ["global", "AED", "account"])
def test_the_most_specific_policy_says_when_evidence_is_stale(bench: Bench, scope: str) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        long, short = (
            type(DEFAULT_POLICY)(stale_after=timedelta(hours=hours)) for hours in (48, 1)
        )  # fmt: skip
        scopes = ["global", "AED", str(account)]
        place = ["global", "AED", "account"].index(scope)
        for wider in scopes[:place]:
            await positions.save_policy(road.tx, wider, long)
        await positions.save_policy(road.tx, scopes[place], short)
        in_time, late = NOW + timedelta(hours=1), NOW + timedelta(hours=1, microseconds=1)
        assert codes(await held(road, asked(), at=in_time)) == ["HELD"]
        [answer] = await held(road, asked(), at=late)
        assert why(answer) == ("no_fresh_evidence", ["stale"])

    bench.void(story)


def test_an_override_lets_holds_and_sendings_through_while_it_lasts(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        before = await held_one(road)
        await road.take(note("SHORT", "1.00", debit=True))
        key = override(await ask_override(road)).id
        assert why((await held(road, asked()))[0]) == ("breaker_open", ["open"])  # asked for is not granted
        await approve_override(road, key)
        meanwhile = await held_one(road, at=after(minutes=59))
        assert codes([await sent(road, before, after(minutes=59))]) == ["SENT"]
        # Over by the clock, whether or not anybody wrote that down.
        assert why((await held(road, asked(), at=after(minutes=60)))[0]) == ("breaker_open", ["open"])
        assert why(await sent(road, meanwhile, after(minutes=60))) == ("breaker_open", ["open"])
        await overrides.revoke(road.tx, NUMBER, key, act("ann"), after(minutes=61))
        assert why(await sent(road, meanwhile, after(minutes=61))) == ("breaker_open", ["open"])

    bench.void(story)


def test_what_is_held_goes_out_while_suspended_or_stale_and_nothing_new_is_held(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        one, two = await held_one(road, asked(expires_in_minutes=30 * 24 * 60)), await held_one(road)
        await road.take(note("MORE", "2000.00"))
        assert why((await held(road, asked()))[0]) == ("breaker_suspended", ["suspended"])
        assert codes([await sent(road, two)]) == ["SENT"]
        stale = NOW + timedelta(days=2)
        assert why((await held(road, asked(), at=stale))[0]) == ("breaker_suspended", ["suspended", "stale"])
        assert codes([await sent(road, one, stale)]) == ["SENT"]

    bench.void(story)


def test_nothing_is_sent_from_a_closed_account_and_what_it_holds_can_be_released(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        key = await held_one(road)
        await accounts.close(road.tx, NUMBER, "tests", NOW)
        assert why(await sent(road, key)) == ("account_closed", ["account_closed"])
        assert codes([await cancelled(road, key)]) == ["CANCELLED"]
        assert await reserved(road, account) == "0"

    bench.void(story)


def test_what_is_on_its_way_is_released_by_the_banks_rejection_only(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        key = await held_one(road)
        assert said(await sent(road, key, under="s"))["sent_by"] == "ann"
        assert (await sent(road, key, under="s")).again
        assert codes([await sent(road, key), await cancelled(road, key)]) == ["payout_sent", "payout_not_rejected"]
        assert await reserved(road, account) == "10"
        answer = said(await cancelled(road, key, rejected=True))
        assert (answer["state"], answer["settled_by"], answer["settled_reason"]) == (
            "CANCELLED", "bob", "not wanted any more",
        )  # fmt: skip
        assert await reserved(road, account) == "0"
        assert codes([await cancelled(road, key, rejected=True)]) == ["payout_cancelled"]
        view = await payout_story.show(road.tx, key)
        assert view is not None
        assert [(line["state"], line["actor"]) for line in view["story"]] == [
            ("HELD", "ann"), ("SENT", "ann"), ("CANCELLED", "bob"),
        ]  # fmt: skip
        rows = await road.rows("SELECT action, actor FROM audit_log WHERE action LIKE 'payout%%' ORDER BY id")
        assert [(r["action"], r["actor"]) for r in rows] == [
            ("payout_held", "ann"), ("payout_sent", "ann"), ("payout_cancelled", "bob"),
        ]  # fmt: skip

    bench.void(story)


def test_the_story_of_one_that_was_paid_and_came_back(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        key = await held_one(road, asked(end_to_end_id="E"))
        await sent(road, key)
        await road.take(note("OUT", "10.00", debit=True, reference="B1", tag="E", booked="2025-11-18"))
        await road.take(note("BACK", "8.00", reference="B2", tag="E"))
        view = await payout_story.show(road.tx, key)
        assert view is not None
        assert view["state"] == "RETURNED"
        assert [(line["state"], line["actor"], line.get("amount")) for line in view["story"]] == [
            ("HELD", "ann", None), ("SENT", "ann", None), ("SETTLED", "engine", "10.00"),
            ("RETURNED", "engine", "8.00"),
        ]  # fmt: skip
        paid, back = view["story"][2:]
        assert (paid["entry"]["credit_debit"], paid["entry"]["bank_reference"], paid["entry"]["message_id"]) == (
            "DBIT", "B1", "OUT",
        )  # fmt: skip
        assert (back["entry"]["credit_debit"], back["entry"]["amount"]) == ("CRDT", "8.00")
        kinds = {
            row["id"]: row["kind"]
            for row in await road.rows("SELECT id, kind FROM ledger_movements WHERE account_id = %s", account)
        }
        assert [kinds[paid["movement_id"]], kinds[back["movement_id"]]] == ["payout_settlement", "mint"]

    bench.void(story)


def test_a_payout_that_nobody_knows(bench: Bench) -> None:
    async def story(road: Road) -> None:
        answers = [await sent(road, UUID(int=1)), await cancelled(road, UUID(int=1))]
        assert [a.status for a in answers] == [404, 404]
        assert codes(answers) == ["unknown_payout"] * 2
        assert await payout_story.show(road.tx, UUID(int=1)) is None

    bench.void(story)


def test_by_the_clock_a_hold_that_is_over_is_not_sent_though_no_sweep_ran(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        key = await held_one(road)
        assert codes([await sent(road, key, NOW + DAY)]) == ["payout_expired"]
        assert await reserved(road, account) == "10"  # until it is released, by the sweep or by a person
        assert codes([await cancelled(road, key, NOW + DAY)]) == ["CANCELLED"]
        in_time = await held_one(road)
        assert codes([await sent(road, in_time, NOW + DAY - timedelta(microseconds=1))]) == ["SENT"]

    bench.void(story)


@pytest.mark.parametrize(("minutes", "code"), [(0, "invalid_minutes"), (43201, "invalid_minutes"), (43200, "HELD")])
def test_tokens_are_held_for_thirty_days_at_most(bench: Bench, minutes: int, code: str) -> None:
    async def story(road: Road) -> None:
        await road.account()
        assert codes(await held(road, asked(expires_in_minutes=minutes))) == [code]

    bench.void(story)


def test_the_sweep_releases_raises_and_does_neither_twice(migrated: str) -> None:
    async def story() -> None:
        database = Database(migrated, pool_size=2)
        await database.open()
        try:
            async with road_on(migrated) as road, road.connection.transaction():
                accounts_ = [await road.account(number) for number in ("ONE", "TWO")]
                keys = {n: await held_one(road, asked(number=n, end_to_end_id="E")) for n in ("ONE", "TWO")}
                await sent(road, keys["TWO"], NOW + timedelta(minutes=1))
                lasting = await held_one(road, asked(number="ONE", expires_in_minutes=24 * 60 + 1))
            assert await payout_acts.expire(database, NOW + DAY - timedelta(microseconds=1)) == 0
            assert await payout_acts.expire(database, NOW + DAY) == 2
            async with road_on(migrated) as road:
                assert [await reserved(road, a) for a in accounts_] == ["10", "10"]
                over = await stored.one(road.tx, keys["ONE"])
                assert over is not None
                assert (over.state, over.settled_by) == (PayoutState.EXPIRED, "engine")
                assert (await stored.those(road.tx, [lasting]))[0].state is PayoutState.HELD
                [late] = await road.rows("SELECT * FROM reconciliation_discrepancies")
                assert (late["discrepancy_type"], late["severity"], late["subject"], late["account_id"]) == (
                    "PAYOUT_OVERDUE", "Significant", str(keys["TWO"]), accounts_[1],
                )  # fmt: skip
                assert (late["expected_value"], late["actual_value"]) == (10, 0)
                news = await road.rows("SELECT subject FROM outbox ORDER BY id DESC LIMIT 2")
                assert {n["subject"] for n in news} == {
                    "reconciliation.payout.expired", "reconciliation.discrepancy.opened",
                }  # fmt: skip
                # Resolved by a person, it is not raised again: the question was asked.
                async with road.connection.transaction():
                    done = await discrepancies.do(
                        road.tx, str(late["id"]), discrepancies.Resolution(actor="ann", reason="asked the bank"),
                        NOW + DAY,
                    )  # fmt: skip
                    assert isinstance(done, dict), done
            assert await payout_acts.expire(database, NOW + DAY + timedelta(seconds=59)) == 0
            assert await payout_acts.expire(database, NOW + DAY + timedelta(seconds=60)) == 1
        finally:
            await database.close()

    asyncio.run(story())


def test_headroom_is_what_a_hold_would_be_let_have(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account(ledger="100", bank="100.01")

        async def room(holder: str | None = None, at: int = 0) -> tuple[str, list[str], str, list[str]]:
            found = await headroom.headroom(road.tx, NUMBER, holder, NOW + timedelta(days=at))
            assert found is not None
            return (
                found["may_mint"], list(found["may_mint_reasons"]), found["may_pay_out"],
                list(found["may_pay_out_reasons"]),
            )  # fmt: skip

        assert await room() == ("0.01", [], "100.00", [])
        assert await room("nobody") == ("0.01", [], "0.00", ["insufficient"])
        await held_one(road, asked("99.99"))
        assert await room() == await room(HOLDER) == ("0.01", [], "0.01", [])
        assert await room(at=2) == ("0.00", ["stale"], "0.00", ["stale"])
        for amount, allowed in (("0.01", True), ("0.02", False)):
            said_ = await headroom.gate(road.tx, NUMBER, amount, HOLDER, NOW)
            assert said_ is not None
            assert said_["payout"]["allowed"] is allowed
            assert list(said_["payout"]["reasons"]) == ([] if allowed else ["insufficient"])
            assert codes(await held(road, asked(amount))) == (["HELD"] if allowed else ["insufficient_available"])
            if allowed:
                [row] = await road.rows("SELECT id FROM payouts ORDER BY requested_at, amount LIMIT 1")
                assert codes([await cancelled(road, row["id"])]) == ["CANCELLED"]
        assert await headroom.headroom(road.tx, "NOBODY", None, NOW) is None
        assert await headroom.gate(road.tx, "NOBODY", None, None, NOW) is None

    bench.void(story)


def test_a_hold_is_six_statements_and_one_of_them_writes(migrated: str) -> None:
    """The statements of a batch of one: their number is what a hold costs."""

    async def story() -> None:
        async with road_on(migrated) as road:
            async with road.connection.transaction():
                await road.account()
            statements: list[bytes] = []
            async with pipelined_transaction(road.connection) as tx:
                execute = tx.execute

                async def counted(statement: bytes, parameters: object = ()) -> object:
                    statements.append(statement)
                    return await execute(statement, parameters)  # type: ignore[arg-type]

                tx.execute = counted  # type: ignore[method-assign,assignment]
                [answer] = await hold(tx, [asked()], NOW)
            assert answer.status == 201
            assert len(statements) == 6
            assert sum(b"INSERT INTO" in s for s in statements) == 1

    asyncio.run(story())


@pytest.mark.parametrize("auto_resolve", [True, False])
def test_a_late_payout_that_the_bank_has_paid_after_all_is_resolved_by_that(bench: Bench, auto_resolve: bool) -> None:
    async def story(road: Road) -> None:
        await policies.save(road.tx, "global", Policy(auto_resolve=auto_resolve), "tests", NOW)
        account = await road.account()
        key = await road.hold(account, "P1", sent=True)
        assert await payout_acts.end(road.tx, account, [key], NOW + DAY) == 1
        assert await payout_acts.resolve_late(road.tx, account, NOW + DAY) == 0
        await road.take(note("M1", reference="B1", tag="P1", debit=True))
        assert await payout_acts.resolve_late(road.tx, account, NOW + DAY) == int(auto_resolve)
        assert await payout_acts.resolve_late(road.tx, account, NOW + DAY) == 0
        found = await road.row("SELECT * FROM reconciliation_discrepancies WHERE subject = %s", str(key))
        assert (found["status"], found["resolved_by"], found["resolution"]) == (
            ("RESOLVED", "engine", "SETTLED by engine: the bank's entry B1") if auto_resolve else ("OPEN", None, None)
        )
        told = await road.rows("SELECT happening FROM discrepancy_events ORDER BY id")
        assert [row["happening"] for row in told] == ["opened", *(["resolved"] if auto_resolve else [])]

    bench.void(story)
