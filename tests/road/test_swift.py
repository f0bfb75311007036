"""SWIFT MT on the road: an advice and a report move a position as camt does, and tell of one movement once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from readers.messages import blocks, mt940, mt942
from road.bench import NUMBER, Bench, Road, code
from token_engine.domain.receipt import AlreadyRecorded, Recorded

_ADVICE = f":20:BANK-1\r\n:21:OURS-1\r\n:25:{NUMBER}\r\n:32A:251118AED40,\r\n:52A:BANKGB2L\r\n"


def test_an_advice_and_the_report_that_repeats_it_are_one_movement(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        assert isinstance(await road.take_one(blocks(_ADVICE, "910").encode()), Recorded)
        assert await road.position(account) == 1_000_040
        report = mt942(
            ":61:2511181118C40,NTRFOURS-1//BANK-1",
            ":61:2511181118RC10,NTRFNONREF//BANK-2",
            ":61:251118EC500,NTRFNONREF//BANK-3",
        )
        assert isinstance(await road.take_one(report.encode()), Recorded)
        assert await road.position(account) == 1_000_030
        again = await road.take_one(blocks(report, "942").encode())
        assert isinstance(again, Recorded | AlreadyRecorded)
        assert again.judgements[0].entries_recorded == 0
        assert await road.position(account) == 1_000_030

    bench.void(story)


@pytest.mark.parametrize("inverts", [False, True])
def test_the_marks_of_a_reversal_say_which_way_whatever_the_bank_does_in_camt(bench: Bench, inverts: bool) -> None:
    async def story(road: Road) -> None:
        account = await road.account(inverts_reversals=inverts)
        await road.take_one(mt942(":61:2511181118RC10,NTRFNONREF//BANK-1").encode())
        assert await road.position(account) == 999_990
        await road.take_one(mt942(":61:2511181118RD7,NTRFNONREF//BANK-2").encode())
        assert await road.position(account) == 999_997

    bench.void(story)


def test_reports_under_one_reference_are_not_taken_for_one(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        for day in ("17", "18"):
            report = mt942(f":61:2511{day}11{day}C1,NTRFNONREF").replace(":20:M-1", ":20:STARTUMS")
            await road.take_one(report.encode())
        assert await road.position(account) == 1_000_002

    bench.void(story)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (mt940(":61:2511181118C40,NTRFNONREF//BANK-1"), "statement_not_here"),
        (mt942(":61:251118C40,NTRFNONREF", floor=":34F:USD0,"), "wrong_currency"),
        (mt942(":61:251118C40,NTRFNONREF").replace(NUMBER, "0099"), "unknown_account"),
        (mt942(":61:251118C40,NTRFNONREF", ":61:oops"), "invalid_date"),
    ],
)
def test_what_may_not_move_a_position_is_kept_and_rejected(bench: Bench, text: str, refusal: str) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        assert code(await road.take_one(text.encode())) == refusal
        assert await road.position(account) == Decimal(1_000_000)
        kept = await road.row("SELECT raw FROM bank_messages")
        assert bytes(kept["raw"]) == text.encode()

    bench.void(story)
