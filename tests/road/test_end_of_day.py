"""Tier 3: a statement closes a day and moves the position once for all it says; one that does not hold, nothing."""

from __future__ import annotations

import threading
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
import pytest

from road.bench import NOW, Bench, Road, came
from road.bench import note as json_note
from road.statement_writer import line, message, statement
from token_engine.domain.receipt import AlreadyRecorded, Receipt, Recorded, Rejected
from token_engine.storage import parts
from token_engine.tiers import end_of_day, intake, released_day
from token_engine.tiers.delivery import Door
from token_engine.tiers.stating import Reading


def note(message_id: str, amount: str, **more: Any) -> bytes:
    """A notification; a negative amount is a debit."""
    return json_note(message_id, amount.lstrip("-"), debit=amount.startswith("-"), **more)


async def close(road: Road, *raw: bytes) -> list[Receipt]:
    return await end_of_day.record(road.tx, [came(one, "file") for one in raw], NOW)


async def close_one(road: Road, raw: bytes) -> Any:
    [receipt] = await close(road, raw)
    assert isinstance(receipt, Recorded | AlreadyRecorded), receipt
    [day] = receipt.days
    return day


def outcome(day: Any, name: str) -> str:
    return str(next(c.outcome for c in day.checks if c.name == name))


def test_what_was_notified_is_not_counted_again(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take_one(note("N-R1", "100", reference="R1", booked="2025-11-18"))
        await road.take_one(note("N-R2", "-30", reference="R2", booked="2025-11-18"))
        assert await road.position(account) == 1_000_070
        stated = statement(line("100", reference="R1"), line("-30", reference="R2"), line("5", reference="R3"),
                           opening="1000000", closing="1000075")  # fmt: skip
        day = await close_one(road, message(stated))
        assert (day.state, day.entries_recorded) == ("ACCEPTED", 1)
        assert await road.position(account) == 1_000_075
        # The notification of what the statement told of first comes late.
        late = await road.take_one(note("N-R3", "5", reference="R3", booked="2025-11-18"))
        assert isinstance(late, Recorded | AlreadyRecorded)
        assert await road.position(account) == 1_000_075

    bench.void(story)


def test_the_specifications_example_is_kept_and_moves_nothing(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account(ledger="5000000", bank="5000000")
        raw = message(statement(line("100000", end_to_end="E2E-TXN-67890"), opening="5000000", closing="5250000"))
        day = await close_one(road, raw)
        assert day.state == "QUARANTINED"
        assert outcome(day, "entries_sum") == "failed"
        assert (day.ledger_balance, day.bank_balance, day.difference) == ("5000000.00", "5250000.00", "250000.00")
        assert (day.reconciled, day.entries_matched, day.entries_unmatched) == (False, 0, 1)
        assert await road.position(account) == 5_000_000
        assert await road.rows("SELECT 1 FROM bank_entries") == []
        snapshot = await road.row("SELECT * FROM emi_account_snapshots")
        assert (snapshot["snapshot_date"], snapshot["reconciled"]) == (date(2025, 11, 18), False)
        raised = await road.row("SELECT * FROM reconciliation_discrepancies WHERE discrepancy_type LIKE 'STATEMENT%%'")
        assert (raised["expected_value"], raised["actual_value"]) == (5_000_000, 5_250_000)
        again = await close(road, raw)
        assert isinstance(again[0], AlreadyRecorded)
        assert again[0].days == (day,)

    bench.void(story)


def test_notifications_of_the_next_day_stay_in_the_position(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take_one(note("N-R1", "100", reference="R1", booked="2025-11-17"))
        await road.take_one(note("N-R2", "7", reference="R2", booked="2025-11-18"))
        stated = statement(line("100", reference="R1", day="2025-11-17"), opening="1000000", closing="1000100",
                           day="2025-11-17")  # fmt: skip
        day = await close_one(road, message(stated))
        assert day.bank_balance == "1000100.00"
        assert await road.position(account) == 1_000_107
        following = statement(line("7", reference="R2"), opening="1000100", closing="1000107")
        await close_one(road, message(following))
        assert await road.position(account) == 1_000_107

    bench.void(story)


def test_a_funding_that_only_the_statement_tells_of_is_minted(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.expect(account, "E1", "100")
        payout = await road.hold(account, "P1", "40", sent=True)
        stated = statement(line("100", reference="R1", end_to_end="E1"), line("-40", reference="R2", end_to_end="P1"),
                           opening="1000000", closing="1000060")  # fmt: skip
        day = await close_one(road, message(stated))
        assert (day.ledger_balance, day.difference, day.reconciled) == ("1000060.00", "0.00", True)
        assert (day.entries_matched, day.entries_unmatched) == (2, 0)
        state = await road.state(account)
        assert (state["ledger_balance"], state["bank_reported_balance"]) == (1_000_060, 1_000_060)
        assert (await road.row("SELECT state FROM payouts WHERE id = %s", payout))["state"] == "SETTLED"
        assert await road.rows("SELECT 1 FROM bank_entries WHERE unexpected") == []

    bench.void(story)


def test_two_lines_alike_are_two_movements_and_one_notification_is_one_of_them(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take_one(note("N-0", "10", booked="2025-11-18"))
        stated = statement(line("10"), line("10"), opening="1000000", closing="1000020")
        day = await close_one(road, message(stated))
        assert day.entries_recorded == 1
        assert await road.position(account) == 1_000_020
        assert len(await road.rows("SELECT 1 FROM bank_entries")) == 2

    bench.void(story)


def test_a_statement_again_under_another_message_changes_nothing_and_another_content_is_refused(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        stated = statement(line("10", reference="R1"), opening="1000000", closing="1000010")
        first = await close_one(road, message(stated))
        [again] = await close(road, message(stated, name="M-EOD-2"))
        assert isinstance(again, AlreadyRecorded)
        assert again.days == (first,)
        other = statement(line("11", reference="R1"), opening="1000000", closing="1000011")
        [refused] = await close(road, message(other, name="M-EOD-3"))
        assert isinstance(refused, Rejected)
        assert refused.refusal.code == "statement_differs"
        assert await road.position(account) == 1_000_010

    bench.void(story)


def test_a_corrected_statement_leaves_the_snapshot_and_adds_a_revision(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        wrong = statement(line("10", reference="R1"), line("3", reference="R2"), opening="1000000", closing="1000013")
        await close_one(road, message(wrong))
        assert await road.position(account) == 1_000_013
        right = statement(line("10", reference="R1"), opening="1000000", closing="1000010", name="STMT-CORRECTED")
        day = await close_one(road, message(right))
        assert day.bank_balance == "1000010.00"
        # What only the withdrawn statement had told of is no money any more.
        assert await road.position(account) == 1_000_010
        assert (await road.row("SELECT bank_reported_balance AS b FROM emi_account_snapshots"))["b"] == 1_000_013
        revision = await road.row("SELECT * FROM snapshot_revisions")
        assert (revision["revision"], revision["bank_reported_balance"], revision["id"]) == (
            1,
            1_000_010,
            day.snapshot_id,
        )
        states = await road.rows("SELECT state FROM statements ORDER BY id")
        assert [row["state"] for row in states] == ["REPLACED", "ACCEPTED"]

    bench.void(story)


def test_the_ledger_as_of_the_cut_off(bench: Bench) -> None:
    """A credit that the bank books tomorrow has minted today: the day's closing balance lacks it, and so does the
    ledger as of its cut-off."""

    async def story(road: Road) -> None:
        account = await road.account()
        await road.expect(account, "E1", "100")
        await road.take_one(note("N-R1", "100", reference="R1", booked="2025-11-19", tag="E1"))
        assert (await road.state(account))["ledger_balance"] == 1_000_100
        day = await close_one(road, message(statement(opening="1000000", closing="1000000")))
        assert (day.ledger_balance, day.difference, day.reconciled) == ("1000000.00", "0.00", True)
        assert await road.position(account) == 1_000_100

    bench.void(story)


def test_what_was_notified_and_is_not_stated_is_raised_and_resolved_when_it_comes(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take_one(note("N-R1", "100", reference="R1", booked="2025-11-18"))
        await road.take_one(note("N-R2", "9", reference="R2", booked="2025-11-18"))
        await close_one(road, message(statement(line("100", reference="R1"), opening="1000000", closing="1000100")))
        query = "SELECT * FROM reconciliation_discrepancies WHERE discrepancy_type = 'NOTIFIED_NOT_STATED'"
        raised = await road.row(query)
        assert (raised["subject"], raised["expected_value"], raised["status"]) == ("2025-11-18", 9, "OPEN")
        assert await road.position(account) == 1_000_109
        following = statement(line("9", reference="R2"), opening="1000100", closing="1000109", day="2025-11-19")
        await close_one(road, message(following))
        assert await road.position(account) == 1_000_109
        assert (await road.row(query))["status"] == "RESOLVED"

    bench.void(story)


async def found(road: Road) -> list[tuple[str, str, str, int, list[str]]]:
    """What closing days raised: of which kind and day, whether it is open, the gap, and its story."""
    rows = await road.rows(
        "SELECT d.discrepancy_type AS type, d.subject, d.status, d.actual_value - d.expected_value AS gap,"
        " (SELECT array_agg(e.happening ORDER BY e.id) FROM discrepancy_events e WHERE e.discrepancy_id = d.id) AS told"
        " FROM reconciliation_discrepancies d WHERE d.discrepancy_type <> 'BALANCE_MISMATCH' ORDER BY 1, 2"
    )
    return [(row["type"], row["subject"], row["status"], int(row["gap"]), row["told"]) for row in rows]


@pytest.mark.parametrize("together", [True, False])
def test_days_in_one_message_leave_what_they_leave_one_after_the_other(bench: Bench, together: bool) -> None:
    """What the first day raises, the next sees: it is raised once, kept at its latest figures, and resolved."""

    async def days(road: Road, name: str, *stated: str) -> None:
        for number, part in enumerate([stated] if together else [(one,) for one in stated]):
            [receipt] = await close(road, message(*part, name=f"{name}-{number}"))
            assert isinstance(receipt, Recorded)

    def day(number: int, opening: int, closing: int, *lines: str, name: str | None = None) -> str:
        return statement(*lines, opening=str(opening), closing=str(closing), day=f"2025-11-{number}", name=name)

    async def story(road: Road) -> None:
        account = await road.account(ledger="1000021")
        five, seven, nine = (line(n, reference=f"R{n}", day="2025-11-16") for n in ("5", "7", "9"))
        for n in ("5", "7", "9"):
            await road.take_one(note(f"N-{n}", n, reference=f"R{n}", booked="2025-11-16"))
        await days(
            road, "FIRST", day(16, 1_000_000, 1_000_005, five), day(17, 1_000_005, 1_000_012, seven),
            day(18, 1_000_012, 1_000_012),
        )  # fmt: skip
        differs = [(-16, 16), (-9, 17), (-9, 18)]
        assert await found(road) == [
            *(("EOD_DIFFERENCE", f"2025-11-{number}", "OPEN", gap, ["opened"]) for gap, number in differs),
            ("NOTIFIED_NOT_STATED", "2025-11-16", "OPEN", -9, ["opened"]),
        ]
        assert await road.position(account) == 1_000_021
        # What is open is known from earlier now. Corrections say the same again, then what was missing.
        await days(
            road, "THEN", day(18, 1_000_012, 1_000_012, name="AGAIN"), day(18, 1_000_012, 1_000_021, nine, name="LAST"),
            day(19, 1_000_021, 1_000_021),
        )  # fmt: skip
        assert await found(road) == [
            *(("EOD_DIFFERENCE", f"2025-11-{number}", "OPEN", gap, ["opened"]) for gap, number in differs[:2]),
            ("EOD_DIFFERENCE", "2025-11-18", "RESOLVED", -9, ["opened", "resolved"]),
            ("NOTIFIED_NOT_STATED", "2025-11-16", "RESOLVED", -9, ["opened", "resolved"]),
        ]
        assert await road.position(account) == 1_000_021

    bench.void(story)


def test_a_day_and_its_correction_in_one_message_raise_once_what_both_find(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        first = statement(line("-30"), opening="1000000", closing="999970", name="FIRST")
        second = statement(line("-20"), opening="1000000", closing="999980", name="SECOND")
        await close(road, message(first, second))
        assert await found(road) == [("EOD_DIFFERENCE", "2025-11-18", "OPEN", -20, ["opened"])]

    bench.void(story)


def test_one_bad_statement_spoils_its_message_and_no_other(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        good = statement(line("10", reference="R1"), opening="1000000", closing="1000010")
        alien = statement(line("1"), opening="0", closing="1", account="AE460261001091829103501")
        broken = message(good).replace(b"</Ntry>", b"</Ntry><Ntry/>")
        receipts = await close(road, broken, message(good, alien), message(good))
        assert [type(r).__name__ for r in receipts] == ["Rejected", "Rejected", "Recorded"]
        assert [r.refusal.code for r in receipts[:2]] == ["missing_field", "unknown_account"]  # type: ignore[union-attr]
        assert await road.position(account) == 1_000_010
        assert len(await road.rows("SELECT 1 FROM statement_lines")) == 1

    bench.void(story)


def test_two_days_and_two_accounts_in_one_message(bench: Bench) -> None:
    async def story(road: Road) -> None:
        first = await road.account()
        second = await road.account("AE460261001091829103501", ledger="500", bank="500")
        tuesday = statement(line("10", reference="R1"), opening="1000000", closing="1000010")
        wednesday = statement(line("-4", reference="R2", day="2025-11-19"), opening="1000010", closing="1000006",
                              day="2025-11-19")  # fmt: skip
        other = statement(line("1", reference="R1"), opening="500", closing="501", account="AE460261001091829103501")
        [receipt] = await close(road, message(wednesday, other, tuesday))
        assert isinstance(receipt, Recorded)
        assert [str(d.statement_date) for d in receipt.days] == ["2025-11-19", "2025-11-18", "2025-11-18"]
        assert {d.state for d in receipt.days} == {"ACCEPTED"}
        assert [int(await road.position(account)) for account in (first, second)] == [1_000_006, 501]

    bench.void(story)


def test_the_first_statement_takes_what_was_booked_before_it_as_its_opening(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take_one(note("N-R0", "50", reference="R0", booked="2025-11-10"))
        stated = statement(line("10", reference="R1"), opening="1000050", closing="1000060")
        await close_one(road, message(stated))
        assert await road.position(account) == 1_000_060

    bench.void(story)


def test_money_that_is_missing_as_of_the_cut_off_is_raised(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        day = await close_one(
            road, message(statement(line("-60", reference="R1"), opening="1000000", closing="999940"))
        )
        assert (day.difference, day.threshold_level, day.reconciled) == ("-60.00", "Critical", False)
        assert day.circuit_breaker == "open"
        query = "SELECT severity FROM reconciliation_discrepancies WHERE discrepancy_type = 'EOD_DIFFERENCE'"
        assert (await road.row(query))["severity"] == "Critical"
        assert (await road.state(account))["circuit_breaker"] == "open"

    bench.void(story)


def test_two_people_release_what_was_quarantined(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.expect(account, "E1", "10")
        stated = statement(line("10", reference="R1", end_to_end="E1"), opening="1000000", closing="1000025")
        held = await close_one(road, message(stated))
        assert held.state == "QUARANTINED"
        await released_day.release(road.tx, held.statement, "the bank left a line out", ("ann", "bob"), NOW)
        assert await road.position(account) == 1_000_025
        assert (await road.state(account))["ledger_balance"] == 1_000_010
        assert (await road.row("SELECT state FROM statements"))["state"] == "RELEASED"
        revision = await road.row("SELECT * FROM snapshot_revisions")
        assert (revision["actor"], revision["bank_reported_balance"]) == ("bob", 1_000_025)
        assert "ann" in revision["reason"]
        assert (await road.row("SELECT count(*) AS n FROM statement_lines WHERE entry_id IS NOT NULL"))["n"] == 1
        query = "SELECT status FROM reconciliation_discrepancies WHERE discrepancy_type = 'STATEMENT_QUARANTINED'"
        assert (await road.row(query))["status"] == "RESOLVED"

    bench.void(story)


def _page(number: int, *lines: str, last: bool, **more: Any) -> str:
    pagination = f"<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd></StmtPgntn>"
    return statement(*lines, name="STMT-PAGED", head=pagination, **more)


def _pages() -> tuple[str, str]:
    """camt repeats the balances of the whole on every page."""
    of_whole = {"opening": "1000000", "closing": "1000015"}
    return (_page(1, line("10", reference="R1"), last=False, **of_whole),
            _page(2, line("5", reference="R2"), last=True, **of_whole))  # fmt: skip


def test_pages_in_two_messages_whichever_comes_first(bench: Bench) -> None:
    for turned in (False, True):

        async def story(road: Road, turned: bool = turned) -> None:
            account = await road.account()
            first, second = (message(page, name=f"M-{n}") for n, page in enumerate(_pages()))
            if turned:
                first, second = second, first
            [early] = await close(road, first)
            assert isinstance(early, Recorded)
            assert (early.days, early.waiting[0].missing_pages) == ((), (1,) if turned else (2,))
            assert await road.position(account) == 1_000_000
            assert await road.rows("SELECT 1 FROM emi_account_snapshots") == []
            day = await close_one(road, second)
            assert (day.state, day.entries_recorded, outcome(day, "entries_sum")) == ("ACCEPTED", 2, "passed")
            assert await road.position(account) == 1_000_015
            lines = await road.rows("SELECT line, amount FROM statement_lines ORDER BY line")
            assert [(row["line"], int(row["amount"])) for row in lines] == [(1, 10), (2, 5)]
            [again] = await close(road, first)
            assert isinstance(again, AlreadyRecorded)
            assert (again.days, again.waiting) == ((day,), ())

        bench.void(story)


def test_pages_in_one_message_and_in_one_batch(bench: Bench) -> None:
    async def one(road: Road) -> None:
        await road.account()
        day = await close_one(road, message(*_pages()))
        assert (day.state, day.entries_recorded) == ("ACCEPTED", 2)

    async def batch(road: Road) -> None:
        account = await road.account()
        early, late = await close(road, *(message(page, name=f"M-{n}") for n, page in enumerate(_pages())))
        assert isinstance(early, Recorded)
        assert isinstance(late, Recorded)
        assert (len(early.waiting), len(late.days)) == (1, 1)
        assert await road.position(account) == 1_000_015

    bench.void(one)
    bench.void(batch)


def test_pages_that_do_not_add_up_are_quarantined_and_released_as_one(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        pages = [page.replace("1000015", "1000016") for page in _pages()]
        await close(road, message(pages[0], name="M-0"))
        held = await close_one(road, message(pages[1], name="M-1"))
        assert (held.state, outcome(held, "entries_sum")) == ("QUARANTINED", "failed")
        await released_day.release(road.tx, held.statement, "the bank will correct it", ("ann", "bob"), NOW)
        assert await road.position(account) == 1_000_016
        assert len(await road.rows("SELECT 1 FROM bank_entries")) == 2

    bench.void(story)


def test_a_correction_that_does_not_hold_leaves_the_day_as_it_was_closed(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        closed = await close_one(road, message(statement(opening="1000000", closing="1000000")))
        assert closed.reconciled
        wrong = statement(line("10", reference="R1"), opening="1000000", closing="1000011", name="STMT-OTHER")
        held = await close_one(road, message(wrong, name="M-2"))
        assert (held.state, held.snapshot_id) == ("QUARANTINED", closed.snapshot_id)
        assert await road.rows("SELECT 1 FROM snapshot_revisions") == []
        assert [row["state"] for row in await road.rows("SELECT state FROM statements ORDER BY id")] == [
            "ACCEPTED", "QUARANTINED",
        ]  # fmt: skip
        assert await road.position(account) == 1_000_000
        # Its bank sends a right one: what was raised of the wrong one is over.
        right = statement(line("10", reference="R1"), opening="1000000", closing="1000010", name="STMT-THIRD")
        await close_one(road, message(right, name="M-3"))
        query = "SELECT status FROM reconciliation_discrepancies WHERE discrepancy_type = 'STATEMENT_QUARANTINED'"
        assert (await road.row(query))["status"] == "RESOLVED"
        assert (await road.row("SELECT revision FROM snapshot_revisions"))["revision"] == 1

    bench.void(story)


def test_a_snapshot_is_not_changed_by_the_applications_own_role(migrated: str) -> None:
    """The embedded server's application role owns the tables: it is the triggers that hold."""
    with psycopg.connect(migrated, autocommit=True) as connection:
        role = connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert role is not None
        assert role[1] is False, role
        connection.execute(
            "INSERT INTO banks (id, name) VALUES (gen_random_uuid(), 'b');"
            "INSERT INTO emi_accounts (id, bank_id, account_number, currency)"
            " SELECT gen_random_uuid(), id, 'n', 'AED' FROM banks;"
            "INSERT INTO emi_account_snapshots (id, account_id, snapshot_date, ledger_balance, bank_reported_balance)"
            " SELECT gen_random_uuid(), id, '2025-11-18', 1, 1 FROM emi_accounts"
        )
        for change in (
            "UPDATE emi_account_snapshots SET reconciled = true", "DELETE FROM emi_account_snapshots",
            "TRUNCATE emi_account_snapshots CASCADE", "UPDATE snapshot_revisions SET reconciled = true",
            "DELETE FROM snapshot_revisions", "TRUNCATE snapshot_revisions",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute(change.encode())


def test_a_statement_that_stands_twice_in_a_file_or_a_batch_counts_once(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        stated = statement(line("10", reference="R1"), opening="1000000", closing="1000010")
        first, second = await close(road, message(stated, stated, name="M-1"), message(stated, name="M-2"))
        assert isinstance(first, Recorded)
        assert isinstance(second, Recorded | AlreadyRecorded)
        assert first.days == second.days
        assert len(first.days) == 1
        assert await road.position(account) == 1_000_010
        assert len(await road.rows("SELECT 1 FROM statement_lines")) == 1

    async def refused(road: Road) -> None:
        """What a refused message brought is nothing, also to the next."""
        account = await road.account()
        stated = statement(line("10", reference="R1"), opening="1000000", closing="1000010")
        alien = statement(opening="0", closing="0", account="AE460261001091829103501")
        bad, good = await close(road, message(stated, alien, name="M-1"), message(stated, name="M-2"))
        assert isinstance(bad, Rejected)
        assert isinstance(good, Recorded)
        assert await road.position(account) == 1_000_010

    bench.void(story)
    bench.void(refused)


def test_a_statement_too_large_to_hold_is_read_where_it_lies(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LARGE", 0)
    lines = [line("1", reference=f"R{n:04d}") for n in range(3000)]
    raw = message(statement(*lines, opening="1000000", closing="1003001"))
    file = tmp_path / "large.xml"
    file.write_bytes(raw)
    found = intake.large_statement(file, Door.CLI, NOW)
    assert found is not None
    assert found.raw == b""

    async def story(road: Road) -> None:
        account = await road.account()
        [receipt] = await end_of_day.record(road.tx, [found], NOW)
        assert isinstance(receipt, Recorded)
        [held] = receipt.days
        assert held.state == "QUARANTINED"
        kept = await road.row("SELECT octet_length(raw) AS held, raw_size FROM bank_messages")
        assert (kept["held"], kept["raw_size"]) == (0, len(raw))
        out = BytesIO()
        await parts.read(road.tx, receipt.kept_as, out)
        assert out.getvalue() == raw
        file.unlink()  # a release needs what was kept, and no file
        broken = tmp_path / "broken.xml"
        broken.write_bytes(raw[:-30])
        bad = intake.large_statement(broken, Door.CLI, NOW)
        assert bad is not None
        for _ in range(2):
            [refused] = await end_of_day.record(road.tx, [bad], NOW)
            assert isinstance(refused, Rejected)
        evidence = BytesIO()
        await parts.read(road.tx, refused.kept_as, evidence)
        assert evidence.getvalue() == raw[:-30]
        await released_day.release(road.tx, held.statement, "r", ("ann", "bob"), NOW)
        assert await road.position(account) == 1_003_001
        assert (await road.row("SELECT count(*) AS n FROM bank_entries"))["n"] == 3000

    bench.void(story)


def test_a_statement_of_some_size_is_kept_in_parts_and_a_rejected_one_whole(bench: Bench) -> None:
    """What is rejected is read again when the engine knows better, and that reads the row."""
    lines = [line("1", reference=f"R{n:04d}") for n in range(3000)]
    raw = message(statement(*lines, opening="1000000", closing="1003000"))
    alien = message(statement(*lines, opening="0", closing="3000", account="AE460261001091829103501"), name="M-2")
    assert min(len(raw), len(alien)) > 256 * 1024

    async def story(road: Road) -> None:
        await road.account()
        good, bad = await close(road, raw, alien)
        assert isinstance(good, Recorded)
        assert isinstance(bad, Rejected)
        held = """SELECT octet_length(raw) AS held,
            (SELECT count(*) FROM bank_message_parts p WHERE p.message_id = m.id) AS n FROM bank_messages m ORDER BY"""
        kept = await road.rows(f"{held} state")
        assert [(row["held"], row["n"]) for row in kept] == [(0, 1), (len(alien), 0)]
        whole = BytesIO()
        await parts.read(road.tx, good.kept_as, whole)
        assert whole.getvalue() == raw
        [again] = await close(road, raw)
        assert isinstance(again, AlreadyRecorded)
        await road.account("AE460261001091829103501", ledger="0")
        [recorded] = await close(road, alien)
        assert isinstance(recorded, Recorded)
        assert await road.rows(f"{held} id") == kept  # as it came, once

    bench.void(story)


STEPS = ["checking", "pairing with what is known", "recording", "matching", "judging"]


def told(said: list[tuple[str, int, int]]) -> list[str]:
    """The steps in their order, each once."""
    return list(dict.fromkeys(what for what, _, _ in said))


def test_it_says_how_far_it_has_come(bench: Bench) -> None:
    """Bytes while it reads, never fewer, in the end all of the batch; then each step that it comes to."""
    lines = [line("1", reference=f"R{n:05d}") for n in range(9000)]
    closing = statement(*lines, opening="1000000", closing="1009000")
    large, small = message(closing), message(closing.replace("STMT-", "OTHER-"), name="M-2")
    said: list[tuple[str, int, int]] = []

    async def story(road: Road) -> None:
        await road.account()
        batch = [came(raw, "file") for raw in (large, small)]
        await end_of_day.record(road.tx, batch, NOW, lambda *now: said.append(now))
        assert told(said) == [
            "asking whether it is known", "reading", "waiting for its account", *STEPS, "keeping the message"
        ]  # fmt: skip
        read = [(done, of) for what, done, of in said if what == "reading"]
        assert len(read) == 10, "once in a chunk, and not once in a line"
        assert [done for done, _ in read] == sorted(done for done, _ in read)
        assert (read[0][0] < len(large) // 3, read[4][0], read[9][0]) == (True, len(large), len(large) + len(small))
        assert {of for _, of in read} == {len(large) + len(small)}
        said.clear()
        [again] = await end_of_day.record(road.tx, batch[:1], NOW, lambda *now: said.append(now))
        assert isinstance(again, AlreadyRecorded)
        assert not {"reading", *STEPS} & set(told(said))

    async def release(road: Road) -> None:
        await road.account()
        raw = message(closing.replace("1009000", "1009001"))
        said.clear()
        [receipt] = await end_of_day.record(road.tx, [came(raw, "file")], NOW, lambda *now: said.append(now))
        assert isinstance(receipt, Recorded)
        assert told(said)[-2:] == ["checking", "keeping the message"], "held back: nothing is recorded"
        said.clear()
        number = receipt.days[0].statement
        await released_day.release(road.tx, number, "r", ("ann", "bob"), NOW, lambda *now: said.append(now))
        assert told(said) == ["fetching what was kept", "reading", *STEPS]
        assert [each for each in said if each[0] == "reading"][-1] == ("reading", len(raw), len(raw))

    bench.void(story)
    bench.void(release)


def test_a_statement_is_read_by_one_thread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """libxml2 frees what is not its own where another thread goes on feeding a parser: the process dies of it."""
    threads: dict[int, set[int]] = {}
    read, close = Reading.chunk, Reading.close

    def seen(reading: Reading) -> Reading:
        threads.setdefault(id(reading), set()).add(threading.get_ident())
        return reading

    monkeypatch.setattr(Reading, "chunk", lambda self: read(seen(self)))
    monkeypatch.setattr(Reading, "close", lambda self: close(seen(self)))
    lines = [line("1", reference=f"R{n:05d}", rest="<Chrgs/>") for n in range(9000)]

    async def story(road: Road) -> None:
        await road.account()
        day = await close_one(road, message(statement(*lines, opening="1000000", closing="1009000")))
        assert day.state == "ACCEPTED"

    bench.void(story)
    assert [len(used) for used in threads.values()] == [1]
    assert threading.get_ident() not in next(iter(threads.values()))
