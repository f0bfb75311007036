"""Forms in which banks send SWIFT MT against its letter. None of them decides an amount, a side or an account."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest

from readers.messages import LINE, blocks, mt940, mt942, read, read_entry, read_heading, refused
from readers.test_mt import Slowly
from token_engine.domain.checks import Tally, checks
from token_engine.domain.entry import signed_amount
from token_engine.domain.notification import Notification
from token_engine.domain.pages import Complete, arrange
from token_engine.domain.statement import Outcome, Statement, identity
from token_engine.iso20022.reader import kind_of, read_message, sections


def outcomes(notification: Notification) -> list[Outcome]:
    tally = Tally()
    for entry in notification.entries:
        tally.add(entry)
    return [check.outcome for check in checks(notification.heading, tally)]


# The opening balance of an account's first statement.


def test_the_first_statement_of_an_account_opens_without_a_date() -> None:
    got = read(mt940(LINE, opening=":60F:C000000AED0,00", closing=":62F:C251118AED100,00"))
    assert [(b.code, b.signed, b.as_of) for b in got.heading.balances] == [
        ("OPBD", Decimal(0), None),
        ("CLBD", Decimal(100), date(2025, 11, 18)),
    ]
    assert outcomes(got)[0] is Outcome.PASSED


@pytest.mark.parametrize("tag", ["60M", "62F", "62M", "64", "65"])
def test_no_other_balance_is_without_a_date(tag: str) -> None:
    balance = f":{tag}:C000000AED1100,00"
    text = mt940(opening=balance) if tag == "60M" else mt940(closing=f":62F:C251118AED1100,00\r\n{balance}")
    if tag.startswith("62"):
        text = mt940(closing=balance)
    assert refused(text).field == f"MT[1]/{tag}/date"
    assert refused(mt940(opening=":60F:C000001AED0,00")).field == "MT[1]/60F/date"


# Blanks in the statement line.


@pytest.mark.parametrize(
    ("line", "signed", "booked"),
    [
        ("251118    D40,00NMSCNONREF//B-1", "-40.00", None),
        ("251118    DD40,00NMSCNONREF//B-1", "-40.00", None),
        ("251118    RC40,00NMSCNONREF//B-1", "-40.00", None),
        ("2511181118C 40,00NMSCNONREF//B-1", "40.00", date(2025, 11, 18)),
        ("2511181118RDD   40,00NMSCNONREF//B-1", "40.00", date(2025, 11, 18)),
        ("2511181118D40,00 NMSCNONREF//B-1", "-40.00", date(2025, 11, 18)),
        ("251118    C  40,   NMSCNONREF//B-1", "40.00", None),
    ],
)
def test_blanks_around_the_parts_of_a_line(line: str, signed: str, booked: date | None) -> None:
    entry = read_entry(mt940(f":61:{line}"))
    assert (signed_amount(entry), entry.booking_date) == (Decimal(signed), booked)
    assert (entry.value_date, entry.servicer_reference) == (date(2025, 11, 18), "B-1")
    assert entry.transaction_code == "NMSC"


def test_a_type_with_a_blank_in_it_stands_behind_blanks_too() -> None:
    entry = read_entry(mt940(":61:251118C5,00 NOV NONREF//B-1"))
    assert (entry.transaction_code, entry.servicer_reference) == ("NOV", "B-1")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("251118   C40,00NMSC", "debit/credit mark"),  # three blanks are no entry date
        ("251118     C40,00NMSC", "debit/credit mark"),
        ("251118 118C40,00NMSC", "debit/credit mark"),
        ("251118R C40,00NMSC", "debit/credit mark"),
        ("251118C4 0,00NMSC", "amount"),
        ("251118C40 ,00NMSC", "amount"),
        ("251118C40, 00NMSC", "amount"),
        ("251118C 40NMSC", "amount"),
    ],
)
def test_blanks_inside_a_part_are_refused(line: str, part: str) -> None:
    assert refused(mt940(f":61:{line}")).field == f"MT[1]/61[1]/{part}"


# Banks that count every month to its 30th.


@pytest.mark.parametrize(
    ("dates", "value", "booked"),
    [
        ("2402300301", date(2024, 2, 29), date(2024, 3, 1)),
        ("2502300301", date(2025, 2, 28), date(2025, 3, 1)),
        ("2302290301", date(2023, 2, 28), date(2023, 3, 1)),
        ("2402310301", date(2024, 2, 29), date(2024, 3, 1)),
        ("251131", date(2025, 11, 30), None),
        ("2503010230", date(2025, 3, 1), date(2025, 2, 28)),
        ("2203010229", date(2022, 3, 1), date(2022, 2, 28)),
        ("2602010631", date(2026, 2, 1), date(2026, 6, 30)),
        ("2501310229", date(2025, 1, 31), date(2025, 2, 28)),
        ("2403010229", date(2024, 3, 1), date(2024, 2, 29)),
    ],
)
def test_a_day_that_a_month_lacks_is_its_last(dates: str, value: date, booked: date | None) -> None:
    entry = read_entry(mt940(f":61:{dates}C1,00NTRFNONREF"))
    assert (entry.value_date, entry.booking_date) == (value, booked)


def test_balances_of_a_day_that_a_month_lacks() -> None:
    rest = ":62F:C251131AED1100,00\r\n:64:C260230AED1,00\r\n:65:C240230AED1,00"
    balances = read_heading(mt940(LINE, opening=":60F:C250931AED1000,00", closing=rest)).balances
    assert [b.as_of for b in balances] == [
        date(2025, 9, 30), date(2025, 11, 30), date(2026, 2, 28), date(2024, 2, 29),
    ]  # fmt: skip


def test_an_advice_has_the_day_of_the_line_that_it_is_paired_with() -> None:
    text = ":20:A-1\r\n:21:O-1\r\n:25:0012AED\r\n:32A:260230AED1,5\r\n"
    assert read_entry(blocks(text, "910")).value_date == read_entry(mt940(":61:260230C1,5NTRF")).value_date


@pytest.mark.parametrize("dates", ["251132", "251100", "251331", "250031", "2511181332", "2511181132", "2511180031"])
def test_what_no_way_of_counting_makes_a_day_is_refused(dates: str) -> None:
    assert refused(mt940(f":61:{dates}C1,00NTRFNONREF")).field == "MT[1]/61[1]/value date"
    if len(dates) == 6:
        assert refused(mt940(closing=f":62F:C{dates}AED1,00")).field == "MT[1]/62F/date"


# A statement's number that is none.

_NO_NUMBERS = ["281/", "/1", " /1", "123/1/2", "09/2021/M", "0668-2019/BPL", "1/ 1", "ABC"]


@pytest.mark.parametrize("tag", ["28C", "28"])
@pytest.mark.parametrize("word", _NO_NUMBERS)
def test_a_number_that_cannot_be_counted_is_the_statements_name_and_no_page(tag: str, word: str) -> None:
    heading = read_heading(mt940(LINE, number=f":{tag}:{word}"))
    assert (heading.sequence_number, heading.page_number) == (word.strip(), None)
    assert isinstance(arrange([Statement(heading=heading)]), Complete)


@pytest.mark.parametrize("word", ["", "  ", "NONREF", "x" * 36])
def test_a_number_that_says_nothing_is_none(word: str) -> None:
    heading = read_heading(mt940(LINE, number=f":28C:{word}"))
    assert (heading.sequence_number, heading.page_number) == (None, None)


def test_a_report_may_have_a_number_that_is_none() -> None:
    heading = read_heading(mt942(LINE).replace(":28C:7/1", ":28C:7/"))
    assert (heading.sequence_number, heading.page_number) == ("7/", None)


def test_two_statements_of_one_day_are_no_repetition_and_the_same_again_is() -> None:
    names = [identity(read_heading(mt940(number=f":28C:{word}"))) for word in ("281/", "282/", "281", "281/")]
    assert len(set(names)) == 3
    assert names[0] == names[3]


@pytest.mark.parametrize("word", [*_NO_NUMBERS, ""])
def test_a_page_whose_place_cannot_be_told_is_refused(word: str) -> None:
    number = f":28C:{word}"
    for text in (
        mt940(LINE, number=number, closing=":62M:C251118AED1100,00"),
        mt940(LINE, number=number, opening=":60M:C251118AED1000,00"),
    ):
        assert refused(text).field == "MT[1]/28C"


# A line without a transaction type.


@pytest.mark.parametrize(
    ("rest", "signed", "servicer"),
    [
        ("CN20,00//1001", "20.00", "1001"),
        ("CN20,00 //1001", "20.00", "1001"),
        ("D5,05", "-5.05", None),
        ("D5,05  ", "-5.05", None),
        ("C9,99\r\nof the till", "9.99", None),
    ],
)
def test_a_line_without_its_type(rest: str, signed: str, servicer: str | None) -> None:
    entry = read_entry(mt940(f":61:2511181118{rest}", ":86:EREF+E-1"))
    assert (signed_amount(entry), entry.servicer_reference, entry.transaction_code) == (Decimal(signed), servicer, None)
    assert (entry.instruction_id, entry.end_to_end_id) == (None, "E-1")


@pytest.mark.parametrize("rest", ["C5,00N", "C5,00NTR", "C5,00ntrf", "C5,00/1001", "C5,00 x", "C5,00NT//1001"])
def test_half_a_type_is_refused(rest: str) -> None:
    assert refused(mt940(f":61:251118{rest}")).field == "MT[1]/61[1]/transaction type"


@pytest.mark.parametrize("rest", ["C5,\r\n05NTRFNONREF", "C5,0\r\n5NTRFNONREF", "C5,0\r\n5", "C5,0  \r\n 5NTRF"])
def test_an_amount_that_may_go_on_in_the_next_line_is_refused(rest: str) -> None:
    assert refused(mt940(f":61:251118{rest}")).field == "MT[1]/61[1]/transaction type"


@pytest.mark.parametrize("end", ["", "\r\n"])
def test_a_report_that_ends_with_an_amount_may_have_been_cut_inside_it(end: str) -> None:
    text = mt942(LINE, ":61:251118C5,05").removesuffix("\r\n\r\n")
    for cut in (text, text[:-1], text[:-2]):
        assert refused(cut + end).code == "cut_short"
    assert [e.amount for e in read(text + "\r\n:86:interest").entries] == [Decimal(100), Decimal("5.05")]
    assert [e.amount for e in read(text + "\r\n:90D:0AED0,").entries] == [Decimal(100), Decimal("5.05")]


@pytest.mark.parametrize("breaks", ["\r\n", "@@"])
def test_wherever_a_report_is_cut_no_amount_is_less_than_it_was(breaks: str) -> None:
    text = mt942(
        ":61:251118    C 123,45 NTRFNONREF\r\n//BANK-1",
        ":61:251118D67,89//1001",
        ":61:251118RC\r\n23,45",
        ":NS:x",
        ":86:EREF+E-1",
        ":61:2511181118C98,76NTRFNONREF",
        ":61:2511181118D5,05",
        ":61:2511181118D6,06",
    ).replace("\r\n", breaks)
    whole = [Decimal(amount) for amount in ("123.45", "67.89", "23.45", "98.76", "5.05", "6.06")]
    told = set()
    for cut in range(len(text)):
        got = read_message(text[:cut].encode())
        if isinstance(got, tuple):
            amounts = [entry.amount for entry in got[0].entries]
            assert amounts == whole[: len(amounts)], text[:cut]
            told.add(len(amounts))
    assert told == set(range(6))


# Totals without a count.


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (":90D:0AED0,\r\n:90C:AED100,00", [Outcome.NOT_CHECKABLE, Outcome.PASSED]),
        (":90D:AED,00\r\n:90C:1AED100,00", [Outcome.NOT_CHECKABLE, Outcome.PASSED]),
        (":90D:AED0,\r\n:90C:AED99,00", [Outcome.NOT_CHECKABLE, Outcome.FAILED]),
        (":90D:0AED0,\r\n:90C:1AED100,00", [Outcome.PASSED, Outcome.PASSED]),
    ],
)
def test_a_total_without_its_count_is_compared_by_its_sum(rest: str, expected: list[Outcome]) -> None:
    assert outcomes(read(mt942(LINE, rest=rest)))[1:] == expected


# A line that was broken before its amount.


@pytest.mark.parametrize(
    ("line", "signed"),
    [
        ("2511181118CR\r\n30,00N062NONREF//B-1", "30.00"),
        ("2511181118RC\r\n30,00N062NONREF//B-1", "-30.00"),
        ("251118D  \r\n 30,00N062NONREF//B-1", "-30.00"),
        ("251118    C\r\nR30,00N062NONREF//B-1", "30.00"),
    ],
)
def test_a_line_that_was_broken_before_its_amount_is_one(line: str, signed: str) -> None:
    entry = read_entry(mt940(f":61:{line}\r\nGB82WEST12345698765432", ":86:EREF+E-1"))
    assert (signed_amount(entry), entry.servicer_reference, entry.end_to_end_id) == (Decimal(signed), "B-1", "E-1")
    assert (entry.transaction_code, entry.counterparty_account) == ("N062", "GB82WEST12345698765432")


@pytest.mark.parametrize(
    "line",
    [
        "2511181118C5\r\n00,00NTRF",  # 500.00, or 5 and something else?
        "2511181118C\r\n500NTRF",
        "2511181118R\r\nC30,00NTRF",
        "2511181118\r\nC30,00NTRF",
        "2511181118C\r\n\r\nINFO\r\n30,00NTRF",
        "2511181118C",
        "2511181118C\r\n:86:30,00NTRF",
    ],
)
def test_a_line_that_was_broken_elsewhere_is_refused(line: str) -> None:
    assert refused(mt940(f":61:{line}")).code in ("invalid_amount", "invalid_indicator")


# Fields between a line and its details.


@pytest.mark.parametrize("between", [":NS:01Sample Street 17\r\n02City", ":13D:2511181200+0400", ":12:x", ":21:x"])
def test_what_stands_between_a_line_and_its_details_parts_them_not(between: str) -> None:
    details = ":86:166?00CREDIT?20EREF+E-4711?21SVWZ+Invoice 12?31AE070331234567890123456?32Sample LLC"
    first, second = read(mt940(LINE, between, details, LINE, between)).entries
    assert (first.end_to_end_id, first.counterparty, first.remittance) == ("E-4711", "Sample LLC", "Invoice 12")
    assert first.counterparty_account == "AE070331234567890123456"
    assert (second.end_to_end_id, second.remittance) == (None, None)


# The bank's reference on a line of its own.


@pytest.mark.parametrize(
    ("line", "servicer"),
    [
        ("NTRFC-1\r\n//BANKREF00009", "BANKREF00009"),
        ("NTRFC-1\r\n//BANKREF00009  \r\nGB82WEST12345698765432", "BANKREF00009"),
        ("NTRFC-1\r\n//NONREF", None),
        ("NTRFC-1//B-1\r\n//OTHER", "B-1"),
        ("NTRFC-1//\r\n//OTHER", None),
        ("NTRFC-1\r\n/OCMT/EUR11,85/", None),
        ("NTRFC-1\r\ntext\r\n//OTHER", None),
        ("NTRFC-1\r\n//two words", None),
        (f"NTRFC-1\r\n//{'x' * 36}", None),
        ("NTRFC-1               Sample LLC\r\n//B-1", "B-1"),
    ],
)
def test_the_banks_reference_on_the_next_line(line: str, servicer: str | None) -> None:
    entry = read_entry(mt940(f":61:251118C1,00{line}"))
    assert (entry.instruction_id, entry.servicer_reference) == ("C-1", servicer)
    if "GB82" in line:
        assert entry.counterparty_account == "GB82WEST12345698765432"


# "@@" for line breaks.


def _at_signs(text: str) -> str:
    return text.replace("\r\n", "@@")


@pytest.mark.parametrize("before", ["", "@@", "@@@@"])
@pytest.mark.parametrize("end", ["", "@@", "-@@"])
def test_at_signs_for_line_breaks(before: str, end: str) -> None:
    plain = mt940(LINE, ":86:177?00PAID?20EREF+E-1?21SVWZ+Invoice 12, customer ?2\r\n2 4711?32Acme LLC", LINE)
    sent = before + _at_signs(plain + end + plain)
    got = read_message(sent.encode())
    assert got == read_message((plain + plain).encode())
    assert isinstance(got, tuple)
    assert [len(n.entries) for n in got] == [2, 2]
    assert kind_of(sent.encode()) == kind_of(plain.encode())
    assert read_message(sent.encode("utf-16")) == got


@pytest.mark.parametrize("size", [1, 3, 7, 100_000])
def test_at_signs_that_the_source_parts_are_line_breaks_too(size: int) -> None:
    text = mt940(LINE, ":86:EREF+E-1") * 600
    assert list(sections(Slowly(_at_signs(text), size))) == list(sections(BytesIO(text.encode())))


def test_at_signs_are_text_where_lines_break_as_ever() -> None:
    got = read_entry(mt940(LINE, ":86:mail me@@example.com @@:25:x"))
    assert got.remittance == "mail me@@example.com @@:25:x"
