"""Closing and overriding a breaker on a real database: what two persons, the bank and the clock may do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from road.bench import NOW, NUMBER, TABLES, Bench, Road, camt, note, section
from road.people import (
    act,
    after,
    approve_close,
    approve_override,
    ask_close,
    ask_override,
    bank_says,
    closing,
    override,
    payout_reasons,
    why,
)  # fmt: skip
from token_engine.domain.backing import Policy
from token_engine.tiers import accounts, breakers, closings, intraday, overrides, policies
from token_engine.tiers.breakers import Denied
from token_engine.tiers.overrides import NewOverride

SHORT, BACK = note("SHORT", "1.00", debit=True), note("BACK", "1.00")


async def broken(road: Road) -> UUID:
    """An account whose bank holds one dirham less than there are tokens."""
    account = await road.account()
    await bank_says(road, SHORT)
    assert (await road.state(account))["circuit_breaker"] == "open"
    return account


async def healed(road: Road) -> UUID:
    account = await broken(road)
    await bank_says(road, BACK, at=after(minutes=5))
    return account


async def breaker(road: Road, account: UUID) -> str:
    return str((await road.state(account))["circuit_breaker"])


async def subjects(road: Road) -> list[str]:
    rows = await road.rows("SELECT subject FROM outbox WHERE subject LIKE '%%.circuit_breaker.%%' ORDER BY id")
    return [row["subject"].rpartition(".")[2] for row in rows]


async def audited(road: Road) -> list[tuple[str, str]]:
    rows = await road.rows("SELECT action, actor FROM audit_log WHERE action LIKE 'breaker_%%' ORDER BY id")
    return [(row["action"], row["actor"]) for row in rows]


def test_the_whole_life_of_a_break(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await healed(road)
        asked = closing(await ask_close(road))
        assert await payout_reasons(road, after(minutes=6)) == ["open"]
        done = closing(await approve_close(road, asked.id, at=after(minutes=7)))
        assert (done.state, done.settled_by, done.settled_at) == ("APPROVED", "bob", after(minutes=7))
        assert await breaker(road, account) == "closed"
        assert await payout_reasons(road, after(minutes=8)) == []
        assert await subjects(road) == ["activated", "close_requested", "closed"]
        assert await audited(road) == [
            ("breaker_open", "engine"), ("breaker_close_requested", "ann"), ("breaker_closed", "bob"),
        ]  # fmt: skip
        steps = await road.rows("SELECT from_state, to_state, actor, cause FROM circuit_breaker_steps ORDER BY id")
        assert [(s["from_state"], s["to_state"], s["actor"]) for s in steps] == [
            ("closed", "open", "engine"), ("open", "closed", "bob"),
        ]  # fmt: skip
        assert steps[1]["cause"] == f"closing {asked.id} of ann: because"
        event = await road.row("SELECT payload FROM outbox WHERE subject = 'reconciliation.circuit_breaker.closed'")
        said = json.loads(event["payload"])["data"]
        assert (said["circuit_breaker"], said["difference"], said["threshold_level"]) == ("closed", "0.00", "Ok")
        assert said["closing"]["settled_by"] == "bob"
        note_of_it = await road.row("SELECT details FROM audit_log WHERE action = 'breaker_closed'")
        assert note_of_it["details"] == {
            "closing": str(asked.id), "reason": "because", "ledger": "1000000.00", "bank": "1000000.00", "level": "Ok",
        }  # fmt: skip
        # And the next Critical trips it as the first did.
        await bank_says(road, note("AGAIN", "1.00", debit=True), at=after(minutes=9))
        assert await breaker(road, account) == "open"
        assert why(await ask_close(road, at=after(minutes=9))) == "PENDING"

    bench.void(story)


@pytest.mark.parametrize("who", ["ann", "ANN", " a nn "])
def test_who_asked_does_not_approve(bench: Bench, who: str) -> None:
    async def story(road: Road) -> None:
        account = await healed(road)
        asked = closing(await ask_close(road, "ann"))
        refused = await approve_close(road, asked.id, who)
        assert isinstance(refused, Denied)
        assert (refused.refusal.code, refused.refusal.field) == ("same_person", "actor")
        granted = override(await ask_override(road, "ann"))
        assert why(await approve_override(road, granted.id, who)) == "same_person"
        assert await breaker(road, account) == "open"
        assert why(await approve_close(road, asked.id, "bob")) == "APPROVED"

    bench.void(story)


@pytest.mark.parametrize(
    ("do", "actor", "asked", "code"),
    [
        (lambda road, key, glass: ask_close(road, "bob"), "bob", "a closing", "closing_pending"),
        (lambda road, key, glass: approve_close(road, key, " Ann"), "Ann", "approval of closing {closing}",
         "same_person"),
        (lambda road, key, glass: approve_close(road, key, "bob"), "bob", "approval of closing {closing}", "not_ok"),
        (lambda road, key, glass: approve_close(road, glass, "bob"), "bob", "approval of closing {override}",
         "unknown_closing"),
        (lambda road, key, glass: ask_override(road, "bob"), "bob", f"an override until {after(hours=1)}",
         "override_pending"),
        (lambda road, key, glass: approve_override(road, glass, "ann"), "ann", "approval of override {override}",
         "same_person"),
        (lambda road, key, glass: overrides.revoke(road.tx, NUMBER, key, act("bob"), NOW), "bob",
         "revocation of override {closing}", "unknown_override"),
    ],
)  # fmt: skip
def test_a_refused_act_is_in_the_audit_log_and_nowhere_else(
    bench: Bench, do: Callable[[Road, UUID, UUID], Awaitable[Any]], actor: str, asked: str, code: str
) -> None:
    async def story(road: Road) -> None:
        account = await broken(road)
        closes, glass = closing(await ask_close(road)).id, override(await ask_override(road)).id
        before = await contents(road)
        outcome = await do(road, closes, glass)
        assert why(outcome) == code
        found = await contents(road)
        known = before.pop("audit_log")
        [row] = [note for note in found.pop("audit_log") if note not in known]
        assert found == before
        assert (row["action"], row["account_id"], row["actor"]) == ("breaker_act_refused", account, actor)
        assert row["details"]["asked"] == asked.format(closing=closes, override=glass)
        assert (row["details"]["code"], row["details"]["reason"]) == (code, "because")

    bench.void(story)


async def contents(road: Road) -> dict[str, list[dict[str, Any]]]:
    return {table: await road.rows(f'SELECT * FROM {table} ORDER BY {table}::text COLLATE "C"') for table in TABLES}


def test_without_newer_evidence_that_judges_ok_it_stays_open_and_says_the_figures(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await broken(road)
        asked = closing(await ask_close(road))
        refused = await approve_close(road, asked.id)
        assert isinstance(refused, Denied)
        assert refused.refusal.code == "not_ok"
        assert refused.standing is not None
        assert (refused.standing.ledger_balance, refused.standing.bank_balance) == ("1000000.00", "999999.00")
        # The ledger came to meet the bank (an emergency burn): Ok, but on what the bank said before.
        await road.ledger(account, "999999")
        assert why(await approve_close(road, asked.id)) == "no_newer_evidence"
        await intraday.review(road.tx, [account], after(minutes=1))  # judging again is no word from the bank
        assert why(await approve_close(road, asked.id, at=after(minutes=2))) == "no_newer_evidence"
        # Its word, however little it says, is; and it must be fresh enough when the second person comes.
        await bank_says(road, camt("EMPTY", section()), at=after(minutes=3))
        await policies.save(road.tx, NUMBER, Policy(stale_after=timedelta(minutes=10)), "tests", NOW)
        assert why(await approve_close(road, asked.id, at=after(minutes=14))) == "no_newer_evidence"
        assert why(await approve_close(road, asked.id, at=after(minutes=13))) == "APPROVED"
        assert await breaker(road, account) == "closed"

    bench.void(story)


@pytest.mark.parametrize("cents", ["200.00", "900.00"])
def test_minor_and_significant_are_not_ok_enough_to_close(bench: Bench, cents: str) -> None:
    async def story(road: Road) -> None:
        await healed(road)
        await bank_says(road, note("EXCESS", cents), at=after(minutes=6))
        asked = closing(await ask_close(road))
        assert why(await approve_close(road, asked.id, at=after(minutes=7))) == "not_ok"

    bench.void(story)


@pytest.mark.parametrize("together", [True, False])
def test_a_batch_counts_as_its_messages_one_by_one(bench: Bench, together: bool) -> None:
    """Broken and healed in one transaction, at one time: the word after the break is newer all the same."""

    async def story(road: Road) -> None:
        account = await road.account()
        if together:
            await bank_says(road, SHORT, BACK)
        else:
            await bank_says(road, SHORT)
            await bank_says(road, BACK)
        state = await road.state(account)
        assert (state["circuit_breaker"], state["critical_judgements"]) == ("open", 1)
        assert state["bank_spoke_since_break"] is True
        assert why(await approve_close(road, closing(await ask_close(road)).id)) == "APPROVED"

    bench.void(story)


def test_a_breaker_that_the_specifications_update_opened_waits_for_the_banks_next_word(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        assert (await road.state(account))["bank_spoke_since_break"] is True
        await road.connection.execute(
            b"UPDATE emi_accounts SET metadata = jsonb_set(metadata, '{circuit_breaker_active}', 'true')"
        )
        asked = closing(await ask_close(road))
        assert why(await approve_close(road, asked.id)) == "no_newer_evidence"
        await bank_says(road, note("MORE", "0.01"))
        assert why(await approve_close(road, asked.id)) == "APPROVED"
        assert await breaker(road, account) == "closed"

    bench.void(story)


def test_a_critical_makes_a_closing_that_waits_void(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await healed(road)
        asked = closing(await ask_close(road))
        await bank_says(road, note("AGAIN", "1.00", debit=True), note("BACK-AGAIN", "1.00"), at=after(minutes=6))
        said = await breakers.show(road.tx, NUMBER, after(minutes=6))
        assert isinstance(said, dict)
        assert said["closing"] is None  # before anybody wrote it down
        assert why(await approve_close(road, asked.id, at=after(minutes=7))) == "closing_void"
        anew = closing(await ask_close(road, "ann", at=after(minutes=8)))
        assert anew.id != asked.id
        assert why(await approve_close(road, anew.id, at=after(minutes=9))) == "APPROVED"
        assert await breaker(road, account) == "closed"
        assert await subjects(road) == ["activated", "close_requested", "close_voided", "close_requested", "closed"]
        assert ("breaker_close_voided", "engine") in await audited(road)

    bench.void(story)


def test_a_closing_waits_for_a_day_and_not_longer(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await healed(road)
        asked = closing(await ask_close(road))
        await bank_says(road, note("MORE", "0.01"), at=after(hours=23))
        assert why(await approve_close(road, asked.id, at=after(hours=24))) == "closing_expired"
        again = closing(await ask_close(road, at=after(hours=24)))
        assert why(await approve_close(road, again.id, at=after(hours=24))) == "APPROVED"

    bench.void(story)


def test_one_closing_at_a_time_and_the_same_request_twice_is_one(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await healed(road)
        first = closing(await ask_close(road, "ann"))
        assert await ask_close(road, "ANN", at=after(minutes=1)) == first
        assert why(await ask_close(road, "bob")) == "closing_pending"
        withdrawn = closing(await closings.withdraw(road.tx, NUMBER, first.id, act("carol", "not yet"), NOW))
        assert (withdrawn.state, withdrawn.settled_by, withdrawn.settled_reason) == ("WITHDRAWN", "carol", "not yet")
        assert why(await closings.withdraw(road.tx, NUMBER, first.id, act("carol"), NOW)) == "WITHDRAWN"
        assert why(await closings.withdraw(road.tx, NUMBER, first.id, act("dan"), NOW)) == "closing_withdrawn"
        assert why(await approve_close(road, first.id)) == "closing_withdrawn"
        second = closing(await ask_close(road, "bob"))
        done = closing(await approve_close(road, second.id, "ann"))
        assert await approve_close(road, second.id, "Ann") == done  # the answer was lost on its way
        assert why(await approve_close(road, second.id, "carol")) == "closing_approved"
        assert await subjects(road) == [
            "activated", "close_requested", "close_withdrawn", "close_requested", "closed",
        ]  # fmt: skip

    bench.void(story)


def test_there_is_nothing_to_close_or_override_where_nothing_is_open(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        assert why(await ask_close(road)) == why(await ask_override(road)) == "breaker_not_open"
        await bank_says(road, note("EXCESS", "900.00"))
        assert await payout_reasons(road) == ["suspended"]
        assert why(await ask_close(road)) == why(await ask_override(road)) == "breaker_not_open"
        assert why(await ask_close(road, number="NONE")) == "unknown_account"

    bench.void(story)


def test_an_act_on_what_is_not_there_is_refused(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await healed(road)
        await road.account("OTHER")
        asked, wanted = closing(await ask_close(road)), override(await ask_override(road))
        assert why(await approve_close(road, uuid4())) == "unknown_closing"
        assert why(await approve_close(road, asked.id, number="OTHER")) == "unknown_closing"
        assert why(await approve_override(road, wanted.id, number="OTHER")) == "unknown_override"
        assert why(await closings.request(road.tx, NUMBER, act(" "), NOW)) == "invalid_actor"
        assert why(await closings.approve(road.tx, NUMBER, asked.id, act("bob", ""), NOW)) == "invalid_reason"
        endless = NewOverride(actor="ann", reason="r")
        assert why(await overrides.request(road.tx, NUMBER, endless, NOW)) == "invalid_expires_at"
        await accounts.close(road.tx, NUMBER, "tests", NOW)
        assert why(await approve_close(road, asked.id)) == "account_closed"
        assert why(await approve_override(road, wanted.id)) == "account_closed"
        assert await payout_reasons(road) == ["account_closed", "open"]

    bench.void(story)


def test_an_override_lets_payouts_through_until_its_time_and_never_mints(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await broken(road)
        asked = override(await ask_override(road, minutes=30))
        assert await payout_reasons(road) == ["open"]
        granted = override(await approve_override(road, asked.id, at=after(minutes=10)))
        assert granted.expires_at == after(minutes=30)  # late approval adds nothing
        # Further messages judge Critical again, and the override was granted knowing it.
        await bank_says(road, note("WORSE", "5.00", debit=True), at=after(minutes=11))
        said = await breakers.gate(road.tx, NUMBER, after(minutes=29, seconds=59))
        assert isinstance(said, dict)
        assert (said["payout"]["allowed"], said["mint"]["reasons"]) == (True, ("open",))
        assert (said["circuit_breaker"], said["override"].expires_at) == ("open", after(minutes=30))
        view = await accounts.show(road.tx, NUMBER, after(minutes=29))
        assert view is not None
        assert (view["circuit_breaker"], view["override_until"]) == ("open", after(minutes=30))
        # Over by the clock alone: nobody has written it down.
        assert await payout_reasons(road, after(minutes=30)) == ["open"]
        assert (await road.row("SELECT state FROM breaker_overrides"))["state"] == "IN_FORCE"
        # It asks the whole of it again, and the new request writes the old one's end first.
        anew = override(await ask_override(road, at=after(minutes=31)))
        assert anew.id != asked.id
        assert await breaker(road, account) == "open"
        assert await subjects(road) == [
            "activated", "override_requested", "override_granted", "override_expired", "override_requested",
        ]  # fmt: skip

    bench.void(story)


def test_an_override_ends_at_once_when_anybody_says_so(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await broken(road)
        asked = override(await ask_override(road))
        await approve_override(road, asked.id)
        assert await payout_reasons(road) == []
        revoked = override(await overrides.revoke(road.tx, NUMBER, asked.id, act("carol", "enough"), NOW))
        assert (revoked.state, revoked.ended_by, revoked.approved_by) == ("REVOKED", "carol", "bob")
        assert await payout_reasons(road) == ["open"]
        assert why(await overrides.revoke(road.tx, NUMBER, asked.id, act("carol"), NOW)) == "REVOKED"
        assert why(await approve_override(road, asked.id)) == "override_revoked"
        unapproved = override(await ask_override(road))
        assert why(await overrides.revoke(road.tx, NUMBER, unapproved.id, act("ann"), NOW)) == "REVOKED"
        assert why(await approve_override(road, unapproved.id)) == "override_revoked"

    bench.void(story)


def test_an_override_does_not_outlive_the_break_that_it_was_agreed_on_for(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await healed(road)
        asked = override(await ask_override(road))
        await approve_override(road, asked.id)
        await approve_close(road, closing(await ask_close(road)).id)
        await bank_says(road, note("AGAIN", "1.00", debit=True))
        assert await payout_reasons(road) == ["open"]
        assert why(await approve_override(road, asked.id)) == "override_void"
        assert (await subjects(road))[-3:] == ["closed", "override_voided", "activated"]

    bench.void(story)


def test_no_override_makes_old_evidence_good(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await broken(road)
        await policies.save(road.tx, NUMBER, Policy(stale_after=timedelta(minutes=10)), "tests", NOW)
        await approve_override(road, override(await ask_override(road)).id)
        assert await payout_reasons(road, after(minutes=10)) == []
        assert await payout_reasons(road, after(minutes=11)) == ["stale"]

    bench.void(story)


def test_an_account_that_the_bank_never_spoke_of_is_unknown_and_its_breaker_closed(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account(ledger="5", bank=None)
        said = await breakers.gate(road.tx, NUMBER, NOW)
        assert isinstance(said, dict)
        assert said["payout"]["reasons"] == said["mint"]["reasons"] == ("unknown",)
        assert await breaker(road, account) == "closed"

    bench.void(story)


CLOSE = """UPDATE emi_accounts SET metadata = metadata || '{"circuit_breaker_active": false}'"""


@pytest.mark.parametrize(
    "statement",
    [
        CLOSE,
        "UPDATE emi_accounts SET metadata = '{}'",
        CLOSE + ", last_closing_id = (SELECT id FROM breaker_closings)",  # it is pending only
        "UPDATE breaker_closings SET state = 'APPROVED', settled_by = ' A N n', settled_reason = 'r', "
        "settled_at = requested_at",
        "UPDATE breaker_closings SET state = 'APPROVED', settled_by = 'bob', settled_reason = 'r', "
        "settled_at = expires_at",
        "UPDATE breaker_closings SET state = 'APPROVED'",
        "UPDATE breaker_closings SET requested_by = 'carol'",
        "UPDATE breaker_closings SET expires_at = expires_at + interval '1 day'",
        "DELETE FROM breaker_closings",
        "UPDATE breaker_overrides SET state = 'IN_FORCE'",
        "UPDATE breaker_overrides SET state = 'IN_FORCE', approved_by = 'ANN', approved_reason = 'r', "
        "approved_at = requested_at",
        "UPDATE breaker_overrides SET state = 'IN_FORCE', approved_by = 'bob', approved_reason = 'r', "
        "approved_at = expires_at",
        "UPDATE breaker_overrides SET expires_at = expires_at + interval '1 day'",
        "DELETE FROM breaker_overrides",
        "TRUNCATE breaker_overrides",
        "INSERT INTO breaker_overrides SELECT gen_random_uuid(), account_id, 'PENDING', 'x', 'r', now(), now() + "
        "interval '1 hour' FROM breaker_overrides",
        "INSERT INTO breaker_overrides SELECT gen_random_uuid(), account_id, 'EXPIRED', 'x', 'r', now(), now() + "
        "interval '25 hours', NULL, NULL, NULL, 'e', 'r', now() FROM breaker_overrides",
        "INSERT INTO breaker_closings SELECT gen_random_uuid(), account_id, 'PENDING', 0, 'x', 'r', now(), now() + "
        "interval '1 hour' FROM breaker_closings",
    ],
)
def test_the_database_itself_refuses_what_two_persons_did_not_do(bench: Bench, statement: str) -> None:
    async def story(road: Road) -> None:
        await healed(road)
        await ask_close(road)
        await ask_override(road)
        with pytest.raises(psycopg.errors.IntegrityError):
            await road.connection.execute(statement.encode())

    bench.void(story)


def test_an_approved_closing_closes_one_break_and_not_the_next(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await healed(road)
        await approve_close(road, closing(await ask_close(road)).id)
        await bank_says(road, note("AGAIN", "1.00", debit=True))
        with pytest.raises(psycopg.errors.RestrictViolation):
            await road.connection.execute(CLOSE.encode())

    bench.void(story)
