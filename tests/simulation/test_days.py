"""Days at a bank that notifies some of what it books, before or after it states it: in the end all is there once.

The oracle knows only what the bank did: after the last statement and the last late notification the position is the
closing balance, and there are as many entries as the bank made movements.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from road.bench import NOW, Bench, Road, came, note
from road.statement_writer import line, message, statement
from token_engine.domain.receipt import Recorded
from token_engine.tiers import end_of_day

_DAYS = tuple(f"2025-11-1{n}" for n in range(4, 8))


class Booked(NamedTuple):
    """A movement at the bank: on which day, whether it has a name, and when it is notified: 0 never, 1 before its
    statement, 2 after it, 3 after the last one.
    """

    day: int
    amount: str
    named: bool
    notified: int
    again: bool


_BOOKED = st.builds(
    Booked, st.integers(0, 3), st.sampled_from(["10", "10", "-4", "7.50"]), st.booleans(), st.integers(0, 3),
    st.booleans(),
)  # fmt: skip


def _notification(number: int, of: Booked) -> bytes:
    reference = f"REF-{number:06d}" if of.named else None
    debit, amount = of.amount.startswith("-"), of.amount.lstrip("-")
    return note(f"N-{number}", amount, debit=debit, reference=reference, booked=_DAYS[of.day])


async def _notify(road: Road, booked: list[Booked], when: int, day: int | None = None) -> None:
    for number, of in enumerate(booked):
        if of.notified == when and day in (None, of.day):
            for _ in range(1 + of.again):
                await road.take_one(_notification(number, of))


@given(st.lists(_BOOKED, max_size=14), st.booleans())
@settings(max_examples=35, deadline=None)
def test_all_that_was_booked_is_there_once(bench: Bench, booked: list[Booked], at_once: bool) -> None:
    async def story(road: Road) -> None:
        account = await road.account(ledger="1000000", bank="1000000")
        opening, messages = Decimal(1_000_000), []
        for day, date in enumerate(_DAYS):
            lines = [
                line(of.amount, reference=f"REF-{n:06d}" if of.named else None, day=date)
                for n, of in enumerate(booked) if of.day == day
            ]  # fmt: skip
            closing = opening + sum(Decimal(of.amount) for of in booked if of.day == day)
            stated = statement(*lines, opening=str(opening), closing=str(closing), day=date, number=str(day + 1))
            messages.append((message(stated, name=f"M-{day}"), closing))
            opening = closing
        if at_once:
            await _notify(road, booked, 1)
            await _check(road, account, await end_of_day.record(road.tx, [came(m, "f") for m, _ in messages], NOW))
            await _notify(road, booked, 2)
        else:
            for day, (raw, _) in enumerate(messages):
                await _notify(road, booked, 1, day)
                await _check(road, account, await end_of_day.record(road.tx, [came(raw, "f")], NOW))
                await _notify(road, booked, 2, day)
        await _notify(road, booked, 3)
        assert await road.position(account) == opening
        assert (await road.row("SELECT count(*) AS n FROM bank_entries"))["n"] == len(booked)
        stated = "SELECT count(DISTINCT entry_id) AS n FROM statement_lines"
        assert (await road.row(stated))["n"] == len(booked)

    bench.void(story)


async def _check(road: Road, account: Any, receipts: list[Any]) -> None:
    """A day is closed whatever else was notified, and the position is the fold that DESIGN 3.2 says."""
    assert all(isinstance(receipt, Recorded) for receipt in receipts), receipts
    assert {day.state for receipt in receipts for day in receipt.days} == {"ACCEPTED"}
    assert (await road.row("SELECT count(*) AS n FROM statements WHERE state = 'ACCEPTED'"))["n"] > 0
    folded = await road.row(
        "SELECT (SELECT closing_balance FROM statements ORDER BY statement_date DESC LIMIT 1) + coalesce(sum("
        "position_change), 0) AS position FROM bank_entries e WHERE account_id = %s AND NOT EXISTS ("
        "SELECT FROM statement_lines l WHERE l.entry_id = e.id)", account,
    )  # fmt: skip
    assert await road.position(account) == folded["position"]
