"""Receipts: credits that nobody had announced, allocated or sent back by people, each once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from road.bench import NOW, NUMBER, Bench, Road, camt, line, note, section
from road.desk import allocate, announce, code, entry_of, faults, give_back, held, state_of, tell_debit, view
from road.people import approve_close, ask_close, bank_says, closing, why
from token_engine.domain.backing import DEFAULT_POLICY, Policy
from token_engine.domain.refusal import RefusedError
from token_engine.tiers import accounts, policies, receipts

Story = Callable[[Road, UUID], Awaitable[None]]


def story(bench: Bench, tell: Story) -> None:
    async def told(road: Road) -> None:
        await tell(road, await road.account())
        assert await faults(road) == []

    bench.void(told)


async def credited(road: Road, name: str = "C", amount: str = "100", *, tag: str | None = None) -> int:
    """The entry of a credit that nobody announced."""
    await road.take(note(name, amount, reference=name, tag=tag))
    return await entry_of(road, name)


async def debited(road: Road, tag: str, amount: str = "100", *, name: str = "D") -> None:
    await road.take(note(name, amount, reference=name, tag=tag, debit=True))


async def subjects(road: Road, after: int) -> list[str]:
    return [row["subject"] for row in await road.rows("SELECT subject FROM outbox ORDER BY id")][after:]


async def events(road: Road) -> int:
    return int((await road.row("SELECT count(*) AS n FROM outbox"))["n"])


def test_allocated_to_a_holder_it_becomes_tokens_and_the_excess_is_gone(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road, amount="200")
        assert (await road.state(account))["reconciliation_status"] == "MINOR"
        before = await events(road)
        said = view(await allocate(road, entry, holder="h"))
        assert (said["state"], said["became"]["met"], said["became"]["actor"]) == ("ALLOCATED", "allocation", "ann")
        assert said["movement"]["id"] == said["became"]["movement_id"]
        assert (said["movement"]["threshold_level"], said["movement"]["cause"]) == ("Ok", "C")
        assert await held(road, account) == {"unattributed": 1_000_000, "h": 200}
        assert await subjects(road, before) == [
            "reconciliation.ledger.mint", "reconciliation.ledger.ok", "reconciliation.discrepancy.resolved",
            "reconciliation.receipt.allocated",
        ]  # fmt: skip
        told = json.loads((await road.rows("SELECT payload FROM outbox ORDER BY id"))[-1]["payload"])["data"]
        assert (told["entry_id"], told["holder"], told["amount"], told["reason"]) == (
            entry, "h", "200.00", "seen the payer",
        )  # fmt: skip
        audited = (await road.rows("SELECT * FROM audit_log ORDER BY id"))[-1]
        assert (audited["action"], audited["actor"], audited["details"]["entry"]) == ("receipt_allocated", "ann", entry)
        assert code(await allocate(road, entry, holder="h")) == "receipt_settled"
        assert code(await give_back(road, entry)) == "receipt_settled"

    story(bench, tell)


def test_as_own_funds_it_backs_and_mints_nothing(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road)
        said = view(await allocate(road, entry, own_funds=True))
        assert (said["became"]["met"], said["movement"]["kind"]) == ("own_funds", "replenishment")
        assert await held(road, account) == {"unattributed": 1_000_000}
        assert (await road.state(account))["ledger_balance"] == 1_000_000

    story(bench, tell)


def test_allocated_to_a_funding_whose_payer_wrote_another_id(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        expected = view(await announce(road, "E1", "100"))
        entry = await credited(road, amount="98", tag="typo")
        shown = await receipts.show(road.tx, entry, NOW)
        assert shown is not None
        assert shown["suggestion"] is None, "neither amount nor id: no guess"
        said = view(await allocate(road, entry, funding=expected["id"]))
        assert (said["became"]["met"], said["became"]["funding_id"]) == ("funding", expected["id"])
        assert (await held(road, account))["BANKAEAD"] == 98
        [found] = await road.rows(
            "SELECT * FROM reconciliation_discrepancies WHERE discrepancy_type = 'FUNDING_AMOUNT_DIFFERS'"
        )
        assert (found["expected_value"], found["actual_value"]) == (100, 98)
        other = await credited(road, "C2", "100")
        assert code(await allocate(road, other, funding=expected["id"])) == "funding_settled"

    story(bench, tell)


def test_a_funding_of_another_account_is_not_this_receipts(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.account("OTHER")
        expected = view(await announce(road, "E1", "100", number="OTHER"))
        entry = await credited(road)
        assert code(await allocate(road, entry, funding=expected["id"])) == "unknown_funding"
        assert code(await allocate(road, entry, funding="x")) == "unknown_funding"
        assert await state_of(road, entry) == "UNALLOCATED"

    story(bench, tell)


@pytest.mark.parametrize(
    "whose",
    [{}, {"holder": "h", "own_funds": True}, {"holder": "h", "funding": "x"}, {"funding": "x", "own_funds": True}],
)
def test_exactly_one_says_whose_it_is(bench: Bench, whose: dict[str, Any]) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road)
        assert code(await allocate(road, entry, **whose)) == "invalid_allocation"
        assert await state_of(road, entry) == "UNALLOCATED"

    story(bench, tell)


def test_what_is_no_receipt(bench: Bench) -> None:
    """A debit, a credit that was met when it came, a pending one, and numbers that no entry has."""

    async def tell(road: Road, account: UUID) -> None:
        await announce(road, "E1", "10")
        await road.take(
            note("MET", "10", reference="M", tag="E1"), note("OUT", "10", reference="O", debit=True),
            camt("PDNG", section(line("10.00", reference="P", status="PDNG"))),
        )  # fmt: skip
        entries = [await entry_of(road, name) for name in ("MET", "OUT", "PDNG")]
        for entry in (*entries, 0, -1, 999_999_999, 2**70):
            assert code(await allocate(road, entry, holder="h")) == "unknown_receipt"
            assert code(await give_back(road, entry)) == "unknown_receipt"
            assert await receipts.show(road.tx, entry, NOW) is None
        assert await receipts.listing(road.tx, NOW, state="all") == []

    story(bench, tell)


def test_under_an_open_breaker_nothing_is_minted_and_own_funds_are_kept(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road)
        await debited(road, "X", "20000")
        assert (await road.state(account))["circuit_breaker"] == "open"
        assert code(await allocate(road, entry, holder="h")) == "breaker_open"
        assert view(await allocate(road, entry, own_funds=True))["state"] == "ALLOCATED"

    story(bench, tell)


def test_on_old_evidence_nothing_is_minted_or_sent_back(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road)
        late = NOW + timedelta(hours=24, seconds=1)
        assert code(await allocate(road, entry, holder="h", at=late)) == "no_fresh_evidence"
        assert code(await give_back(road, entry, at=late)) == "no_fresh_evidence"
        assert await state_of(road, entry) == "UNALLOCATED"

    story(bench, tell)


def test_a_closed_accounts_receipts_stay_what_they_are(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road)
        await accounts.close(road.tx, NUMBER, "tests", NOW)
        assert code(await allocate(road, entry, holder="h")) == "account_closed"
        assert code(await give_back(road, entry)) == "account_closed"

    story(bench, tell)


# Sent back -------------------------------------------------------------------------------------------


def test_what_goes_back_moves_no_token_and_is_told(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road, tag="E1")
        before = await events(road)
        said = view(await give_back(road, entry))
        assert (said["state"], said["became"]["return_reference"], said["became"]["movement_id"]) == (
            "RETURNED", "E1", None,
        )  # fmt: skip
        assert await subjects(road, before) == ["reconciliation.receipt.returned"]
        audited = (await road.rows("SELECT * FROM audit_log ORDER BY id"))[-1]
        assert (audited["action"], audited["actor"]) == ("receipt_returned", "ann")
        assert code(await allocate(road, entry, holder="h")) == "receipt_settled"
        assert view(await announce(road, "E1", "100"))["state"] == "EXPECTED", "money on its way back meets nothing"
        await debited(road, "E1")
        state = await road.state(account)
        assert (state["bank_reported_balance"], state["ledger_balance"]) == (1_000_000, 1_000_000)

    story(bench, tell)


def test_money_that_goes_back_already_does_not_cover_a_second_return(bench: Bench) -> None:
    """Of 100 and 100 a charge has taken 10: once the first goes back, 90 are left for the second."""

    async def tell(road: Road, account: UUID) -> None:
        first, second = await credited(road, "C1", tag="E1"), await credited(road, "C2", tag="E2")
        await debited(road, "CHARGE", "10", name="F")
        view(await give_back(road, first))
        assert code(await give_back(road, second)) == "not_excess"
        await debited(road, "E1", "89", name="D1")
        assert code(await give_back(road, second)) == "not_excess", "a debit of another amount is not the return's"
        await credited(road, "C3", "99")
        assert view(await give_back(road, second))["state"] == "RETURNED"

    story(bench, tell)


def test_a_debit_from_before_the_receipt_came_took_nothing_of_it_back(bench: Bench) -> None:
    """Payers use an end-to-end id again."""

    async def tell(road: Road, account: UUID) -> None:
        await credited(road, "C0", tag="E1")
        await debited(road, "E1", name="D0")
        first, second = await credited(road, "C1", tag="E1"), await credited(road, "C2", tag="E2")
        await debited(road, "CHARGE", "100", name="F")
        view(await give_back(road, first))
        assert code(await give_back(road, second)) == "not_excess", "the 100 that are left go back already"

    story(bench, tell)


def test_once_debited_a_return_is_no_longer_counted(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        first, second = await credited(road, "C1", tag="E1"), await credited(road, "C2", tag="E2")
        view(await give_back(road, first))
        await debited(road, "E1", name="D1")
        view(await give_back(road, second, reference="OUR-2"))
        await debited(road, "OUR-2", name="D2")
        third = await credited(road, "C3", "1")
        assert view(await give_back(road, third))["became"]["return_reference"] == f"RETURN-{third}"

    story(bench, tell)


def test_a_debit_under_another_reference_is_the_returns_once_a_person_says_so(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        first, second = await credited(road, "C1", tag="E1"), await credited(road, "C2", tag="E2")
        view(await give_back(road, first))
        await debited(road, "THE BANK'S OWN", "98", name="D1")
        await debited(road, "CHARGE", "2", name="D2")
        debit = await entry_of(road, "D1")
        assert code(await give_back(road, second)) == "not_excess"
        assert code(await tell_debit(road, second, debit)) == "receipt_settled", "it was not returned"
        await road.account("OTHER")
        await road.take(note("O", "98", reference="O", number="OTHER", debit=True))
        for wrong in (first, second, await entry_of(road, "O"), 0, 2**70, 999_999_999):
            assert code(await tell_debit(road, first, wrong)) in ("unknown_debit", "unknown_receipt")
        said = view(await tell_debit(road, first, debit))
        assert (said["became"]["debit_id"], said["became"]["actor"]) == (debit, "ann")
        assert view(await give_back(road, second))["state"] == "RETURNED"
        assert code(await tell_debit(road, second, debit)) == "unknown_debit", "one debit takes back one receipt"
        assert code(await tell_debit(road, first, await entry_of(road, "D2"))) == "receipt_settled"
        await debited(road, "E2", name="D3")
        assert code(await tell_debit(road, second, await entry_of(road, "D2"))) == "receipt_settled"
        audited = (await road.rows("SELECT * FROM audit_log WHERE action = 'receipt_debited'"))[0]
        assert (audited["actor"], audited["details"]["debit_entry_id"]) == ("bob", debit)

    story(bench, tell)


def test_a_debit_that_settled_a_payout_took_back_no_receipt(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road, "C1", tag="E1")
        view(await give_back(road, entry))
        await road.hold(account, "E1", "100")  # asked for later, under an id that was taken
        await debited(road, "E1", name="D")
        assert (await road.row("SELECT state FROM payouts"))["state"] == "SETTLED"
        shown = await receipts.show(road.tx, entry, NOW)
        assert shown is not None
        assert shown["became"]["debit_id"] is None
        assert code(await tell_debit(road, entry, await entry_of(road, "D"))) == "unknown_debit"

    story(bench, tell)


def test_one_debit_takes_back_one_receipt(bench: Bench) -> None:
    """Two returns, or a payout and a return, under one end-to-end id: nobody could say which the debit was."""

    async def tell(road: Road, account: UUID) -> None:
        first, second = await credited(road, "C1", tag="E1"), await credited(road, "C2", tag="E1")
        view(await give_back(road, first))
        assert code(await give_back(road, second)) == "reference_taken"
        await road.hold(account, "P1")
        assert code(await give_back(road, second, reference="P1")) == "reference_taken"
        assert code(await give_back(road, second, reference=" ")) == "invalid_text"
        assert view(await give_back(road, second, reference="R2"))["state"] == "RETURNED"

    story(bench, tell)


def test_an_open_breaker_does_not_keep_an_excess_from_going_back(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road, amount="20000", tag="E1")
        assert (await road.state(account))["circuit_breaker"] == "open"
        assert code(await allocate(road, entry, holder="h")) == "breaker_open"
        view(await give_back(road, entry))
        await debited(road, "E1", "20000")
        assert (await road.state(account))["reconciliation_status"] == "OK"

    story(bench, tell)


def test_an_excess_that_opened_the_breaker_is_allocated_once_two_people_have_closed_it(bench: Bench) -> None:
    """The excess keeps the verdict from Ok and so the breaker open; a policy that tolerates it, audited, lets two
    people close it. No single person, and no shortfall, gets past.
    """

    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road, amount="20000")
        assert why(closed := await ask_close(road)) == "PENDING"
        assert why(await approve_close(road, closing(closed).id)) == "not_ok"
        tolerant = Policy(ok_percent=Decimal(3), minor_percent=Decimal(3), significant_percent=Decimal(3))
        assert await policies.save(road.tx, NUMBER, tolerant, "ann", NOW) == str(account)
        await credited(road, "NEWS", "1")
        assert why(await approve_close(road, closing(closed).id)) == "APPROVED"
        assert view(await allocate(road, entry, holder="h"))["movement"]["threshold_level"] == "Ok"
        await policies.save(road.tx, NUMBER, DEFAULT_POLICY, "ann", NOW)
        await credited(road, "C2", "1")
        assert (await road.state(account))["reconciliation_status"] == "OK"
        assert (await held(road, account))["h"] == 20_000

    story(bench, tell)


# Listed ----------------------------------------------------------------------------------------------


def test_receipts_are_listed_newest_first_with_the_funding_they_may_be_for(bench: Bench) -> None:
    async def tell(road: Road, account: UUID) -> None:
        await road.account("OTHER")
        by_amount = view(await announce(road, "E1", "70", minutes=10))
        by_name = view(await announce(road, "E2", "80", minutes=10))
        late = NOW + timedelta(minutes=10)
        entries = [
            await credited(road, "C1", "70", tag="X"), await credited(road, "C2", "70"),
            await credited(road, "C3", "1"),
        ]  # fmt: skip
        await road.take(note("O", "5", reference="O", number="OTHER"))
        assert view(await allocate(road, entries[2], holder="h"))["state"] == "ALLOCATED"

        async def found(**wanted: Any) -> list[str]:
            return [r["bank_message_id"] for r in await receipts.listing(road.tx, late, **wanted)]

        assert await found() == ["O", "C2", "C1"]
        assert await found(account=NUMBER) == ["C2", "C1"]
        assert await found(account=NUMBER, state="all") == ["C3", "C2", "C1"]
        assert await found(state="allocated") == ["C3"]
        assert await found(state="returned") == []
        assert await found(account=NUMBER, limit=1, before=entries[1]) == ["C1"]
        [one, _] = (await receipts.listing(road.tx, late, account=NUMBER))[::-1]
        assert (one["suggestion"]["funding_id"], one["suggestion"]["state"]) == (UUID(by_amount["id"]), "EXPIRED")
        assert (one["amount"], one["servicer_reference"], one["end_to_end_id"]) == ("70.00", "C1", "X")
        await bank_says(road, note("C4", "70", reference="C4", tag="E2"), at=late)
        shown = await receipts.show(road.tx, await entry_of(road, "C4"), late)
        assert shown is not None
        assert shown["suggestion"]["funding_id"] == UUID(by_name["id"]), "its own id says more than an amount"
        for wrong in ({"state": "lost"}, {"account": "nobody's"}):
            with pytest.raises(RefusedError):
                await found(**wrong)

    story(bench, tell)


# Whatever people do ----------------------------------------------------------------------------------


class _Desk(RuleBasedStateMachine):
    """Credits, charges, announcements, allocations, returns and their debits against a model that knows only sums."""

    bench: Bench

    @initialize()
    def start(self) -> None:
        self._voided = self.bench.voided()
        self.road, self.run = self._voided.__enter__()
        self.account = self.run(self.road.account())
        self.names = iter(range(10_000))
        self.waiting: dict[int, tuple[int, str]] = {}
        self.returning: dict[str, int] = {}
        self.expected: dict[str, str] = {}
        self.bank = self.ledger = 1_000_000

    @rule(amount=st.integers(1, 20), tag=st.sampled_from("ABC"))
    def credit(self, amount: int, tag: str) -> None:
        name = f"C{next(self.names)}"
        self.run(self.road.take(note(name, str(amount), reference=name, tag=tag)))
        self.bank += amount
        if self.expected.pop(tag, None):  # always backed: the charges of this model take excess only
            self.ledger += amount
        else:
            self.waiting[self.run(entry_of(self.road, name))] = (amount, tag)

    @rule(amount=st.integers(1, 3))
    def charge(self, amount: int) -> None:
        """Only what is excess: a shortfall opens the breaker, which is another test's."""
        if self.bank - amount >= self.ledger:
            name = f"F{next(self.names)}"
            self.run(self.road.take(note(name, str(amount), reference=name, debit=True)))
            self.bank -= amount

    @rule(tag=st.sampled_from("ABC"), amount=st.integers(1, 20))
    def announce(self, tag: str, amount: int) -> None:
        answer = self.run(announce(self.road, tag, str(amount)))
        if tag in self.expected:
            assert code(answer) == "funding_exists"
            return
        said = view(answer)
        oldest = min((entry for entry, (_, of) in self.waiting.items() if of == tag), default=None)
        if oldest is None or self.ledger + self.waiting[oldest][0] > self.bank:
            assert said["minted"] is None
            assert (said["waiting"] is None) is (oldest is None)
            self.expected[tag] = said["id"]
        else:
            assert said["entry"]["entry_id"] == oldest
            self.ledger += self.waiting.pop(oldest)[0]

    @rule(data=st.data(), how=st.sampled_from(["holder", "own_funds", "return"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        if not self.waiting:
            return
        entry = data.draw(st.sampled_from(sorted(self.waiting)))
        amount, _ = self.waiting[entry]
        if how == "return":
            answer = self.run(give_back(self.road, entry, reference=f"R{entry}"))
            lawful = self.bank - self.ledger - sum(self.returning.values()) >= amount
            assert code(answer) == (None if lawful else "not_excess")
            if lawful:
                self.returning[f"R{entry}"] = amount
        elif how == "own_funds":
            lawful = view(self.run(allocate(self.road, entry, own_funds=True)))["state"] == "ALLOCATED"
        else:
            answer = self.run(allocate(self.road, entry, holder="h"))
            lawful = self.ledger + amount <= self.bank
            assert code(answer) == (None if lawful else "not_backed")
            self.ledger += amount if lawful else 0
        if lawful:
            del self.waiting[entry]
            assert code(self.run(allocate(self.road, entry, holder="h"))) == "receipt_settled"

    @rule(data=st.data())
    def debit_of_a_return(self, data: st.DataObject) -> None:
        if self.returning:
            tag = data.draw(st.sampled_from(sorted(self.returning)))
            if self.bank - self.returning[tag] >= self.ledger:
                amount = self.returning.pop(tag)
                name = f"D{next(self.names)}"
                self.run(self.road.take(note(name, str(amount), reference=name, tag=tag, debit=True)))
                self.bank -= amount

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        state = self.run(self.road.state(self.account))
        assert (state["bank_reported_balance"], state["ledger_balance"]) == (self.bank, self.ledger)
        assert state["ledger_balance"] <= state["bank_reported_balance"]
        assert state["circuit_breaker"] == "closed"
        found = self.run(receipts.listing(self.road.tx, NOW))
        assert {r["entry_id"]: Decimal(r["amount"]) for r in found} == {e: a for e, (a, _) in self.waiting.items()}
        assert self.run(faults(self.road)) == []

    def teardown(self) -> None:
        if hasattr(self, "_voided"):
            self._voided.__exit__(None, None, None)


def test_whatever_people_do_money_is_minted_for_once_and_never_above_what_is_there(bench: Bench) -> None:
    class Desk(_Desk):
        pass

    Desk.bench = bench
    run_state_machine_as_test(Desk, settings=settings(max_examples=30, stateful_step_count=20, deadline=None))


@given(st.integers(-5, 5))
@settings(max_examples=11, deadline=None)
def test_the_bound_of_a_return_is_exact(bench: Bench, spare: int) -> None:
    """To the smallest unit: what is there may go, and not one more."""

    async def tell(road: Road, account: UUID) -> None:
        entry = await credited(road)
        await debited(road, "X", str(Decimal("50") - Decimal(spare) / 100), name="F")
        await credited(road, "C2", "50")
        assert code(await give_back(road, entry)) == (None if spare >= 0 else "not_excess")

    story(bench, tell)
