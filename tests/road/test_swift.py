"""SWIFT MT on the road: an advice and a report move a position as camt does, and tell of one movement once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from readers.messages import blocks, mt940, mt942
from road.bench import NUMBER, Bench, Road, code
from road.test_end_of_day import close, close_one, outcome
from token_engine.domain.receipt import AlreadyRecorded, Recorded, Rejected

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


def _stated(*lines: str, opening: str, closing: str, number: str = "321/1") -> bytes:
    return mt940(
        *lines, number=f":28C:{number}", opening=f":60F:C251117AED{opening},", closing=f":62F:C251118AED{closing},"
    ).encode()


def test_a_funding_named_behind_a_field_of_the_banks_own_is_minted(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        await road.expect(account, "E-4711", "100")
        await close_one(road, _stated(
            ":61:2511181118C100,NTRFNONREF//BANK-1", ":NS:22Sample LLC", ":86:EREF+E-4711",
            opening="1000000", closing="1000100",
        ))  # fmt: skip
        state = await road.state(account)
        assert (state["ledger_balance"], state["bank_reported_balance"]) == (1_000_100, 1_000_100)

    bench.void(story)


def test_statements_whose_numbers_are_none_are_known_by_what_stands_there(bench: Bench) -> None:
    async def story(road: Road) -> None:
        account = await road.account()
        first = _stated(":61:251118C5,NTRFNONREF//B-1", opening="1000000", closing="1000005", number="09/2025/M")
        day = await close_one(road, first)
        assert (day.state, outcome(day, "sequence")) == ("ACCEPTED", "not_checkable")
        # The same again, under another :20:, and the same name with other lines.
        again = await close(road, first.replace(b"M-1", b"M-2"))
        assert isinstance(again[0], AlreadyRecorded)
        [other] = await close(road, first.replace(b"C5,", b"C6,").replace(b"0005,", b"0006,"))
        assert isinstance(other, Rejected)
        assert other.refusal.code == "statement_differs"
        # Another name is another statement, though it says the same: no repetition.
        twin = await close(road, first.replace(b"09/2025/M", b"10/2025/M"))
        assert isinstance(twin[0], Recorded)
        stored = await road.rows("SELECT sequence_number FROM statements ORDER BY id")
        assert [row["sequence_number"] for row in stored] == ["09/2025/M", "10/2025/M"]
        assert await road.position(account) == 1_000_005

    bench.void(story)
