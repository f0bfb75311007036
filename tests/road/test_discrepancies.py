"""Discrepancies as work, on a real database: what people and messages do to one, in whatever order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from road.bench import NOW, NUMBER, Bench, Road, note, road_on
from token_engine.domain.discrepancy import DifferenceRemains
from token_engine.domain.refusal import Refusal
from token_engine.storage import discrepancies as stored
from token_engine.tiers import accounts, discrepancies, intraday
from token_engine.tiers.discrepancies import Act, Assignment, Comment, Question, Reopening, Resolution

T = TypeVar("T")
LATER = NOW + timedelta(hours=3)
ANN, BOB = "ann", "bob"


async def breaks(road: Road) -> list[dict[str, Any]]:
    return await road.rows("SELECT * FROM reconciliation_discrepancies ORDER BY opened_at, id")


async def only(road: Road) -> dict[str, Any]:
    [found] = await breaks(road)
    return found


async def act(road: Road, key: UUID, wanted: Act) -> dict[str, Any]:
    done = await discrepancies.do(road.tx, str(key), wanted, LATER)
    assert not isinstance(done, Refusal), done
    return done


async def refused(road: Road, key: UUID | str, wanted: Act) -> Refusal:
    done = await discrepancies.do(road.tx, str(key), wanted, LATER)
    assert isinstance(done, Refusal), done
    return done


async def by_hand(road: Road, scope: str = "global") -> None:
    """Discrepancies are not resolved by the engine."""
    await road.rows(
        """INSERT INTO threshold_policies VALUES (%s, 0.01, 0.05, 0.5, 0, NULL, NULL, NULL, '1 day', false)
        ON CONFLICT (scope) DO UPDATE SET auto_resolve = false RETURNING 1""",
        scope,
    )


def happenings(view: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["happening"], line["actor"]) for line in view["history"]]


def test_one_life_from_the_break_to_a_reopening_is_told_line_by_line(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("A", "200"))
        key = (await only(road))["id"]
        view = await act(road, key, Assignment(actor=ANN, assignee=" bob "))
        assert (view["status"], view["assignee"]) == ("INVESTIGATING", BOB)
        await road.take(note("B", "1000"))
        await act(road, key, Comment(actor=BOB, text="The bank booked a fee twice.\nAsked for its return."))
        found = await only(road)
        assert (found["status"], found["assignee"], found["difference"]) == ("INVESTIGATING", BOB, 1200)
        await road.take(note("C", "1200", debit=True))
        found = await only(road)
        assert (found["status"], found["assignee"], found["resolved_by"]) == ("RESOLVED", BOB, "engine")
        assert "CAMT_054 C" in found["resolution"]
        view = await act(road, key, Reopening(actor=ANN, reason="the fee is not explained"))
        assert (view["status"], view["assignee"], view["resolution"]) == ("INVESTIGATING", BOB, None)
        assert view["difference_gone_since"] == LATER
        await road.take(note("D", "0.00"))
        assert (await only(road))["status"] == "INVESTIGATING", "the engine does not overrule a person"
        view = await act(road, key, Resolution(actor=BOB, reason="fee returned, letter of 18 November"))
        assert (view["status"], view["resolved_by"]) == ("RESOLVED", BOB)
        assert happenings(view) == [
            ("opened", "engine"), ("assigned", ANN), ("severity_changed", "engine"), ("commented", BOB),
            ("resolved", "engine"), ("reopened", ANN), ("resolved", BOB),
        ]  # fmt: skip
        figures = [(line["expected_value"], line["actual_value"]) for line in view["history"]]
        assert figures[0] == figures[1] == ("1000000.00", "1000200.00")
        assert figures[2] == figures[3] == ("1000000.00", "1001200.00")
        assert view["age_seconds"] == 3 * 3600
        assert view["account"]["verdict"] == "Ok"
        messages = {r["id"]: r["bank_message_id"] for r in await road.rows("SELECT * FROM bank_messages")}
        assert messages[view["evidence"]["message_id"]] == "D"
        assert [messages.get(line["message_id"]) for line in view["history"]] == ["A", None, "B", None, "C", None, None]
        subjects = [r["subject"] for r in await road.rows("SELECT subject FROM outbox ORDER BY id")]
        assert [s.rpartition(".")[2] for s in subjects if s.startswith("reconciliation.discrepancy.")] == [
            "opened", "assigned", "commented", "resolved", "reopened", "resolved",
        ]  # fmt: skip
        audited = await road.rows("SELECT * FROM audit_log WHERE action LIKE 'discrepancy%%' ORDER BY id")
        assert [(r["action"], r["actor"]) for r in audited] == [
            ("discrepancy_opened", "engine"), ("discrepancy_assigned", ANN), ("discrepancy_commented", BOB),
            ("discrepancy_resolved", "engine"), ("discrepancy_reopened", ANN), ("discrepancy_resolved", BOB),
        ]  # fmt: skip
        assert {r["account_id"] for r in audited} == {account}
        payloads = await road.rows("SELECT payload FROM outbox WHERE subject LIKE '%%discrepancy.resolved' ORDER BY id")
        told = [json.loads(row["payload"])["data"] for row in payloads]
        assert [(t["actor"], t["assignee"], t["difference"]) for t in told] == [
            ("engine", BOB, "0.00"), (BOB, BOB, "0.00"),
        ]  # fmt: skip

    bench.void(story)


def test_nobody_resolves_what_remains_and_the_refusal_has_the_figures(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("A", "200"))
        key = (await only(road))["id"]
        refusal = await refused(road, key, Resolution(actor=ANN, reason="looks fine to me"))
        assert isinstance(refusal, DifferenceRemains)
        assert refusal.code == "difference_remains"
        assert refusal.figures == {
            "ledger_balance": "1000000.00", "bank_balance": "1000200.00", "difference": "200.00", "currency": "AED",
            "verdict": "Minor",
        }  # fmt: skip
        # The figures are those of now, not those of the last message.
        await road.ledger(account, "1000200")
        view = await act(road, key, Resolution(actor=ANN, reason="tokens minted for the receipt"))
        assert (view["difference"], view["status"]) == ("0.00", "RESOLVED")
        await road.ledger(account, "1000201")
        await intraday.review(road.tx, [account], LATER)
        assert [b["status"] for b in await breaks(road)] == ["RESOLVED", "OPEN"]
        refusal = await refused(road, key, Reopening(actor=ANN, reason="again"))
        assert refusal.code == "another_is_open"

    bench.void(story)


def test_a_difference_that_is_gone_on_old_evidence_is_resolved_by_nobody(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.take(note("A", "200"))
        key = (await only(road))["id"]
        await road.ledger(account, "1000200")
        done = await discrepancies.do(
            road.tx, str(key), Resolution(actor=ANN, reason="gone"), NOW + timedelta(hours=25)
        )  # fmt: skip
        assert isinstance(done, Refusal)
        assert done.code == "no_fresh_evidence"
        await accounts.close(road.tx, str(account), ANN, NOW)
        done = await discrepancies.do(
            road.tx, str(key), Resolution(actor=ANN, reason="gone"), NOW + timedelta(hours=25)
        )  # fmt: skip
        assert not isinstance(done, Refusal), "of a closed account no bank will speak again"

    bench.void(story)


@pytest.mark.parametrize("scope", ["global", "AED", "account"])
def test_where_people_resolve_the_row_says_since_when_the_difference_is_gone(bench: Bench, scope: str) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await by_hand(road, str(account) if scope == "account" else scope)
        await road.take(note("A", "200"))
        await road.take(note("B", "200", debit=True))
        found = await only(road)
        assert (found["status"], found["difference_gone_since"], found["difference"]) == ("OPEN", NOW, 0)
        assert found["severity"] == "Minor"
        # Looked at again, it is gone since then still; come back, it is not gone.
        await intraday.review(road.tx, [account], LATER)
        assert (await only(road))["difference_gone_since"] == NOW
        await road.take(note("C", "1000"))
        found = await only(road)
        assert (found["difference_gone_since"], found["severity"]) == (None, "Significant")
        await road.take(note("D", "1000", debit=True))
        view = await act(road, found["id"], Resolution(actor=ANN, reason="two slips of the bank"))
        assert [h for h, _ in happenings(view)] == [
            "opened", "difference_gone", "difference_returned", "difference_gone", "resolved",
        ]  # fmt: skip
        assert view["difference_gone_since"] is None

    bench.void(story)


@pytest.mark.parametrize("batched", [True, False])
def test_a_batch_tells_the_story_that_its_messages_tell_one_by_one(bench: Bench, batched: bool) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await by_hand(road)
        await road.take(note("A", "200"))
        key = (await only(road))["id"]
        await act(road, key, Assignment(actor=ANN, assignee=BOB))
        moves = [("B", "200", True), ("C", "1000", False), ("D", "1000", True), ("E", "0.01", False)]
        messages = [note(name, amount, debit=debit) for name, amount, debit in moves]
        for batch in [messages] if batched else [[message] for message in messages]:
            await road.take(*batch)
        view = await discrepancies.show(road.tx, str(key), LATER)
        assert view is not None
        assert (view["status"], view["assignee"], view["severity"]) == ("INVESTIGATING", BOB, "Significant")
        assert view["evidence"]["source_reference"] == "E"
        assert [(line["happening"], line["text"], line["assignee"]) for line in view["history"]] == [
            ("opened", "CAMT_054 A", None), ("assigned", None, BOB), ("difference_gone", "CAMT_054 B", BOB),
            ("difference_returned", "CAMT_054 C", BOB), ("difference_gone", "CAMT_054 D", BOB),
        ]  # fmt: skip

    bench.void(story)


def test_an_act_said_twice_is_done_once(bench: Bench) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await road.take(note("A", "200"))
        key = (await only(road))["id"]
        acts: list[Act] = [
            Assignment(actor=ANN, assignee=BOB), Comment(actor=ANN, text="fee"),
            Assignment(actor=ANN, assignee=None), Comment(actor=ANN, text="fee"),
        ]  # fmt: skip
        for wanted in acts:
            assert await act(road, key, wanted) == await act(road, key, wanted)
        await by_hand(road)
        await road.take(note("B", "200", debit=True))
        for wanted in (Resolution(actor=ANN, reason="done"), Reopening(actor=ANN, reason="not done")):
            assert await act(road, key, wanted) == await act(road, key, wanted)
        view = await act(road, key, Resolution(actor=ANN, reason="done"))
        assert [h for h, _ in happenings(view)] == [
            "opened", "assigned", "commented", "assigned", "commented", "difference_gone", "resolved", "reopened",
            "resolved",
        ]  # fmt: skip
        assert (await refused(road, key, Resolution(actor=BOB, reason="done"))).code == "already_resolved"
        assert (await refused(road, key, Assignment(actor=BOB, assignee=BOB))).code == "already_resolved"
        assert "ann" in (await refused(road, key, Resolution(actor=ANN, reason="really"))).message
        await act(road, key, Comment(actor=BOB, text="for the file"))

    bench.void(story)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Assignment(actor="", assignee=BOB), "actor"),
        (Assignment(actor="x" * 141, assignee=BOB), "actor"),
        (Assignment(actor=" Engine ", assignee=BOB), "actor"),
        (Assignment(actor="a\0b", assignee=BOB), "actor"),
        (Assignment(actor=ANN, assignee=" "), "assignee"),
        (Comment(actor=ANN, text=" \n"), "text"),
        (Comment(actor=ANN, text="a\0b"), "text"),
        (Comment(actor=ANN, text="x" * 4001), "text"),
        (Resolution(actor=ANN, reason=""), "reason"),
        (Reopening(actor="\n", reason="r"), "actor"),
    ],
)
def test_an_act_without_a_name_or_a_word_is_refused_and_changes_nothing(bench: Bench, wanted: Act, field: str) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await road.take(note("A", "200"))
        key = (await only(road))["id"]
        before = await discrepancies.show(road.tx, str(key), LATER)
        refusal = await refused(road, key, wanted)
        assert (refusal.code, refusal.field) == (f"invalid_{field}", field)
        assert await discrepancies.show(road.tx, str(key), LATER) == before
        for unknown in ("x", str(UUID(int=9)), "\0"):
            assert (await refused(road, unknown, Comment(actor=ANN, text="t"))).code == "unknown_discrepancy"
        assert (await refused(road, key, Reopening(actor=ANN, reason="r"))).code == "not_resolved"

    bench.void(story)


def test_what_to_do_is_found_by_owner_age_severity_and_page(bench: Bench) -> None:
    async def story(road: Road) -> None:
        for n in range(5):
            number = f"ACC-{n}"
            await road.account(number)
            await road.take(note(f"M{n}", "200" if n < 3 else "1000", number=number))
            await road.rows(
                """UPDATE reconciliation_discrepancies SET opened_at = %s FROM emi_accounts a
                WHERE a.id = account_id AND a.account_number = %s RETURNING 1""",
                NOW - timedelta(hours=n), number,
            )  # fmt: skip
        keys = {row["account_number"]: row["id"] for row in await asked(road)}
        await act(road, keys["ACC-1"], Assignment(actor=ANN, assignee=BOB))
        await road.take(note("END", "1000", number="ACC-4", debit=True))

        async def numbers(**question: Any) -> list[str]:
            return [row["account_number"][-1] for row in await asked(road, **question)]

        assert await numbers() == ["0", "1", "2", "3", "4"]
        assert await numbers(order="oldest", status="unresolved") == ["3", "2", "1", "0"]
        assert await numbers(status="open") == ["0", "2", "3"]
        assert await numbers(status="Investigating") == await numbers(assignee=BOB) == ["1"]
        assert await numbers(status="resolved") == ["4"]
        assert await numbers(severity="Significant") == ["3", "4"]
        assert await numbers(account="ACC-2") == ["2"]
        assert await numbers(type="balance_mismatch", limit=2) == ["0", "1"]
        assert await numbers(type="other") == []
        # Three hours later: open for at least five hours; the resolved one was open for four only.
        assert await numbers(older_than="5h") == ["2", "3"]
        assert await numbers(older_than="240m") == ["1", "2", "3", "4"]
        for order, expected in (("newest", "01234"), ("oldest", "43210")):
            seen, after = "", None
            while page := await asked(road, order=order, limit=2, after=after):
                seen += "".join(row["account_number"][-1] for row in page)
                after = str(page[-1]["id"])
            assert seen == expected
        for field, wrong in {
            "status": "x", "order": "x", "severity": "ok", "older_than": "5", "after": "x", "account": "nobody",
        }.items():  # fmt: skip
            refusal = await discrepancies.listing(road.tx, msgspec.convert({field: wrong}, Question), LATER)
            assert isinstance(refusal, Refusal)
            assert refusal.field == field

    bench.void(story)


def test_a_number_finds_the_discrepancies_of_all_its_currencies_and_an_id_those_of_one(bench: Bench) -> None:
    async def story(road: Road) -> None:
        ids = {currency: await road.account(currency=currency) for currency in ("AED", "USD")}
        for currency in ids:
            await road.take(note(currency, "200", currency=currency))
        assert {row["currency"] for row in await asked(road, account=NUMBER)} == {"AED", "USD"}
        for currency, key in ids.items():
            assert [row["currency"] for row in await asked(road, account=str(key))] == [currency]

    bench.void(story)


async def asked(road: Road, **question: Any) -> list[dict[str, Any]]:
    found = await discrepancies.listing(road.tx, Question(**question), LATER)
    assert not isinstance(found, Refusal), found
    return found


# Any sequence of verdicts and acts, beside a model that shares no rule with the engine ---------------------

MOVES = st.tuples(st.just("message"), st.sampled_from([0, 0, 200, 1000, 100_000, -1]))
LEDGER = st.tuples(st.just("ledger"), st.sampled_from([0, 200, 1000]))
PEOPLE = st.tuples(
    st.sampled_from(["assign", "release", "comment", "resolve", "reopen", "policy"]),
    st.integers(0, 3),
)


class Model:
    """At most one is not resolved; `story` is what each must tell; figures are those last judged."""

    def __init__(self) -> None:
        self.by_engine = True
        self.stories: list[list[str]] = []
        self.assignee: list[str | None] = []
        self.figures: list[tuple[int, int]] = []
        self.resolved: list[bool] = []
        self.reopened: list[bool] = []
        self.severity = ""
        self.gone = False

    @property
    def open(self) -> int | None:
        return next((n for n, done in enumerate(self.resolved) if not done), None)

    def judged(self, ledger: int, bank: int) -> None:
        level = level_of(ledger, bank)
        n = self.open
        if n is None:
            if level == "Ok":
                return
            self.stories.append(["opened"])
            self.assignee.append(None)
            self.figures.append((ledger, bank))
            self.resolved.append(False)
            self.reopened.append(False)
            self.severity, self.gone = level, False
            return
        self.figures[n] = (ledger, bank)
        if level != "Ok":
            if self.gone:
                self.stories[n].append("difference_returned")
            elif level != self.severity:
                self.stories[n].append("severity_changed")
            self.severity, self.gone = level, False
        elif self.by_engine and not self.reopened[n]:
            self.stories[n].append("resolved")
            self.resolved[n] = True
        elif not self.gone:
            self.stories[n].append("difference_gone")
            self.gone = True


def level_of(ledger: int, bank: int) -> str:
    if ledger > bank:
        return "Critical"
    parts = (bank - ledger) * 10_000
    bounds = {"Ok": bank, "Minor": 5 * bank, "Significant": 50 * bank}
    return next((level for level, bound in bounds.items() if parts <= bound), "Critical")


@given(st.lists(st.one_of(MOVES, LEDGER, PEOPLE), min_size=1, max_size=14))
@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_whatever_happens_one_is_open_at_most_and_none_is_dropped_and_each_tells_its_whole_story(
    bench: Bench, told: list[tuple[str, int]]
) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        model = Model()
        ledger = bank = 1_000_000
        keys: list[UUID] = []
        lines: dict[UUID, list[Any]] = {}
        for turn, (what, amount) in enumerate(told):
            n = amount % len(keys) if keys else None
            if what == "message":
                change = 1_000_000 - bank if amount == 0 else amount  # 0: back to where it began
                await road.take(note(f"M{turn}", str(abs(change)), debit=change < 0))
                bank += change
                model.judged(ledger, bank)
            elif what == "ledger":
                ledger = 1_000_000 + amount
                await road.ledger(account, str(ledger))
                await intraday.review(road.tx, [account], NOW)
                model.judged(ledger, bank)
            elif what == "policy":
                await by_hand(road)
                model.by_engine = False
            elif n is not None:
                await person(road, model, keys, n, what, turn, level_of(ledger, bank), (ledger, bank))
            found = await road.rows(
                "SELECT * FROM reconciliation_discrepancies ORDER BY (SELECT min(id) FROM discrepancy_events "
                "WHERE discrepancy_id = reconciliation_discrepancies.id)"
            )
            keys = [row["id"] for row in found]
            await compare(road, model, found, lines)

    bench.void(story)


async def person(
    road: Road, model: Model, keys: list[UUID], n: int, what: str, turn: int, level: str, figures: tuple[int, int]
) -> None:
    said = f"turn {turn}"
    wanted: Act
    match what:
        case "assign":
            wanted, lawful, line = Assignment(actor=ANN, assignee=said), not model.resolved[n], "assigned"
        case "release":
            wanted, lawful = Assignment(actor=ANN, assignee=None), not model.resolved[n]
            line = "assigned" if model.assignee[n] else ""
        case "comment":
            wanted, lawful, line = Comment(actor=ANN, text=said), True, "commented"
        case "resolve":
            wanted = Resolution(actor=ANN, reason=said)
            lawful, line = not model.resolved[n] and level == "Ok", "resolved"
        case _:
            wanted = Reopening(actor=ANN, reason=said)
            lawful, line = model.resolved[n] and model.open is None, "reopened"
    done = await discrepancies.do(road.tx, str(keys[n]), wanted, NOW)
    assert isinstance(done, Refusal) is not lawful, (what, done)
    if not lawful:
        return
    if line:
        model.stories[n].append(line)
    if what in ("assign", "release"):
        model.assignee[n] = said if what == "assign" else None
    if what in ("resolve", "reopen"):
        model.resolved[n] = what == "resolve"
        model.figures[n] = figures
    if what == "reopen":
        model.reopened[n] = True
        model.gone = level == "Ok"
        row = await road.row("SELECT severity FROM reconciliation_discrepancies WHERE id = %s", keys[n])
        model.severity = row["severity"] if level == "Ok" else level


async def compare(
    road: Road, model: Model, found: list[dict[str, Any]], lines: dict[UUID, list[Any]]
) -> None:  # fmt: skip
    assert [row["status"] == "RESOLVED" for row in found] == model.resolved
    assert [(row["expected_value"], row["actual_value"]) for row in found] == model.figures
    assert [row["assignee"] for row in found] == model.assignee
    for row, told in zip(found, model.stories, strict=True):
        assert row["difference"] == row["actual_value"] - row["expected_value"]
        assert row["status"] == "RESOLVED" or (row["status"] == "INVESTIGATING") == (row["assignee"] is not None)
        history = await road.rows("SELECT * FROM discrepancy_events WHERE discrepancy_id = %s ORDER BY id", row["id"])
        assert [line["happening"] for line in history] == told
        before = lines.get(row["id"], [])
        assert history[: len(before)] == before, "what was told once stays told"
        lines[row["id"]] = history
        if row["status"] != "RESOLVED":
            assert (row["difference_gone_since"] is not None) == model.gone


# Two at once, in both orders -----------------------------------------------------------------------------


async def in_this_order(
    url: str, first: Callable[[Road], Awaitable[Any]], second: Callable[[Road], Awaitable[T]]
) -> tuple[Any, T]:
    """The second starts, and waits for the lock, before the first commits."""
    async with road_on(url) as one, road_on(url) as two, road_on(url) as watcher:
        pid = (await two.row("SELECT pg_backend_pid() AS pid"))["pid"]

        async def whole() -> T:
            async with two.connection.transaction():
                return await second(two)

        async with one.connection.transaction():
            done = await first(one)
            waiting = asyncio.ensure_future(whole())
            waits = "SELECT wait_event_type = 'Lock' AS waits FROM pg_stat_activity WHERE pid = %s"
            async with asyncio.timeout(10):
                while not (await watcher.row(waits, pid))["waits"]:
                    await asyncio.sleep(0.01)
        return done, await waiting


async def stage(url: str, *, gone: bool) -> UUID:
    """An account with a discrepancy; `gone`: whose difference is gone and that waits for a person."""
    async with road_on(url) as road, road.connection.transaction():
        if gone:
            await by_hand(road)
        await road.account()
        await road.take(note("A", "200"))
        if gone:
            await road.take(note("B", "200", debit=True))
        key = (await only(road))["id"]
        assert isinstance(key, UUID)
        return key


@pytest.mark.parametrize("person_first", [True, False])
def test_a_resolution_and_a_message_that_moves_the_difference(migrated: str, person_first: bool) -> None:
    async def story() -> None:
        key = await stage(migrated, gone=True)

        async def resolve(road: Road) -> dict[str, Any] | Refusal:
            return await discrepancies.do(road.tx, str(key), Resolution(actor=ANN, reason="done"), LATER)

        async def moves(road: Road) -> Any:
            return await road.take(note("C", "1000"))

        if person_first:
            done, _ = await in_this_order(migrated, resolve, moves)
            assert not isinstance(done, Refusal)
        else:
            _, done = await in_this_order(migrated, moves, resolve)
            assert isinstance(done, DifferenceRemains)
            assert done.figures["difference"] == "1000.00"
        async with road_on(migrated) as road:
            found = await breaks(road)
            assert [(b["status"], b["difference"]) for b in found if b["status"] != "RESOLVED"] == [("OPEN", 1000)]
            assert len(found) == (2 if person_first else 1)
            assert {b["id"]: b["resolved_by"] for b in found}[key] == (ANN if person_first else None)

    asyncio.run(story())


@pytest.mark.parametrize("person_first", [True, False])
def test_an_assignment_and_the_message_that_resolves(migrated: str, person_first: bool) -> None:
    async def story() -> None:
        key = await stage(migrated, gone=False)

        async def assign(road: Road) -> dict[str, Any] | Refusal:
            return await discrepancies.do(road.tx, str(key), Assignment(actor=ANN, assignee=BOB), LATER)

        async def heals(road: Road) -> Any:
            return await road.take(note("C", "200", debit=True))

        if person_first:
            done, _ = await in_this_order(migrated, assign, heals)
            assert not isinstance(done, Refusal)
        else:
            _, done = await in_this_order(migrated, heals, assign)
            assert isinstance(done, Refusal)
            assert done.code == "already_resolved"
        async with road_on(migrated) as road:
            found = await only(road)
            assert (found["status"], found["resolved_by"]) == ("RESOLVED", "engine")
            assert found["assignee"] == (BOB if person_first else None)
            told = [line.happening.value for line in await stored.story(road.tx, key)]
            assert told == (["opened", "assigned", "resolved"] if person_first else ["opened", "resolved"])
            subjects = await road.rows("SELECT subject FROM outbox WHERE subject LIKE '%%discrepancy%%' ORDER BY id")
            assert [row["subject"].rpartition(".")[2] for row in subjects] == told

    asyncio.run(story())


def test_two_people_at_once_resolve_it_once(migrated: str) -> None:
    async def story() -> None:
        key = await stage(migrated, gone=True)

        def resolve(who: str) -> Callable[[Road], Awaitable[dict[str, Any] | Refusal]]:
            return lambda road: discrepancies.do(road.tx, str(key), Resolution(actor=who, reason="done"), LATER)

        first, second = await in_this_order(migrated, resolve(ANN), resolve(BOB))
        assert not isinstance(first, Refusal)
        assert isinstance(second, Refusal)
        assert second.code == "already_resolved"

    asyncio.run(story())
