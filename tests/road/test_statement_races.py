"""Engines at one account, a statement in the hands of at least one: all have read and staged what they bring before the
first goes on, and the order in which they do is forced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from road.bench import NOW, NUMBER, Road, came, code, note, road_on
from road.statement_writer import line, message, statement
from token_engine.domain.ledger import Kind, Mode, Movement, References
from token_engine.domain.receipt import AlreadyRecorded, Receipt, Recorded, Rejected
from token_engine.storage import accounts as stored
from token_engine.storage import calendars, matches, receipts
from token_engine.storage import ledger as stored_ledger
from token_engine.tiers import end_of_day, intake, ledger, releases
from token_engine.tiers.delivery import Delivery, Door
from token_engine.tiers.releases import RELEASING, ReleaseAct

Deed = Callable[[Road], Awaitable[Any]]


class _LostError(Exception):
    """Its process dies before its commit."""


def closes(raw: bytes | Delivery) -> Deed:
    async def deed(road: Road) -> Receipt:
        [receipt] = await end_of_day.record(road.tx, [raw if isinstance(raw, Delivery) else came(raw, "file")], NOW)
        return receipt

    return deed


def tells(raw: bytes) -> Deed:
    return lambda road: road.take_one(raw)


def dies(deed: Deed) -> Deed:
    async def lost(road: Road) -> None:
        await deed(road)
        raise _LostError

    return lost


async def alone(url: str, deed: Deed) -> Any:
    async with road_on(url) as road, road.connection.transaction():
        return await deed(road)


async def together(url: str, *deeds: Deed) -> list[Any]:
    """What each comes to. Somebody has the account until all have read what they bring and wait for it, or for the one
    before with the same message: PostgreSQL lets those go in the order in which they came, each once the one before has
    committed; and then who waited for a message.
    """
    async with AsyncExitStack() as stack:
        # A transaction sees `pg_stat_activity` as it was when it first looked.
        gate, watch = [await stack.enter_async_context(road_on(url)) for _ in range(2)]
        roads = [await stack.enter_async_context(road_on(url)) for _ in deeds]

        async def go(road: Road, deed: Deed) -> Any:
            async with road.connection.transaction():
                return await deed(road)

        async with gate.connection.transaction():
            await gate.rows("SELECT 1 FROM emi_accounts FOR NO KEY UPDATE")
            going = []
            for waiting, (road, deed) in enumerate(zip(roads, deeds, strict=True), 1):
                going.append(asyncio.create_task(go(road, deed)))
                async with asyncio.timeout(20):
                    while await _waiting(watch) < waiting:
                        assert not any(task.done() for task in going), "it did not wait"
                        await asyncio.sleep(0.01)
        outcomes = await asyncio.gather(*going, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, _LostError):
                raise outcome
        return outcomes


async def _waiting(watch: Road) -> int:
    """How many have read what they bring, and wait for the account or the message."""
    row = await watch.row(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND (query LIKE '%%FROM emi_accounts%%FOR NO KEY UPDATE%%' OR query LIKE '%%pg_advisory_xact_lock%%')"
    )
    return int(row["n"])


class Books(NamedTuple):
    """What is left of it all, in figures that can be read."""

    bank: int
    ledger: int
    entries: list[int]
    states: list[str]
    """Of statements, in the order in which they were numbered."""
    closed: tuple[int, int]
    """Snapshots, and revisions beside them."""
    matched: list[tuple[int, str]]
    """The signed amounts of entries that a movement answers for, and by which pass."""
    news: list[str]
    """The last words of what was announced of days and statements."""


async def books(url: str) -> Books:
    async with road_on(url) as road:
        # Folded anew from everything, the position, the ledger and each match are what is stored.
        for fold in (stored.position_drift, stored_ledger.drift, matches.unequal, receipts.unlike_their_movements,
                     receipts.met_without_meeting, receipts.mints_without_meeting, calendars.drift):  # fmt: skip
            assert await fold(road.tx) == []
        # Every line is an entry of its own account and amount, and no entry is twice in one statement.
        assert await road.rows(
            "SELECT l.* FROM statement_lines l JOIN statements s ON s.id = l.statement_id LEFT JOIN bank_entries e"
            " ON (e.id, e.account_id, e.position_change) = (l.entry_id, l.account_id, l.amount)"
            " WHERE (e.id IS NULL) <> (s.state = 'QUARANTINED')"
        ) == []  # fmt: skip
        assert await road.rows(
            "SELECT 1 FROM statement_lines WHERE entry_id IS NOT NULL GROUP BY statement_id, entry_id"
            " HAVING count(*) > 1"
        ) == []  # fmt: skip
        account = await road.row("SELECT * FROM emi_accounts")
        entries = await road.rows("SELECT position_change AS n FROM bank_entries ORDER BY 1")
        states = await road.rows("SELECT state FROM statements ORDER BY id")
        closed = await road.row(
            "SELECT (SELECT count(*) FROM emi_account_snapshots) AS s, (SELECT count(*) FROM snapshot_revisions) AS r"
        )
        matched = await road.rows(
            "SELECT e.position_change AS n, m.pass FROM matches m JOIN bank_entries e ON e.id = m.entry_id"
            " ORDER BY 1, 2"
        )
        news = await road.rows(
            "SELECT subject FROM outbox WHERE subject LIKE '%%.eod.%%' OR subject LIKE '%%.statement.%%' ORDER BY id"
        )
    return Books(
        int(account["bank_reported_balance"]), int(account["ledger_balance"]), [int(e["n"]) for e in entries],
        [s["state"] for s in states], (closed["s"], closed["r"]), [(int(m["n"]), m["pass"]) for m in matched],
        [n["subject"].rpartition(".")[2] for n in news],
    )  # fmt: skip


async def stage(url: str, *before: Deed) -> None:
    """An account, and a movement of its ledger that a line with end-to-end id E1 will answer for."""

    async def deed(road: Road) -> None:
        account = await road.account(ledger="999990")
        moved = Movement(
            kind=Kind.ADJUSTMENT, amount=Decimal(10), to_holder="h", reason="r", actor="tests", key="k",
            references=References(end_to_end_id="E1"),
        )  # fmt: skip
        await ledger.post(road.tx, [(account, moved)], Mode.ENGINE, NOW)
        for each in before:
            await each(road)

    await alone(url, deed)


STATED = statement(
    line("10", reference="R1", end_to_end="E1"), line("-3", reference="R2"), opening="1000000", closing="1000007"
)
CLOSED = Books(1_000_007, 1_000_000, [-3, 10], ["ACCEPTED"], (1, 0), [(10, "end_to_end")], ["complete"])


@pytest.mark.parametrize("engines", [2, 3])
def test_the_same_message_is_recorded_by_one_and_answered_alike_by_all(migrated: str, engines: int) -> None:
    async def story() -> None:
        await stage(migrated)
        first, *others = await together(migrated, *[closes(message(STATED))] * engines)
        assert isinstance(first, Recorded)
        for other in others:
            assert other == AlreadyRecorded(first.kept_as, first.message_id, (), first.days, ())
        assert [day.entries_recorded for day in first.days] == [2]
        assert await books(migrated) == CLOSED

    asyncio.run(story())


def test_where_the_first_dies_before_its_commit_the_next_records(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated)
        deed = closes(message(STATED))
        _, second, third = await together(migrated, dies(deed), deed, deed)
        assert isinstance(second, Recorded)
        assert third == AlreadyRecorded(second.kept_as, second.message_id, (), second.days, ())
        assert await books(migrated) == CLOSED

    asyncio.run(story())


def test_a_statement_in_two_messages_closes_its_day_once(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated)
        first, second = await together(migrated, *(closes(message(STATED, name=f"M-{n}")) for n in (1, 2)))
        assert (type(first), type(second)) == (Recorded, AlreadyRecorded)
        assert (second.message_id, second.days) == ("M-2", first.days)
        assert second.kept_as != first.kept_as
        assert await books(migrated) == CLOSED

    asyncio.run(story())


def test_a_statement_that_fails_is_raised_once(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated)
        short = STATED.replace("1000007", "1000008")
        first, second, third = await together(
            migrated, closes(message(short)), closes(message(short)), closes(message(short, name="M-2"))
        )
        assert [type(each) for each in (first, second, third)] == [Recorded, AlreadyRecorded, AlreadyRecorded]
        assert first.days == second.days == third.days
        left = await books(migrated)
        assert (left.bank, left.entries, left.states, left.closed) == (1_000_000, [], ["QUARANTINED"], (1, 0))
        async with road_on(migrated) as road:
            raised = await road.rows(
                "SELECT 1 FROM reconciliation_discrepancies WHERE discrepancy_type = 'STATEMENT_QUARANTINED'"
            )
        assert len(raised) == 1

    asyncio.run(story())


def test_of_two_that_say_otherwise_under_one_name_the_first_holds(migrated: str) -> None:
    async def story() -> None:
        await stage(migrated)
        other = STATED.replace("R2", "R3")
        first, second = await together(migrated, closes(message(STATED)), closes(message(other, name="M-2")))
        assert isinstance(first, Recorded)
        assert code(second) == "statement_differs"
        assert await books(migrated) == CLOSED

    asyncio.run(story())


def test_two_corrections_of_a_day_at_once_correct_one_another(migrated: str) -> None:
    """The second corrects what the first one left, and only the last counts."""

    async def story() -> None:
        await stage(migrated, closes(message(STATED, name="M-0")))
        kept = line("10", reference="R1", end_to_end="E1")
        one = statement(kept, line("-5", reference="R5"), opening="1000000", closing="1000005", name="FIRST")
        two = statement(kept, line("-9", reference="R9"), opening="1000000", closing="1000001", name="SECOND")
        first, second = await together(
            migrated, closes(message(one, name="M-1")), closes(message(two, name="M-2"))
        )  # fmt: skip
        assert [each.days[0].state for each in (first, second)] == ["ACCEPTED", "ACCEPTED"]
        left = await books(migrated)
        assert (left.bank, left.ledger) == (1_000_001, 1_000_000)
        assert left.entries == [-9, -5, -3, 10]
        assert left.states == ["REPLACED", "REPLACED", "ACCEPTED"]
        assert left.closed == (1, 2)
        assert left.matched == [(10, "end_to_end")]
        async with road_on(migrated) as road:
            chain = await road.rows("SELECT id, corrects FROM statements ORDER BY id")
            revised = await road.rows("SELECT revision, statement_id FROM snapshot_revisions ORDER BY revision")
        ids = [row["id"] for row in chain]
        assert [row["corrects"] for row in chain] == [None, ids[0], ids[1]]
        assert [(row["revision"], row["statement_id"]) for row in revised] == [(1, ids[1]), (2, ids[2])]

    asyncio.run(story())


def test_the_pages_of_a_statement_that_come_at_once_are_joined(migrated: str) -> None:
    def page(number: int, only: str, *, last: bool) -> bytes:
        head = f"<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd></StmtPgntn>"
        stated = statement(only, opening="1000000", closing="1000007", name="PAGED", head=head)
        return message(stated, name=f"M-{number}")

    pages = [
        page(1, line("10", reference="R1", end_to_end="E1"), last=False), page(2, line("-3", reference="R2"), last=True)
    ]  # fmt: skip

    async def story() -> None:
        await stage(migrated)
        deeds = [closes(raw) for raw in pages]
        waits, whole, again = await together(migrated, *deeds, deeds[0])
        assert (type(waits), type(whole), type(again)) == (Recorded, Recorded, AlreadyRecorded)
        assert (waits.days, waits.waiting[0].missing_pages) == ((), (2,))
        assert [day.state for day in whole.days] == ["ACCEPTED"]
        assert (again.kept_as, again.days, again.waiting) == (waits.kept_as, whole.days, ())
        assert await books(migrated) == CLOSED

    asyncio.run(story())


@pytest.mark.parametrize("reference", ["R1", None])
@pytest.mark.parametrize("stated_first", [True, False])
def test_an_entry_that_is_stated_and_notified_at_once_counts_once_and_mints_once(
    migrated: str, stated_first: bool, reference: str | None
) -> None:
    """With the bank's reference, and where only amount, dates and end-to-end id tell."""

    async def story() -> None:
        async def expects(road: Road) -> None:
            await road.expect((await road.row("SELECT id FROM emi_accounts"))["id"], "F1", "25")

        await stage(migrated, expects)
        stated = statement(line("25", reference=reference, end_to_end="F1"), opening="1000000", closing="1000025")
        notified = note("N-1", "25.00", reference=reference, tag="F1", booked="2025-11-18", value="2025-11-18")
        deeds = [closes(message(stated)), tells(notified)]
        outcomes = await together(migrated, *(deeds if stated_first else deeds[::-1]))
        of_statement, of_note = outcomes if stated_first else outcomes[::-1]
        assert not isinstance(of_note, Rejected)
        [day] = of_statement.days
        assert (day.state, day.entries_recorded) == ("ACCEPTED", 1 if stated_first else 0)
        left = await books(migrated)
        assert left == Books(1_000_025, 1_000_025, [25], ["ACCEPTED"], (1, 0), [(25, "met")], ["complete"])
        async with road_on(migrated) as road:
            funding = await road.row("SELECT state FROM fundings")
            minted = await road.rows("SELECT amount FROM ledger_movements WHERE kind = 'mint'")
        assert (funding["state"], [int(each["amount"]) for each in minted]) == ("MET", [25])

    asyncio.run(story())


@pytest.mark.parametrize("released_first", [True, False])
def test_a_release_and_a_correction_of_the_same_day(migrated: str, released_first: bool) -> None:
    """Two people release what was held back while the bank's correction comes: what comes last stands."""

    async def story() -> None:
        only = line("10", reference="R1", end_to_end="E1")
        short = statement(only, opening="1000000", closing="1000008", name="HELD")
        await stage(migrated, closes(message(short, name="M-0")))
        async with road_on(migrated) as road:
            number = (await road.row("SELECT id FROM statements"))["id"]

        async def asks(road: Road) -> Any:
            return await releases.request(road.tx, number, ReleaseAct(actor="ann", reason="letter"), NOW)

        async def approves(road: Road) -> Any:
            return await releases.approve(road.tx, number, ReleaseAct(actor="bob", reason="seen"), NOW, RELEASING)

        await alone(migrated, asks)
        deeds = [approves, closes(message(STATED, name="M-1"))]
        outcomes = await together(migrated, *(deeds if released_first else deeds[::-1]))
        released, corrected = outcomes if released_first else outcomes[::-1]
        assert corrected.days[0].state == "ACCEPTED"
        left = await books(migrated)
        assert (released["state"], left.closed) == ("RELEASED", (1, 2))
        stands = (1_000_007, ["REPLACED", "ACCEPTED"]) if released_first else (1_000_008, ["RELEASED", "REPLACED"])
        assert (left.bank, left.states) == stands

    asyncio.run(story())


@pytest.mark.parametrize("large", [True, False])
def test_what_two_reject_at_once_is_kept_once(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    """No account is named, so that none is locked: the message itself is what both want."""
    raw = message(STATED.replace(NUMBER, "AE460261001091829103501"))
    said: Any = raw
    if large:
        monkeypatch.setattr(intake, "LARGE", 0)
        (tmp_path / "large.xml").write_bytes(raw)
        said = intake.large_statement(tmp_path / "large.xml", Door.CLI, NOW)

    async def story() -> None:
        await stage(migrated)
        async with road_on(migrated) as one, road_on(migrated) as two, road_on(migrated) as watch:

            async def follow() -> Any:
                async with two.connection.transaction():
                    return await closes(said)(two)

            async with one.connection.transaction():
                first = await closes(said)(one)
                following = asyncio.create_task(follow())
                async with asyncio.timeout(20):
                    while not await watch.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                        assert not following.done(), "it did not wait"
                        await asyncio.sleep(0.01)
            second = await following
            assert (code(first), code(second)) == ("unknown_account", "unknown_account")
            assert first.kept_as == second.kept_as
            kept = await watch.row("SELECT id, attempts, octet_length(raw) AS held FROM bank_messages")
            assert kept == {"id": first.kept_as, "attempts": 2, "held": 0 if large else len(raw)}
            assert len(await watch.rows("SELECT 1 FROM bank_message_parts")) == large

    asyncio.run(story())
