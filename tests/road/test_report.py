"""The safeguarding report on a real database: what is outstanding, what is there, what nobody has shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from road.bench import NOW, Road, road_on
from road.closings import Days, at
from token_engine.domain.calendar import StatementCalendar
from token_engine.domain.dataset import Dataset
from token_engine.domain.period import Span
from token_engine.domain.refusal import RefusedError
from token_engine.domain.safeguarding import Line, Role, Standing, Timeliness
from token_engine.publishing.canonical import digest
from token_engine.storage import calendars
from token_engine.storage import report as stored
from token_engine.storage.database import Database
from token_engine.tiers import report
from token_engine.tiers.report import Asked, SignOff

DAY = date(2025, 11, 18)  # a Tuesday; accounts of the bench are taken on at its noon
NEXT = DAY + timedelta(days=1)
LATER = at(DAY, 24 * 30)

Story = Callable[[Road], Awaitable[Any]]


def told(url: str, story: Story, asked: Asked | None = None, now: datetime = LATER) -> Dataset:
    """The report after a story that commits."""

    async def run() -> Dataset:
        async with road_on(url) as road:
            named = await story(road)
        wanted = asked or Asked(span=Span.DAY, date=str(DAY), account=str(named) if isinstance(named, UUID) else None)
        return await report_of(url, wanted, now)

    return asyncio.run(run())


async def report_of(url: str, asked: Asked, now: datetime = LATER) -> Dataset:
    database = Database(url, pool_size=2)
    await database.open()
    try:
        async with database.transaction() as tx:
            return await report.dataset(tx, asked, now)
    finally:
        await database.close()


def all_of(*values: object) -> tuple[object, ...]:
    """Values to compare at once, amounts among them with whole numbers."""
    return values


def only(dataset: Dataset) -> Line:
    [part] = dataset.accounts
    return part.closing


def test_a_good_day(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        await Days(road, account).close(DAY, done=at(DAY, 30))
        return account

    dataset = told(migrated, story)
    line = only(dataset)
    assert (line.standing, line.timeliness, line.level) == (Standing.RECONCILED, Timeliness.MET, "Ok")
    assert all_of(line.requirement, line.resource, line.excess) == (1000000, 1000000, 0)
    assert line.cut_off == at(NEXT)
    assert line.due_by == at(NEXT, 24)
    assert dataset.accounts[0].confirmed_by == "tier3"
    assert not dataset.accounts[0].needs_attention
    [part] = dataset.currencies
    assert (part.token, part.closing.accounts_reconciled) == ("xAED", 1)
    [holding] = part.holdings
    assert all_of(holding.bank, holding.role, holding.balance) == ("Bank", Role.SAFEGUARDING, 1000000)


def test_a_day_without_a_snapshot_owes_what_the_books_say_and_has_nothing_to_show(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        days = Days(road, account)
        await days.move("mint", "7", at(DAY, 24))  # at the cut-off: it counts
        await days.move("mint", "100", at(DAY, 24) + timedelta(microseconds=1))
        await days.move("burn", "20", at(DAY, 25))
        return account

    dataset = told(migrated, story)
    line = only(dataset)
    assert (line.standing, line.timeliness) == (Standing.NO_EVIDENCE, Timeliness.MISSED)
    assert all_of(line.requirement, line.resource, line.excess) == (1000007, None, None)
    [part] = dataset.currencies
    assert all_of(part.closing.resource, part.closing.unproven, part.closing.excess) == (0, 1000007, -1000007)
    assert dataset.accounts[0].needs_attention
    assert only(told(migrated, no_more, now=at(NEXT, 24), asked=day())).timeliness is Timeliness.WAITING


async def no_more(_: Road) -> None:
    """Nothing else happens."""


def day(on: date = DAY, **more: Any) -> Asked:
    return Asked(span=Span.DAY, date=str(on), **more)


def test_the_latest_revision_stands(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        days = Days(road, account)
        await days.close(DAY, bank="900000", reconciled=False, state="QUARANTINED", failed=("entries_sum", "sequence"))
        return account

    line = only(told(migrated, story))
    assert all_of(line.standing, line.resource, line.bank_balance) == (Standing.NOT_RECONCILED, None, 900000)
    assert line.failed_checks == ("entries_sum", "sequence")

    async def revised(road: Road) -> None:
        [row] = await road.rows("SELECT id FROM emi_accounts")
        days = Days(road, row["id"])
        await days.revise(DAY, "1000000", "999000", reconciled=False, level="Critical", done=at(DAY, 80))
        await days.revise(DAY, "1000000", "1000000", done=at(DAY, 90))

    line = only(told(migrated, revised, day()))
    assert all_of(line.standing, line.resource, line.revision) == (Standing.RECONCILED, 1000000, 2)
    assert line.timeliness is Timeliness.MET, "the day was closed in time, if not well: the first statement says when"


def test_a_receipt_is_owed_until_somebody_has_its_tokens_or_the_money_is_gone(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        days = Days(road, account)
        friday = DAY + timedelta(days=3)
        first = await days.close(DAY, bank="1000111", last_movement=1)
        waits = await days.entry("1", DAY, unexpected=True, statement=first)
        allocated = await days.entry("10", DAY, unexpected=True, statement=first)
        returned = await days.entry("100", DAY, unexpected=True, statement=first)
        assert waits
        movement = await days.move("mint", "10", at(NEXT, 9))
        await days.meets(allocated, "allocation", at(NEXT, 9), movement=movement)
        await days.meets(returned, "return", at(NEXT, 9), reference="BACK")
        second = await days.close(NEXT, "1000010", "1000111", last_movement=movement)
        assert second
        third = await days.close(friday, "1000010", "1000011", last_movement=movement)
        await days.entry("-100", friday, statement=third, name="BACK")
        return account

    dataset = told(migrated, story)
    assert all_of(only(dataset).uncredited, only(dataset).excess) == (111, 0)
    for on, uncredited in ((NEXT, 101), (DAY + timedelta(days=2), 101), (DAY + timedelta(days=3), 1)):
        line = only(told(migrated, no_more, day(on)))
        assert line.uncredited == uncredited, on
        assert line.excess in (0, None)


def test_a_receipt_allocated_before_the_statement_was_judged_is_in_its_ledger(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        days = Days(road, account)
        entry = await days.entry("10", DAY, unexpected=True)
        movement = await days.move("mint", "10", at(NEXT, 5))  # after the cut-off, before the statement came
        await days.meets(entry, "allocation", at(NEXT, 5), movement=movement)
        await days.close(DAY, "1000010", "1000010", last_movement=movement, done=at(NEXT, 6))
        return account

    line = only(told(migrated, story))
    assert all_of(line.uncredited, line.excess) == (0, 0)


def test_tokens_burnt_are_owed_until_the_bank_has_paid(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        days = Days(road, account)
        burnt = await days.move("burn", "30", at(DAY, 20))
        await days.move("emergency_burn", "0.5", at(DAY, 20))
        await days.close(DAY, "999969.5", "999999.5", last_movement=burnt + 1)
        paid = await days.close(NEXT, "999969.5", "999969.5", last_movement=burnt + 1)
        entry = await days.entry("-30", NEXT, statement=paid)
        await road.row(
            "INSERT INTO matches (match_id, account_id, entry_id, movement_id, pass, statement_id)"
            " VALUES (1, %s, %s, %s, 'amount', %s) RETURNING match_id",
            account, entry, burnt, paid,
        )  # fmt: skip
        return account

    line = only(told(migrated, story))
    assert all_of(line.unpaid, line.requirement, line.excess) == (30, Decimal("999999.5"), 0)
    line = only(told(migrated, no_more, day(NEXT)))
    assert all_of(line.unpaid, line.excess) == (0, 0)


def test_tokens_that_another_ledger_minted_before_the_money_came_are_short_and_said_to_be(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        external = await road.row(
            "INSERT INTO emi_accounts (id, bank_id, account_number, currency, ledger_mode, created_at)"
            " SELECT gen_random_uuid(), bank_id, 'EXTERNAL', 'AED', 'external', created_at FROM emi_accounts"
            " WHERE id = %s RETURNING id", account,
        )  # fmt: skip
        days = Days(road, external["id"])
        minted = await days.move("mint", "40", at(DAY, 20))
        paid = await days.move("payout_settlement", "15", at(DAY, 21))
        await days.close(DAY, "25", "0", reconciled=False, level="Critical", last_movement=paid)
        second = await days.close(NEXT, "25", "25", last_movement=paid)
        for place, (amount, movement) in enumerate((("40", minted), ("-15", paid))):
            entry = await days.entry(amount, NEXT, statement=second)
            await road.row(
                "INSERT INTO matches (match_id, account_id, entry_id, movement_id, pass, statement_id)"
                " VALUES (%s, %s, %s, %s, 'amount', %s) RETURNING match_id",
                place, days.account, entry, movement, second,
            )  # fmt: skip
        return days.account

    line = only(told(migrated, story))
    assert all_of(line.tokens_outstanding, line.unpaid, line.unreceived, line.excess) == (25, 15, 40, -40)
    line = only(told(migrated, no_more, day(NEXT, account="EXTERNAL")))
    assert all_of(line.unpaid, line.unreceived, line.excess) == (0, 0, 0)


def test_what_was_undone_is_owed_as_tokens_again(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        days = Days(road, account)
        burnt = await days.move("burn", "30", at(DAY, 20))
        await days.move("reversal", "30", at(NEXT, 20), reverses=burnt)
        return account

    line = only(told(migrated, story))
    assert all_of(line.tokens_outstanding, line.unpaid) == (999970, 30)
    line = only(told(migrated, no_more, day(NEXT)))
    assert all_of(line.tokens_outstanding, line.unpaid) == (1000000, 0)


def test_what_is_on_its_way_at_the_cut_off(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        await Days(road, account).close(DAY)
        await road.hold(account, "HELD", "3")
        await road.hold(account, "SENT", "5", sent=True)
        await road.expect(account, "COMING", "7", until=LATER)
        await road.expect(account, "OVER", "11", until=at(DAY, 23))
        await road.row(
            "UPDATE payouts SET state = 'CANCELLED', settled_by = 'a', settled_at = %s, settled_reason = 'r'"
            " WHERE end_to_end_id = 'HELD' RETURNING id", at(NEXT, 1),
        )  # fmt: skip
        return account

    way = told(migrated, story).accounts[0].on_the_way
    # The bench holds for a day from noon: at the day's cut-off all of it is under way, a day later only what was sent.
    assert all_of(way.held, way.sent, way.announced) == (3, 5, 7)
    way = told(migrated, no_more, day(NEXT)).accounts[0].on_the_way
    assert all_of(way.held, way.sent, way.announced) == (0, 5, 7)

    async def swept_late(road: Road) -> None:
        [row] = await road.rows("SELECT id FROM emi_accounts")
        await road.hold(row["id"], "LATE", "13")  # for a day from noon, and written off two days later
        await road.row(
            "UPDATE payouts SET state = 'EXPIRED', settled_by = 'engine', settled_at = %s, settled_reason = 'r'"
            " WHERE end_to_end_id = 'LATE' RETURNING id", at(NEXT, 60),
        )  # fmt: skip

    assert all_of(told(migrated, swept_late, day()).accounts[0].on_the_way.held) == (16,)
    assert all_of(told(migrated, no_more, day(NEXT)).accounts[0].on_the_way.held) == (0,)


def test_money_on_its_way_and_the_firms_own_are_shown_and_not_counted(migrated: str) -> None:
    async def story(road: Road) -> None:
        for number, role in (("A", None), ("B", Role.SETTLEMENT), ("C", Role.OWN_FUNDS)):
            account = await road.account(number, ledger="0" if role else "100", bank="100", of=f"Bank {number}")
            await Days(road, account).close(DAY, "0" if role else "100", "100")
            if role:
                await stored.assign_role(road.tx, account, Role.OWN_FUNDS, DAY - timedelta(days=9), "ann", "r", LATER)
                await stored.assign_role(road.tx, account, role, DAY, "ann", "r", LATER)
                await stored.assign_role(road.tx, account, Role.SAFEGUARDING, NEXT, "ann", "r", LATER)

    [part] = told(migrated, story, day()).currencies
    closing = part.closing
    assert all_of(closing.resource, closing.in_transit, closing.own_funds, closing.excess) == (100, 100, 100, 0)
    assert [(h.bank, h.role) for h in part.holdings] == [
        ("Bank A", Role.SAFEGUARDING), ("Bank B", Role.SETTLEMENT), ("Bank C", Role.OWN_FUNDS),
    ]  # fmt: skip
    assert told(migrated, no_more, day(NEXT)).currencies[0].closing.in_transit == 0


def test_a_month_of_two_currencies(migrated: str) -> None:
    month = Asked(span=Span.MONTH, date="2025-11")

    async def story(road: Road) -> None:
        for number, currency, of in (("A", "AED", "One"), ("B", "AED", "Two"), ("C", "INR", "One")):
            account = await road.account(number, currency, of=of)
            for n in range(13):  # the 18th to the 30th
                on = DAY + timedelta(days=n)
                if on.weekday() < 5 and (number, n) != ("B", 2):
                    late = at(on, 72) if (number, n) == ("A", 1) else None
                    await Days(road, account).close(on, bank="1000000" if n != 6 else "999000", done=late)

    dataset = told(migrated, story, month)
    assert (dataset.id, dataset.as_of) == ("month.2025-11.firm", date(2025, 11, 28))
    aed, inr = dataset.currencies
    assert (aed.currency, inr.currency) == ("AED", "INR")
    assert [total.day for total in inr.days] == [DAY + timedelta(days=n) for n in (0, 1, 2, 3, 6, 7, 8, 9, 10)]
    assert inr.resource is not None
    assert all_of(inr.resource.lowest, inr.resource.lowest_on) == (999000, DAY + timedelta(days=6))
    assert inr.resource.average == Decimal("999888.88888889")
    gap = aed.days[2]
    assert all_of(gap.requirement, gap.resource, gap.unproven) == (2000000, 1000000, 1000000)
    assert gap.accounts_without_evidence == 1
    by_number = {part.closing.account_number: part for part in dataset.accounts}
    a, b, c = (by_number[name].month for name in "ABC")
    assert a is not None
    assert b is not None
    assert c is not None
    assert a.days_late == [NEXT]
    assert b.days_without_evidence == b.days_missed == [DAY + timedelta(days=2)]
    assert all_of(c.largest_shortfall, c.days_in_shortfall) == (1000, [DAY + timedelta(days=6)])
    token = told(migrated, no_more, Asked(span=Span.MONTH, date="2025-11", token="xINR"))
    assert [part.currency for part in token.currencies] == ["INR"]
    assert token.currencies[0] == inr
    one = told(migrated, no_more, Asked(span=Span.MONTH, date="2025-11", account="B"))
    assert [line.day for line in one.lines if line.standing is Standing.NO_EVIDENCE] == [DAY + timedelta(days=2)]
    assert one.accounts == [by_number["B"]]


def test_an_account_is_asked_of_for_the_days_that_it_was_kept(migrated: str) -> None:
    async def story(road: Road) -> None:
        account = await road.account("GONE", ledger="0", bank="0")
        await road.row("UPDATE emi_accounts SET closed_at = %s RETURNING id", at(NEXT, 12))
        assert account

    assert told(migrated, story, day(DAY - timedelta(days=1))).accounts == []
    assert len(told(migrated, no_more, day(NEXT)).accounts) == 1
    assert told(migrated, no_more, day(DAY + timedelta(days=2))).accounts == []


def test_the_banks_calendar_says_when_its_day_ends(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        calendar = StatementCalendar(
            time_zone="Asia/Dubai", cut_off=time(17), due_after=timedelta(hours=6), extra_holidays=(NEXT,),
        )  # fmt: skip
        await calendars.save(road.tx, account, calendars.Kept(calendar, DAY, LATER, "ann", NOW))
        await Days(road, account).move("mint", "5", at(DAY, 13) + timedelta(seconds=1))
        return account

    line = only(told(migrated, story))
    assert all_of(line.cut_off, line.tokens_outstanding) == (at(DAY, 13), 1000000)
    assert line.due_by == at(NEXT, 44), "its bank does not work on the next day"
    line = only(told(migrated, no_more, day(NEXT)))
    assert all_of(line.standing, line.timeliness, line.tokens_outstanding) == ("none_due", "none_due", 1000005)


def test_discrepancies_and_incidents_as_they_stood_when_the_day_could_be_closed(migrated: str) -> None:
    key, gone = UUID(int=7), UUID(int=8)

    async def story(road: Road) -> UUID:
        account = await road.account()
        opened = "INSERT INTO reconciliation_discrepancies (id, account_id, discrepancy_type, severity, opened_at)"
        opened += " VALUES (%s, %s, 'FEE', %s, %s) RETURNING id"
        line = "INSERT INTO discrepancy_events (discrepancy_id, happening, at, actor, severity, text, expected_value,"
        line += " actual_value, assignee) VALUES (%s, %s, %s, %s, %s, %s, 1000000, 999990, %s) RETURNING id"
        done = "UPDATE reconciliation_discrepancies SET status = 'RESOLVED', resolved_at = %s, resolution = %s,"
        done += " resolved_by = 'bob' WHERE id = %s RETURNING id"
        await road.row(opened, gone, account, "Minor", at(DAY - timedelta(days=9)))
        await road.row(line, gone, "opened", at(DAY - timedelta(days=9)), "engine", "Minor", "old", None)
        await road.row(line, gone, "resolved", at(DAY, -1), "bob", "Minor", "over before", None)
        await road.row(done, at(DAY, -1), "over before", gone)
        await road.row(opened, key, account, "Critical", at(DAY, 1))
        await road.row(line, key, "opened", at(DAY, 1), "engine", "Minor", "a fee nobody knew", None)
        await road.row(line, key, "assigned", at(DAY, 2), "ann", "Critical", None, "ann")
        await road.row(line, key, "resolved", LATER, "bob", "Critical", "repaid by the bank", None)
        await road.row(done, LATER, "repaid by the bank", key)
        step = "INSERT INTO circuit_breaker_steps (account_id, from_state, to_state, cause, actor, at)"
        step += " VALUES (%s, %s, %s, 'c', 'engine', %s) RETURNING id"
        await road.row(step, account, "closed", "open", at(DAY, 1))
        await road.row(step, account, "open", "closed", at(DAY, 3))
        await road.row(step, account, "closed", "open", LATER)
        return account

    dataset = told(migrated, story)
    [found] = dataset.discrepancies
    assert (found.id, found.status, found.owner, found.severity) == (key, "INVESTIGATING", "ann", "Critical")
    assert (found.cause, found.remedy, found.signed_off_by) == ("a fee nobody knew", None, None)
    assert all_of(found.expected, found.actual, found.age_days) == (1000000, 999990, 1)
    [incident] = dataset.incidents
    assert (incident.opened_at, incident.closed_at) == (at(DAY, 1), at(DAY, 3))
    [found] = told(migrated, no_more, day(date(2025, 12, 18)), now=at(date(2025, 12, 19), 12)).discrepancies
    assert (found.status, found.remedy, found.signed_off_by, found.age_days) == (
        "RESOLVED", "repaid by the bank", "bob", 29,
    )  # fmt: skip


def test_the_same_data_is_the_same_dataset_whenever_it_is_asked_for(migrated: str) -> None:
    async def story(road: Road) -> UUID:
        account = await road.account()
        await Days(road, account).close(DAY)
        return account

    first = told(migrated, story, day())
    assert digest(told(migrated, no_more, day(), now=LATER + timedelta(days=400))) == digest(first)

    async def later(road: Road) -> None:
        [row] = await road.rows("SELECT id FROM emi_accounts")
        days = Days(road, row["id"])
        await days.close(NEXT, "1000005", "1000005", last_movement=await days.move("mint", "5", at(NEXT, 3)))
        await days.entry("9", DAY + timedelta(days=2), unexpected=True)

    assert digest(told(migrated, later, day())) == digest(first), "what happened later is not in it"

    async def corrected(road: Road) -> None:
        [row] = await road.rows("SELECT id FROM emi_accounts")
        await Days(road, row["id"]).revise(DAY, "1000000", "1000000")

    assert digest(told(migrated, corrected, day())) != digest(first)


def test_a_report_is_signed_as_it_is_and_says_when_it_no_longer_is(migrated: str) -> None:
    async def prepare(road: Road) -> UUID:
        account = await road.account()
        await Days(road, account).close(DAY)
        return account

    dataset = told(migrated, prepare, day())
    name, sha256 = "day.2025-11-18.firm", digest(dataset)
    assert dataset.id == name

    async def sign(actor: str, now: datetime = LATER, **more: Any) -> dict[str, Any]:
        database = Database(migrated, pool_size=2)
        await database.open()
        try:
            async with database.transaction() as tx:
                return await report.sign_off(tx, more.pop("id", name), SignOff(actor=actor, reason="read", **more), now)
        finally:
            await database.close()

    def refusal(actor: str = "ann", **more: Any) -> tuple[str, str | None]:
        with pytest.raises(RefusedError) as refused:
            asyncio.run(sign(actor, **more))
        return refused.value.refusal.code, refused.value.refusal.field

    assert refusal(now=at(NEXT, 23)) == ("report_not_over", None)
    assert refusal(sha256="0" * 64) == ("report_changed", "sha256")
    assert refusal(sha256="0") == ("invalid_sha256", "sha256")
    assert refusal("engine") == ("invalid_actor", "actor")
    assert refusal(id="year.2025.firm") == ("unknown_report", "report_id")
    assert refusal(id="day.2025-11-18.token-AED") == ("unknown_report", "report_id"), "it is day.2025-11-18.token-xAED"
    assert refusal(id="day.2025-11-18.token-xUSD") == ("unknown_token", "token")
    signed = asyncio.run(sign("ann", sha256=sha256))
    assert [(s.actor, s.sha256, s.current) for s in signed["sign_offs"]] == [("ann", sha256, True)]
    assert len(asyncio.run(sign("Ann "))["sign_offs"]) == 1, "the same person, the same state"
    assert len(asyncio.run(sign("bob"))["sign_offs"]) == 2

    async def correct(road: Road) -> None:
        [row] = await road.rows("SELECT id FROM emi_accounts")
        await Days(road, row["id"]).revise(DAY, "1000000", "1000000")

    told(migrated, correct, day())
    signed = asyncio.run(sign("ann"))
    assert [s.current for s in signed["sign_offs"]] == [False, False, True]

    async def look(road: Road) -> list[dict[str, Any]]:
        return await road.rows("SELECT actor, details FROM audit_log WHERE action = 'report_signed' ORDER BY id")

    async def looked() -> list[dict[str, Any]]:
        async with road_on(migrated) as road:
            return await look(road)

    assert [row["actor"] for row in asyncio.run(looked())] == ["ann", "bob", "ann"]


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        (day(account="nobody"), "unknown_account", "account_id"),
        (day(token="xUSD"), "unknown_token", "token"),
        (day(account="A", token="xAED"), "invalid_scope", "token"),
        (day(account="A"), "ambiguous_account", "currency"),
        (Asked(span=Span.MONTH, date="2025-11-18"), "invalid_date", "date"),
        (day(date(2031, 1, 1)), "invalid_date", "date"),
    ],
)
def test_what_cannot_be_reported_names_the_field(migrated: str, asked: Asked, code: str, field: str) -> None:
    async def story(road: Road) -> None:
        await road.account("A", "AED")
        await road.account("A", "INR")

    with pytest.raises(RefusedError) as refused:
        told(migrated, story, asked)
    assert (refused.value.refusal.code, refused.value.refusal.field) == (code, field)
