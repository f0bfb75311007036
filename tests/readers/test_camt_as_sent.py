"""Facts about camt messages that the schema allows and few banks send, or few send though it does not allow them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from readers.messages import ACCOUNT, ENTRY, camt, entry, read, read_entry, refused
from token_engine.domain.checks import Tally, checks
from token_engine.domain.notification import Notification
from token_engine.domain.statement import Outcome
from token_engine.iso20022.reader import read_message


def balance(code: str, amount: str) -> str:
    tp = f"<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
    return f'<Bal>{tp}<Amt Ccy="AED">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2025-11-18</Dt></Dt></Bal>'


def summary(number: int) -> str:
    return f"<TxsSummry><TtlNtries><NbOfNtries>{number}</NbOfNtries><Sum>100</Sum></TtlNtries></TxsSummry>"


OPENING, CLOSING = balance("OPBD", "1000"), balance("CLBD", "1100")


def outcomes(notification: Notification) -> dict[str, Outcome]:
    tally = Tally()
    for each in notification.entries:
        tally.add(each)
    return {found.name: found.outcome for found in checks(notification.heading, tally)}


@pytest.mark.parametrize("entries", [1, 2000], ids=["parsed", "many"])
@pytest.mark.parametrize(
    ("head", "first", "foot"),
    [
        (OPENING, "", CLOSING), ("", "", OPENING + CLOSING), (OPENING, CLOSING, ""),
        (OPENING, "", f"{CLOSING}<AddtlStmtInf>Of a bank that adds up at the end</AddtlStmtInf>"),
    ],
    ids=["closing behind", "both behind", "in order", "more behind it"],
)  # fmt: skip
def test_a_balance_behind_entries_is_one(head: str, first: str, foot: str, entries: int) -> None:
    """The schema has balances first. One that is passed over would leave a statement without its closing balance."""
    rest = [entry('<Amt Ccy="AED">0.00</Amt>')] * entries
    got = read(camt(first, ENTRY, *rest, foot, kind="camt.053", head=ACCOUNT + head))
    assert [(each.code, each.amount) for each in got.heading.balances] == [
        ("OPBD", Decimal(1000)), ("CLBD", Decimal(1100)),
    ]  # fmt: skip
    assert len(got.entries) == 1 + entries


def test_a_balance_between_entries_is_one() -> None:
    got = read(camt(ENTRY, CLOSING, ENTRY, summary(2), kind="camt.053", head=ACCOUNT + OPENING))
    assert [each.code for each in got.heading.balances] == ["OPBD", "CLBD"]
    assert (len(got.entries), got.heading.stated_entries) == (2, 2)


def test_what_is_summed_up_behind_entries_is_checked() -> None:
    assert outcomes(read(camt(ENTRY, summary(1), kind="camt.053")))["entry_count"] is Outcome.PASSED
    assert outcomes(read(camt(ENTRY, summary(2), kind="camt.053")))["entry_count"] is Outcome.FAILED
    before = read(camt(ENTRY, CLOSING, kind="camt.053", head=ACCOUNT + summary(2)))
    assert (before.heading.stated_entries, before.heading.stated_sum) == (2, Decimal(100))


def test_what_is_wrong_with_a_balance_behind_entries_is_said_with_its_place() -> None:
    wrong = CLOSING.replace("1100", "much")
    refusal = refused(camt(ENTRY, "\n" + wrong, kind="camt.053", head=ACCOUNT + OPENING))
    assert (refusal.code, refusal.field) == ("invalid_amount", "Stmt[1]/Bal[2]/Amt")
    assert "(line 2)" in refusal.message


def test_each_statement_has_its_own_balances_behind_its_entries() -> None:
    one = camt(ENTRY, OPENING, CLOSING, kind="camt.053")
    section = one[one.index("<Stmt>") : one.index("</BkToCstmrStmt>")]
    got = read_message(one.replace(section, section + section.replace("1100", "1200")).encode())
    assert isinstance(got, tuple)
    assert [[str(b.amount) for b in each.heading.balances] for each in got] == [["1000", "1100"], ["1000", "1200"]]


def test_balances_without_end_behind_entries_are_refused() -> None:
    """As before them: what is not let go of is bounded."""
    refusal = refused(camt(ENTRY, *[ENTRY + CLOSING] * 50_000, kind="camt.053"))
    assert refusal.code == "too_large"


@pytest.mark.parametrize("root", ["<Bal/>", "<TxsSummry/>", f"<TxsSummry>{CLOSING}{summary(1)}</TxsSummry>"])
def test_balances_and_totals_of_no_statement_are_none(root: str) -> None:
    assert refused(root).code == "not_a_bank_message"


def test_an_account_that_only_its_proxy_names() -> None:
    """From .09 on `Acct/Id` may be left out, and the account be named by its proxy: a phone number, an address."""
    proxy = "<Acct><Prxy><Tp><Cd>EMAL</Cd></Tp><Id>safeguarded@issuer.example</Id></Prxy><Ccy>AED</Ccy></Acct>"
    assert read(camt(ENTRY, version="12", head=proxy)).heading.account_number == "safeguarded@issuer.example"
    both = ACCOUNT.replace("<Ccy>", "<Prxy><Id>safeguarded@issuer.example</Id></Prxy><Ccy>")
    assert read(camt(ENTRY, version="12", head=both)).heading.account_number == "AE070331234567890123456"


@pytest.mark.parametrize(("written", "amount"), [("+1.00", "1.00"), ("10.", "10"), ("+.5", "0.5"), ("+7.", "7")])
def test_decimals_in_every_form_that_xml_schema_has(written: str, amount: str) -> None:
    """XML Schema part 2, 3.2.3.1: a sign may be written and the digits on one side of the point left out."""
    assert read_entry(camt(entry(f'<Amt Ccy="AED">{written}</Amt>'))).amount == Decimal(amount)


@pytest.mark.parametrize("written", ["+-1", "++1", "+", "+.", "1.+", "-.5", "1.."])
def test_what_is_no_decimal_of_xml_schema(written: str) -> None:
    assert refused(camt(entry(f'<Amt Ccy="AED">{written}</Amt>'))).code == "invalid_amount"


def test_a_control_sum_has_more_decimals_than_an_amount() -> None:
    """ISO 20022, DecimalNumber: fractionDigits 17."""
    told = summary(1).replace("<Sum>100<", f"<Sum>100.{'0' * 14}001<")
    notification = read(camt(ENTRY, kind="camt.053", head=ACCOUNT + told))
    assert outcomes(notification)["entry_sum"] is Outcome.FAILED
    for word in (f"100.{'0' * 17}1", "-+100", "--100"):
        told = summary(1).replace("<Sum>100<", f"<Sum>{word}<")
        assert refused(camt(ENTRY, kind="camt.053", head=ACCOUNT + told)).code == "invalid_amount"
    for word in (f"{'9' * 18}.{'0' * 18}", f"-{'9' * 18}.{'9' * 17}0"):  # more digits than decimals are counted with
        told = summary(1).replace("<Sum>100<", f"<Sum>{word}<")
        assert read(camt(ENTRY, kind="camt.053", head=ACCOUNT + told)).heading.stated_sum == Decimal(word)


@pytest.mark.parametrize("name", ["ElctrncSeqNb", "LglSeqNb"])
def test_a_number_of_a_statement_is_no_longer_than_what_is_kept_of_it(name: str) -> None:
    def said(number: str) -> str:
        return camt(ENTRY, kind="camt.053", head=f"<{name}>{number}</{name}>{ACCOUNT}")

    assert read(said("7" * 35)).heading.sequence_number == "7" * 35
    refusal = refused(said("7" * 36))
    assert (refusal.code, refusal.field) == ("text_too_long", f"Stmt[1]/{name}")


def test_a_version_that_is_not_read_is_named() -> None:
    refusal = refused(camt(ENTRY, kind="camt.053", version="01").replace("BkToCstmrStmt>", "BkToCstmrStmtV01>"))
    assert refusal.code == "not_a_bank_message"
    assert "from version .02 on: this is a camt.053.001.01 message" in refusal.message
