"""Tier 1 on a real database: what one message, or a few, do to an account."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from road.bench import NOW, NUMBER, Bench, Road, came, camt, code, line, note, report, section, words
from token_engine.domain.receipt import AlreadyRecorded, Recorded, Rejected
from token_engine.tiers import accounts, intraday

D = Decimal


async def count(road: Road, table: str) -> int:
    return int((await road.row(f"SELECT count(*) AS n FROM {table}"))["n"])


async def subjects(road: Road) -> list[str]:
    return [row["subject"] for row in await road.rows("SELECT subject FROM outbox ORDER BY id")]


def test_the_specifications_example_is_recorded_and_answered_as_it_says(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account(ledger="5100000.00", bank="5000000.00")
        receipt = await road.take_one(
            b'{"message_id": "CAMT054-2025-001", "account_id": "AE070331234567890123456", "currency": "AED",'
            b'"credit_debit_indicator": "CRDT", "amount": "100000.00"}'
        )
        assert isinstance(receipt, Recorded)
        [judgement] = receipt.judgements
        assert judgement.account_id == account
        assert (judgement.ledger_balance, judgement.bank_balance) == ("5100000.00", "5100000.00")
        assert (judgement.difference, judgement.threshold_level) == ("0.00", "Ok")
        assert judgement.action_taken == "No action required"
        assert await road.position(account) == 5_100_000

    bench.void(story)


def test_the_same_bytes_again_change_nothing_and_get_the_first_answer_again(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        first = await road.take_one(note("A", reference="R1"))
        assert isinstance(first, Recorded)
        await road.take(note("B", reference="R2"))
        before = [await count(road, table) for table in ("bank_messages", "bank_entries", "outbox", "audit_log")]
        again = await road.take_one(note("A", reference="R1"))
        assert again == AlreadyRecorded(first.kept_as, first.message_id, first.judgements)
        assert [
            await count(road, table) for table in ("bank_messages", "bank_entries", "outbox", "audit_log")
        ] == before
        assert await road.position(account) == 1_000_020

    bench.void(story)


@pytest.mark.parametrize(
    "messages",
    [
        [note("A", reference="R1"), note("B", reference="R1"), note("A", reference="R1", x="other bytes")],
        [note("A"), note("A", x="other bytes"), camt("A", section(line()))],
        [note("A", reference="R1"), report("R", line(reference="R1")), report("S", line(reference="R1"))],
        [report("R", line(booked="2025-11-18")), note("A", booked="2025-11-18"), note("A", booked="2025-11-18", x=1)],
        [camt("A", section(line(reference="R1"), extra="<CpyDplctInd>DUPL</CpyDplctInd>")), note("B", reference="R1")],
        [note("A", reference="NOTPROVIDED"), note("A", reference="notprovided", x="other bytes")],
    ],
)
@pytest.mark.parametrize("batched", [True, False])
def test_a_movement_told_several_times_moves_the_position_once(
    bench: Bench, messages: list[bytes], batched: bool
) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        for order in (messages, messages[::-1]):
            if batched:
                await road.take(*order)
            else:
                for message in order:
                    await road.take_one(message)
            assert await road.position(account) == 1_000_010
            assert await count(road, "bank_entries") == 1

    bench.void(story)


def test_movements_told_by_one_message_in_several_notifications_are_all_recorded(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        twins = camt("A", section(line(), name="N-1"), section(line(), name="N-2"))
        await road.take(twins)
        assert await road.position(account) == 1_000_020
        await road.take(camt("A", section(line(), name="N-1"), section(line(), name="N-2"), blank="\n"))
        assert await road.position(account) == 1_000_020

    bench.void(story)


def test_report_lines_alike_but_for_one_date_are_recorded_whenever_they_come(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        today, tomorrow = (line(booked="2025-11-18", value=f"2025-11-{day}") for day in (18, 19))
        await road.take(report("R1", today))
        await road.take(report("R2", today, tomorrow))
        await road.take(report("R3", tomorrow))
        assert await road.position(account) == 1_000_020
        await road.take(report("R4", line(booked="2025-11-18", value="2025-11-17")))
        assert await road.position(account) == 1_000_030

    bench.void(story)


def test_a_reference_repeated_on_another_day_is_recorded_whichever_message_tells_of_it(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("A", reference="R1", booked="2025-11-17"))
        await road.take(report("R", line(reference="R1", booked="2025-11-18")))
        await road.take(note("B", reference="R1", booked="2025-11-16"))
        assert await road.position(account) == 1_000_030

    bench.void(story)


@pytest.mark.parametrize("inside", ["\n", "\t", "  ", "\x7f", "\u2028", "\u00a0", "'", '"', "\\", "{,}", "NULL"])
def test_a_reference_with_odd_characters_is_one_reference_however_often_it_comes(bench: Bench, inside: str) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        odd = f"AB{inside}C"
        told = [line(reference=odd, booked="2025-11-18"), line("7.00", reference="A\nB")]
        await road.take(camt("A", section(*told)))
        await road.take(camt("B", section(told[0])), report("R", *told))
        await road.take(report("S", told[0]))
        assert await road.position(account) == 1_000_017

    bench.void(story)


def test_one_bad_notification_keeps_all_of_its_message_out(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        other = await road.account("OTHER", ledger="5", bank="5")
        bad = {
            "unknown_account": section(line(), number="UNKNOWN"),
            "wrong_currency": section(line(currency="USD"), currency="USD"),
            "invalid_amount": section(line("1.001")),
            "future_booking_date": section(line(booked="2025-12-01")),
        }
        for name, wrong in bad.items():
            receipt = await road.take_one(camt(f"A-{name}", section(line()), section(line(), number="OTHER"), wrong))
            assert code(receipt) == name
        assert [await road.position(account), await road.position(other)] == [1_000_000, 5]
        assert await count(road, "bank_entries") == 0
        assert await count(road, "bank_messages") == len(bad)

    bench.void(story)


def test_one_message_moves_several_accounts_and_says_where_each_stands(bench: Bench) -> None:
    async def story(road: Road) -> None:
        dirhams = await road.account("MULTI", "AED", ledger="10", bank="0")
        dollars = await road.account("MULTI", "USD", ledger="5", bank="0")
        receipt = await road.take_one(
            camt(
                "A",
                section(line("5.00", currency="USD"), number="MULTI", currency=None),
                section(line("10.00"), number="MULTI", currency="AED"),
                section(line("1.00"), line("2.00", debit=True), number=str(dirhams)),
            )
        )
        assert isinstance(receipt, Recorded)
        said = [(j.account_id, j.bank_balance, j.entries_recorded) for j in receipt.judgements]
        assert said == [(dollars, "5.00", 1), (dirhams, "10.00", 1), (dirhams, "9.00", 2)]

    bench.void(story)


@pytest.mark.parametrize(
    ("message", "source", "reason"),
    [
        (note("A", number="UNKNOWN"), "", "unknown_account"),
        (note("A", currency="USD"), "", "wrong_currency"),
        (camt("A", section(line("1.005"))), "", "invalid_amount"),
        (camt("A", section(line("1.005"), line())), "", "invalid_amount"),
        (note("A", booked="2025-11-20"), "", "future_booking_date"),
        (note("A"), "bank.notifications.debit", "direction_contradicts_subject"),
        (note("A"), "bank.notifications.debit/member-of-a-bundle.json", "direction_contradicts_subject"),
        (note("A", debit=True), "bank.notifications.credit", "direction_contradicts_subject"),
        (camt("A", section(line()), kind="camt.053"), "", "statement_not_here"),
        (b"hello", "", "not_a_bank_message"),
        (note("A", "999999999999999999.00"), "", "position_too_large"),
        (camt("A", section(*[line("500000000000000000.00")] * 2)), "", "position_too_large"),
        (camt("A", *[section(line("600000000000000000.00"))] * 2), "", "position_too_large"),
        (camt("A", *[section(line("600000000000000000.00", debit=True))] * 2), "", "position_too_large"),
    ],
)
def test_what_may_not_move_a_position_is_kept_with_its_reason_and_announced(
    bench: Bench, message: bytes, source: str, reason: str
) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        before = await road.state(account)
        receipt = await road.take_one(message, source or "bank.notifications.other")
        assert isinstance(receipt, Rejected)
        kept = await road.row("SELECT * FROM bank_messages WHERE id = %s", receipt.kept_as)
        if reason != "not_a_bank_message":
            assert code(receipt) == reason
        assert (kept["raw"], kept["state"], kept["refusal_code"]) == (message, "REJECTED", receipt.refusal.code)
        assert kept["refusal_message"] == receipt.refusal.message
        assert await road.state(account) == before
        assert await count(road, "bank_entries") == 0
        event = (await road.rows("SELECT * FROM outbox ORDER BY id"))[-1]
        assert event["subject"] == "reconciliation.message.rejected"
        assert json.loads(event["payload"])["data"]["refusal"]["code"] == receipt.refusal.code

    bench.void(story)


def test_a_ledger_and_an_overdraft_too_far_apart_for_the_column_are_refused(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account(ledger="900000000000000000", bank="0")
        assert code(await road.take_one(note("A", "900000000000000000.00", debit=True))) == "position_too_large"

    bench.void(story)


def test_a_date_that_has_begun_somewhere_on_earth_is_not_in_the_future(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        [receipt] = await road.take(note("A", booked="2025-11-19"))
        assert isinstance(receipt, Recorded)
        pending = camt("B", section(line(booked="2026-01-01", status="PDNG")))
        assert isinstance(await road.take_one(pending), Recorded)

    bench.void(story)


def test_pending_and_unknown_statuses_are_kept_and_never_summed(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        lines = [line(status=status) for status in ("PDNG", "FUTR", "INFO", "WHAT")]
        await road.take(camt("A", section(*lines)))
        assert await road.position(account) == 1_000_000
        rows = await road.rows("SELECT status, position_change FROM bank_entries ORDER BY id")
        assert [(r["status"], r["position_change"]) for r in rows] == [
            ("PDNG", 0), ("FUTR", 0), ("INFO", 0), ("INFO", 0),
        ]  # fmt: skip
        await road.take(camt("B", section(line())))
        assert await road.position(account) == 1_000_010

    bench.void(story)


@pytest.mark.parametrize(("inverts", "position"), [(False, 1_000_010), (True, 999_990)])
def test_a_reversal_has_the_sign_of_its_indicator_unless_the_bank_inverts_them(
    bench: Bench, inverts: bool, position: int
) -> None:
    async def story(road: Road) -> None:
        account = await road.account(of="Contrary" if inverts else "Usual", inverts_reversals=inverts)
        await road.take(camt("A", section(line(reversal=True))))
        assert await road.position(account) == position

    bench.void(story)


def test_a_message_rejected_for_its_account_is_recorded_once_when_it_is_tried_again_after(bench: Bench) -> None:
    async def story(road: Road) -> None:
        message = note("A", number="LATER", reference="R1")
        first, second = await road.take_one(message), await road.take_one(message)
        assert code(first) == code(second) == "unknown_account"
        assert first.kept_as == second.kept_as
        account = await road.account("LATER", ledger="10", bank="0")
        third = await road.take_one(message)
        assert isinstance(third, Recorded)
        assert third.kept_as == first.kept_as
        assert isinstance(await road.take_one(message), AlreadyRecorded)
        assert await road.position(account) == 10
        kept = await road.row("SELECT * FROM bank_messages")
        assert (kept["state"], kept["attempts"], kept["refusal_code"], kept["raw"]) == ("RECORDED", 3, None, message)

    bench.void(story)


def test_a_closed_account_takes_nothing_and_what_came_before_stays(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("A"))
        await accounts.close(road.tx, str(account), "tests", NOW)
        assert code(await road.take_one(note("B"))) == "account_closed"
        assert isinstance(await road.take_one(note("A")), AlreadyRecorded)
        assert await road.position(account) == 1_000_010

    bench.void(story)


def test_a_delivery_that_its_door_refused_is_kept_as_it_came(bench: Bench) -> None:
    async def story(road: Road) -> None:
        import msgspec

        from token_engine.domain.refusal import Refusal

        whole = came(b"x" * 100)
        cut = msgspec.structs.replace(whole, raw=b"x" * 10, refused=Refusal("too_large", "too large", None))
        assert code(await road.take_one(cut)) == "too_large"
        kept = await road.row("SELECT raw, raw_size, digest FROM bank_messages")
        assert (kept["raw"], kept["raw_size"], kept["digest"]) == (b"x" * 10, 100, whole.digest)

    bench.void(story)


@pytest.mark.parametrize("source", ["\udcff.xml", "a\x00b", "a\nb", "x" * 1000, "'\"\\{}", ""])
def test_whatever_a_source_is_called_its_message_is_kept(bench: Bench, source: str) -> None:
    async def story(road: Road) -> None:
        await road.account()
        assert isinstance(await road.take_one(note("A"), source), Recorded)
        assert code(await road.take_one(b"\x00\xff", source))

    bench.void(story)


def test_an_account_taken_on_as_people_write_it_is_found_as_banks_write_it(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account("ae07 0331 2345 6789 0123 456")
        await road.account("12 34-5", of="Second")
        assert isinstance(await road.take_one(note("A", number="AE070331234567890123456")), Recorded)
        assert isinstance(await road.take_one(note("B", number="AE07 0331 2345 6789 0123 456")), Recorded)
        assert isinstance(await road.take_one(note("C", number="12 34-5")), Recorded)
        for name in ("ae070331234567890123456", "12 34-5"):
            assert await accounts.show(road.tx, name, NOW) is not None

    bench.void(story)


def test_an_account_number_that_looks_like_an_id_is_still_a_number(bench: Bench) -> None:
    async def story(road: Road) -> None:
        number = "9d0b3f8e-6f0a-4c34-9d6a-0c6e2a3f0b1d"
        await road.account(number)
        assert isinstance(await road.take_one(note("A", number=number)), Recorded)

    bench.void(story)


# Judgement, breaks, breaker, events -------------------------------------------------------------------


async def breaks(road: Road) -> list[dict[str, Any]]:
    return await road.rows("SELECT * FROM reconciliation_discrepancies ORDER BY opened_at, status DESC")


def test_one_open_discrepancy_follows_the_break_and_is_resolved_with_its_evidence(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        steps = [("200", "Minor"), ("1000", "Significant"), ("100000", "Critical"), ("-100400", "Significant")]
        first = None
        for n, (amount, severity) in enumerate(steps):
            await road.take(note(f"A{n}", amount.removeprefix("-"), debit=amount.startswith("-")))
            [found] = await breaks(road)
            first = first or found["id"]
            assert (found["id"], found["status"], found["severity"]) == (first, "OPEN", severity)
            assert found["difference"] == found["actual_value"] - found["expected_value"]
            assert (found["source_system"], found["source_reference"]) == ("CAMT_054", f"A{n}")
            assert found["threshold_exceeded"] is True
        await road.take(note("B", "800", debit=True))
        [found] = await breaks(road)
        assert (found["id"], found["status"], found["severity"]) == (first, "RESOLVED", "Significant")
        assert "B" in found["resolution"]
        assert found["resolved_at"] == NOW
        assert (await road.state(account))["reconciliation_status"] == "OK"
        await road.take(note("C", "800"))
        assert [b["status"] for b in await breaks(road)].count("OPEN") == 1
        assert len(await breaks(road)) == 2

    bench.void(story)


def test_a_suspended_breaker_lifts_by_itself_and_an_open_one_does_not(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()

        async def flags() -> tuple[Any, Any, str]:
            state = await road.state(account)
            said = state["metadata"]
            return said.get("circuit_breaker_active"), said.get("payouts_suspended"), state["circuit_breaker"]

        assert await flags() == (None, None, "closed")
        await road.take(note("A", "1000"))
        assert await flags() == (False, True, "suspended")
        await road.take(note("B", "1000", debit=True))
        assert await flags() == (False, False, "closed")
        await road.take(note("C", "0.01", debit=True))
        assert await flags() == (True, True, "open")
        for n in range(3):
            await road.take(note(f"D{n}", "0.01" if n == 0 else "0.00"))
            assert await flags() == (True, True, "open")
        steps = await road.rows(
            "SELECT from_state, to_state, actor, at, message_id FROM circuit_breaker_steps ORDER BY id"
        )
        assert [(s["from_state"], s["to_state"]) for s in steps] == [
            ("closed", "suspended"), ("suspended", "closed"), ("closed", "open"),
        ]  # fmt: skip
        assert {(s["actor"], s["at"]) for s in steps} == {("engine", NOW)}
        assert None not in {s["message_id"] for s in steps}
        assert await subjects(road) == [
            "reconciliation.opening.ok",
            "reconciliation.tier1.mismatch", "reconciliation.discrepancy.opened",
            "reconciliation.circuit_breaker.suspended",
            "reconciliation.tier1.ok", "reconciliation.discrepancy.resolved", "reconciliation.circuit_breaker.closed",
            "reconciliation.tier1.mismatch", "reconciliation.discrepancy.opened",
            "reconciliation.circuit_breaker.activated",
            "reconciliation.tier1.ok", "reconciliation.discrepancy.resolved",
            "reconciliation.tier1.ok", "reconciliation.tier1.ok",
        ]  # fmt: skip

    bench.void(story)


@pytest.mark.parametrize("batched", [True, False])
def test_a_breaker_that_suspends_and_lifts_within_one_batch_leaves_the_same_traces(bench: Bench, batched: bool) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        messages = [note("A", "1000"), note("B", "1000", debit=True)]
        if batched:
            assert words(await road.take(*messages)) == ["Recorded"] * 2
        else:
            for message in messages:
                await road.take_one(message)
        state = await road.state(account)
        assert state["metadata"] == {"circuit_breaker_active": False, "payouts_suspended": False}
        assert await count(road, "circuit_breaker_steps") == 2

    bench.void(story)


@pytest.mark.parametrize("batched", [True, False])
def test_a_resolved_discrepancy_keeps_the_severity_it_had_last(bench: Bench, batched: bool) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await road.take(note("A", "200"))
        messages = [note("B", "1000"), note("C", "1200", debit=True)]
        if batched:
            await road.take(*messages)
        else:
            for message in messages:
                await road.take_one(message)
        [found] = await breaks(road)
        assert (found["status"], found["severity"]) == ("RESOLVED", "Significant")
        audited = await road.rows("SELECT details FROM audit_log WHERE action LIKE 'discrepancy%%' ORDER BY id")
        assert [row["details"]["severity"] for row in audited] == ["Minor", "Significant"]

    bench.void(story)


def test_metadata_of_others_survives_the_breakers_flags(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.rows(
            "UPDATE emi_accounts SET metadata = metadata || '{\"tier\": 1}' WHERE id = %s RETURNING 1", account
        )
        await road.take(note("A", "1", debit=True))
        assert (await road.state(account))["metadata"] == {
            "tier": 1, "circuit_breaker_active": True, "payouts_suspended": True,
        }  # fmt: skip

    bench.void(story)


def test_a_breaker_that_a_person_opened_as_the_specification_does_stays_open(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.rows(
            "UPDATE emi_accounts SET metadata = jsonb_set(metadata, '{circuit_breaker_active}', 'true') "
            "WHERE id = %s RETURNING 1",
            account,
        )
        [receipt] = await road.take(note("A", "0.00"))
        assert isinstance(receipt, Recorded)
        assert receipt.judgements[0].circuit_breaker == "open"
        assert (await road.state(account))["circuit_breaker"] == "open"
        assert await count(road, "circuit_breaker_steps") == 0

    bench.void(story)


def test_events_say_where_the_account_stands_and_have_the_ids_of_their_message(bench: Bench) -> None:
    async def story(road: Road) -> list[tuple[str, str]]:
        await road.account()
        message = camt("A", section(line("1000", reference="R1")), section(line("1.00", reference="R2", debit=True)))
        delivery = came(message)
        receipt = await road.take_one(delivery)
        assert isinstance(receipt, Recorded)
        told = (await road.rows("SELECT event_id, subject, payload FROM outbox ORDER BY id"))[1:]
        digest = delivery.digest.hex()[:32]
        assert [(e["event_id"], e["subject"]) for e in told] == [
            (f"{digest}.0", "reconciliation.tier1.mismatch"),
            (f"{digest}.0.discrepancy", "reconciliation.discrepancy.opened"),
            (f"{digest}.0.breaker", "reconciliation.circuit_breaker.suspended"),
            (f"{digest}.1", "reconciliation.tier1.mismatch"),
        ]
        for event in told:
            said = json.loads(event["payload"])
            assert (said["event_id"], said["event_type"]) == (event["event_id"], event["subject"])
            assert said["message_id"] == "A"
        assert json.loads(told[3]["payload"])["data"]["bank_balance"] == "1000999.00"
        return [(e["event_id"], e["subject"]) for e in told]

    assert bench.void(story) == bench.void(story)


async def policy(road: Road, scope: str, ok: str = "0.01", tolerance: str = "0") -> None:
    await road.rows(
        "INSERT INTO threshold_policies VALUES (%s, %s, 50, 90, %s, NULL, NULL, NULL, '1 day') RETURNING 1",
        scope, ok, tolerance,
    )  # fmt: skip


def test_the_most_specific_policy_wins_whole(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        levels = []
        for n, (scope, ok) in enumerate([("", ""), ("global", "10"), ("AED", "0"), (str(account), "20"), ("USD", "0")]):
            if scope:
                await policy(road, scope, ok)
            receipt = await road.take_one(note(f"A{n}", "100000" if n == 0 else "0.00"))
            assert isinstance(receipt, Recorded)
            levels.append(receipt.judgements[0].threshold_level.value)
        assert levels == ["Critical", "Ok", "Minor", "Ok", "Ok"]
        assert (await road.state(account))["reconciliation_status"] == "OK"

    bench.void(story)


def test_a_tolerated_shortfall_opens_no_breaker(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await policy(road, "AED", tolerance="1")
        account = await road.account()
        await road.take(note("A", "1", debit=True))
        assert (await road.state(account))["circuit_breaker"] == "closed"
        await road.take(note("B", "0.01", debit=True))
        assert (await road.state(account))["circuit_breaker"] == "open"

    bench.void(story)


def test_a_review_notices_a_ledger_that_moved_and_claims_no_fresh_word_of_the_bank(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("A", "0.00"))
        await road.ledger(account, "1000001")
        later = NOW + timedelta(hours=1)
        [result] = await intraday.review(road.tx, [account], later)
        assert result["threshold_level"] == "Critical"
        state = await road.state(account)
        assert (state["circuit_breaker"], state["reconciliation_status"]) == ("open", "CRITICAL")
        assert (state["last_reconciliation_at"], state["reconciliation_source"]) == (NOW, "CAMT_054")
        assert (await subjects(road))[-3:] == [
            "reconciliation.tier2.mismatch",
            "reconciliation.discrepancy.opened",
            "reconciliation.circuit_breaker.activated",
        ]

    bench.void(story)


def test_an_account_is_found_by_its_number_in_every_way_a_bank_writes_it(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("A", number=f" {NUMBER[:4].lower()} {NUMBER[4:]}"), note("B", number=str(account).upper()))
        assert await road.position(account) == 1_000_020

    bench.void(story)
