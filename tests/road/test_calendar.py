"""Statements that do not come: raised once when they are due, Stale in the end, and done when they are there."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec import structs

from road import statement_writer as writer
from road.bench import NOW, NUMBER, Bench, Road, came, note, road_on
from road.days import DUBAI, MONDAY, SET_AT, comes, due, statement
from road.people import payout_reasons
from token_engine.domain.backing import Policy
from token_engine.domain.receipt import Recorded
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage import calendars
from token_engine.storage.database import Database
from token_engine.tiers import accounts, breakers, calendar, discrepancies, end_of_day, policies
from token_engine.tiers.delivery import Delivery
from token_engine.tiers.discrepancies import Reopening, Resolution

DAY = timedelta(days=1)


async def raised(road: Road) -> list[dict[str, Any]]:
    return await road.rows(
        "SELECT subject, status, opened_at, resolved_by, resolution, severity, id, difference_gone_since"
        " FROM reconciliation_discrepancies WHERE discrepancy_type = 'STATEMENT_MISSING' ORDER BY subject"
    )


async def days_raised(road: Road) -> list[str]:
    return [row["subject"] for row in await raised(road)]


async def code_of(saving: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        await saving
    return refused.value.refusal.code


async def no_drift(road: Road) -> bool:
    return await calendars.drift(road.tx) == []


async def verdict(road: Road, at: datetime) -> str:
    view = await accounts.show(road.tx, NUMBER, at)
    assert view is not None
    return str(view["verdict"])


def test_a_day_without_its_statement_is_raised_once_when_it_is_due(bench: Bench) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        assert await calendar.look(road.tx, key, due(17) - timedelta(microseconds=1)) == 0
        assert await calendar.look(road.tx, key, due(17)) == 1
        assert await calendar.look(road.tx, key, due(17) + timedelta(hours=9)) == 0
        [row] = await raised(road)
        assert (row["subject"], row["status"], row["severity"]) == ("2025-11-17", "OPEN", "Significant")
        assert row["opened_at"] == due(17)
        assert (await road.state(key))["statement_missing_since"] == due(17)
        [event] = await road.rows("SELECT payload FROM outbox WHERE subject = 'reconciliation.discrepancy.opened'")
        assert "STATEMENT_MISSING" in event["payload"]
        assert await road.rows("SELECT 1 FROM audit_log WHERE action = 'discrepancy_opened'")

    bench.void(story)


def test_an_engine_that_was_down_raises_what_it_missed_and_no_day_on_which_the_bank_rests(bench: Bench) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await statement(road, key, date(2025, 11, 19))
        await statement(road, key, date(2025, 11, 20), "QUARANTINED")
        # The 22nd and 23rd are a weekend; the 24th is due in a minute.
        assert await calendar.look(road.tx, key, due(24) - timedelta(minutes=1)) == 3
        assert await days_raised(road) == ["2025-11-17", "2025-11-18", "2025-11-21"]
        opened = [row["opened_at"] for row in await raised(road)]
        assert opened == [due(17), due(18), due(21)], "each since it was due, whenever an engine saw it"
        view = await calendar.show(road.tx, NUMBER, due(24))
        assert view["next_due"] == {"statement_date": date(2025, 11, 24), "due_at": due(24)}
        assert [m["statement_date"] for m in view["missing"]] == ["2025-11-17", "2025-11-18", "2025-11-21"]

    bench.void(story)


def test_a_page_is_no_statement_until_the_others_are_there(bench: Bench) -> None:
    def page(number: int, *, last: bool) -> Delivery:
        head = f"<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd></StmtPgntn>"
        stated = writer.statement(
            writer.line(str(number), reference=f"R{number}", day="2025-11-17"), opening="1000000", closing="1000003",
            day="2025-11-17", name="PAGED", head=head,
        )  # fmt: skip
        return came(writer.message(stated, name=f"M-{number}"))

    async def story(road: Road) -> None:
        key = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        [first] = await end_of_day.record(road.tx, [page(1, last=False)], due(17) - DAY / 24)
        assert isinstance(first, Recorded)
        assert (first.waiting[0].state, first.waiting[0].missing_pages) == ("PENDING", (2,))
        assert await road.rows("SELECT 1 FROM statements") == []
        assert await calendar.look(road.tx, key, due(17)) == 1
        [second] = await end_of_day.record(road.tx, [page(2, last=True)], due(17) + DAY / 24)
        assert isinstance(second, Recorded)
        assert second.days[0].state == "ACCEPTED"
        assert [row["status"] for row in await raised(road)] == ["RESOLVED"]
        assert await no_drift(road)
        with pytest.raises(psycopg.errors.CheckViolation):
            await statement(road, key, date(2025, 11, 21), "PENDING")

    bench.void(story)


def test_nothing_is_waited_for_of_days_before_the_calendar_or_of_a_closed_account(bench: Bench) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        # Monday has ended by then: its cut-off was at 13:00 UTC.
        await calendar.save(road.tx, NUMBER, DUBAI, due(17, 13, 1))
        assert await calendar.look(road.tx, key, due(18) - timedelta(minutes=1)) == 0
        await accounts.close(road.tx, NUMBER, "ann", due(18, 1))
        assert await calendar.look(road.tx, key, due(28)) == 0
        assert await days_raised(road) == []

    bench.void(story)


def test_a_changed_calendar_goes_on_where_the_one_before_had_come_to(bench: Bench) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, key, due(17))
        # Tuesday has ended, and is not due: a change must not lose it; what was looked at is not raised again.
        slower = structs.replace(DUBAI, due_after_minutes=600, extra_holidays=(date(2025, 11, 17),))
        await calendar.save(road.tx, NUMBER, slower, due(18, 15))
        assert await calendar.look(road.tx, key, due(18, 22, 59)) == 0
        assert await calendar.look(road.tx, key, due(18, 23)) == 1
        assert await days_raised(road) == ["2025-11-17", "2025-11-18"]

    bench.void(story)


@pytest.mark.parametrize("state", ["ACCEPTED", "QUARANTINED"])
def test_it_is_resolved_when_the_statement_comes(bench: Bench, state: str) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, key, due(18))
        after = await comes(road, key, MONDAY, due(18, 20), state)
        monday, tuesday = await raised(road)
        assert (monday["status"], monday["resolved_by"]) == ("RESOLVED", "engine")
        assert monday["resolution"] == "the statement came: STMT-7"
        assert tuesday["status"] == "OPEN"
        assert after.statement_missing_since == due(18) == (await road.state(key))["statement_missing_since"]
        after = await comes(road, key, date(2025, 11, 18), due(18, 21), state)
        assert after.statement_missing_since is (await road.state(key))["statement_missing_since"] is None
        assert await no_drift(road)
        # Another statement of the day, a correction, finds nothing to resolve.
        await road.connection.execute("UPDATE statements SET state = 'REPLACED'")
        await comes(road, key, MONDAY, due(18, 22))
        told = "SELECT happening FROM discrepancy_events WHERE discrepancy_id = %s ORDER BY id"
        assert [t["happening"] for t in await road.rows(told, monday["id"])] == ["opened", "resolved"]

    bench.void(story)


def test_an_account_whose_statement_is_missing_too_long_is_stale_though_the_bank_speaks(bench: Bench) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, key, due(17))
        last = due(18)  # stale_after is a day
        await road.connection.execute(b"UPDATE emi_accounts SET last_reconciliation_at = %s", [last])
        for at, reasons, said, counted in (
            (last, [], "Ok", "ok"), (last + timedelta(seconds=1), ["statement_missing"], "Stale", "stale"),
        ):  # fmt: skip
            assert await payout_reasons(road, at) == reasons
            gates = await breakers.gate(road.tx, NUMBER, at)
            assert isinstance(gates, dict)
            assert list(gates["mint"]["reasons"]) == reasons
            assert await verdict(road, at) == said
            figures = await accounts.summary(road.tx, at)
            assert {w: figures[f"accounts_{w}"] for w in ("ok", "stale")} == {"ok": 0, "stale": 0} | {counted: 1}
        at = last + timedelta(seconds=1)
        await comes(road, key, MONDAY, at)
        assert await payout_reasons(road, at) == []
        assert await verdict(road, at) == "Ok"

    bench.void(story)


def test_a_credit_that_was_announced_mints_nothing_while_a_statement_is_missing_too_long(bench: Bench) -> None:
    """The road asks as the gate does, though the bank has just spoken."""

    async def story(road: Road) -> None:
        key = await road.account()
        await road.expect(key, "E1")
        await road.expect(key, "E2")
        old = structs.replace(DUBAI, actor="ann")
        await calendar.save(road.tx, NUMBER, old, NOW - 4 * DAY)
        await calendar.look(road.tx, key, NOW)
        assert (await road.state(key))["statement_missing_since"] == due(14)
        await road.take_one(note("N1", tag="E1"))
        assert (await road.state(key))["ledger_balance"] == 1000000
        for day in (14, 17):
            await comes(road, key, date(2025, 11, day), NOW)
        await road.take_one(note("N2", tag="E2"))
        assert (await road.state(key))["ledger_balance"] == 1000010

    bench.void(story)


def test_a_person_may_say_that_none_will_come_and_take_it_up_again(bench: Bench) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, key, due(17))
        [row] = await raised(road)
        done = await discrepancies.do(
            road.tx, str(row["id"]), Resolution(actor="ann", reason="the bank was closed"), due(18, 9)
        )
        assert not isinstance(done, Refusal)
        assert (await road.state(key))["statement_missing_since"] is None
        assert await calendar.look(road.tx, key, due(18, 10)) == 0, "it is not raised again"
        again = Reopening(actor="bob", reason="it was not")
        assert not isinstance(await discrepancies.do(road.tx, str(row["id"]), again, due(18, 11)), Refusal)
        assert (await road.state(key))["statement_missing_since"] == due(17)
        # Then only a person says that it is done; but it is there, and that is what counts.
        after = await comes(road, key, MONDAY, due(18, 12))
        [row] = await raised(road)
        assert (row["status"], row["difference_gone_since"]) == ("OPEN", due(18, 12))
        assert after.statement_missing_since is (await road.state(key))["statement_missing_since"] is None
        shown = await calendar.show(road.tx, NUMBER, due(18, 12))
        assert shown["missing"] == []

    bench.void(story)


def test_a_policy_may_leave_it_to_a_person_to_say_that_it_is_done(bench: Bench) -> None:
    async def story(road: Road) -> None:
        key = await road.account()
        await policies.save(road.tx, NUMBER, Policy(auto_resolve=False), "ann", SET_AT)
        await calendar.save(road.tx, NUMBER, DUBAI, SET_AT)
        await calendar.look(road.tx, key, due(17))
        await comes(road, key, MONDAY, due(18, 12))
        [row] = await raised(road)
        assert (row["status"], row["difference_gone_since"]) == ("OPEN", due(18, 12))
        assert (await road.state(key))["statement_missing_since"] is None
        # Reopened after a person resolved it, with the statement there, it makes nothing stale.
        name = str(row["id"])
        await discrepancies.do(road.tx, name, Resolution(actor="ann", reason="seen"), due(18, 13))
        await discrepancies.do(road.tx, name, Reopening(actor="bob", reason="why was it late"), due(18, 14))
        assert (await road.state(key))["statement_missing_since"] is None
        assert await no_drift(road)
        # A statement that went by the account: `token-engine check` would tell.
        await calendar.look(road.tx, key, due(18))
        assert await no_drift(road)
        await statement(road, key, date(2025, 11, 18))
        [found] = await calendars.drift(road.tx)
        assert (found["stored"], found["folded"]) == (due(18), None)

    bench.void(story)


def test_a_calendar_is_set_shown_and_kept_with_who_did_it(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        assert await code_of(calendar.show(road.tx, NUMBER, SET_AT)) == "unknown_calendar"
        assert await code_of(calendar.show(road.tx, "NONE", SET_AT)) == "unknown_account"
        assert await code_of(calendar.save(road.tx, "NONE", DUBAI, SET_AT)) == "unknown_account"
        wanted = structs.replace(DUBAI, weekend=("SU", "2SA"), extra_holidays=(date(2025, 12, 24),))
        view = await calendar.save(road.tx, NUMBER, wanted, SET_AT)
        told = {name: view[name] for name in ("time_zone", "cut_off", "ends_next_day", "due_after_minutes", "holidays")}
        assert told == {
            "time_zone": "Asia/Dubai", "cut_off": "17:00", "ends_next_day": False, "due_after_minutes": 360,
            "holidays": "AE",
        }  # fmt: skip
        assert (view["weekend"], view["extra_holidays"]) == (("SU", "2SA"), (date(2025, 12, 24),))
        assert (view["set_by"], view["today"]) == ("ann", MONDAY)
        # The same again, by whomever, changes nothing; something else is a change.
        assert await calendar.save(road.tx, NUMBER, structs.replace(wanted, actor="bob"), due(18)) == view | {
            "today": date(2025, 11, 19)
        }
        await calendar.save(road.tx, NUMBER, structs.replace(DUBAI, actor="bob"), due(18))
        rows = await road.rows(
            "SELECT actor, details FROM audit_log WHERE action = 'statement_calendar_set' ORDER BY id"
        )
        assert [row["actor"] for row in rows] == ["ann", "bob"]
        assert rows[0]["details"]["before"] is None
        assert rows[1]["details"]["before"] == rows[0]["details"]["after"]
        events = await road.rows("SELECT 1 FROM outbox WHERE subject = 'reconciliation.statement.calendar_set'")
        assert len(events) == 2
        await accounts.close(road.tx, NUMBER, "ann", due(18))
        assert await code_of(calendar.save(road.tx, NUMBER, wanted, due(18))) == "account_closed"

    bench.void(story)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"actor": " "}, "actor"), ({"cut_off": "5 pm"}, "cut_off"), ({"cut_off": "17:00+04:00"}, "cut_off"),
        ({"due_after_minutes": -1}, "due_after_minutes"), ({"due_after_minutes": 10**30}, "due_after_minutes"),
        ({"due_after_minutes": 10081}, "due_after_minutes"), ({"time_zone": "Dubai"}, "time_zone"),
        ({"holidays": "XX"}, "holidays"), ({"weekend": ("Sat",)}, "weekend"),
    ],
)  # fmt: skip
def test_a_calendar_that_cannot_be_names_its_field(bench: Bench, wrong: dict[str, Any], field: str) -> None:
    async def story(road: Road) -> None:
        await road.account()
        with pytest.raises(RefusedError) as refused:
            await calendar.save(road.tx, NUMBER, structs.replace(DUBAI, **wrong), SET_AT)
        assert refused.value.refusal.field == field
        assert await code_of(calendar.show(road.tx, NUMBER, SET_AT)) == "unknown_calendar", "nothing is written"

    bench.void(story)


def test_two_engines_that_look_at_once_raise_each_day_once(migrated: str) -> None:
    async def race() -> None:
        async with road_on(migrated) as road:
            keys = []
            for n in range(4):
                keys.append(await road.account(f"N{n}"))
                await calendar.save(road.tx, f"N{n}", DUBAI, SET_AT)
            engines = [Database(migrated, pool_size=2) for _ in range(4)]
            for engine in engines:
                await engine.open()
            try:
                found = await asyncio.gather(*(calendar.missing_statements(e, due(20)) for e in engines))
            finally:
                for engine in engines:
                    await engine.close()
            assert sum(found) == 4 * 4
            rows = await road.rows(
                "SELECT account_id, subject, count(*) FROM reconciliation_discrepancies"
                " WHERE discrepancy_type = 'STATEMENT_MISSING' GROUP BY 1, 2"
            )
            assert len(rows) == 16
            assert {row["count"] for row in rows} == {1}
            opened = "SELECT count(*) FROM outbox WHERE subject = 'reconciliation.discrepancy.opened'"
            assert (await road.row(opened))["count"] == 16

    asyncio.run(race())


def test_a_statement_that_comes_while_an_engine_looks_is_never_left_as_missing(migrated: str) -> None:
    """Whichever has the account's lock first: raised and resolved, or not raised at all."""

    async def arrive(url: str, key: UUID, wait: float) -> None:
        async with road_on(url) as road:
            await asyncio.sleep(wait)
            async with road.connection.transaction():
                await comes(road, key, MONDAY, due(17, 20))

    async def race() -> None:
        async with road_on(migrated) as road:
            keys = []
            for n in range(12):
                keys.append(await road.account(f"N{n}"))
                await calendar.save(road.tx, f"N{n}", DUBAI, SET_AT)
            engine = Database(migrated, pool_size=2)
            await engine.open()
            try:
                await asyncio.gather(
                    calendar.missing_statements(engine, due(17, 20)),
                    *(arrive(migrated, key, n * 0.004) for n, key in enumerate(keys)),
                )
            finally:
                await engine.close()
            assert {row["status"] for row in await raised(road)} <= {"RESOLVED"}
            states = await road.rows("SELECT statement_missing_since FROM emi_accounts")
            assert {row["statement_missing_since"] for row in states} == {None}

    asyncio.run(race())
