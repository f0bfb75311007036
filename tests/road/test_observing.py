"""What a balance that a bank was asked for does to an account (DESIGN 3.2, 3.4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from road.bench import NOW, NUMBER, Bench, Road, came, note
from road.statement_writer import line, message, statement
from token_engine.domain.backing import Level
from token_engine.domain.breaker import Breaker
from token_engine.domain.observation import NoObservation, Observation, Why
from token_engine.domain.receipt import Recorded
from token_engine.storage import trends
from token_engine.tiers import accounts, end_of_day
from token_engine.tiers.observing import Answered, Observed, observe

D = Decimal


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


async def poll(road: Road, account: UUID) -> int:
    row = await road.row(
        "INSERT INTO balance_polls (account_id, claimed_at, claimed_by) VALUES (%s, %s, 'tests') RETURNING id",
        account, NOW,
    )  # fmt: skip
    return int(row["id"])


async def asked(
    road: Road, account: UUID, balance: str | NoObservation, as_of: datetime = NOW
) -> Observed | NoObservation:
    answer = (
        balance
        if isinstance(balance, NoObservation)
        else Observation(balance=D(balance), currency="AED", as_of=as_of, balance_type="interimBooked")
    )
    answered = Answered(
        poll_id=await poll(road, account), account_id=account, connection="bank", answer=answer, requests=1, at=NOW
    )
    [found] = await observe(road.tx, [answered], NOW)
    return found


async def observed(road: Road, account: UUID, balance: str, as_of: datetime = NOW) -> Observed:
    found = await asked(road, account, balance, as_of)
    assert isinstance(found, Observed)
    return found


async def open_types(road: Road) -> list[str]:
    rows = await road.rows("SELECT discrepancy_type AS t FROM reconciliation_discrepancies WHERE status <> 'RESOLVED'")
    return sorted(row["t"] for row in rows)


def test_a_silent_debit_opens_the_breaker_and_moves_no_position(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        found = await observed(road, account, "999900")
        assert found.level is Level.CRITICAL
        assert found.standing is not None
        assert (found.standing.bank_balance, found.standing.difference) == ("999900.00", "-100.00")
        state = await road.state(account)
        assert (state["bank_reported_balance"], state["observed_gap"]) == (D(1_000_000), D(-100))
        assert (state["circuit_breaker"], state["reconciliation_status"]) == ("open", "CRITICAL")
        assert state["reconciliation_difference"] == -100
        assert await open_types(road) == ["BALANCE_MISMATCH", "POSITION_DIFFERS"]
        row = await road.row("SELECT * FROM balance_observations")
        assert (row["balance"], row["explained"], row["difference"]) == (D(999_900), D(0), D(-100))
        subjects = {r["subject"] for r in await road.rows("SELECT subject FROM outbox")}
        assert {"reconciliation.tier2.mismatch", "reconciliation.circuit_breaker.activated"} <= subjects

    bench.void(story)


def test_what_was_observed_stays_with_the_account_when_a_notification_is_ok_by_itself(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await observed(road, account, "1001000")  # 0.1 % more than anything tells of: Significant
        assert (await road.state(account))["circuit_breaker"] == "suspended"
        await road.take_one(note("B", "10", reference="R2"))
        state = await road.state(account)
        # The credit of 10 is taken to tell of some of it.
        assert (state["circuit_breaker"], state["observed_gap"]) == ("suspended", D(990))
        await road.take_one(note("C", "990", reference="R3"))
        state = await road.state(account)
        assert (state["observed_gap"], state["bank_reported_balance"]) == (D(0), D(1_001_000))

    bench.void(story)


def test_a_debit_that_is_notified_late_counts_once(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await observed(road, account, "999900")
        await road.take_one(note("A", "100", debit=True, reference="R1"))
        state = await road.state(account)
        assert (state["bank_reported_balance"], state["observed_gap"]) == (D(999_900), D(0))
        assert state["reconciliation_difference"] == -100
        found = await observed(road, account, "999900", NOW + minutes(1))
        assert found.explanation.gap == 0
        assert await open_types(road) == ["BALANCE_MISMATCH"]

    bench.void(story)


def test_payouts_that_settle_do_not_hide_what_left_unseen(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await observed(road, account, "999900")
        for n in range(3):
            await road.hold(account, f"P{n}", "60", sent=True)
            await road.take_one(note(f"P{n}", "60", debit=True, reference=f"R{n}", tag=f"P{n}"))
        state = await road.state(account)
        assert (state["ledger_balance"], state["bank_reported_balance"]) == (D(999_820), D(999_820))
        assert (state["observed_gap"], state["reconciliation_status"]) == (D(-100), "CRITICAL")

    bench.void(story)


def test_a_statement_of_a_day_that_ended_since_tells_of_what_was_observed(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await observed(road, account, "999900")
        # Stated with another debit of the same day, so that the day's change is not the gap.
        raw = message(statement(line("-100", reference="R1"), line("-20", reference="R2"),
                                opening="1000000", closing="999880"))  # fmt: skip
        [receipt] = await end_of_day.record(road.tx, [came(raw, "file")], NOW)
        assert isinstance(receipt, Recorded)
        state = await road.state(account)
        assert (state["bank_reported_balance"], state["observed_gap"]) == (D(999_880), D(0))
        assert state["reconciliation_difference"] == -120

    bench.void(story)


def test_an_expected_credit_that_the_bank_has_booked_and_not_notified_is_no_difference(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        funding = await road.expect(account, "E1", "500")
        payout = await road.hold(account, "E2", "300", sent=True)
        await road.hold(account, "E3", "200")  # not sent: the bank cannot have booked it
        for balance, expected in (("1000500", {funding}), ("999700", {payout}), ("1000200", {funding, payout})):
            found = await observed(road, account, balance)
            assert found.level is Level.OK
            assert (found.explanation.gap, set(found.explanation.expected)) == (D(0), expected)
        assert (await observed(road, account, "999800")).level is Level.CRITICAL

    bench.void(story)


def test_a_balance_from_before_a_notification_is_no_difference(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take_one(note("A", "40", reference="R1"))
        found = await observed(road, account, "1000000", NOW - minutes(2))
        assert (found.explanation.gap, found.explanation.explained) == (D(0), D(-40))
        assert (await observed(road, account, "1000039", NOW)).explanation.gap == -1

    bench.void(story)


def test_a_small_gap_is_raised_when_it_is_seen_twice_and_resolves_itself(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        assert (await observed(road, account, "1000001")).level is Level.OK
        assert await open_types(road) == []  # a notification may be on its way
        await observed(road, account, "1000001", NOW + minutes(15))
        assert await open_types(road) == ["POSITION_DIFFERS"]
        await observed(road, account, "1000000", NOW + minutes(30))
        assert await open_types(road) == []

    bench.void(story)


def test_a_balance_that_comes_late_and_one_of_a_closed_account_are_in_their_days(bench: Bench) -> None:
    """Neither is judged; a trend's day is the fold of all that is kept of it."""

    async def story(road: Road) -> None:
        account = await road.account()
        await observed(road, account, "1000000")
        await observed(road, account, "1000003", NOW - minutes(5))
        await accounts.close(road.tx, NUMBER, "ann", NOW)
        await observed(road, account, "1000005", NOW + minutes(5))
        [day] = await trends.days(road.tx, account, NOW.date())
        assert (day.low, day.high) == (D(0), D(5))
        assert await trends.unlike(road.tx) == []

    bench.void(story)


def test_no_answer_is_no_balance_and_no_evidence(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        before = await road.state(account)
        found = await asked(road, account, NoObservation(why=Why.NO_BOOKED_BALANCE, text="balances: empty"))
        assert isinstance(found, NoObservation)
        assert await road.state(account) == before
        row = await road.row("SELECT refusal_code, refusal_text, answered_at FROM balance_polls")
        assert (row["refusal_code"], row["refusal_text"]) == ("no_booked_balance", "balances: empty")
        assert (await road.row("SELECT count(*) AS n FROM balance_observations"))["n"] == 0

    bench.void(story)


def test_an_account_of_which_nothing_was_heard_starts_with_what_the_bank_says(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account(bank=None)
        found = await observed(road, account, "1000000")
        assert found.level is Level.OK
        state = await road.state(account)
        assert (state["bank_reported_balance"], state["reconciliation_status"]) == (D(1_000_000), "OK")
        # From now on messages move it, and what else the bank says is a gap.
        assert (await observed(road, account, "999999", NOW + minutes(1))).explanation.gap == -1
        assert await drift(road) == []

    bench.void(story)


def test_an_account_without_messages_has_the_balance_that_was_asked_for(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await polling(road, account, replaces=True)
        await observed(road, account, "1000100")
        assert await road.position(account) == 1_000_100
        await road.take_one(note("A", "5", reference="R1"))  # one comes all the same
        await observed(road, account, "1000103", NOW + minutes(20))
        state = await road.state(account)
        assert (state["bank_reported_balance"], state["observed_gap"]) == (D(1_000_103), D(0))
        assert await drift(road) == []

    bench.void(story)


def test_an_old_observation_is_kept_and_judges_nothing(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await observed(road, account, "1000000", NOW)
        found = await observed(road, account, "5", NOW - minutes(20))
        assert found.standing is None
        assert (await road.state(account))["circuit_breaker"] == "closed"
        assert (await road.row("SELECT count(*) AS n FROM balance_observations"))["n"] == 2

    bench.void(story)


@pytest.mark.parametrize(("as_of", "spoke"), [(NOW - minutes(1), False), (NOW + minutes(1), True)])
def test_only_a_balance_newer_than_the_break_is_a_word_on_it(bench: Bench, as_of: datetime, spoke: bool) -> None:
    async def story(road: Road) -> None:
        account = await road.account(bank="999000")
        assert (await road.state(account))["circuit_breaker"] == "open"
        await road.ledger(account, "999000")
        found = await observed(road, account, "999000", as_of)
        assert found.standing is not None
        assert found.standing.circuit_breaker is Breaker.OPEN
        assert (await road.state(account))["bank_spoke_since_break"] is spoke

    bench.void(story)


def test_a_batch_judges_what_each_alone_would(bench: Bench) -> None:
    async def story(road: Road) -> None:
        first, second = await road.account(), await road.account("AE460261000000000000001")
        answers = [("1000000", first), ("999999", second), ("1000002", first)]
        batch = [
            Answered(
                poll_id=await poll(road, account), account_id=account, connection="bank", requests=1, at=NOW,
                answer=Observation(balance=D(b), currency="AED", as_of=NOW + minutes(n), balance_type="interimBooked"),
            )
            for n, (b, account) in enumerate(answers)
        ]  # fmt: skip
        found = await observe(road.tx, batch, NOW)
        assert [o.explanation.gap for o in found if isinstance(o, Observed)] == [0, -1, 2]
        assert (await road.state(first))["observed_gap"] == 2
        assert (await road.state(second))["circuit_breaker"] == "open"

    bench.void(story)


async def polling(road: Road, account: UUID, *, replaces: bool) -> None:
    await road.row("INSERT INTO bank_connections VALUES ('bank', 'json', '{}', 'tests', %s) RETURNING name", NOW)
    await road.row(
        "INSERT INTO account_polling (account_id, connection, every_minutes, offset_seconds, next_slot_at, set_by,"
        " set_at, replaces_position) VALUES (%s, 'bank', 15, 0, %s, 'tests', %s, %s) RETURNING account_id",
        account, NOW, NOW, replaces,
    )  # fmt: skip


async def drift(road: Road) -> list[object]:
    from token_engine.storage import accounts

    return list(await accounts.position_drift(road.tx))
