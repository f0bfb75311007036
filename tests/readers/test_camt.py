"""Facts about camt messages as banks send them, each with its own message."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from readers.messages import ACCOUNT, AMOUNT, ENTRY, camt, entry, read, read_entry, read_heading, refused
from token_engine.domain.entry import CreditDebit, EntryStatus, signed_amount
from token_engine.domain.notification import MessageKind
from token_engine.iso20022.reader import read_message

VERSIONS = [f"{number:02}" for number in range(2, 15)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["camt.052", "camt.053", "camt.054"])
def test_every_version_is_read_by_structure(kind: str, version: str) -> None:
    notification = read(camt(ENTRY, kind=kind, version=version))
    assert notification.heading.kind is MessageKind(kind)
    assert notification.heading.type == f"{kind}.001.{version}"
    assert notification.heading.message_id == "M-1"
    assert notification.heading.notification_id == "N-1"
    assert notification.heading.account_number == "AE070331234567890123456"
    assert notification.heading.currency == "AED"
    assert [e.amount for e in notification.entries] == [Decimal("100.00")]


@pytest.mark.parametrize(
    ("sts", "status"),
    [
        ("<Sts>BOOK</Sts>", EntryStatus.BOOK),
        ("<Sts>PDNG</Sts>", EntryStatus.PDNG),
        ("<Sts><Cd>BOOK</Cd></Sts>", EntryStatus.BOOK),
        ("<Sts><Cd>INFO</Cd></Sts>", EntryStatus.INFO),
        ("<Sts><Cd>FUTR</Cd></Sts>", EntryStatus.FUTR),
        ("<Sts><Prtry>SCHEDULED</Prtry></Sts>", EntryStatus.INFO),
        ("<Sts>SOON</Sts>", EntryStatus.INFO),
        ("<Sts>\n  <Cd> BOOK </Cd>\n</Sts>", EntryStatus.BOOK),
        ("", EntryStatus.BOOK),
    ],
)
@pytest.mark.parametrize("version", ["02", "08"])
def test_status_is_text_or_choice_in_any_version(sts: str, status: EntryStatus, version: str) -> None:
    assert read_entry(camt(entry(rest=sts), version=version)).status is status


def test_an_empty_status_is_refused() -> None:
    assert refused(camt(entry(rest="<Sts/>"))).field == "Ntfctn[1]/Ntry[1]/Sts"


def test_the_entrys_own_amount_and_indicator_count_not_its_details_or_charges() -> None:
    details = (
        "<Sts>BOOK</Sts>"
        '<Chrgs><TtlChrgsAndTaxAmt Ccy="AED">5.00</TtlChrgsAndTaxAmt></Chrgs>'
        '<NtryDtls><TxDtls><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></TxDtls></NtryDtls>'
    )
    got = read_entry(camt(entry(rest=details)))
    assert (got.amount, got.currency, got.credit_debit) == (Decimal("100.00"), "AED", CreditDebit.CRDT)


def test_a_reversal_keeps_its_published_sign() -> None:
    got = read_entry(
        camt(entry(indicator="<CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd>", rest="<Sts>BOOK</Sts>"))
    )
    assert got.reversal
    assert signed_amount(got) == Decimal("-100.00")


@pytest.mark.parametrize(
    "document",
    [
        '<?xml version="1.0"?>\n{}',
        '\n\n  <?xml version="1.0" encoding="UTF-8"?>{}',
        "<Envelope><AppHdr><BizMsgIdr>B</BizMsgIdr></AppHdr>{}</Envelope>",
        "<RequestPayload><Header/>{}</RequestPayload>",
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>',
        "<!-- a licence --><?pi?>{}",
        '<?xml version="1.0" encoding="UTF-16"?>{}',  # declared so, and plainly not
    ],
)
def test_envelopes_and_prologs_make_no_difference(document: str) -> None:
    assert read(document.format(camt(ENTRY))) == read(camt(ENTRY))


def test_no_namespace() -> None:
    text = camt(ENTRY).replace(' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"', "")
    assert read_heading(text).type == "camt.054"
    assert len(read(text).entries) == 1


@pytest.mark.parametrize("namespace", ["}urn:x", "{urn:x}", "urn:}camt.053.001.08", "a b"])
@pytest.mark.parametrize("entries", [1, 2000])
def test_a_namespace_that_is_none_is_refused_not_raised(namespace: str, entries: int) -> None:
    text = camt(*[ENTRY] * entries).replace("urn:iso:std:iso:20022:tech:xsd:camt.054.001.08", namespace)
    assert refused(text).code == "invalid_xml"


def test_prefixed_namespace() -> None:
    text = camt(ENTRY).replace("</", "\0").replace("<", "<c:").replace("\0", "</c:").replace("xmlns=", "xmlns:c=")
    assert read(text) == read(camt(ENTRY))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_unicode_encodings_with_and_without_mark(encoding: str) -> None:
    text = '<?xml version="1.0"?>' + camt(entry(rest="<AcctSvcrRef>Größe-7</AcctSvcrRef>"))
    assert read_entry(text.encode(encoding)).servicer_reference == "Größe-7"


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "windows-1252"])
def test_declared_single_byte_encodings(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + camt(entry(rest="<AcctSvcrRef>Größe-7</AcctSvcrRef>"))
    assert read_entry(text.encode(encoding)).servicer_reference == "Größe-7"


def test_an_encoding_that_could_hide_something_is_refused() -> None:
    assert "'UTF-7'" in refused('<?xml version="1.0" encoding="UTF-7"?>' + camt(ENTRY)).message


def test_bytes_that_are_not_the_declared_encoding() -> None:
    assert refused(camt(entry(rest="<AcctSvcrRef>ü</AcctSvcrRef>")).encode("latin-1")).code == "invalid_xml"
    assert refused(camt(ENTRY).encode("utf-16")[:-1]).code == "invalid_text"


def test_several_notifications_and_accounts_in_one_message() -> None:
    other = "<Ntfctn><Id>N-2</Id><Acct><Id><Othr><Id>0012-7</Id></Othr></Id></Acct></Ntfctn>"
    third = f"<Ntfctn><Id>N-3</Id>{ACCOUNT}{ENTRY}{ENTRY}</Ntfctn>"
    got = read_message(camt(ENTRY, between=other + third).encode())
    assert isinstance(got, tuple)
    assert [n.heading.account_number for n in got] == [
        "AE070331234567890123456",
        "0012-7",
        "AE070331234567890123456",
    ]
    assert [len(n.entries) for n in got] == [1, 0, 2]
    assert {n.heading.message_id for n in got} == {"M-1"}


def test_two_documents_in_one_envelope() -> None:
    got = read_message(f"<All>{camt(ENTRY)}{camt(ENTRY, kind='camt.053')}</All>".encode())
    assert isinstance(got, tuple)
    assert [n.heading.kind for n in got] == [MessageKind.NOTIFICATION, MessageKind.STATEMENT]


def test_a_message_carried_inside_another_is_not_counted_twice() -> None:
    carried = f"<SplmtryData><Envlp>{camt(ENTRY)}</Envlp></SplmtryData>"
    assert len(read(camt(entry(rest=f"<Sts>BOOK</Sts>{carried}"), ENTRY)).entries) == 2


@pytest.mark.parametrize(
    ("identification", "number"),
    [
        ("<IBAN>AE07 0331 2345 6789 0123 456</IBAN>", "AE070331234567890123456"),
        ("<Othr><Id>12-3456 7</Id></Othr>", "12-3456 7"),
        ("<PrtryAcct><Id>123456</Id></PrtryAcct>", "123456"),
        ("<BBAN>0331234567890123456</BBAN>", "0331234567890123456"),
    ],
)
def test_accounts_need_not_be_ibans(identification: str, number: str) -> None:
    head = f"<Acct><Id>{identification}</Id></Acct>"
    assert read_heading(camt(ENTRY, head=head)).account_number == number


def test_a_notification_without_account_is_refused() -> None:
    refusal = refused(camt(ENTRY, head=""))
    assert (refusal.code, refusal.field) == ("missing_field", "Ntfctn[1]/Acct/Id")


def test_without_group_header_the_notifications_id_is_the_messages() -> None:
    text = camt(ENTRY).replace("<MsgId>M-1</MsgId>", "")
    assert read_heading(text).message_id == "N-1"
    assert refused(text.replace("<Id>N-1</Id>", "")).code == "missing_field"


REFERENCES = (
    "<Refs><MsgId>x</MsgId><AcctSvcrRef>TX-1</AcctSvcrRef><InstrId>I-1</InstrId>"
    "<EndToEndId>E-1</EndToEndId><UETR>8a562c67-ca16-48ba-b074-65581be6f001</UETR><TxId>T-1</TxId></Refs>"
)


def test_references_of_a_single_detail_are_the_entrys() -> None:
    rest = f"<AcctSvcrRef>B-1</AcctSvcrRef><NtryDtls><TxDtls>{REFERENCES}</TxDtls></NtryDtls>"
    got = read_entry(camt(f"<Ntry><NtryRef>7</NtryRef>{AMOUNT}<CdtDbtInd>CRDT</CdtDbtInd>{rest}</Ntry>"))
    assert got.servicer_reference == "B-1"
    assert got.entry_reference == "7"
    assert got.end_to_end_id == "E-1"
    assert got.uetr == "8a562c67-ca16-48ba-b074-65581be6f001"
    assert got.instruction_id == "I-1"
    assert got.transaction_id == "T-1"


def test_the_banks_reference_may_stand_in_the_only_detail() -> None:
    rest = f"<NtryDtls><TxDtls>{REFERENCES}</TxDtls></NtryDtls>"
    assert read_entry(camt(entry(rest=rest))).servicer_reference == "TX-1"


@pytest.mark.parametrize(
    "rest",
    [
        f"<NtryDtls><TxDtls>{REFERENCES}</TxDtls><TxDtls>{REFERENCES}</TxDtls></NtryDtls>",
        f"<NtryDtls><TxDtls>{REFERENCES}</TxDtls></NtryDtls><NtryDtls><TxDtls>{REFERENCES}</TxDtls></NtryDtls>",
    ],
)
def test_a_batch_has_no_single_reference(rest: str) -> None:
    got = read_message(camt(entry(rest=rest), ENTRY).encode())
    assert isinstance(got, tuple)
    for each in got[0].entries:
        assert (each.servicer_reference, each.end_to_end_id, each.uetr) == (None, None, None)


@pytest.mark.parametrize(
    "word",
    ["NOTPROVIDED", "notprovided", "NOT PROVIDED", "NotAvailable", "NONREF", "none", "n/a", "-", "0000", " "],
)
def test_words_that_identify_nothing_are_no_reference(word: str) -> None:
    rest = (
        f"<AcctSvcrRef>{word}</AcctSvcrRef>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{word}</EndToEndId></Refs></TxDtls></NtryDtls>"
    )
    got = read_entry(camt(f"<Ntry><NtryRef>{word}</NtryRef>{AMOUNT}<CdtDbtInd>CRDT</CdtDbtInd>{rest}</Ntry>"))
    assert (got.servicer_reference, got.entry_reference, got.end_to_end_id) == (None, None, None)


@pytest.mark.parametrize("word", ["CODU", "COPY", "DUPL"])
def test_copies_are_marked(word: str) -> None:
    assert read_heading(camt(ENTRY, head=f"<CpyDplctInd>{word}</CpyDplctInd>{ACCOUNT}")).copy


def test_duplicates_marked_in_the_group_header_or_the_envelope() -> None:
    assert read_heading(camt(ENTRY, group="<DplctInd>true</DplctInd>")).copy
    assert not read_heading(camt(ENTRY, group="<DplctInd>false</DplctInd>")).copy
    assert read_heading(f"<E><AppHdr><CpyDplct>DUPL</CpyDplct></AppHdr>{camt(ENTRY)}</E>").copy
    assert not read_heading(camt(ENTRY)).copy


def balance(code: str, amount: str, rest: str = "<CdtDbtInd>CRDT</CdtDbtInd>") -> str:
    return f'<Bal><Tp><CdOrPrtry>{code}</CdOrPrtry></Tp><Amt Ccy="AED">{amount}</Amt>{rest}</Bal>'


def test_balances() -> None:
    head = (
        ACCOUNT
        + balance("<Cd>OPBD</Cd>", "10.00", "<CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2025-11-17</Dt></Dt>")
        + balance("<Cd>CLBD</Cd>", "90.00", "<Dt><DtTm>2025-11-18T23:59:59+04:00</DtTm></Dt>")
        + balance("<Prtry>OURS</Prtry>", ".50")
    )
    opening, closing, own = read_heading(camt(ENTRY, kind="camt.053", head=head)).balances
    assert (opening.code, opening.signed, opening.as_of) == ("OPBD", Decimal("-10.00"), date(2025, 11, 17))
    assert (closing.code, closing.signed, closing.as_of) == ("CLBD", Decimal("90.00"), date(2025, 11, 18))
    assert (own.code, own.signed, own.as_of) == ("OURS", Decimal("0.50"), None)


def test_balances_of_a_page_and_of_days_to_come_are_told_apart() -> None:
    page = balance("<Cd>CLBD</Cd></CdOrPrtry><SubTp><Cd>INTM</Cd></SubTp><CdOrPrtry>", "90.00").replace(
        "<CdOrPrtry></CdOrPrtry>", ""
    )
    other = balance("<Cd>CLBD</Cd></CdOrPrtry><SubTp><Cd>ADJT</Cd></SubTp><CdOrPrtry>", "90.00").replace(
        "<CdOrPrtry></CdOrPrtry>", ""
    )
    forward = balance("<Cd>FWAV</Cd>", "1.00", "<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2025-11-20</Dt></Dt>")
    dollars = balance("<Cd>CLAV</Cd>", "2.00").replace("AED", "USD")
    head = ACCOUNT + page + other + forward + dollars
    got = read_heading(camt(kind="camt.053", head=head)).balances
    assert [(b.code, b.interim, b.as_of, b.currency) for b in got] == [
        ("CLBD", True, None, "AED"),
        ("CLBD", False, None, "AED"),
        ("FWAV", False, date(2025, 11, 20), "AED"),
        ("CLAV", False, None, "USD"),
    ]


def test_a_balance_that_includes_a_credit_line_says_so() -> None:
    line = '<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp>{}<Amt Ccy="AED">1</Amt></Bal>'
    lines = "<CdtLine><Incl>false</Incl></CdtLine><CdtLine><Incl>true</Incl></CdtLine>"
    head = ACCOUNT + line.format("<CdtLine><Incl>false</Incl></CdtLine>") + line.format(lines)
    without, including = read_heading(camt(ENTRY, head=head)).balances
    assert not without.includes_credit_line
    assert including.includes_credit_line


@pytest.mark.parametrize(
    "written",
    [
        "<Dt>2020-01-01</Dt>",
        "<Dt>2020-01-01Z</Dt>",
        "<Dt>2020-01-01+02:00</Dt>",
        "<DtTm>2020-01-01T23:59:59-11:00</DtTm>",
        "<DtTm>2020-01-01T00:00:00.123Z</DtTm>",
        "<DtTm>2020-01-01T24:00:00</DtTm>",
    ],
)
def test_dates_are_the_banks_own_days(written: str) -> None:
    got = read_entry(camt(entry(rest=f"<BookgDt>{written}</BookgDt><ValDt>{written}</ValDt>")))
    assert got.booking_date == got.value_date == date(2020, 1, 1)


@pytest.mark.parametrize(
    "written", ["2020-02-30", "20200101", "01.02.2020", "", "2020-01-01x", "2020-01-01T" + "0" * 99]
)
def test_a_date_that_is_none_is_refused(written: str) -> None:
    refusal = refused(camt(entry(rest=f"<BookgDt><Dt>{written}</Dt></BookgDt>")))
    assert (refusal.code, refusal.field) == ("invalid_date", "Ntfctn[1]/Ntry[1]/BookgDt/Dt")


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("\n   100.00\t", "100.00"),
        ("1<!-- not a separator -->00", "100"),
        ("1<?pi?>00", "100"),
        ("<![CDATA[1]]>00", "100"),
        ("&#49;00", "100"),
        ("0.12345", "0.12345"),
        ("7.1000000", "7.1"),
        (".05", "0.05"),
        ("0", "0"),
    ],
)
def test_amounts_as_xml_may_write_them(written: str, amount: str) -> None:
    assert read_entry(camt(entry(f'<Amt Ccy="AED">{written}</Amt>'))).amount == Decimal(amount)


@pytest.mark.parametrize(
    "written",
    ["-1.00", "1e3", "1,00", "1 000", "", ".", "１００", "NaN", "1.123456", "9" * 19, "0" * 41],
)
def test_amounts_that_are_refused(written: str) -> None:
    refusal = refused(camt(ENTRY, ENTRY, "\n" + entry(f'<Amt Ccy="AED">{written}</Amt>')))
    assert (refusal.code, refusal.field) == ("invalid_amount", "Ntfctn[1]/Ntry[3]/Amt")
    assert "(line 2)" in refusal.message


def test_an_amount_with_something_inside_is_never_cut_short() -> None:
    assert refused(camt(entry('<Amt Ccy="AED">1<b/>00</Amt>'))).field == "Ntfctn[1]/Ntry[1]/Amt"
    assert refused(camt(entry('<Amt Ccy="AED">1&nothing;00</Amt>'))).code == "invalid_xml"


def test_what_an_entry_must_say() -> None:
    assert refused(camt(entry("<Amt>1.00</Amt>"))).field == "Ntfctn[1]/Ntry[1]/Amt/@Ccy"
    assert refused(camt(entry('<Amt Ccy="aed">1.00</Amt>'))).code == "unknown_currency"
    assert refused(camt(entry(""))).field == "Ntfctn[1]/Ntry[1]/Amt"
    assert refused(camt(entry(indicator=""))).field == "Ntfctn[1]/Ntry[1]/CdtDbtInd"
    assert refused(camt(entry(indicator="<CdtDbtInd>crdt</CdtDbtInd>"))).code == "invalid_indicator"
    assert refused(camt(entry(AMOUNT + AMOUNT))).message.startswith("Ntfctn[1]/Ntry[1]/Amt: occurs twice")
    too_long = f"<AcctSvcrRef>{'x' * 141}</AcctSvcrRef>"
    assert refused(camt(entry(rest=too_long))).code == "text_too_long"


def test_what_a_heading_must_say() -> None:
    nameless = '<Bal><Amt Ccy="AED">1</Amt></Bal>'
    assert [each.code for each in read_heading(camt(head=ACCOUNT + nameless)).balances] == [""]
    without_amount = "<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp></Bal>"
    assert refused(camt(head=ACCOUNT + without_amount)).field == "Ntfctn[1]/Bal[1]/Amt"
    assert refused(camt(head=ACCOUNT.replace("AED", "dirham"))).field == "Ntfctn[1]/Acct/Ccy"
    assert refused(camt(head=f"<CpyDplctInd>NO</CpyDplctInd>{ACCOUNT}")).code == "invalid_indicator"
    assert refused(camt(head=ACCOUNT.replace("AE07", "1" * 50))).code == "text_too_long"
    assert refused(camt(ENTRY).replace("M-1", "x" * 101)).field == "GrpHdr/MsgId"
    many = "<TxsSummry><TtlNtries><NbOfNtries>many</NbOfNtries></TtlNtries></TxsSummry>"
    assert refused(camt(head=ACCOUNT + many)).field == "Ntfctn[1]/TxsSummry/TtlNtries/NbOfNtries"


def test_pages_and_sequence_numbers() -> None:
    pages = "<NtfctnPgntn><PgNb>2</PgNb><LastPgInd>false</LastPgInd></NtfctnPgntn>"
    numbers = "<ElctrncSeqNb>17</ElctrncSeqNb><LglSeqNb>4</LglSeqNb>"
    got = read_heading(camt(ENTRY, head=pages + numbers + ACCOUNT))
    assert (got.page_number, got.last_page, got.sequence_number) == (2, False, "17")
    got = read_heading(camt(ENTRY, head=f"<LglSeqNb>4</LglSeqNb>{ACCOUNT}"))
    assert (got.page_number, got.last_page, got.sequence_number) == (None, None, "4")
    group = "<MsgPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></MsgPgntn>"
    got = read_heading(camt(ENTRY, group=group))
    assert (got.page_number, got.last_page) == (1, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_statements_of_two_currencies_and_their_pages_in_one_message(version: str) -> None:
    def page(number: int, last: str, opening: str, closing: str, currency: str) -> str:
        account = f"<Acct><Id><IBAN>AE070331234567890123456</IBAN></Id><Ccy>{currency}</Ccy></Acct>"
        balances = "".join(
            f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry>{subtype}</Tp>"
            f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2025-11-18</Dt></Dt></Bal>'
            for code, amount, subtype in (
                ("OPBD", opening, "<SubTp><Cd>INTM</Cd></SubTp>" if number > 1 else ""),
                ("CLBD", closing, "<SubTp><Cd>INTM</Cd></SubTp>" if last == "false" else ""),
            )
        )
        return (
            f"<Stmt><Id>S-{currency}</Id><StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{last}</LastPgInd></StmtPgntn>"
            "<ElctrncSeqNb>321</ElctrncSeqNb><LglSeqNb>7</LglSeqNb>"
            "<FrToDt><FrDtTm>2025-11-18T00:00:00+04:00</FrDtTm><ToDtTm>2025-11-18T23:59:59+04:00</ToDtTm></FrToDt>"
            f"{account}{balances}{ENTRY.replace('AED', currency)}</Stmt>"
        )

    pages = page(1, "false", "1", "2", "USD") + page(2, "true", "2", "3", "USD") + page(1, "true", "5", "6", "EUR")
    got = read_message(camt(ENTRY, kind="camt.053", version=version, between=pages).encode())
    assert isinstance(got, tuple), got
    first, *headings = (notification.heading for notification in got)
    assert first.currency == "AED"
    assert [(h.notification_id, h.page_number, h.last_page) for h in headings] == [
        ("S-USD", 1, False),
        ("S-USD", 2, True),
        ("S-EUR", 1, True),
    ]
    assert [[b.interim for b in h.balances] for h in headings] == [[False, True], [True, False], [False, False]]
    assert {(h.sequence_number, h.from_date, h.to_date) for h in headings} == {
        ("321", date(2025, 11, 18), date(2025, 11, 18))
    }
    assert [n.entries[0].currency for n in got] == ["AED", "USD", "USD", "EUR"]


def test_a_period_that_cannot_be_read_is_none() -> None:
    period = "<FrToDt><FrDt>2025-11-17</FrDt><ToDt>today</ToDt></FrToDt>"
    told = read_heading(camt(kind="camt.053", head=period + ACCOUNT))
    assert (told.from_date, told.to_date) == (date(2025, 11, 17), None)


def test_a_control_sum_may_have_a_sign() -> None:
    head = ACCOUNT + "<TxsSummry><TtlNtries><Sum>-131.2</Sum></TtlNtries></TxsSummry>"
    assert read_heading(camt(ENTRY, head=head)).stated_sum == Decimal("-131.2")


def test_what_is_like_an_entry_and_is_none_lends_nothing_to_the_next() -> None:
    like = f"<Othr>{AMOUNT}<CdtDbtInd>CRDT</CdtDbtInd><NtryDtls><TxDtls>{REFERENCES}</TxDtls></NtryDtls></Othr>"
    assert refused(camt(f"{like}<Ntry/>")).field == "Ntfctn[1]/Ntry[1]/Amt"
    assert read_entry(camt(like, ENTRY)) == read_entry(camt(ENTRY))


def test_stated_totals_and_servicer() -> None:
    head = (
        "<Acct><Id><Othr><Id>1</Id></Othr></Id><Svcr><FinInstnId><BICFI>EBILAEAD</BICFI></FinInstnId></Svcr></Acct>"
        "<TxsSummry><TtlNtries><NbOfNtries>3</NbOfNtries><Sum>300.00</Sum></TtlNtries></TxsSummry>"
    )
    got = read_heading(camt(ENTRY, head=head))
    assert (got.stated_entries, got.stated_sum) == (3, Decimal("300.00"))
    assert got.servicer_bic == "EBILAEAD"
    assert got.currency is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE Document>",
        '<!DOCTYPE d [<!ENTITY e "1">]>',
        '<!DOCTYPE d SYSTEM "file:///etc/passwd">',
        "<!-- first -->\n<!DOCTYPE d>",
    ],
)
def test_a_document_type_is_refused_in_any_encoding(doctype: str, encoding: str) -> None:
    refusal = refused(('<?xml version="1.0"?>' + doctype + camt(ENTRY)).encode(encoding))
    assert (refusal.code, refusal.field) == ("doctype_refused", "DOCTYPE")
    assert "(line" in refusal.message


@pytest.mark.parametrize("missing", range(12))
def test_a_document_type_does_not_hide_behind_a_long_comment(missing: int) -> None:
    comment = f"<!--{'x' * (65_536 - 7 - missing)}-->"
    assert refused(comment + "<!DOCTYPE d>" + camt(ENTRY)).code in ("doctype_refused", "invalid_xml")


def test_other_messages_are_refused_by_name() -> None:
    pain = '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"><CstmrCdtTrfInitn/></Document>'
    assert refused(pain).code == "not_a_bank_message"
    assert "pain.001.001.03" in refused(pain).message
    assert "'html'" in refused("<html><body/></html>").message


def test_a_message_without_notification_is_refused() -> None:
    text = "<Document><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr></BkToCstmrStmt></Document>"
    assert refused(text).field == "BkToCstmrStmt/Stmt"


def test_a_truncated_message_is_refused_whole() -> None:
    refusal = refused(camt(*[ENTRY] * 5)[:-40])
    assert refusal.code == "invalid_xml"


@pytest.mark.parametrize("text", ["{blanks}{start}\n{bad}", "\n{start}{blanks}{bad}"])
def test_lines_are_counted_from_the_first_of_the_file_however_many(text: str) -> None:
    start, end = camt("\0").split("\0")
    message = text.format(blanks="\n" * 70_000, start=start, bad=entry("")) + end
    assert "(line 70002)" in refused(message).message


def test_a_heading_that_never_ends_is_refused() -> None:
    refusal = refused(camt(ENTRY, head=ACCOUNT + "<Bal><x/></Bal>" * 700_000))
    assert refusal.code == "too_large"


PARTIES = (
    "<RltdPties><Dbtr><Nm>Payer  LLC</Nm><PstlAdr/></Dbtr><DbtrAcct><Id><IBAN>AE07 0331 2345 6789 0123 456</IBAN></Id>"
    "</DbtrAcct><Cdtr><Pty><Nm>Payee</Nm></Pty></Cdtr><CdtrAcct><Id><Othr><Id>0012-7</Id></Othr></Id></CdtrAcct>"
    "</RltdPties><RmtInf><Ustrd>Invoice</Ustrd><Ustrd>4711</Ustrd>"
    "<Strd><CdtrRefInf><Tp/><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf>"
)


def _told_of(details: str, indicator: str = "CRDT", reversal: str = "") -> tuple[str | None, ...]:
    rest = f"{reversal}<Sts>BOOK</Sts><NtryDtls>{details}</NtryDtls>"
    got = read_entry(camt(entry(indicator=f"<CdtDbtInd>{indicator}</CdtDbtInd>", rest=rest)))
    return got.counterparty, got.counterparty_account, got.creditor_reference, got.remittance


def test_the_other_party_is_who_paid_a_credit_and_whom_a_debit_went_to() -> None:
    payer, payee = ("Payer LLC", "AE070331234567890123456"), ("Payee", "0012-7")
    said = ("RF18539007547034", "Invoice 4711")
    single = f"<TxDtls>{PARTIES}</TxDtls>"
    reversed_ = "<RvslInd>true</RvslInd>"
    assert _told_of(single) == payer + said
    assert _told_of(single, "DBIT") == payee + said
    # A credit that reverses a debit comes from whom that debit went to.
    assert _told_of(single, "CRDT", reversed_) == payee + said
    assert _told_of(single, "DBIT", reversed_) == payer + said


def test_of_several_details_no_party_and_no_reference_is_the_entrys() -> None:
    assert _told_of(f"<TxDtls>{PARTIES}</TxDtls><TxDtls/>") == (None, None, None, None)
    two = "<Strd><CdtrRefInf><Ref>{}</Ref></CdtrRefInf></Strd>"
    assert _told_of(f"<TxDtls><RmtInf>{two.format('A')}{two.format('B')}</RmtInf></TxDtls>")[2] is None
    assert _told_of(f"<TxDtls><RmtInf>{two.format('A')}{two.format('A')}</RmtInf></TxDtls>")[2] == "A"


@pytest.mark.parametrize(
    "words",
    [
        "<RltdPties/>",
        "<RltdPties><Dbtr/><DbtrAcct/></RltdPties>",
        "<RltdPties><Dbtr><Pty/></Dbtr><DbtrAcct><Id><Othr/></Id></DbtrAcct></RltdPties>",
        "<RltdPties><Dbtr><Nm> </Nm></Dbtr></RltdPties>",
        f"<RltdPties><DbtrAcct><Id><IBAN>{'1' * 51}</IBAN></Id></DbtrAcct></RltdPties>",
        "<RmtInf><Ustrd/><Strd/><Strd><CdtrRefInf><Ref>NOTPROVIDED</Ref></CdtrRefInf></Strd></RmtInf>",
        f"<RmtInf><Strd><CdtrRefInf><Ref>{'1' * 36}</Ref></CdtrRefInf></Strd></RmtInf>",
    ],
)
def test_what_tells_nothing_of_parties_refuses_nothing(words: str) -> None:
    assert _told_of(f"<TxDtls>{words}</TxDtls>") == (None, None, None, None)


def test_words_for_people_are_cut() -> None:
    details = f"<RltdPties><Dbtr><Nm>{'n' * 200}</Nm></Dbtr></RltdPties><RmtInf><Ustrd>{'t' * 2000}</Ustrd></RmtInf>"
    name, _, _, text = _told_of(f"<TxDtls>{details}</TxDtls>")
    assert (name, text) == ("n" * 140, "t" * 1000)
