"""A quarantined statement is released by two persons, once; whatever is refused changes nothing and is audited."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from road.bench import NOW, NUMBER, Bench, Road, road_on
from road.days import MONDAY, statement
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage.database import Transaction
from token_engine.tiers import releases, statement_story
from token_engine.tiers.releases import ReleaseAct

DAY = timedelta(days=1)


class Road53:
    """What puts a statement in force: here its state alone, and with what it was asked to."""

    def __init__(self, refuses: RefusedError | None = None) -> None:
        self.asked: list[tuple[int, str, tuple[str, str], datetime]] = []
        self._refuses = refuses

    async def __call__(
        self, tx: Transaction, number: int, reason: str, actors: tuple[str, str], now: datetime
    ) -> None:  # fmt: skip
        self.asked.append((number, reason, actors, now))
        await tx.execute(b"UPDATE statements SET state = 'RELEASED' WHERE id = %s", [number])
        if self._refuses is not None:
            raise self._refuses


async def held(road: Road) -> tuple[UUID, int]:
    """An account with a quarantined statement."""
    account = await road.account()
    return account, await statement(road, account, MONDAY, "QUARANTINED")


async def ask(
    road: Road, number: int, actor: str = "ann", reason: str = "seen with the bank", at: datetime = NOW
) -> Any:
    return _code(await releases.request(road.tx, number, ReleaseAct(actor=actor, reason=reason), at))


async def approve(
    road: Road, number: int, actor: str = "bob", at: datetime = NOW, by: Road53 | None = None
) -> Any:  # fmt: skip
    act = ReleaseAct(actor=actor, reason="checked as well")
    return _code(await releases.approve(road.tx, number, act, at, by or Road53()))


def _code(outcome: dict[str, Any] | Refusal) -> Any:
    return outcome.code if isinstance(outcome, Refusal) else outcome


async def story(road: Road) -> list[tuple[str, str]]:
    return [(r["act"], r["actor"]) for r in await road.rows("SELECT act, actor FROM statement_releases ORDER BY id")]


def test_one_asks_and_another_approves_and_the_road_is_told_by_whom_and_why(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account, number = await held(road)
        asked = await ask(road, number, " ann ")
        assert asked["release"]["pending"].actor == "ann"
        assert (asked["state"], asked["release"]["pending"].expires_at) == ("QUARANTINED", NOW + DAY)
        by = Road53()
        at = NOW + timedelta(hours=2)
        done = await approve(road, number, "bob", at, by)
        assert by.asked == [(number, "seen with the bank", ("ann", "bob"), at)]
        assert (done["state"], done["release"]["pending"]) == ("RELEASED", None)
        assert [(t.act, t.actor, t.reason) for t in done["release"]["story"]] == [
            ("REQUESTED", "ann", "seen with the bank"), ("APPROVED", "bob", "checked as well"),
        ]  # fmt: skip
        events = await road.rows("SELECT subject FROM outbox WHERE subject LIKE '%%.statement.%%' ORDER BY id")
        assert [e["subject"].rpartition(".")[2] for e in events] == ["release_requested", "release_approved"]
        audit = await road.rows("SELECT actor, action FROM audit_log WHERE action LIKE 'statement_%%' ORDER BY id")
        assert [(a["actor"], a["action"]) for a in audit] == [
            ("ann", "statement_release_requested"), ("bob", "statement_release_approved"),
        ]  # fmt: skip
        # The answer was lost on its way; and another comes too late.
        assert (await approve(road, number, "BOB", at, by))["state"] == "RELEASED"
        assert await approve(road, number, "carol", at, by) == "not_quarantined"
        assert await ask(road, number, "carol") == "not_quarantined"
        assert len(by.asked) == 1
        assert account

    bench.void(told)


def test_what_is_refused_changes_nothing_and_is_audited(bench: Bench) -> None:
    async def told(road: Road) -> None:
        _, number = await held(road)
        by = Road53()
        assert await approve(road, number, by=by) == "no_release_pending"
        await ask(road, number)
        assert await approve(road, number, " ANN ", by=by) == "same_person"
        assert await ask(road, number, "carol") == "release_pending"
        assert (await ask(road, number, "Ann"))["release"]["pending"].actor == "ann", "the same again"
        assert await approve(road, number, "bob", NOW + DAY, by) == "no_release_pending"
        assert by.asked == []
        assert await story(road) == [("REQUESTED", "ann")]
        refused = await road.rows("SELECT details FROM audit_log WHERE action LIKE '%%release_refused' ORDER BY id")
        assert [r["details"]["code"] for r in refused] == [
            "no_release_pending", "same_person", "release_pending", "no_release_pending",
        ]  # fmt: skip
        # After a day somebody asks anew, and then it goes on.
        later = NOW + DAY
        await ask(road, number, "bob", "once more", later)
        assert (await approve(road, number, "ann", later, by))["state"] == "RELEASED"
        assert by.asked == [(number, "once more", ("bob", "ann"), later)]

    bench.void(told)


@pytest.mark.parametrize(
    ("actor", "reason", "field"),
    [(" ", "r", "actor"), ("engine", "r", "actor"), ("ann", " ", "reason"), ("ann", "x" * 501, "reason")],
)
def test_words_that_cannot_be(bench: Bench, actor: str, reason: str, field: str) -> None:
    async def told(road: Road) -> None:
        _, number = await held(road)
        act = ReleaseAct(actor=actor, reason=reason)
        for doing in (
            releases.request(road.tx, number, act, NOW),
            releases.approve(road.tx, number, act, NOW, Road53()),
        ):
            with pytest.raises(RefusedError) as refused:
                await doing
            assert refused.value.refusal.field == field
        assert await story(road) == []

    bench.void(told)


def test_a_statement_that_is_not_there(bench: Bench) -> None:
    async def told(road: Road) -> None:
        for number in (0, -1, 10**9, 2**70):
            with pytest.raises(RefusedError) as refused:
                await ask(road, number)
            assert refused.value.refusal.code == "unknown_statement"
            assert await statement_story.show(road.tx, number, NOW) is None

    bench.void(told)


def test_the_database_refuses_what_the_code_should_never_ask_for(bench: Bench) -> None:
    insert = (
        "INSERT INTO statement_releases (statement_id, act, actor, reason, at, expires_at, request_id, requested_by)"
        " SELECT statement_id, 'APPROVED', {actor}, 'r', {at}, expires_at, id, {asker} FROM statement_releases"
    )

    async def told(road: Road) -> None:
        _, number = await held(road)
        await ask(road, number)
        for words, constraint in (
            ({"actor": "' A nn'"}, "releases_two_persons"), ({"at": "expires_at"}, "releases_in_time"),
            ({"asker": "'carol'"}, "releases_of_request"), ({"asker": "NULL"}, "releases_approval_names_its_request"),
        ):  # fmt: skip
            said = {"actor": "'bob'", "at": "at", "asker": "actor"} | words
            with pytest.raises(psycopg.errors.IntegrityError) as wrong:
                async with road.connection.transaction():
                    await road.connection.execute(insert.format(**said).encode())
            assert wrong.value.diag.constraint_name == constraint
        await approve(road, number)
        again = insert.replace('statement_releases"', "").format(actor="'carol'", at="at", asker="actor")
        with pytest.raises(psycopg.errors.UniqueViolation) as twice:
            async with road.connection.transaction():
                await road.connection.execute(f"{again} WHERE act = 'REQUESTED'".encode())
        assert twice.value.diag.constraint_name == "statement_releases_once"
        for change in ("UPDATE statement_releases SET reason = 'x'", "DELETE FROM statement_releases"):
            with pytest.raises(psycopg.errors.RestrictViolation):
                async with road.connection.transaction():
                    await road.connection.execute(change.encode())

    bench.void(told)


def test_two_who_approve_at_once_release_it_once(migrated: str) -> None:
    by = Road53()

    async def one(number: int, actor: str) -> Any:
        async with road_on(migrated) as road, road.connection.transaction():
            return await approve(road, number, actor, by=by)

    async def race() -> None:
        async with road_on(migrated) as road:
            _, number = await held(road)
            await ask(road, number)
            outcomes = await asyncio.gather(*(one(number, f"person {n}") for n in range(6)))
            assert [o for o in outcomes if isinstance(o, str)] == ["not_quarantined"] * 5
            assert len(by.asked) == 1
            assert [act for act, _ in await story(road)] == ["REQUESTED", "APPROVED"]

    asyncio.run(race())


def test_what_the_road_cannot_do_leaves_the_request_waiting(migrated: str) -> None:
    async def tried() -> None:
        async with road_on(migrated) as road:
            _, number = await held(road)
            await ask(road, number)
            by = Road53(RefusedError("position_too_large", "amount: too large", "amount"))
            with pytest.raises(RefusedError):
                async with road.connection.transaction():
                    await approve(road, number, by=by)
            assert await story(road) == [("REQUESTED", "ann")]
            shown = await statement_story.show(road.tx, number, NOW)
            assert shown is not None
            assert (shown["state"], shown["release"]["pending"].actor) == ("QUARANTINED", "ann")
            assert (await approve(road, number))["state"] == "RELEASED"

    asyncio.run(tried())


def test_statements_are_listed_by_account_and_state_page_by_page(bench: Bench) -> None:
    async def told(road: Road) -> None:
        account, first = await held(road)
        other = await road.account("OTHER", "JPY", ledger="1", bank="1")
        second = await statement(road, other, MONDAY, "RELEASED")
        third = await statement(road, account, MONDAY, "ACCEPTED")
        await road.connection.execute(b"UPDATE statements SET corrects = %s WHERE id = %s", [first, third])

        async def ids(**wanted: Any) -> list[int]:
            return [row["id"] for row in await statement_story.listing(road.tx, NOW, **wanted)]

        assert await ids() == await ids(state="all") == [third, second, first]
        assert await ids(account=NUMBER) == await ids(account=str(account)) == [third, first]
        assert await ids(state="quarantined") == [first]
        assert await ids(account="OTHER", state="ACCEPTED") == []
        assert await ids(limit=1) == [third]
        assert await ids(limit=1, before=third) == [second]
        assert await ids(account=NUMBER, before=third) == [first]
        for wrong, code in (({"account": "NONE"}, "unknown_account"), ({"state": "pending"}, "invalid_request"),
                            ({"before": 2**63}, "invalid_request"), ({"before": -1}, "invalid_request")):  # fmt: skip
            with pytest.raises(RefusedError) as refused:
                await ids(**wrong)
            assert refused.value.refusal.code == code
        shown = await statement_story.show(road.tx, first, NOW)
        assert shown is not None
        assert (shown["closing_balance"], shown["ledger_balance"], shown["difference"]) == (
            "5250000.00", "1000000.00", "4250000.00",
        )  # fmt: skip
        assert (shown["failed_checks"], shown["corrected_by"]) == (["entries_sum"], third)
        assert shown["checks"][0]["expected"] == "5100000.00"
        of_yen = await statement_story.show(road.tx, second, NOW)
        assert of_yen is not None
        assert (of_yen["closing_balance"], of_yen["difference"]) == ("5250000", "4250000"), "without decimals"

    bench.void(told)
