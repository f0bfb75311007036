"""Whatever is asked of the token ledger in whatever order: it does what an account book of a few lines does."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec import structs

from road.bench import NOW, Bench, mint, note
from token_engine.domain.backing import Policy
from token_engine.domain.refusal import RefusedError
from token_engine.storage import ledger as stored
from token_engine.tiers import orders, policies
from token_engine.tiers.once import Answer, once

WIDE = Policy(
    ok_percent=Decimal(9999), minor_percent=Decimal(9999), significant_percent=Decimal(9999)
)  # money that waits for its mint is no break here
ACCOUNTS = ("A", "B")
HOLDERS = ("unattributed", "h1", "h2")
amounts = st.sampled_from(["1", "2.50", "40", "100.00", "1000", "0.01"]) | st.sampled_from(["0", "0.001", "x", "-1"])
accounts, holders = st.sampled_from(ACCOUNTS), st.sampled_from(HOLDERS)
Request = tuple[str, Any]


class Line(NamedTuple):
    """A movement as the model knows it: tokens that `gives` loses and `gets` gains, None being nobody."""

    account: str
    gives: str | None
    gets: str | None
    amount: Decimal
    is_reversal: bool = False


class TokenLedger(RuleBasedStateMachine):
    """The model shares no line with the engine: a list of movements, and sums over it."""

    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.road, self.run = self._stack.enter_context(self.bench.voided())
        self.run(policies.save(self.road.tx, "global", WIDE, "tests", NOW))
        self.ids: dict[str, UUID] = {}
        self.bank: dict[str, Decimal] = {}
        self.lines: dict[int, Line] = {}
        self.reversed: set[int] = set()
        self.open: set[str] = set()
        self.requests: dict[str, tuple[Request, Answer]] = {}
        self.minted: dict[tuple[str, str], tuple[str, str]] = {}
        for name, balance in zip(ACCOUNTS, ("1000", "0"), strict=True):
            self.ids[name] = self.run(self.road.account(name, ledger=balance, bank=balance))
            self.bank[name] = Decimal(balance)
        [opening] = self.run(self.road.rows("SELECT id FROM ledger_movements"))
        self.lines[opening["id"]] = Line("A", None, "unattributed", Decimal(1000))
        self.serial = 0

    def teardown(self) -> None:
        self._stack.close()

    # The model.

    def held(self, account: str, holder: str) -> Decimal:
        of = [line for line in self.lines.values() if line.account == account]
        return sum((m.amount for m in of if m.gets == holder), Decimal(0)) - sum(
            (m.amount for m in of if m.gives == holder), Decimal(0)
        )

    def outstanding(self, account: str) -> Decimal:
        return sum((self.held(account, holder) for holder in HOLDERS), Decimal(0))

    def why_not(self, account: str, gives: str | None, gets: str | None, amount: str) -> str | None:
        if amount in ("x", "-1", "0", "0.001"):
            return "invalid_amount"
        value = Decimal(amount)
        if gives is None and gets is not None and self.outstanding(account) + value > self.bank[account]:
            return "not_backed"
        if gives is not None and gives == gets:
            return "same_holder"
        if gives is not None and self.held(account, gives) < value:
            return "insufficient_holder_balance"
        return None

    def judge(self, account: str) -> None:
        """Only what is Critical within bounds as wide as these."""
        owed, bank = self.outstanding(account), self.bank[account]
        if owed > bank or (owed == 0) != (bank == 0):
            self.open.add(account)

    # What is asked, the way the door asks it.

    def ask(self, key: str, request: Request) -> Answer:
        operation, wanted = request

        async def do() -> dict[str, Any]:
            match wanted:
                case orders.Burn():
                    return await orders.burn(self.road.tx, wanted, key, NOW)
                case orders.Transfer():
                    return await orders.transfer(self.road.tx, wanted, key, NOW)
                case orders.Replenishment():
                    return await orders.replenish(self.road.tx, wanted, key, NOW)
                case _:
                    return await orders.undo(self.road.tx, int(operation.split()[-1]), wanted, key, NOW)

        return self.run(once(self.road.tx, key, operation, wanted, NOW, do))

    def told(self, request: Request, expected: str | None, line: Line | None) -> bool:
        """Ask under a new key; whether it was done, which the model must have known."""
        self.serial += 1
        key = f"key-{self.serial}"
        answer = self.ask(key, request)
        self.requests[key] = request, answer
        content = json.loads(answer.content)
        assert content.get("code") == expected, (request, content)
        assert not answer.again
        if line is not None and expected is None:
            self.lines[content["id"]] = line
            if line.gives is None or line.gets is None:
                self.judge(line.account)
        return expected is None

    @rule(account=accounts, amount=st.sampled_from(["1", "50.00", "1000"]))
    def credit(self, account: str, amount: str) -> None:
        self.serial += 1
        self.run(self.road.take(note(f"M{self.serial}", amount, number=account, reference=f"R{self.serial}")))
        self.bank[account] += Decimal(amount)
        self.judge(account)

    @rule(account=accounts, holder=holders, amount=amounts.filter(lambda a: a not in ("x", "-1")),
          entry=st.sampled_from(["E1", "E2", "E3", "E4"]), stale=st.booleans())  # fmt: skip
    def mint(self, account: str, holder: str, amount: str, entry: str, *, stale: bool) -> None:
        said = (holder, f"{Decimal(amount).normalize():f}")
        if earlier := self.minted.get((account, entry)):
            expected = None if earlier == said else "idempotency_conflict"
        elif account in self.open:
            expected = "breaker_open"
        elif stale:
            expected = "no_fresh_evidence"
        else:
            expected = self.why_not(account, None, holder, amount)
        at = NOW + timedelta(days=2) if stale else NOW
        asked = mint(self.road, self.ids[account], amount, entry, holder=holder, at=at)
        if expected is not None:
            with pytest.raises(RefusedError) as refused:
                self.run(asked)
            assert refused.value.refusal.code == expected
            return
        view = self.run(asked)
        assert view["receipt"] == ("AlreadyRecorded" if earlier else "Recorded")
        if not earlier:
            self.minted[account, entry] = said
            self.lines[view["id"]] = Line(account, None, holder, Decimal(amount))
            self.judge(account)

    @rule(account=accounts, holder=holders, amount=amounts, emergency=st.booleans())
    def burn(self, account: str, holder: str, amount: str, *, emergency: bool) -> None:
        wanted = orders.Burn(
            account_id=account, holder=holder, amount=amount, reason="r", actor="a", emergency=emergency
        )
        expected = self.why_not(account, holder, None, amount)
        line = Line(account, holder, None, Decimal(amount)) if expected is None else None
        self.told(("burn", wanted), expected, line)

    @rule(account=accounts, gives=holders, gets=holders, amount=amounts)
    def transfer(self, account: str, gives: str, gets: str, amount: str) -> None:
        wanted = orders.Transfer(account_id=account, from_holder=gives, to_holder=gets, amount=amount, actor="a")
        expected = self.why_not(account, gives, gets, amount)
        line = Line(account, gives, gets, Decimal(amount)) if expected is None else None
        self.told(("transfer", wanted), expected, line)

    @rule(account=accounts, amount=amounts)
    def replenish(self, account: str, amount: str) -> None:
        wanted = orders.Replenishment(account_id=account, amount=amount, reason="r", actor="a")
        expected = self.why_not(account, None, None, amount)
        line = Line(account, None, None, Decimal(amount)) if expected is None else None
        before = self.open.copy()
        self.told(("replenishment", wanted), expected, line)
        self.open = before  # it moves neither side, so that nothing is judged

    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.lines)))
        line = self.lines[number]
        if line.is_reversal:
            expected: str | None = "not_reversible"
        elif number in self.reversed:
            expected = "already_reversed"
        elif line.gives is not None and line.gets is None and line.account in self.open:
            expected = "breaker_open"
        else:
            expected = self.why_not(line.account, line.gets, line.gives, str(line.amount))
        back = Line(line.account, line.gets, line.gives, line.amount, is_reversal=True)
        before = self.open.copy()
        if self.told((f"reversal of {number}", orders.Reversal(reason="r", actor="a")), expected, back):
            self.reversed.add(number)
        if line.gives is None and line.gets is None:
            self.open = before

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.requests)))
        request, first = self.requests[key]
        again = self.ask(key, request)
        assert again == Answer(first.status, first.content, again=True)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def ask_for_something_else_under_the_same_key(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.requests)))
        (operation, wanted), _ = self.requests[key]
        answer = self.ask(key, (operation, structs.replace(wanted, reason="something else")))
        assert answer.status == 409
        assert json.loads(answer.content)["code"] == "idempotency_conflict"

    # What holds after each of them.

    @invariant()
    def every_balance_is_the_sum_of_what_was_done(self) -> None:
        assert self.run(stored.drift(self.road.tx)) == []
        numbers = self.run(self.road.rows("SELECT id FROM ledger_movements ORDER BY id"))
        assert [row["id"] for row in numbers] == sorted(self.lines), "nothing twice, nothing lost"
        for name, key in self.ids.items():
            state = self.run(self.road.state(key))
            assert state["ledger_balance"] == self.outstanding(name) <= self.bank[name]
            assert (state["circuit_breaker"] == "open") == (name in self.open)
            held = self.run(self.road.rows("SELECT holder, balance FROM ledger_holders WHERE account_id = %s", key))
            assert {row["holder"]: row["balance"] for row in held if row["balance"]} == {
                holder: balance for holder in HOLDERS if (balance := self.held(name, holder))
            }
        [supply] = self.run(stored.supply(self.road.tx))
        total = sum((self.outstanding(name) for name in ACCOUNTS), Decimal(0))
        assert (supply["currency"], supply["supply"], supply["accounts"]) == ("AED", total, len(ACCOUNTS))
        owners = {h for name in ACCOUNTS for h in HOLDERS if self.held(name, h)}
        assert supply["holders"] == len(owners)


def test_the_ledger_does_what_an_account_book_of_a_few_lines_does(bench: Bench) -> None:
    TokenLedger.bench = bench
    run_state_machine_as_test(
        TokenLedger,
        settings=settings(
            max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
