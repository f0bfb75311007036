"""Money and tokens, whatever happens in whatever order: the engine does what a book-keeper of a page does.

The book-keeper below shares no line with the engine. It is told what the bank has booked and what people ask, says
beforehand what must come of it, and its sums are compared with the database after every step. Steps are lost before
their commit and asked again after it, messages come late, twice and in any order, and the clock runs on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from road import desk, payers, people
from road.bench import NOW, Bench, came, note
from token_engine.storage import ledger as stored
from token_engine.tiers import fundings, orders, payout_acts
from token_engine.tiers.notification import record
from token_engine.tiers.once import Answer, once
from token_engine.tiers.payouts import Hold, NewPayout

OPENING = Decimal(100_000)
ACCOUNTS = ("A", "B")
HOLDERS = ("unattributed", "h1", "h2")
TAGS = ("T1", "T2")
DAY = timedelta(days=1)

# Most of it on one account, so that much comes together there.
accounts, tags = st.sampled_from("AAAB"), st.sampled_from(TAGS)
holders = st.sampled_from(["unattributed", "unattributed", *HOLDERS])
Asking = Callable[[], Coroutine[Any, Any, Answer]]
amounts = st.sampled_from(["0.04", "1", "2.50", "2.50", "40", "600"]).map(Decimal)


# The book-keeper ---------------------------------------------------------------------------------------


@dataclass
class Booked:
    """A movement that the bank has booked and tells of by a message. `change` is signed."""

    name: str
    account: str
    change: Decimal
    tag: str | None

    def told(self) -> bytes:
        return note(
            self.name, str(abs(self.change)), number=self.account, debit=self.change < 0, reference=f"R-{self.name}",
            tag=self.tag,
        )  # fmt: skip


@dataclass
class Promise:
    """A funding or a payout. `burnt` is what the settlement of a payout took."""

    account: str
    tag: str
    amount: Decimal
    holder: str
    until: timedelta
    state: str
    burnt: Decimal = Decimal(0)


@dataclass
class Page:
    """What the book-keeper knows of one account."""

    bank: Decimal = OPENING
    held: dict[str, Decimal] = field(default_factory=lambda: {"unattributed": OPENING})
    breaker: str = "closed"
    heard: timedelta = timedelta(0)
    heard_since_break: bool = True
    receipts: dict[str, Booked] = field(default_factory=dict)
    returning: dict[str, Booked] = field(default_factory=dict)

    @property
    def tokens(self) -> Decimal:
        return sum(self.held.values(), Decimal(0))

    def give(self, holder: str, amount: Decimal) -> None:
        self.held[holder] = self.held.get(holder, Decimal(0)) + amount

    @property
    def level(self) -> str:
        """0.01 %, 0.05 % and 0.5 % of what the bank holds; any shortfall is the worst."""
        excess = Fraction(self.bank) - Fraction(self.tokens)
        apart = excess / Fraction(self.bank) * 100 if self.bank > 0 else Fraction(1000)
        if excess < 0 or (excess and (not self.tokens or apart > Fraction(1, 2))):
            return "critical"
        return "significant" if apart > Fraction(1, 20) else "minor" if apart > Fraction(1, 100) else "ok"

    def judge(self, *, heard: bool = False) -> None:
        """`heard`: on a word of the bank."""
        if self.level == "critical":
            self.breaker, self.heard_since_break = "open", False
            return
        if self.breaker != "open":
            self.breaker = "suspended" if self.level == "significant" else "closed"
        self.heard_since_break = self.heard_since_break or heard


class Money(RuleBasedStateMachine):
    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.road, self.run = self._stack.enter_context(self.bench.voided())
        self.pages = {name: Page() for name in ACCOUNTS}
        self.ids: dict[str, UUID] = {}
        self.at = timedelta(0)
        self.serial = 0
        self.coming: list[Booked] = []
        self.told: list[Booked] = []
        self.fundings: dict[UUID, Promise] = {}
        self.payouts: dict[UUID, Promise] = {}
        self.asked: list[tuple[Asking, Answer]] = []

    def teardown(self) -> None:
        try:
            assert self.run(stored.drift(self.road.tx)) == self.run(desk.faults(self.road)) == []
        finally:
            self._stack.close()

    @initialize()
    def open_accounts(self) -> None:
        for name in ACCOUNTS:
            self.ids[name] = self.run(self.road.account(name, ledger=str(OPENING), bank=str(OPENING)))

    @property
    def now(self) -> Any:
        return NOW + self.at

    def number(self) -> int:
        self.serial += 1
        return self.serial

    # What the book-keeper expects.

    def stale(self, account: str) -> bool:
        return self.at - self.pages[account].heard > DAY

    def reserved(self, account: str, holder: str | None = None) -> Decimal:
        of = [p for p in self.payouts.values() if p.account == account and p.state in ("HELD", "SENT")]
        return sum((p.amount for p in of if holder in (None, p.holder)), Decimal(0))

    def why_no_mint(self, account: str, amount: Decimal) -> str | None:
        page = self.pages[account]
        if page.breaker == "open":
            return "breaker_open"
        if self.stale(account):
            return "no_fresh_evidence"
        return "not_backed" if page.tokens + amount > page.bank else None

    def hear(self, booked: Booked) -> None:
        """The bank tells of a movement for the first time."""
        page = self.pages[booked.account]
        page.bank += booked.change
        page.heard = self.at
        if booked.change < 0:
            for payout in self.payouts.values():
                if (payout.account, payout.tag) == (booked.account, booked.tag) and payout.state in ("HELD", "SENT"):
                    payout.state, payout.burnt = "SETTLED", min(-booked.change, payout.amount)
                    page.give(payout.holder, -payout.burnt)
        elif not self.becomes_tokens(booked, page):
            page.receipts[booked.name] = booked
        page.judge(heard=True)

    def becomes_tokens(self, booked: Booked, page: Page) -> bool:
        if page.breaker == "open" or page.tokens + booked.change > page.bank:
            return False
        for promise in self.fundings.values():
            waits = promise.state == "EXPECTED" and self.at < promise.until
            if waits and (promise.account, promise.tag) == (booked.account, booked.tag):
                promise.state = "MET"
                page.give(promise.holder, booked.change)
                return True
        for payout in self.payouts.values():
            of_it = (payout.account, payout.tag) == (booked.account, booked.tag)
            if of_it and payout.state == "SETTLED" and booked.change <= payout.burnt:
                payout.state = "RETURNED"
                page.give(payout.holder, booked.change)
                return True
        return False

    # What is done, the way the doors do it.

    def do(self, ask: Asking, expected: str | None, *, lost: bool) -> dict[str, Any] | None:
        """Ask; what was done, or None for a refusal that the book-keeper foresaw. `lost`: first the engine dies
        before its commit.
        """
        if lost:
            self.run(self._in_vain(ask))
        answer = self.run(ask())
        said: dict[str, Any] = json.loads(answer.content)
        assert said.get("code") == expected, (expected, said)
        assert not answer.again
        self.asked.append((ask, answer))
        return None if expected else said

    async def _in_vain(self, work: Callable[[], Awaitable[Any]]) -> None:
        async with self.road.connection.transaction(force_rollback=True):
            await work()

    @rule(account=accounts, amount=amounts, credit=st.sampled_from([True, True, True, False]), tag=st.none() | tags)
    def the_bank_books(self, account: str, amount: Decimal, credit: bool, tag: str | None) -> None:
        """It tells of it later."""
        change = amount if credit else -amount
        self.coming.append(Booked(f"M{self.number()}", account, change, tag))

    @precondition(lambda self: self.fundings or self.payouts)
    @rule(
        data=st.data(),
        other=st.sampled_from([None, None, Decimal("0.02"), Decimal(2), Decimal(50)]),
        lost=st.booleans(),
    )
    def the_bank_does_what_is_expected(self, data: st.DataObject, other: Decimal | None, lost: bool) -> None:
        """Or nearly: sometimes it is another amount."""
        promise = data.draw(st.sampled_from([*self.fundings.values(), *self.payouts.values()]))
        credit = promise in self.fundings.values() or promise.state == "SETTLED"
        change = (other or promise.amount) * (1 if credit else -1)
        booked = Booked(f"M{self.number()}", promise.account, change, promise.tag)
        self.messages_come([booked], lost=lost)

    @precondition(lambda self: self.coming or self.told)
    @rule(data=st.data(), lost=st.booleans())
    def messages_come_late_and_twice_and_in_any_order(self, data: st.DataObject, lost: bool) -> None:
        new = data.draw(st.lists(st.sampled_from(self.coming), max_size=4, unique_by=id)) if self.coming else []
        old = data.draw(st.lists(st.sampled_from(self.told), max_size=2)) if self.told else []
        self.messages_come(data.draw(st.permutations([*new, *new[:1], *old])), lost=lost)

    def messages_come(self, batch: list[Booked], *, lost: bool) -> None:
        async def take() -> Any:
            notes = [
                note(
                    b.name, str(abs(b.change)), number=b.account, debit=b.change < 0, reference=f"R-{b.name}", tag=b.tag
                )
                for b in batch
            ]
            return await record(self.road.tx, [came(message) for message in notes], self.now)

        if lost:
            self.run(self._in_vain(take))
        self.run(take())
        for booked in batch:
            if booked not in self.told:
                self.told.append(booked)
                self.hear(booked)
        self.coming = [b for b in self.coming if b not in self.told]

    @rule(account=accounts, tag=tags, amount=amounts, holder=holders, minutes=st.sampled_from([60, 2880]),
          lost=st.booleans())  # fmt: skip
    def fund(self, account: str, tag: str, amount: Decimal, holder: str, minutes: int, lost: bool) -> None:
        key, page = f"fund-{self.number()}", self.pages[account]
        same = [f for f in self.fundings.values() if (f.account, f.tag) == (account, tag)]
        theirs = [p for p in self.payouts.values() if (p.account, p.tag) == (account, tag)]
        expected = None
        if any(p.state in ("HELD", "SENT", "SETTLED") for p in theirs):
            expected = "reference_taken"
        elif any(f.state == "EXPECTED" and self.at < f.until for f in same):
            expected = "funding_exists"
        at = self.now
        said = self.do(
            lambda: desk.announce(
                self.road, tag, str(amount), number=account, holder=holder, minutes=minutes, key=key, at=at
            ),
            expected, lost=lost,
        )  # fmt: skip
        if said is None:
            return
        for before in same:
            if before.state == "EXPECTED":
                before.state = "EXPIRED"
        made = Promise(account, tag, amount, holder, self.at + timedelta(minutes=minutes), "EXPECTED")
        self.fundings[UUID(said["id"])] = made
        waiting = [b for b in self.told if b.name in page.receipts and b.tag == tag]
        if waiting:
            why_not = self.why_no_mint(account, waiting[0].change)
            assert (said["waiting"] or {}).get("code") == why_not
            if why_not is None:
                self.allot(page, waiting[0], holder)
                made.state = "MET"

    def allot(self, page: Page, booked: Booked, holder: str) -> None:
        del page.receipts[booked.name]
        page.give(holder, booked.change)
        page.judge()

    @precondition(lambda self: any(page.receipts for page in self.pages.values()))
    @rule(data=st.data(), holder=holders, lost=st.booleans())
    def allocate(self, data: st.DataObject, holder: str, lost: bool) -> None:
        page = data.draw(st.sampled_from([page for page in self.pages.values() if page.receipts]))
        booked = data.draw(st.sampled_from(list(page.receipts.values())))
        entry = self.run(desk.entry_of(self.road, booked.name))
        key, at = f"allocate-{self.number()}", self.now
        expected = self.why_no_mint(booked.account, booked.change)
        if self.do(lambda: desk.allocate(self.road, entry, holder=holder, key=key, at=at), expected, lost=lost):
            self.allot(page, booked, holder)

    @precondition(lambda self: any(page.receipts for page in self.pages.values()))
    @rule(data=st.data(), lost=st.booleans())
    def give_back(self, data: st.DataObject, lost: bool) -> None:
        page = data.draw(st.sampled_from([page for page in self.pages.values() if page.receipts]))
        booked = data.draw(st.sampled_from(list(page.receipts.values())))
        entry = self.run(desk.entry_of(self.road, booked.name))
        key, at, reference = f"back-{self.number()}", self.now, f"RETURN-{self.serial}"
        if self.stale(booked.account):
            expected: str | None = "no_fresh_evidence"
        else:
            spare = page.bank - page.tokens - sum(b.change for b in page.returning.values())
            expected = "not_excess" if spare < booked.change else None
        ask = lambda: desk.give_back(self.road, entry, reference=reference, key=key, at=at)  # noqa: E731
        if self.do(ask, expected, lost=lost):
            page.returning[reference] = page.receipts.pop(booked.name)

    @precondition(lambda self: any(page.returning for page in self.pages.values()))
    @rule(data=st.data(), lost=st.booleans())
    def the_bank_takes_a_return(self, data: st.DataObject, lost: bool) -> None:
        page = data.draw(st.sampled_from([page for page in self.pages.values() if page.returning]))
        reference, back = data.draw(st.sampled_from(sorted(page.returning.items(), key=lambda item: item[0])))
        self.messages_come([Booked(f"M{self.number()}", back.account, -back.change, reference)], lost=lost)
        del page.returning[reference]

    @precondition(lambda self: any(f.state == "EXPECTED" for f in self.fundings.values()))
    @rule(data=st.data(), lost=st.booleans())
    def cancel_funding(self, data: st.DataObject, lost: bool) -> None:
        key = data.draw(st.sampled_from([k for k, f in self.fundings.items() if f.state == "EXPECTED"]))
        name, at = f"cancel-{self.number()}", self.now
        expected = None if self.at < self.fundings[key].until else "funding_settled"
        if self.do(lambda: desk.cancel(self.road, str(key), key=name, at=at), expected, lost=lost):
            self.fundings[key].state = "CANCELLED"

    @rule(account=accounts, amount=amounts, holder=holders, tag=tags, minutes=st.sampled_from([60, 2880]),
          lost=st.booleans())  # fmt: skip
    def hold(self, account: str, amount: Decimal, holder: str, tag: str, minutes: int, lost: bool) -> None:
        page, key, at = self.pages[account], f"hold-{self.number()}", self.now
        payout = UUID(int=self.serial)
        tag = f"P-{tag}-{self.serial % 3}"
        free = page.held.get(holder, Decimal(0)) - self.reserved(account, holder)
        if any((p.account, p.tag) == (account, tag) for p in self.payouts.values()):
            expected: str | None = "duplicate_end_to_end_id"
        elif page.breaker == "open":
            expected = "breaker_open"
        elif page.breaker == "suspended":
            expected = "breaker_suspended"
        elif self.stale(account):
            expected = "no_fresh_evidence"
        elif page.held.get(holder, Decimal(0)) < amount:
            expected = "insufficient_holder_balance"
        elif free < amount:
            expected = "insufficient_available"
        else:
            expected = None
        wanted = NewPayout(
            account_id=account, amount=str(amount), holder=holder, actor="ann", end_to_end_id=tag,
            expires_in_minutes=minutes,
        )  # fmt: skip

        async def ask() -> Answer:
            [answer] = await payers.held(self.road, Hold(key, payout, wanted), at=at)
            return answer

        if self.do(ask, expected, lost=lost):
            self.payouts[payout] = Promise(account, tag, amount, holder, self.at + timedelta(minutes=minutes), "HELD")

    @precondition(lambda self: self.payouts)
    @rule(data=st.data(), lost=st.booleans())
    def send(self, data: st.DataObject, lost: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.payouts)))
        payout, name, at = self.payouts[key], f"send-{self.number()}", self.now
        if payout.state != "HELD":
            expected: str | None = f"payout_{payout.state.lower()}"
        elif payout.until <= self.at:
            expected = "payout_expired"
        else:
            expected = "breaker_open" if self.pages[payout.account].breaker == "open" else None
        if self.do(lambda: payers.sent(self.road, key, at, under=name), expected, lost=lost):
            payout.state = "SENT"

    @precondition(lambda self: self.payouts)
    @rule(data=st.data(), rejected=st.booleans(), lost=st.booleans())
    def cancel(self, data: st.DataObject, rejected: bool, lost: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.payouts)))
        payout, name, at = self.payouts[key], f"cancel-{self.number()}", self.now
        lawful = payout.state == "HELD" or (payout.state == "SENT" and rejected)
        refused = "payout_not_rejected" if payout.state == "SENT" else f"payout_{payout.state.lower()}"
        expected = None if lawful else refused
        if self.do(lambda: payers.cancelled(self.road, key, at, rejected=rejected, under=name), expected, lost=lost):
            payout.state = "CANCELLED"

    @rule(account=accounts, amount=amounts, holder=holders, to=st.none() | holders, lost=st.booleans())
    def burn_or_transfer(self, account: str, amount: Decimal, holder: str, to: str | None, lost: bool) -> None:
        page, key, at = self.pages[account], f"burn-{self.number()}", self.now
        has = page.held.get(holder, Decimal(0))
        if to == holder:
            expected: str | None = "same_holder"
        elif has < amount:
            expected = "insufficient_holder_balance"
        else:
            expected = "insufficient_available" if has - self.reserved(account, holder) < amount else None

        async def ask() -> Answer:
            tx, text = self.road.tx, str(amount)
            if to is None:
                burn = orders.Burn(account_id=account, amount=text, actor="ann", holder=holder, reason="r")
                return await once(tx, key, "burn", burn, at, lambda: orders.burn(tx, burn, key, at))
            pass_on = orders.Transfer(account_id=account, amount=text, actor="ann", from_holder=holder, to_holder=to)
            return await once(tx, key, "transfer", pass_on, at, lambda: orders.transfer(tx, pass_on, key, at))

        if self.do(ask, expected, lost=lost):
            page.give(holder, -amount)
            if to is not None:
                page.give(to, amount)
            else:
                page.judge()

    @rule(account=accounts, amount=amounts, lost=st.booleans())
    def replenish(self, account: str, amount: Decimal, lost: bool) -> None:
        """The issuer says that money of his own comes: it moves neither side until the bank has booked it."""
        wanted = orders.Replenishment(account_id=account, amount=str(amount), actor="ann", reason="r")
        key, at, tx = f"own-{self.number()}", self.now, self.road.tx
        do = lambda: orders.replenish(tx, wanted, key, at)  # noqa: E731
        self.do(lambda: once(tx, key, "replenishment", wanted, at, do), None, lost=lost)

    @precondition(lambda self: any(page.breaker == "open" for page in self.pages.values()))
    @rule(data=st.data())
    def two_persons_close_the_breaker(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, page in self.pages.items() if page.breaker == "open"]))
        page = self.pages[name]
        asked = self.run(people.ask_close(self.road, at=self.now, number=name))
        done = self.run(people.approve_close(self.road, people.closing(asked).id, at=self.now, number=name))
        if page.level == "ok" and page.heard_since_break and not self.stale(name):
            assert people.why(done) == "APPROVED"
            page.breaker = "closed"
        else:
            assert people.why(done) in ("not_ok", "no_newer_evidence", "no_fresh_evidence")

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def the_answer_was_lost_and_it_is_asked_again(self, data: st.DataObject) -> None:
        ask, first = data.draw(st.sampled_from(self.asked))
        assert self.run(ask()) == Answer(first.status, first.content, again=True)

    @rule(hours=st.sampled_from([1, 1, 1, 7, 25]), pass_over=st.booleans())
    def time_passes(self, hours: int, pass_over: bool) -> None:
        """With the pass that writes down what is over, or before it."""
        self.at += timedelta(hours=hours)
        if not pass_over:
            return
        for account in ACCOUNTS:
            self.run(self.clear_up(account))
        for promise in self.fundings.values():
            if promise.state == "EXPECTED" and promise.until <= self.at:
                promise.state = "EXPIRED"
        for payout in self.payouts.values():
            if payout.state == "HELD" and payout.until <= self.at:
                payout.state = "EXPIRED"

    async def clear_up(self, account: str) -> None:
        of = [key for key, payout in self.payouts.items() if payout.account == account]
        await payout_acts.end(self.road.tx, self.ids[account], of, self.now)
        await fundings.end(self.road.tx, self.ids[account], self.now)

    # What holds after each of them.

    @invariant()
    def the_books_agree(self) -> None:
        if not self.ids:
            return
        self.run(self.agrees())
        [supply] = self.run(stored.supply(self.road.tx))
        assert supply["supply"] == sum((page.tokens for page in self.pages.values()), Decimal(0))

    async def agrees(self) -> None:
        names = {key: name for name, key in self.ids.items()}
        for state in await self.road.rows("SELECT * FROM emi_accounts"):
            name = names[state["id"]]
            page = self.pages[name]
            assert state["ledger_balance"] == page.tokens
            assert state["bank_reported_balance"] == page.bank
            assert state["reserved_balance"] == self.reserved(name) <= page.tokens
            assert state["circuit_breaker"] == page.breaker
        rows = await self.road.rows("SELECT account_id, holder, balance, reserved FROM ledger_holders")
        held = {(names[r["account_id"]], r["holder"]): (r["balance"], r["reserved"]) for r in rows if r["balance"]}
        assert held == {
            (name, holder): (balance, self.reserved(name, holder))
            for name, page in self.pages.items() for holder, balance in page.held.items() if balance
        }  # fmt: skip
        for table, known in (("fundings", self.fundings), ("payouts", self.payouts)):
            rows = await self.road.rows(f"SELECT id, account_id, state FROM {table}")
            assert {r["id"]: (names[r["account_id"]], r["state"]) for r in rows} == {
                key: (promise.account, promise.state) for key, promise in known.items()
            }
        rows = await self.road.rows(
            "SELECT bank_message_id FROM bank_entries e WHERE unexpected AND NOT EXISTS ("
            " SELECT 1 FROM entry_meetings m WHERE (m.account_id, m.amount, m.identity, m.occurrence)"
            " = (e.account_id, e.amount, e.identity, e.occurrence))"
        )
        waiting = {name for page in self.pages.values() for name in page.receipts}
        assert {row["bank_message_id"] for row in rows} == waiting, "money of which nobody has said whose"


def test_money_and_tokens_are_what_a_book_keeper_says_whatever_happens_in_whatever_order(bench: Bench) -> None:
    Money.bench = bench
    run_state_machine_as_test(
        Money,
        settings=settings(
            max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
