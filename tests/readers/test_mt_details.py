"""What :86: tells, in the dialects of banks. It never refuses a message, and never guesses an id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readers.messages import LINE, mt940, read_entry
from token_engine.domain.entry import CreditDebit
from token_engine.iso20022.mt_details import details
from token_engine.iso20022.words import ID_LENGTH, NAME_LENGTH, REMITTANCE_LENGTH

CRDT, DBIT = CreditDebit.CRDT, CreditDebit.DBIT
GERMAN = [
    "166?00GUTSCHRIFT?109392?20EREF+E2E-12345678901234567890?211234567",
    "?22KREF+OURS-1?23SVWZ+Invoice 4711 of?24 18 November?30BANKDEFF?31DE02120300000000202051?32",
    "ACME TRADING?33 LLC",
]


def test_german_subfields() -> None:
    told = details(GERMAN, CRDT)
    assert told.end_to_end_id == "E2E-123456789012345678901234567"
    assert told.instruction_id == "OURS-1"
    assert told.remittance == "Invoice 4711 of 18 November"
    assert (told.counterparty, told.counterparty_account) == ("ACME TRADING LLC", "DE02120300000000202051")


@pytest.mark.parametrize("separator", list(">@<~^|"))
def test_other_banks_part_subfields_with_other_signs(separator: str) -> None:
    assert details([line.replace("?", separator) for line in GERMAN], CRDT) == details(GERMAN, CRDT)


def test_a_blank_before_the_code_makes_no_difference() -> None:
    assert details([" " + GERMAN[0], *GERMAN[1:]], CRDT) == details(GERMAN, CRDT)


def test_an_id_goes_on_in_the_next_subfield_only_if_its_own_is_full() -> None:
    told = details(["166?20EREF+E2E-1?21thank you?22 very much"], CRDT)
    assert (told.end_to_end_id, told.remittance) == ("E2E-1", "thank you very much")


def test_an_id_said_in_two_ways_is_none() -> None:
    assert details(["166?20EREF+E2E-1?21EREF+E2E-2"], CRDT).end_to_end_id is None
    assert details(["/EREF/E2E-1/REMI/x/EREF/E2E-2"], CRDT).end_to_end_id is None
    assert details(["EREF+E2E-1 EREF+E2E-2"], CRDT).end_to_end_id is None
    assert details(["166?20EREF+E2E-1?21EREF+E2E-1"], CRDT).end_to_end_id == "E2E-1"


@pytest.mark.parametrize("word", ["NOTPROVIDED", "", "NONREF", "x" * (ID_LENGTH + 1)])
def test_what_is_no_id_is_none(word: str) -> None:
    assert details([f"/EREF/{word}/REMI/x"], CRDT).end_to_end_id is None
    assert details([f"EREF+{word} "], CRDT).end_to_end_id is None


def test_slashed_words() -> None:
    text = "/TRTP/SEPA OVERBOEKING/IBAN/NL02ABNA0123456789/BIC/ABNANL2A/NAME/ACME TRADING/REMI/Invoice 4711/EREF/E2E-1"
    told = details([text[:65], text[65:]], CRDT)
    assert (told.end_to_end_id, told.remittance) == ("E2E-1", "Invoice 4711")
    assert (told.counterparty, told.counterparty_account) == ("ACME TRADING", "NL02ABNA0123456789")


def test_slashed_words_about_parties() -> None:
    text = "/EREF/A/1/ORDP//NAME/PAYER/ADDR/STREET 1/BENM//NAME/PAYEE/REMI/x"
    assert details([text], CRDT).counterparty == "PAYER"
    assert details([text], DBIT).counterparty == "PAYEE"
    assert details([text], DBIT).end_to_end_id == "A/1"
    assert details(["/BAI/399/MISC", "/ORDP/A PAYER", "/ACNO/12-3011-37"], CRDT).counterparty == "A PAYER"
    assert details(["/BAI/399/MISC", "/ORDP/A PAYER", "/ACNO/12-3011-37"], CRDT).counterparty_account == "12-3011-37"
    told = details(["/EREF/E2E-1//CNTP/NL02ABNA0123456789/ABNANL2A/ACME NV/AMSTERDAM//REMI/USTD//Invoice 4711/"], DBIT)
    assert (told.counterparty, told.counterparty_account) == ("ACME NV", "NL02ABNA0123456789")
    assert (told.end_to_end_id, told.remittance) == ("E2E-1", "Invoice 4711")


def test_structured_references() -> None:
    assert details(["/REMI/STRD/CUR/9876543210"], CRDT).creditor_reference == "9876543210"
    assert details(["/REMI/RF18 5390 0754 7034"], CRDT).creditor_reference == "RF18539007547034"
    assert details(["RF18539007547034"], CRDT).creditor_reference == "RF18539007547034"
    assert details(["RF19539007547034"], CRDT).creditor_reference is None
    assert details([f"/REMI/STRD/CUR/{'9' * 36}"], CRDT).creditor_reference is None
    assert details(["/REMI/RF18 5390 0754 7034 and more"], CRDT).creditor_reference is None


def test_a_uetr() -> None:
    uetr = "8a562c67-ca16-48ba-b074-65581be6f001"
    assert details([f"/UETR/{uetr.upper()}/REMI/x"], CRDT).uetr == uetr
    assert details(["/UETR/8a562c67/REMI/x"], CRDT).uetr is None


def test_plain_text() -> None:
    assert details(["Salary  November", "thank you"], CRDT).remittance == "Salary November thank you"
    assert details(["x" * 60 + "Inv 4", "711"], CRDT).remittance == "x" * 60 + "Inv 4711"
    told = details(["TRANSFER EREF+E2E-1 KREF+OURS-1 SVWZ+Invoice 4711"], CRDT)
    assert (told.end_to_end_id, told.instruction_id, told.remittance) == ("E2E-1", "OURS-1", "Invoice 4711")
    assert details(["TRANSFER EREF+E2E-1"], CRDT).remittance == "TRANSFER"
    assert details(["/OCMT/USD10,00"], CRDT).remittance is None


def test_without_details_the_supplement_of_the_line_speaks() -> None:
    assert read_entry(mt940(f"{LINE}\r\nCash withdrawal")).remittance == "Cash withdrawal"
    told = read_entry(mt940(f"{LINE}\r\nNL02ABNA0123456789", ":86:/EREF/E2E-1/REMI/x"))
    assert (told.counterparty_account, told.end_to_end_id) == ("NL02ABNA0123456789", "E2E-1")


def test_a_supplement_that_only_looks_like_an_iban_is_none() -> None:
    told = read_entry(mt940(f"{LINE}\r\nNL02CASHWITHDRAWAL1", ":86:x"))
    assert told.counterparty_account is None


def test_the_reference_in_the_details_is_taken_before_the_lines() -> None:
    assert read_entry(mt940(LINE, ":86:166?20KREF+OURS-9")).instruction_id == "OURS-9"
    assert read_entry(mt940(LINE, ":86:166?20EREF+E2E-1")).instruction_id == "CUST-1"


_TOKENS = st.sampled_from(
    ["?20", "?2", "?", "166", "EREF+", "KREF+", "SVWZ+", "/EREF/", "/REMI/", "/", "//", "/ORDP/", "/NAME/", "/CNTP/",
     "USTD", "STRD", "RF18", "x" * 40, " ", "\u00e9", "1"]
)  # fmt: skip


def _bare(text: str) -> str:
    """Text as far as it must come back: a line's end may be read as a blank, an account number in capitals."""
    return "".join(text.split()).upper()


@given(
    st.lists(st.lists(_TOKENS | st.text(max_size=5), max_size=8).map("".join), max_size=6),
    st.sampled_from([CRDT, DBIT]),
)
def test_whatever_the_text(lines: list[str], side: CreditDebit) -> None:
    told = details(lines, side)
    said = _bare("".join(lines))
    for word in (told.end_to_end_id, told.instruction_id, told.creditor_reference, told.counterparty_account):
        assert word is None or (0 < len(word) <= ID_LENGTH and _bare(word) in said)
    assert told.counterparty is None or 0 < len(told.counterparty) <= NAME_LENGTH
    assert told.remittance is None or 0 < len(told.remittance) <= REMITTANCE_LENGTH
