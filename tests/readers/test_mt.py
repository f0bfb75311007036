"""Facts about SWIFT MT messages as banks send them, each with its own message."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO

import pytest

from readers.messages import CLOSING, LINE, OPENING, blocks, mt940, mt942, read, read_entry, read_heading, refused
from token_engine.domain.checks import Tally, checks
from token_engine.domain.entry import CreditDebit, EntryStatus, signed_amount
from token_engine.domain.notification import MessageKind, Notification
from token_engine.domain.refusal import RefusedError
from token_engine.domain.statement import Outcome
from token_engine.iso20022.reader import read_message, sections

ADVICE = (
    ":20:ADVICE-1\r\n:21:OURS-1\r\n:25:AE070331234567890123456\r\n:32A:251118AED250,5\r\n"
    ":50K:/GB82WEST12345698765432\r\nACME TRADING LLC\r\nDUBAI\r\n:52A:BANKGB2L\r\n"
)


def read_all(text: str | bytes) -> tuple[Notification, ...]:
    got = read_message(text.encode() if isinstance(text, str) else text)
    assert isinstance(got, tuple), got
    return got


def outcome(notification: Notification) -> Outcome:
    tally = Tally()
    for entry in notification.entries:
        tally.add(entry)
    return checks(notification.heading, tally)[0].outcome


def test_a_statement() -> None:
    got = read(mt940(LINE))
    heading, (entry,) = got.heading, got.entries
    assert (heading.kind, heading.type) == (MessageKind.STATEMENT, "MT940")
    assert (heading.message_id, heading.account_number) == ("M-1", "AE070331234567890123456")
    assert (heading.currency, heading.copy) == ("AED", False)
    assert (heading.sequence_number, heading.page_number, heading.last_page) == ("321", 1, True)
    assert [(b.code, b.signed, b.currency, b.as_of, b.interim) for b in heading.balances] == [
        ("OPBD", Decimal("1000.00"), "AED", date(2025, 11, 17), False),
        ("CLBD", Decimal("1100.00"), "AED", date(2025, 11, 18), False),
    ]
    assert (entry.amount, entry.currency, entry.credit_debit) == (Decimal("100.00"), "AED", CreditDebit.CRDT)
    assert (entry.status, entry.reversal) == (EntryStatus.BOOK, False)
    assert (entry.value_date, entry.booking_date) == (date(2025, 11, 18), date(2025, 11, 18))
    assert (entry.instruction_id, entry.servicer_reference) == ("CUST-1", "BANK-1")
    assert entry.end_to_end_id is None
    assert outcome(got) is Outcome.PASSED


@pytest.mark.parametrize(
    ("mark", "signed", "reversal", "status"),
    [
        ("C", "1.00", False, EntryStatus.BOOK),
        ("D", "-1.00", False, EntryStatus.BOOK),
        ("RC", "-1.00", True, EntryStatus.BOOK),
        ("RD", "1.00", True, EntryStatus.BOOK),
        ("EC", "1.00", False, EntryStatus.PDNG),
        ("ED", "-1.00", False, EntryStatus.PDNG),
        # With the funds code, the third letter of the currency: euro, dirham, forint.
        ("CR", "1.00", False, EntryStatus.BOOK),
        ("DR", "-1.00", False, EntryStatus.BOOK),
        ("CD", "1.00", False, EntryStatus.BOOK),
        ("DD", "-1.00", False, EntryStatus.BOOK),
        ("RCR", "-1.00", True, EntryStatus.BOOK),
        ("RDD", "1.00", True, EntryStatus.BOOK),
        ("DF", "-1.00", False, EntryStatus.BOOK),
    ],
)
def test_a_reversed_credit_lowers_and_a_reversed_debit_raises(
    mark: str, signed: str, reversal: bool, status: EntryStatus
) -> None:
    entry = read_entry(mt940(f":61:251118{mark}1,00NTRFNONREF"))
    assert (signed_amount(entry), entry.reversal, entry.status) == (Decimal(signed), reversal, status)


@pytest.mark.parametrize("mark", ["X", "R", "RR", "E", "c", "CRC", ""])
def test_any_other_mark_is_refused(mark: str) -> None:
    refusal = refused(mt940(f":61:251118{mark}1,00NTRFNONREF"))
    assert refusal.field in ("MT[1]/61[1]/debit/credit mark", "MT[1]/61[1]/amount")
    assert "line 5" in refusal.message


@pytest.mark.parametrize(
    ("value", "entry", "booked"),
    [
        ("251231", "0102", date(2026, 1, 2)),
        ("260102", "1231", date(2025, 12, 31)),
        ("260102", "0102", date(2026, 1, 2)),
        ("251118", "0101", date(2026, 1, 1)),
        ("240301", "0229", date(2024, 2, 29)),
        ("250131", "0229", date(2025, 2, 28)),
        ("991231", "0103", date(2000, 1, 3)),
        ("251118", "", None),
    ],
)
def test_an_entry_date_takes_the_year_nearest_to_its_value_date(value: str, entry: str, booked: date | None) -> None:
    assert read_entry(mt940(f":61:{value}{entry}C1,00NTRFNONREF")).booking_date == booked


def test_a_year_has_two_digits() -> None:
    dates = [read_entry(mt940(f":61:{year}0118C1,00NTRFNONREF")).value_date for year in ("79", "80", "99", "00")]
    assert dates == [date(year, 1, 18) for year in (2079, 1980, 1999, 2000)]


@pytest.mark.parametrize("dates", ["251132", "2511181332", "259911", "2602010232", "2203010029"])
def test_impossible_dates_are_refused(dates: str) -> None:
    assert refused(mt940(f":61:{dates}C1,00NTRFNONREF")).field == "MT[1]/61[1]/value date"


@pytest.mark.parametrize(
    ("digits", "currency", "value"),
    [
        ("1234,", "AED", "1234"),
        (",50", "AED", "0.50"),
        ("0,5", "AED", "0.5"),
        ("000000001234,56", "AED", "1234.56"),
        ("1234,", "JPY", "1234"),
        ("1234,00", "JPY", "1234.00"),
        ("1,234", "KWD", "1.234"),
        ("1,230", "AED", "1.230"),
        ("999999999999999999,99", "AED", "999999999999999999.99"),
        ("1234.56", "AED", "1234.56"),
        ("1234.", "AED", "1234"),
        ("0,00", "AED", "0"),
    ],
)
def test_amounts_are_exact(digits: str, currency: str, value: str) -> None:
    text = mt940(
        f":61:251118C{digits}NTRFNONREF", opening=f":60F:C251117{currency}0,", closing=f":62F:C251118{currency}{digits}"
    )
    got = read(text)
    assert got.entries[0].amount == Decimal(value)
    assert got.heading.balances[1].amount == Decimal(value)


@pytest.mark.parametrize(
    ("digits", "currency"),
    [
        ("1,234", "AED"),
        ("0,5", "JPY"),
        ("1.234", "KWD"),  # one, or a thousand?
        ("1.234,56", "AED"),
        ("1,234,56", "AED"),
        ("1234", "AED"),  # cut off before its comma?
        (",", "AED"),
        ("", "AED"),
        ("-1,00", "AED"),
        ("1 000,00", "AED"),
        ("1000000000000000000,", "AED"),
        ("0" * 50 + "1,00", "AED"),
        ("١,00", "AED"),
    ],
)
def test_doubtful_amounts_are_refused(digits: str, currency: str) -> None:
    opening, closing = f":60F:C251117{currency}0,", f":62F:C251118{currency}0,"
    assert (
        refused(mt940(f":61:251118C{digits}NTRFNONREF", opening=opening, closing=closing)).field == "MT[1]/61[1]/amount"
    )
    refusal = refused(mt940(opening=opening, closing=f":62F:C251118{currency}{digits}"))
    assert refusal.field in ("MT[1]/62F", "MT[1]/62F/amount")


@pytest.mark.parametrize(
    ("rest", "owner", "servicer"),
    [
        ("NTRFNONREF", None, None),
        ("NTRFNONREF//B-1", None, "B-1"),
        ("NTRFC-1", "C-1", None),
        ("S103C-1//B-1", "C-1", "B-1"),
        ("FCHG//B-1", None, "B-1"),
        ("NTRF", None, None),
        ("NOV NONREF", None, None),
        ("NTRFKREF+//B-1", None, "B-1"),
        ("NDDTEREF", None, None),
        ("NTRFCUST/1//B/1", "CUST/1", "B/1"),
        ("N084P002445588      Tax Office Apeldoorn", "P002445588", None),
        ("NOVBNL11RABO0987654321", "NL11RABO0987654321", None),
        ("NTRF0000000000000000//0000", None, None),
    ],
)
def test_references(rest: str, owner: str | None, servicer: str | None) -> None:
    entry = read_entry(mt940(f":61:251118C1,00{rest}"))
    assert (entry.instruction_id, entry.servicer_reference) == (owner, servicer)


def test_an_endless_reference_is_refused() -> None:
    assert refused(mt940(f":61:251118C1,00NTRF{'x' * 141}")).field == "MT[1]/61[1]/reference"
    assert refused(mt940(f":61:251118C1,00NTRFNONREF//{'x' * 141}")).field == "MT[1]/61[1]/bank reference"


@pytest.mark.parametrize(
    ("word", "number", "bic"),
    [
        ("AE070331234567890123456", "AE070331234567890123456", None),
        ("AE07 0331 2345 6789 0123 456", "AE070331234567890123456", None),
        ("AE070331234567890123456AED", "AE070331234567890123456", None),
        ("AE070331234567890123456 AED", "AE070331234567890123456", None),
        ("BANKAEAD/0012345678", "0012345678", "BANKAEAD"),
        ("BANKAEADXXX/0012345678/AED", "0012345678", "BANKAEADXXX"),
        ("10020030/1234567", "10020030/1234567", None),
        ("0012345678AED   ", "0012345678", None),
        ("/0012345678", "0012345678", None),
        ("TRADED", "TRADED", None),  # no currency: nothing parts it from the word
    ],
)
def test_accounts(word: str, number: str, bic: str | None) -> None:
    heading = read_heading(mt940(account=f":25:{word}"))
    assert (heading.account_number, heading.servicer_bic) == (number, bic)


@pytest.mark.parametrize(
    "iban",
    [
        "MU17BOMM0101101030300200000MUR",
        "MU14BOMM0101101030000056200MUR",  # as one in 97 is, right without its currency, too
    ],
)
def test_a_currency_that_is_part_of_an_iban_stays(iban: str) -> None:
    text = mt940(account=f":25:{iban}", opening=":60F:C251117MUR0,", closing=":62F:C251118MUR0,")
    assert read_heading(text).account_number == iban


def test_a_currency_behind_an_iban_goes_though_the_check_digits_fit_by_chance() -> None:
    # As one in 97 does: right with and without the three letters.
    assert read_heading(mt940(account=":25:AE830330000000000000019AED")).account_number == "AE830330000000000000019"


def test_an_account_with_its_owners_bic() -> None:
    assert read_heading(mt940(account=":25P:0012345678\r\nOWNRAEADXXX")).account_number == "0012345678"


@pytest.mark.parametrize(
    ("word", "sequence", "page"),
    [("321/1", "321", 1), ("00321/00002", "321", 2), ("321", "321", None), ("00000/00", None, None), ("0", None, None)],
)
@pytest.mark.parametrize("tag", ["28C", "28"])
def test_statement_numbers(tag: str, word: str, sequence: str | None, page: int | None) -> None:
    heading = read_heading(mt940(number=f":{tag}:{word}"))
    assert (heading.sequence_number, heading.page_number) == (sequence, page)


def test_pages_are_told_by_their_balances() -> None:
    first = mt940(LINE, closing=":62M:C251118AED1100,00")
    last = mt940(LINE, number=":28C:321/2", opening=":60M:C251118AED1100,00", closing=":62F:C251118AED1200,00")
    got = read_all(first + "-\r\n" + last)
    assert [(n.heading.page_number, n.heading.last_page) for n in got] == [(1, False), (2, True)]
    assert [[(b.code, b.interim) for b in n.heading.balances] for n in got] == [
        [("OPBD", False), ("CLBD", True)],
        [("OPBD", True), ("CLBD", False)],
    ]
    assert [outcome(n) for n in got] == [Outcome.PASSED, Outcome.PASSED]


def test_available_balances_have_dates_of_their_own_and_are_not_booked_ones() -> None:
    text = mt940(LINE, closing=f"{CLOSING}\r\n:64:C251118AED900,00\r\n:65:C251119AED950,00\r\n:65:D251120AED1,00")
    assert [(b.code, b.signed, b.as_of) for b in read_heading(text).balances[2:]] == [
        ("CLAV", Decimal("900.00"), date(2025, 11, 18)),
        ("FWAV", Decimal("950.00"), date(2025, 11, 19)),
        ("FWAV", Decimal("-1.00"), date(2025, 11, 20)),
    ]


@pytest.mark.parametrize("tag", ["62F", "62M", "64", "65"])
def test_a_balance_in_another_currency_is_refused(tag: str) -> None:
    closing = f":{tag}:C251118USD1,00" if tag in ("62F", "62M") else f"{CLOSING}\r\n:{tag}:C251118USD1,00"
    refusal = refused(mt940(closing=closing))
    assert (refusal.code, refusal.field) == ("wrong_currency", f"MT[1]/{tag}/currency")
    assert "USD" in refusal.message


def test_an_account_in_another_currency_than_its_balances_is_refused() -> None:
    assert refused(mt940(account=":25:0012345678USD")).field == "MT[1]/25/currency"


def test_several_statements_accounts_and_currencies_in_one_file() -> None:
    other = mt940(
        ":61:251118C10,NTRFNONREF",
        account=":25:0099",
        opening=":60F:D251117USD5,",
        closing=":62F:C251118USD5,",
    )
    got = read_all(mt940(LINE) + other + mt940())
    assert [(n.heading.account_number, n.heading.currency, len(n.entries)) for n in got] == [
        ("AE070331234567890123456", "AED", 1),
        ("0099", "USD", 1),
        ("AE070331234567890123456", "AED", 0),
    ]
    assert got[1].entries[0].currency == "USD"
    assert refused(mt940(LINE) + mt940(":61:251118C1,0NTRF\r\n:61:oops")).field == "MT[2]/61[2]/value date"


STATEMENT = mt940(LINE, ":86:some text\r\nand more")


@pytest.mark.parametrize(
    "text",
    [
        STATEMENT,
        STATEMENT + "-\r\n",
        STATEMENT + "-}\r\n",
        STATEMENT.replace("\r\n", "\n"),
        STATEMENT.replace("\r\n", "\r"),
        STATEMENT.rstrip(),
        "\r\n\r\n" + STATEMENT,
        "ABNANL2A\r\n940\r\nABNANL2A\r\n" + STATEMENT + "-",
        ":940:\r\n" + STATEMENT,
        "\x01" + blocks(STATEMENT) + "\x03",
        blocks(STATEMENT),
        blocks(STATEMENT, user="{3:{108:REF}}"),
        blocks(STATEMENT).replace("{2:", "\r\n{2:").replace("{4:", "\r\n{4:"),
        blocks(STATEMENT).replace("{4:\r\n", "{4:"),
        "{1:F21BANKAEADAXXX0000000000}{4:{177:2511181200}{451:0}}" + blocks(STATEMENT),
        "ä4:\r\n" + STATEMENT + "-å\r\n",
        STATEMENT + "-\r\n\x1a",
        "\ufeff" + STATEMENT,
    ],
)
def test_blocks_headers_and_line_ends_make_no_difference(text: str) -> None:
    assert read(text) == read(STATEMENT)


def test_messages_of_the_network_on_one_line() -> None:
    pair = "\x01" + blocks(STATEMENT) + "\x03   \x01" + blocks(mt940(LINE, LINE)) + "\x03"
    assert [len(n.entries) for n in read_all(pair)] == [1, 2]
    assert [len(n.entries) for n in read_all(blocks(STATEMENT) + "$" + blocks(mt940(LINE, LINE)))] == [1, 2]


def test_the_type_is_what_the_network_says() -> None:
    assert read_heading(blocks(mt940(LINE), "950")).type == "MT950"
    assert read_heading(mt940(LINE)).type == "MT940"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings(encoding: str) -> None:
    assert read_entry(mt940(LINE, ":86:Müller").encode(encoding)).remittance == "Müller"


def test_files_joined_from_two_encodings() -> None:
    got = read_all(mt940(LINE, ":86:Müller").encode() + mt940(LINE, ":86:Müller").encode("cp1252"))
    assert [n.entries[0].remittance for n in got] == ["Müller", "Müller"]


def test_control_characters_are_no_part_of_a_reference() -> None:
    assert read_entry(mt940(":61:251118C1,00NTRFC\0-1//B-1\0")).instruction_id == "C -1"
    assert read_entry(mt940(":61:251118C1,00NTRFC-1//B-1\0")).servicer_reference == "B-1"


class Slowly:
    """A source that gives a few bytes at a time."""

    def __init__(self, text: str, size: int) -> None:
        self._source = BytesIO(text.encode())
        self._size = size

    def read(self, size: int = -1, /) -> bytes:
        return self._source.read(min(size, self._size))


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_where_the_source_is_cut_makes_no_difference(end: str) -> None:
    # Longer than what is read at once to tell what it is.
    text = (STATEMENT * 600 + mt940(LINE, ":61:oops")).replace("\r\n", end)
    told = []
    for size in (100_000, 1, 7):
        parts: list[object] = []
        with pytest.raises(RefusedError) as error:
            parts.extend(sections(Slowly(text, size)))
        told.append((parts, error.value.refusal))
    assert told[0] == told[1] == told[2]
    lines = text.replace(end, "\n").count("\n")
    assert told[0][1].message.endswith(f"(line {lines - 1})")


def test_blank_lines_before_a_message_are_counted() -> None:
    assert "(line 8)" in refused("\r\n \r\n" + mt940(LINE, ":61:oops")).message


def test_text_that_looks_like_a_field_or_an_end() -> None:
    details = ":86:paid at 2025-11-18T10\r\n:20:33 by card\r\n-\r\n-info\r\n:12:30 too\r\n{x}"
    got = read(mt940(LINE, details, LINE))
    assert len(got.entries) == 2
    assert got.entries[0].remittance == "paid at 2025-11-18T10 :20:33 by card - -info :12:30 too {x}"


def test_details_belong_to_the_line_before_them() -> None:
    got = read(
        mt940(
            ":86:of the statement",
            LINE,
            ":86:one",
            ":86:and on",
            LINE,
            LINE,
            ":86:three",
            closing=CLOSING + "\r\n:86:end",
        )
    )
    assert [e.remittance for e in got.entries] == ["one and on", None, "three"]


@pytest.mark.parametrize("unknown", [":NS:22Acme\r\n23Account", ":12:x", ":13D:2511181200+0400", ":21:NONREF"])
def test_fields_that_are_not_about_money_are_passed_by(unknown: str) -> None:
    assert len(read(mt940(unknown, LINE, unknown, ":86:x", unknown)).entries) == 1


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (mt940(LINE, closing=""), "MT[1]/end"),
        (mt940(LINE, closing="") + STATEMENT, "MT[1]/end"),
        (mt940(LINE, ":86:x", closing="") + STATEMENT, "MT[1]/28C"),
        (mt940(LINE, opening=""), "MT[1]/20"),
        (mt940(LINE, account=""), "MT[1]/20"),
        (mt940(LINE, reference=":20:"), "MT[1]/20"),
        (mt940(LINE, reference=":20:" + "x" * 101), "MT[1]/20"),
        (mt940(LINE, account=":25: "), "MT[1]/25"),
        (mt940(LINE, account=":25:" + "1" * 51), "MT[1]/25"),
        (mt940(LINE, number=":28C:x", closing=CLOSING.replace("62F", "62M")), "MT[1]/28C"),
        (mt940(LINE, opening=f"{OPENING}\r\n{OPENING}"), "MT[1]/60F"),
        (mt940(LINE, opening=f"{OPENING}\r\n:60M:C251117AED1,00"), "MT[1]/60M"),
        (mt940(LINE, opening=":60F:C251117aed1,00"), "MT[1]/60F/currency"),
        (mt940(LINE, opening=":60F:X251117AED1,00"), "MT[1]/60F"),
        (mt940(LINE, opening=":60F:C251132AED1,00"), "MT[1]/60F/date"),
        (mt940(LINE, closing=f"{CLOSING}\r\n{CLOSING}"), "MT[1]/62F"),
        (mt940(LINE, closing=f"{CLOSING}\r\n{LINE}"), "MT[1]/61[2]"),
        (mt940(LINE, ":25:0099", LINE), "MT[1]/25"),
        (mt940(LINE, ":65F:x"), "MT[1]/65F"),
        (mt940(LINE, ":90D:1AED1,"), "MT[1]/90D"),
        (mt940(LINE, ":86:x\r\n " + LINE), "MT[1]/86"),
        (mt940(":61:251118C1,00NTR"), "MT[1]/61[1]/transaction type"),
        (LINE + "\r\n" + STATEMENT, "61"),
        (STATEMENT + "-\r\n" + LINE, "61"),
        (mt940(LINE, ":28:5"), "MT[1]/28"),
        (STATEMENT + "-\r\n  " + LINE, "61"),
        ("{4:\r\n" + STATEMENT, "{4:"),
        (blocks(STATEMENT).replace("-}", "") + blocks(STATEMENT), "{4:"),
        (mt942(LINE, floor=""), "MT[1]/20"),
        (mt942(LINE, floor=":34F:AED0,\r\n:34F:USD0,"), "MT[1]/34F/currency"),
        (mt942(LINE, rest=":90C:1USD100,00\r\n:90D:0AED0,"), "MT[1]/90C/currency"),
        (mt942(LINE, rest=":90C:-1AED100,00\r\n:90D:0AED0,"), "MT[1]/90C"),
        (mt942(LINE, rest=CLOSING), "MT[1]/62F"),
    ],
)
def test_what_is_cut_short_out_of_place_or_said_twice_is_refused_by_field_and_line(text: str, field: str) -> None:
    refusal = refused(text)
    assert refusal.field == field
    assert refusal.message.startswith(f"{field}: ")
    assert "(line " in refusal.message


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (mt940(LINE, ":86:x" + "\r\ny" * 1001), "MT[1]/86"),
        (mt940(LINE, ":86:x\r\n" + "y" * 10_001), "MT[1]/86"),
        (mt940(LINE + "x" * 10_000), "MT[1]/61[1]"),
        (mt940(LINE) + "no end\r\n" * 1001, "MT[1]/62F"),
        (mt940(closing=CLOSING + "\r\n:65:C251119AED1," * 401), "MT[1]/65"),
    ],
)
def test_what_no_bank_writes_is_not_kept_in_memory(text: str, field: str) -> None:
    refusal = refused(text)
    assert (refusal.code, refusal.field) == ("too_large", field)


def test_a_header_is_of_the_message_behind_it_alone() -> None:
    assert [n.heading.type for n in read_all(blocks(STATEMENT, "950") + "\r\n" + STATEMENT)] == ["MT950", "MT940"]
    acknowledged = "{1:F21BANKAEADAXXX0000000000}{2:O0111200251118}{4:{177:2511181200}{451:0}}\r\n"
    assert read_heading(acknowledged + "{1:F01BANKAEADAXXX0000000000}{4:\r\n" + STATEMENT + "-}").type == "MT940"


def test_a_message_of_a_training_session_is_not_money() -> None:
    assert refused(blocks(STATEMENT, trailer="{5:{CHK:0123456789AB}{TNG:}}")).code == "training_message"
    assert refused(blocks(STATEMENT, trailer="\r\n{5:{TNG:}}")).code == "training_message"


@pytest.mark.parametrize("type_", ["103", "290", "941", "999"])
def test_other_messages_of_the_network_are_named(type_: str) -> None:
    refusal = refused(blocks(STATEMENT, type_))
    assert refusal.code == "not_a_bank_message"
    assert f"MT{type_}" in refusal.message


def test_an_interim_report() -> None:
    got = read(
        mt942(
            ":13D:2511181200+0400",
            ":61:251118C100,00NTRFNONREF//B-1",
            ":61:251118ED30,50NTRFNONREF//B-2",
            floor=":34F:AEDD0,\r\n:34F:AEDC5,",
            rest=":90D:1AED30,50\r\n:90C:1AED100,",
        )
    )
    heading = got.heading
    assert (heading.kind, heading.type, heading.currency) == (MessageKind.REPORT, "MT942", "AED")
    assert heading.created_at == datetime(2025, 11, 18, 12, tzinfo=timezone(timedelta(hours=4)))
    assert heading.created_at.astimezone(UTC).hour == 8
    assert (heading.sequence_number, heading.balances) == ("7", ())
    assert (heading.stated_entries, heading.stated_sum) == (2, Decimal("130.50"))
    assert [e.booked for e in got.entries] == [True, False]


def test_a_report_that_counts_one_side_only_counts_nothing() -> None:
    assert read_heading(mt942(LINE, rest=":90C:1AED100,00")).stated_entries is None


@pytest.mark.parametrize("word", ["2511181200", "25111812:00", "x"])
def test_an_unreadable_moment_decides_nothing(word: str) -> None:
    assert read_heading(mt942(f":13D:{word}", LINE)).created_at is None


@pytest.mark.parametrize(("type_", "side"), [("900", CreditDebit.DBIT), ("910", CreditDebit.CRDT)])
def test_an_advice_of_one_debit_or_credit(type_: str, side: CreditDebit) -> None:
    uetr = "8a562c67-ca16-48ba-b074-65581be6f001"
    got = read(blocks(ADVICE, type_, user=f"{{3:{{121:{uetr}}}}}"))
    heading, (entry,) = got.heading, got.entries
    assert (heading.kind, heading.type, heading.currency) == (MessageKind.NOTIFICATION, f"MT{type_}", "AED")
    assert (heading.message_id, heading.account_number) == ("ADVICE-1", "AE070331234567890123456")
    assert (entry.amount, entry.credit_debit, entry.status) == (Decimal("250.5"), side, EntryStatus.BOOK)
    assert (entry.value_date, entry.booking_date) == (date(2025, 11, 18), None)
    # A statement repeats :20: of the advice behind the // of its line, and :21: before it.
    assert (entry.servicer_reference, entry.instruction_id, entry.uetr) == ("ADVICE-1", "OURS-1", uetr)
    assert (entry.counterparty, entry.counterparty_account) == ("ACME TRADING LLC", "GB82WEST12345698765432")


def test_an_advice_needs_its_header() -> None:
    refusal = refused(ADVICE)
    assert (refusal.code, refusal.field) == ("not_a_bank_message", "MT[1]/32A")
    assert read_heading("MT910\r\n" + ADVICE).type == "MT910"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (ADVICE.replace(":32A:251118AED250,5\r\n", ""), "MT[1]/20"),
        (ADVICE.replace("250,5", "250"), "MT[1]/32A"),
        (ADVICE.replace("251118", "251132"), "MT[1]/32A/value date"),
        (ADVICE.replace("250,5", "250,555"), "MT[1]/32A/amount"),
        (ADVICE.replace(":25:AE", ":25P:"), None),
        (ADVICE + LINE + "\r\n", "MT[1]/61[1]"),
        (ADVICE + ":32A:251118AED1,\r\n", "MT[1]/32A"),
        (ADVICE + ":32D:251118AED1,\r\n", "MT[1]/32D"),
        (ADVICE.replace("OURS-1", "x" * 141), "MT[1]/21"),
    ],
)
def test_an_advice_that_is_wrong(text: str, field: str | None) -> None:
    text = blocks(text, "910")
    if field is None:
        assert len(read(text).entries) == 1
    else:
        assert refused(text).field == field
