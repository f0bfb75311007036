"""Discrepancies whose ground is gone: the engine resolves them, unless that is a person's."""

from __future__ import annotations

import pytest

from road.bench import NOW, Bench, Road, note
from road.statement_writer import line, message, statement
from road.test_end_of_day import close_one
from road.test_observing import minutes, observed
from token_engine.domain.backing import Policy
from token_engine.domain.refusal import Refusal
from token_engine.tiers import discrepancies, policies
from token_engine.tiers.discrepancies import Reopening, Resolution

HOW = pytest.mark.parametrize(("how", "status"), [("engine", "RESOLVED"), ("policy", "OPEN"), ("reopened", "OPEN")])


async def is_a_persons(road: Road, kind: str, how: str) -> None:
    row = await road.row("SELECT id FROM reconciliation_discrepancies WHERE discrepancy_type = %s", kind)
    if how == "policy":
        await policies.save(road.tx, "global", Policy(auto_resolve=False), "ann", NOW)
    if how == "reopened":
        for act in (Resolution(actor="ann", reason="r"), Reopening(actor="bob", reason="s")):
            assert not isinstance(await discrepancies.do(road.tx, str(row["id"]), act, NOW), Refusal)


async def found(road: Road, kind: str) -> tuple[str, bool, list[str]]:
    """Its status, whether it says since when its ground is gone, and what of that is in its story."""
    row = await road.row(
        "SELECT id, status, difference_gone_since AS gone FROM reconciliation_discrepancies"
        " WHERE discrepancy_type = %s",
        kind,
    )
    story = await road.rows(
        "SELECT happening FROM discrepancy_events WHERE discrepancy_id = %s AND happening LIKE 'difference%%'"
        " ORDER BY id",
        row["id"],
    )
    return row["status"], row["gone"] is not None, [told["happening"] for told in story]


def expected(status: str, *happenings: str) -> tuple[str, bool, list[str]]:
    """Resolved, or left to a person with this said of it."""
    if status == "RESOLVED":
        return status, False, []
    return status, happenings[-1] == "difference_gone", list(happenings)


@HOW
def test_what_a_bank_had_not_stated_and_then_does(bench: Bench, how: str, status: str) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await road.take_one(note("N-R1", "100", reference="R1", booked="2025-11-18"))
        await close_one(road, message(statement(opening="1000000", closing="1000000")))
        await is_a_persons(road, "NOTIFIED_NOT_STATED", how)
        stated = statement(line("100", reference="R1"), opening="1000000", closing="1000100", day="2025-11-19")
        await close_one(road, message(stated))
        assert await found(road, "NOTIFIED_NOT_STATED") == expected(status, "difference_gone")
        stated = statement(opening="1000100", closing="1000100", day="2025-11-20")
        await close_one(road, message(stated))
        assert await found(road, "NOTIFIED_NOT_STATED") == expected(status, "difference_gone"), "said once"

    bench.void(story)


@HOW
def test_what_a_bank_shows_and_then_a_message_tells(bench: Bench, how: str, status: str) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        for moment in (NOW, NOW + minutes(15)):
            await observed(road, account, "1000001", moment)
        await is_a_persons(road, "POSITION_DIFFERS", how)
        await observed(road, account, "1000000", NOW + minutes(30))
        await observed(road, account, "1000000", NOW + minutes(45))
        assert await found(road, "POSITION_DIFFERS") == expected(status, "difference_gone"), "said once"
        if status == "OPEN":
            await observed(road, account, "1000001", NOW + minutes(60))
            again = expected(status, "difference_gone", "difference_returned")
            assert await found(road, "POSITION_DIFFERS") == again

    bench.void(story)


@HOW
def test_what_is_wrong_with_a_day_until_it_is_closed_again(bench: Bench, how: str, status: str) -> None:
    async def story(road: Road) -> None:
        await road.account()
        await close_one(road, message(statement(line("-500", reference="R1"), opening="1000000", closing="999500")))
        await is_a_persons(road, "EOD_DIFFERENCE", how)
        right = statement(opening="1000000", closing="1000000", name="CORRECTED")
        await close_one(road, message(right, name="M-2"))
        assert await found(road, "EOD_DIFFERENCE") == expected(status, "difference_gone")
        if status == "OPEN":
            wrong = statement(line("-500", reference="R1"), opening="1000000", closing="999500", name="AGAIN")
            await close_one(road, message(wrong, name="M-3"))
            again = expected(status, "difference_gone", "difference_returned")
            assert await found(road, "EOD_DIFFERENCE") == again

    bench.void(story)
