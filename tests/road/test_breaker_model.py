"""Any sequence of verdicts, people's acts and time, against a model that shares nothing with the engine.

The model keeps no automaton: it remembers what happened, in order, and reads each answer off that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from road.bench import NOW, NUMBER, Bench, Road, camt, note, section
from road.people import (
    act,
    approve_close,
    approve_override,
    ask_close,
    ask_override,
    bank_says,
    payout_reasons,
    why,
)  # fmt: skip
from token_engine.domain.closing import Closing
from token_engine.domain.override import Override
from token_engine.tiers import breakers, closings, intraday, overrides
from token_engine.tiers.breakers import Denied

DAY = timedelta(hours=24)
LEVELS = {-1: "Critical", 0: "Ok", 300: "Minor", 2000: "Significant", 20_000: "Critical"}  # of a million
people = st.sampled_from(["ann", "bob", " ANN"])
happenings = st.one_of(
    st.tuples(st.just("bank"), st.sampled_from([*LEVELS, 0, 0])),
    st.tuples(st.sampled_from(["ask", "approve", "approve", "withdraw", "glass", "consent", "revoke"]), people),
    st.tuples(st.just("wait"), st.sampled_from([1, 61, 12 * 60, 24 * 60])),
    st.tuples(st.sampled_from(["review", "meet", "pass"]), st.none()),
)
# What rarely comes about by chance, so that what matters after it does.
One = tuple[str, Any]
_BREAK: list[One] = [("bank", -1)]
_HEAL: list[One] = [("bank", 0)]
_MEET: list[One] = [("meet", None)]
_ASK: list[One] = [("ask", "ann")]
_APPROVE: list[One] = [("approve", "bob")]
_GLASS: list[One] = [("glass", "ann")]
_CONSENT: list[One] = [("consent", "bob")]
stretches: st.SearchStrategy[list[One]] = st.one_of(
    st.lists(happenings, min_size=1, max_size=4),
    st.sampled_from([
        _BREAK, _BREAK + _HEAL, _BREAK + _HEAL + _ASK, _ASK + _HEAL + _APPROVE, _BREAK + _GLASS,
        _BREAK + _MEET + _ASK + _APPROVE,
        _GLASS + _CONSENT, _BREAK + _HEAL + _ASK + _GLASS + _CONSENT,
    ]),
)  # fmt: skip
sequences = st.lists(stretches, min_size=2, max_size=8).map(lambda parts: [one for part in parts for one in part])


class Happened(list[tuple[str, datetime, str]]):
    """What happened, oldest first: a word, a time, and a person or level. Only what took effect."""

    def last(self, *words: str) -> int:
        return max((at for at, (word, _, _) in enumerate(self) if word in words), default=-1)

    def last_level(self, *levels: str) -> int:
        judged = (at for at, (word, _, level) in enumerate(self) if word in ("bank", "review") and level in levels)
        return max(judged, default=-1)

    @property
    def is_open(self) -> bool:
        return self.last_level("Critical") > self.last("approve")

    @property
    def breaker(self) -> str:
        if self.is_open:
            return "open"
        judged = self.last("bank", "review")
        return "suspended" if judged >= 0 and self[judged][2] == "Significant" else "closed"

    def closing(self, now: datetime) -> str | None:
        """Who asked for the closing that waits."""
        asked = self.last("ask")
        overtaken = max(self.last("approve", "withdraw"), self.last_level("Critical"))
        return self[asked][2] if asked > overtaken and now < self[asked][1] + DAY else None

    def glass(self, now: datetime) -> str | None:
        """Who asked for the override that waits or is in force; each is for an hour."""
        asked = self.last("glass")
        over = max(self.last("approve"), self.last("revoke"))
        return self[asked][2] if asked > over and now < self[asked][1] + timedelta(hours=1) else None

    def in_force(self, now: datetime) -> bool:
        return self.glass(now) is not None and self.last("consent") > self.last("glass")

    def closes(self, now: datetime) -> str:
        spoken = self.last("bank")
        if self[self.last("bank", "review")][2] != "Ok":
            return "not_ok"
        if spoken <= self.last_level("Critical") or now - self[spoken][1] > DAY:
            return "no_newer_evidence"
        return "APPROVED"


def same(one: str, other: str) -> bool:
    return one.strip().lower() == other.strip().lower()


class Story:
    def __init__(self, road: Road, account: UUID) -> None:
        self.road = road
        self.account = account
        self.now = NOW
        self.happened = Happened([("bank", NOW, "Ok")])
        self.target = 0
        self.closing: Closing | None = None
        self.override: Override | None = None
        self.sent = 0
        self.refused: list[tuple[str, str]] = []

    def answer(self, outcome: Closing | Override | Denied, who: str) -> str:
        """Why it was refused, which must be found in the audit log; or the state of what was done."""
        word = why(outcome)
        if isinstance(outcome, Denied):
            self.refused.append((who.strip(), word))
        return word

    async def bank(self, target: int) -> None:
        self.sent += 1
        change = target - self.target
        name = f"M{self.sent}"
        message = note(name, f"{abs(change)}.00", debit=change < 0) if change else camt(name, section())
        await bank_says(self.road, message, at=self.now)
        self.target = target
        self.happened.append(("bank", self.now, LEVELS[target]))

    async def review(self, _: None) -> None:
        await intraday.review(self.road.tx, [self.account], self.now)
        self.happened.append(("review", self.now, LEVELS[self.target]))

    async def meet(self, _: None) -> None:
        """The ledger comes to meet the bank, as an emergency burn makes it: Ok without a word from the bank."""
        position = (await self.road.state(self.account))["bank_reported_balance"]
        await self.road.ledger(self.account, str(position))
        self.target = 0
        await self.review(None)

    async def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    async def do_pass(self, _: None) -> None:
        locked = await breakers.lock_id(self.road.tx, self.account, self.now)
        await locked.changes.write(self.road.tx)

    async def ask(self, who: str) -> None:
        waits = self.happened.closing(self.now)
        outcome = await ask_close(self.road, who, self.now)
        word = self.answer(outcome, who)
        if not self.happened.is_open:
            assert word == "breaker_not_open"
        elif waits is not None:
            assert word == ("PENDING" if same(waits, who) else "closing_pending")
        else:
            assert isinstance(outcome, Closing)
            self.closing = outcome
            self.happened.append(("ask", self.now, who))

    async def approve(self, who: str) -> None:
        if self.closing is None:
            return
        waits = self.happened.closing(self.now)
        outcome = self.answer(await approve_close(self.road, self.closing.id, who, self.now), who)
        if waits is None:
            assert outcome == "APPROVED" or outcome.startswith("closing_")
            assert (outcome == "APPROVED") <= (self.happened.last("approve") > self.happened.last("ask"))
        elif same(waits, who):
            assert outcome == "same_person"
        else:
            assert outcome == self.happened.closes(self.now)
            if outcome == "APPROVED":
                self.happened.append(("approve", self.now, who))

    async def withdraw(self, who: str) -> None:
        if self.closing is None:
            return
        waits = self.happened.closing(self.now)
        outcome = self.answer(await closings.withdraw(self.road.tx, NUMBER, self.closing.id, act(who), self.now), who)
        if waits is not None:
            assert outcome == "WITHDRAWN"
            self.happened.append(("withdraw", self.now, who))

    async def glass(self, who: str) -> None:
        waits = self.happened.glass(self.now)
        outcome = await ask_override(self.road, who, self.now, minutes=60)
        word = self.answer(outcome, who)
        if not self.happened.is_open:
            assert word == "breaker_not_open"
        elif waits is not None:
            assert isinstance(outcome, Override) or word in ("override_pending", "override_in_force")
        else:
            assert isinstance(outcome, Override)
            self.override = outcome
            self.happened.append(("glass", self.now, who))

    async def consent(self, who: str) -> None:
        if self.override is None:
            return
        waits, in_force = self.happened.glass(self.now), self.happened.in_force(self.now)
        outcome = self.answer(await approve_override(self.road, self.override.id, who, self.now), who)
        if waits is None:
            assert outcome in ("override_expired", "override_revoked", "override_void")
        elif in_force:
            assert outcome in ("IN_FORCE", "override_in_force")
        elif same(waits, who):
            assert outcome == "same_person"
        else:
            assert outcome == "IN_FORCE"
            self.happened.append(("consent", self.now, who))

    async def revoke(self, who: str) -> None:
        if self.override is None:
            return
        waits = self.happened.glass(self.now)
        outcome = self.answer(await overrides.revoke(self.road.tx, NUMBER, self.override.id, act(who), self.now), who)
        if waits is not None:
            assert outcome == "REVOKED"
            self.happened.append(("revoke", self.now, who))

    async def check(self) -> None:
        state = await self.road.state(self.account)
        assert state["circuit_breaker"] == self.happened.breaker
        assert state["bank_reported_balance"] - state["ledger_balance"] == Decimal(self.target)
        said = await breakers.show(self.road.tx, NUMBER, self.now)
        assert isinstance(said, dict)
        assert (said["closing"] is None) is (self.happened.closing(self.now) is None)
        assert (said["override"] is None) is (self.happened.glass(self.now) is None)
        expected = {"suspended": ["suspended"], "open": ["open"], "closed": []}[self.happened.breaker]
        if self.happened.is_open and self.happened.in_force(self.now):
            expected = []
        if self.now - self.happened[self.happened.last("bank")][1] > DAY:
            expected = [*expected, "stale"]
        assert await payout_reasons(self.road, self.now) == expected

    async def check_history(self) -> None:
        """Every state was left as it was reached, and every change of it has its event and audit row."""
        steps = await self.road.rows("SELECT from_state, to_state FROM circuit_breaker_steps ORDER BY id")
        path = ["closed", *(s["to_state"] for s in steps)]
        assert [s["from_state"] for s in steps] == path[:-1]
        assert path[-1] == self.happened.breaker
        news = await self.road.rows("SELECT subject FROM outbox WHERE subject LIKE '%%.circuit_breaker.%%' ORDER BY id")
        told = [n["subject"].rpartition(".")[2] for n in news]
        shown = {"activated": "open", "closed": "closed", "suspended": "suspended"}
        assert [shown[word] for word in told if word in shown] == path[1:]
        notes = await self.road.rows(
            "SELECT actor, action, details FROM audit_log WHERE action LIKE 'breaker_%%' ORDER BY id"
        )
        refused = [(n["actor"], n["details"]["code"]) for n in notes if n["action"] == "breaker_act_refused"]
        assert refused == self.refused
        assert len(notes) == len(told) + len(refused)


@settings(max_examples=100, deadline=None)
@given(sequences)
def test_a_breaker_is_open_closed_or_overridden_exactly_as_what_happened_says(
    bench: Bench, sequence: list[One]
) -> None:
    async def story(road: Road) -> None:
        told = Story(road, await road.account())
        for word, what in sequence:
            await getattr(told, "do_pass" if word == "pass" else word)(what)
            await told.check()
        await told.check_history()

    bench.void(story)
