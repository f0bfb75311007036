"""Entries that are taken out of the text are what the parser would have made of them, or are left to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readers.messages import ACCOUNT, camt
from readers.test_fuzz import VALID, mutated
from token_engine.domain.entry import DETAILS_KEPT, Entry
from token_engine.domain.notification import Heading
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.iso20022 import camt as camt_reader
from token_engine.iso20022 import camt_plain, camt_shapes, camt_written
from token_engine.iso20022.camt_texts import entry_of
from token_engine.iso20022.camt_written import WrittenEntries
from token_engine.iso20022.utf8 import Utf8Stream


@pytest.fixture(autouse=True, scope="module")
def short_messages_too() -> Iterator[None]:
    with patch.object(camt_plain, "_SHORT", 0):
        yield


Told = list[Heading | Entry] | Refusal

ENTRY = """\
   <Ntry>
    <NtryRef>4711-0815</NtryRef>
    <Amt Ccy="AED">1234.50</Amt>
    <CdtDbtInd>CRDT</CdtDbtInd>
    <RvslInd>false</RvslInd>
    <Sts><Cd>BOOK</Cd></Sts>
    <BookgDt><Dt>2025-11-18</Dt></BookgDt>
    <ValDt><DtTm>2025-11-18T10:00:00+04:00</DtTm></ValDt>
    <AcctSvcrRef>BNK-1</AcctSvcrRef>
    <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn>
     <Prtry><Cd>NTRF+166</Cd><Issr>DK</Issr></Prtry></BkTxCd>
    <NtryDtls><Btch><MsgId>MSG-1</MsgId><PmtInfId>PMT-1</PmtInfId></Btch><TxDtls>
     <Refs><AcctSvcrRef>BNK-2</AcctSvcrRef><InstrId>I-1</InstrId><EndToEndId>E2E-1</EndToEndId>
      <UETR>8a562c67-ca16-48ba-b074-65581be6f001</UETR><TxId>T-1</TxId></Refs>
     <Amt Ccy="AED">1234.50</Amt><AmtDtls><TxAmt><Amt Ccy="AED">1234.50</Amt></TxAmt></AmtDtls>
     <BkTxCd><Prtry><Cd>OTHER</Cd></Prtry></BkTxCd>
     <RltdPties><Dbtr><Pty><Nm>Müller &amp; Söhne</Nm></Pty></Dbtr>
      <DbtrAcct><Id><IBAN>DE89 3704 0044 0532 0130 00</IBAN></Id></DbtrAcct><Cdtr><Nm>Token  Issuer</Nm></Cdtr>
      <CdtrAcct><Id><Othr><Id>12-34</Id></Othr></Id></CdtrAcct></RltdPties>
     <RmtInf><Ustrd>Invoice 1</Ustrd><Ustrd>of November</Ustrd><Strd><CdtrRefInf><Ref>RF18539007547034</Ref>
      </CdtrRefInf></Strd></RmtInf>
    </TxDtls></NtryDtls>
   </Ntry>
"""


class _Piecewise:
    """A text that arrives a few bytes at a time."""

    def __init__(self, text: bytes, size: int) -> None:
        self.opening = text[:1000].decode("utf-8", "replace")
        self.lines_skipped = 0
        self._text = BytesIO(text)
        self._size = size

    def read(self, size: int = -1, /) -> bytes:
        return self._text.read(self._size)

    def freed(self) -> None: ...


def _told(raw: bytes, size: int | None) -> Told:
    try:
        stream = Utf8Stream(BytesIO(raw)) if size is None else _Piecewise(raw, size)
        with patch.object(camt_plain, "CHUNK_BYTES", size or camt_plain.CHUNK_BYTES):
            return list(camt_reader.sections(stream))  # type: ignore[arg-type]
    except RefusedError as error:
        return error.refusal


@contextmanager
def _carefully() -> Iterator[None]:
    with patch.object(WrittenEntries, "read", lambda _, text: [([], len(text), 0)]):
        yield


@contextmanager
def _by_pattern(after: int, many: int = 2) -> Iterator[None]:
    """As in a message of which so many elements of each shape were read before, and so many are read at once."""
    for known in (camt_shapes.ENTRIES, camt_shapes.PAYMENTS):
        known.forget()
    with (
        patch.object(camt_shapes, "_OFTEN", after),
        patch.object(camt_shapes, "_ALONE", 0),
        patch.object(camt_written, "_MANY", many),
    ):
        yield


def same(raw: bytes, size: int | None = None) -> Told:
    with _carefully():
        careful = _told(raw, size)
    for often, many in ((1, 2), (1, 1_000), (2, 2), (1_000_000, 2)):
        with _by_pattern(often, many):
            assert _told(raw, size) == careful
    return careful


def _taken(raw: bytes) -> int:
    """How many entries were not left to the parser."""
    with _by_pattern(1_000_000), patch.object(camt_written, "entry_of", wraps=entry_of) as spy:
        _told(raw, None)
    return spy.call_count


def _statement(*entries: str, head: str = ACCOUNT) -> bytes:
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + camt(*entries, kind="camt.053", head=head)).encode()


def test_a_plain_entry_is_taken_and_reads_thesame() -> None:
    raw = _statement(ENTRY * 3)
    told = same(raw)
    assert isinstance(told, list)
    assert _taken(raw) == len(told) - 1 == 3
    entry = told[1]
    assert isinstance(entry, Entry)
    assert None not in [getattr(entry, name) for name in entry.__struct_fields__]


# Each makes one entry of the message another one; the second says whether it can still be taken.
_CHANGES = [
    ("<NtryRef>4711-0815</NtryRef>", "", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef/>", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>NOTPROVIDED</NtryRef>", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>4711\n 0815</NtryRef>", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>4711\r\n0815</NtryRef>", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>47&lt;11&#8364;</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>47&lt;&gt;&quot;&apos;&amp;lt;</NtryRef>", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>47&nbsp;</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>a > b</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>a ]]> b</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", f"<NtryRef>{'x' * 141}</NtryRef>", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>4<!-- 7 -->11</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef><![CDATA[4711]]></NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef><?x y?>4711</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>47<b/>11</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>a</NtryRef><NtryRef>b</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>a</ntryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", '<NtryRef lang="en">a</NtryRef>', False),
    ("<NtryRef>4711-0815</NtryRef>", '<x:NtryRef xmlns:x="y">a</x:NtryRef>', False),
    ("<NtryRef>4711-0815</NtryRef>", "<x:NtryRef>a</x:NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>a\x01</NtryRef>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>a\u0085b\u00a0\U0001f600</NtryRef>", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>\u00a04711\u2003</NtryRef>", True),
    ("<NtryRef>4711-0815</NtryRef>", "\n\n\n", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef&amp;>a</NtryRef&amp;>", False),
    ("<NtryRef>4711-0815</NtryRef>", "&lt;NtryRef&gt;a&lt;/NtryRef&gt;", True),
    ("<NtryRef>4711-0815</NtryRef>", "<NtryRef>a</NtryRef\r\n>", False),
    ("   <Ntry>\n", "\x0c<Ntry>", False),
    ("   <Ntry>\n", "\x1c<Ntry>", False),
    ("   <Ntry>\n", "\x85\u00a0\u2003<Ntry>", False),
    ("   <Ntry>\n", "text &amp; more<Ntry>", False),
    ("   <Ntry>\n", "]]><Ntry>", False),
    ("   <Ntry>\n", "&<Ntry>", False),
    ("   <Ntry>\n", "\r\n\t<Ntry>", True),
    ("   </Ntry>\n", "   </Ntry>\x0b\n", False),
    ("<NtryRef>4711-0815</NtryRef>", "<SplmtryData><Envlp><Ntry/></Envlp></SplmtryData>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<SplmtryData><Stmt><Id>1</Id></Stmt></SplmtryData>", False),
    ("<NtryRef>4711-0815</NtryRef>", "<SplmtryData><NtryDtls><TxDtls/></NtryDtls></SplmtryData>", True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', "", False),
    ('<Amt Ccy="AED">1234.50</Amt>\n', "<Amt>1</Amt>", False),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="XXX">1</Amt>', False),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="aed">1</Amt>', False),
    ('<Amt Ccy="AED">1234.50</Amt>\n', "<Amt Ccy='AED'>1</Amt>", False),
    ('<Amt Ccy="AED">1234.50</Amt>\n', "<Amt Ccy=&quot;AED&quot;>1</Amt>", False),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="A&#69;D">1</Amt>', False),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="EUR">1</Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED">.5</Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED"> 5 </Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED">5.123456</Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED">0001.50000000</Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED">-5</Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED">1e5</Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED">١</Amt>', True),
    ('<Amt Ccy="AED">1234.50</Amt>\n', '<Amt Ccy="AED">5</Amt><Amt Ccy="AED">5</Amt>', False),
    ("<CdtDbtInd>CRDT", "<CdtDbtInd>DBIT", True),
    ("<CdtDbtInd>CRDT", "<CdtDbtInd> CRDT ", True),
    ("<CdtDbtInd>CRDT", "<CdtDbtInd>crdt", True),
    ("<RvslInd>false</RvslInd>", "<RvslInd>true</RvslInd>", True),
    ("<RvslInd>false</RvslInd>", "<RvslInd>1</RvslInd>", True),
    ("<RvslInd>false</RvslInd>", "<RvslInd/>", True),
    ("<RvslInd>false</RvslInd>", "", True),
    ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>PDNG</Sts>", True),
    ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Prtry>LATER</Prtry></Sts>", True),
    ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts/>", True),
    ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Cd>BOOK</Cd><x/></Sts>", False),
    ("<Sts><Cd>BOOK</Cd></Sts>", "", True),
    ("<BookgDt><Dt>2025-11-18</Dt></BookgDt>", "", True),
    ("<BookgDt><Dt>2025-11-18</Dt></BookgDt>", "<BookgDt/>", False),
    ("<BookgDt><Dt>2025-11-18</Dt></BookgDt>", "<BookgDt><Dt/></BookgDt>", True),
    ("<BookgDt><Dt>2025-11-18</Dt></BookgDt>", "<BookgDt><Dt> 2025-11-18\n</Dt></BookgDt>", True),
    ("<BookgDt><Dt>2025-11-18</Dt></BookgDt>", "<BookgDt><Dt>2025-02-30</Dt></BookgDt>", True),
    ("<BookgDt><Dt>2025-11-18</Dt></BookgDt>", "<BookgDt><Dt>2025-11-18</Dt><DtTm>x</DtTm></BookgDt>", False),
    ("<Fmly>", "<Fmly><Cd>TWICE</Cd>", True),
    ("<Domn><Cd>PMNT</Cd>", "<Domn><Cd/>", True),
    ("<Domn>", "<Domn></Domn><Domn>", False),
    ("<Prtry><Cd>NTRF+166</Cd>", "<Prtry><Cd>a</Cd><Cd>b</Cd>", False),
    ("<Prtry><Cd>NTRF+166</Cd>", "<Other/><Prtry><Cd>a</Cd>", False),
    ("<Btch><MsgId>MSG-1</MsgId><PmtInfId>PMT-1</PmtInfId></Btch>", "<Btch><MsgId> M\n1</MsgId></Btch>", True),
    ("<Btch><MsgId>MSG-1</MsgId><PmtInfId>PMT-1</PmtInfId></Btch>", "<Btch/><Btch/>", False),
    ("</TxDtls>", "</TxDtls><TxDtls/>", False),
    ("</NtryDtls>", "</NtryDtls><NtryDtls><TxDtls></TxDtls></NtryDtls>", False),
    ("</NtryDtls>", "</NtryDtls><NtryDtls/>", False),
    ("<EndToEndId>E2E-1</EndToEndId>", "<EndToEndId>NOTPROVIDED</EndToEndId>", True),
    ("<EndToEndId>E2E-1</EndToEndId>", f"<EndToEndId>{'x' * 141}</EndToEndId>", True),
    ("<EndToEndId>E2E-1</EndToEndId>", "<EndToEndId>a</EndToEndId><EndToEndId>b</EndToEndId>", False),
    ("</Refs>", "</Refs><Refs><EndToEndId>E2E-2</EndToEndId></Refs>", False),
    ("<Dbtr><Pty>", "<Dbtr><Nm>x</Nm><Pty>", False),
    ("<Dbtr><Pty>", "<Dbtr><Pty><Pty/>", False),
    ("<Cdtr><Nm>Token  Issuer</Nm>", "<Cdtr><Pty><Pty><Nm>x</Nm></Pty></Pty>", False),
    ("<Cdtr><Nm>Token  Issuer</Nm>", "<Cdtr>", True),
    ("<Cdtr><Nm>Token  Issuer</Nm>", f"<Cdtr><Nm>{'n ' * 200}</Nm>", True),
    ("<IBAN>DE89 3704 0044 0532 0130 00</IBAN>", f"<IBAN>{'1' * 51}</IBAN>", True),
    ("<IBAN>DE89 3704 0044 0532 0130 00</IBAN>", "<BBAN> 1 </BBAN><IBAN>2</IBAN>", False),
    ("<IBAN>DE89 3704 0044 0532 0130 00</IBAN>", "<Othr><Id>1</Id><Id>2</Id></Othr>", False),
    ("<IBAN>DE89 3704 0044 0532 0130 00</IBAN>", "", True),
    ("<Ustrd>Invoice 1</Ustrd><Ustrd>of November</Ustrd>", "", True),
    ("<Ustrd>Invoice 1</Ustrd>", f"<Ustrd>{'wörd ' * 300}</Ustrd>", True),
    ("<Ustrd>Invoice 1</Ustrd>", "<Ustrd>Invoice<br/> 1</Ustrd>", False),
    ("<Ref>RF18539007547034</Ref>", f"<Ref>{'x' * 36}</Ref>", True),
    ("</Strd>", "</Strd><Strd><CdtrRefInf><Ref>OTHER</Ref></CdtrRefInf></Strd>", True),
    ("</Strd>", "</Strd><Strd/>", True),
    ("<Strd>", "<Strd><CdtrRefInf/>", False),
    ("<Strd>", "<Ustrd>line</Ustrd>" * 100 + "<Strd>", True),
    ("<Strd>", "<Ustrd>line</Ustrd>" * 200 + "<Strd>", False),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "looked_at"), _CHANGES)
def test_an_entry_is_read_the_same_or_left_to_the_parser(old: str, new: str, looked_at: bool) -> None:
    assert old in ENTRY
    raw = _statement(ENTRY + ENTRY.replace(old, new, 1) + ENTRY)
    told = same(raw)
    if isinstance(told, list):
        assert sum(isinstance(part, Entry) for part in told) == 3
    assert _taken(raw) == 2 + looked_at


@pytest.mark.parametrize("character", ["\ufffe", "\uffff"])
def test_where_a_character_stands_that_no_message_may_have_the_parser_says_so(character: str) -> None:
    raw = _statement(ENTRY + ENTRY.replace("4711-0815", f"a{character}") + ENTRY)
    assert isinstance(same(raw), Refusal)
    assert _taken(raw) == 0


_PAYMENT = """<TxDtls>
      <Refs><EndToEndId>E2E-1</EndToEndId><UETR>u-1</UETR><InstrId>I-1</InstrId><TxId>T-1</TxId></Refs>
      <Amt Ccy="AED">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
      <AmtDtls><InstdAmt><Amt Ccy="USD">3</Amt></InstdAmt><TxAmt><Amt Ccy="AED">11.00</Amt></TxAmt></AmtDtls>
      <RltdPties><Dbtr><Nm>Acme</Nm></Dbtr></RltdPties>
      <RmtInf><Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>
"""
_BARE = "<TxDtls><Refs><EndToEndId>E2E-2</EndToEndId></Refs><CdtDbtInd>DBIT</CdtDbtInd></TxDtls>"
_BATCH = re.sub(r"<TxDtls>.*</TxDtls>", _PAYMENT + _BARE + _PAYMENT, ENTRY, flags=re.DOTALL)
_CHANGES_OF_BATCH = [
    ("", "", True),
    ("E2E-1", "NOTPROVIDED", True),
    ("E2E-1", "x" * 141, True),
    ("E2E-1", "&amp;\n ü", True),
    ("E2E-1", "<x/>", False),
    ("<UETR>u-1</UETR>", "<UETR/>", True),
    ("<UETR>u-1</UETR>", "<UETR>a</UETR><UETR>b</UETR>", False),
    ("</Refs>", "</Refs><Refs/>", False),
    ("<CdtDbtInd>CRDT</CdtDbtInd>\n      <AmtDtls>", "<AmtDtls>", True),
    (">DBIT<", ">dbit<", False),
    (">DBIT<", "> DBIT <", False),
    (">DBIT<", "><", True),
    ('<Amt Ccy="AED">11.00</Amt>', '<Amt Ccy="USD">11.00</Amt>', True),
    ('<Amt Ccy="AED">11.00</Amt>', '<Amt Ccy="XXX">11.00</Amt>', False),
    ('<Amt Ccy="AED">11.00</Amt>', "<Amt>11.00</Amt>", True),
    ('<Amt Ccy="AED">11.00</Amt>', '<Amt Ccy="AED">.5</Amt>', False),
    ('<Amt Ccy="AED">11.00</Amt>', '<Amt Ccy="AED">many</Amt>', False),
    ('<Amt Ccy="AED">11.00</Amt>', '<Amt Ccy="AED"/>', False),
    ('<Amt Ccy="AED">10.00</Amt>', "", True),
    ("<TxAmt>", "<TxAmt/><TxAmt>", False),
    ("</AmtDtls>", "</AmtDtls><AmtDtls/>", False),
    ("</Strd>", "</Strd><Strd><CdtrRefInf><Ref>B</Ref></CdtrRefInf></Strd>", True),
    ("</RmtInf>", "</RmtInf><RmtInf/>", False),
    (_BARE, "<TxDtls></TxDtls>", True),
    (_BARE, "<TxDtls/>", False),
    (_BARE, "<TxDtls><SplmtryData><TxDtls></TxDtls></SplmtryData></TxDtls>", False),
    (_BARE, "text between", True),
    (_BARE, "<Other/>", False),
    (_BARE, "</NtryDtls><NtryDtls>", False),
    (_BARE, f"</NtryDtls><NtryDtls>{_BARE}", False),
    (_BARE, "<TxDtls>", False),
    (_BARE, "</TxDtls>", False),
    ("<NtryDtls>", f"<SplmtryData>{_BARE * 2}</SplmtryData><NtryDtls>", False),
    ("<NtryDtls>", f"<SplmtryData>{_BARE * 2}</SplmtryData><NtryDtls><TxDtls/></NtryDtls><Old>", False),
    ("</NtryDtls>", f"</NtryDtls><SplmtryData>{_BARE * 2}</SplmtryData>", True),
    ("</NtryDtls>", "</NtryDtls><BkTxCd><Domn/></BkTxCd>", False),
    ('<Amt Ccy="AED">1234.50</Amt>', '<Amt Ccy="USD">1234.50</Amt>', True),
]


@pytest.mark.parametrize(("old", "new", "looked_at"), _CHANGES_OF_BATCH)
def test_a_batch_is_read_the_same_or_left_to_the_parser(old: str, new: str, looked_at: bool) -> None:
    assert old in _BATCH
    told = same(_statement(_BATCH + _BATCH.replace(old, new, 1) + _BATCH))
    assert _taken(_statement(_BATCH.replace(old, new, 1))) == looked_at
    if isinstance(told, list):
        first, *_, last = (part for part in told if isinstance(part, Entry))
        assert [str(d.amount) for d in first.details] == ["11.00", "None", "11.00"]
        assert first == last


def test_a_payment_with_others_somewhere_else_is_no_batch() -> None:
    other = f"<SplmtryData>{_BARE * 2}</SplmtryData>"
    alone = re.sub(r"<TxDtls>.*</TxDtls>", _PAYMENT, _BATCH, flags=re.DOTALL)
    for tag, beside in (("<NtryDtls>", other + "<NtryDtls>"), ("</NtryDtls>", "</NtryDtls>" + other)):
        text = alone.replace(tag, beside)
        told = same(_statement(text * 2))
        assert isinstance(told, list)
        assert isinstance(told[1], Entry)
        assert (told[1].end_to_end_id, told[1].details) == ("E2E-1", ())


def test_a_batch_of_more_payments_than_are_kept() -> None:
    many = "<TxDtls></TxDtls>" * DETAILS_KEPT
    for text in (_BATCH.replace(_PAYMENT + _BARE + _PAYMENT, each) for each in (many, many + _BARE)):
        told = same(_statement(text))
        assert isinstance(told, list)
        assert isinstance(told[1], Entry)
        assert len(told[1].details) == (DETAILS_KEPT if _BARE not in text else 0)
        assert _taken(_statement(text)) == 1


_WRONG = [
    ("<CdtDbtInd>CRDT", "<CdtDbtInd>crdt", "Stmt[1]/Ntry[50]/CdtDbtInd"),
    ("1234.50<", "1e5<", "Stmt[1]/Ntry[50]/Amt"),
    ("<Dt>2025-11-18", "<Dt>2025-02-30", "Stmt[1]/Ntry[50]/BookgDt/Dt"),
    ("<EndToEndId>E2E-1<", f"<EndToEndId>{'x' * 141}<", "Stmt[1]/Ntry[50]/NtryDtls/TxDtls/Refs/EndToEndId"),
    ("</Sts>", "</Sts", None),
    ("</Ntry>", "", None),
]


@pytest.mark.parametrize(("old", "new", "field"), _WRONG)
@pytest.mark.parametrize("on_one_line", [False, True])
def test_places_lines_and_columns_are_told_behind_entries_that_were_taken(
    old: str, new: str, field: str | None, on_one_line: bool
) -> None:
    raw = _statement(ENTRY * 49 + ENTRY.replace(old, new, 1) + ENTRY * 49)
    if on_one_line:
        raw = raw.replace(b"\n", b"")
    told = same(raw)
    assert isinstance(told, Refusal)
    assert told.field == field
    assert "line 1" in told.message if on_one_line else re.search(r"line \d{4}", told.message)


@pytest.mark.parametrize("before", ["<N", "<N ", "<N\n", "<", "</", "<Stmt", "text", "&", "<Ntry", "<Ntry ", '<x a="'])
def test_what_is_wrong_before_the_first_entry_is_told_as_the_parser_finds_it(before: str) -> None:
    for blanks in ("", " ", "\n", "\r\n  \n"):
        same(_statement(before, blanks, ENTRY * 3))
        same(_statement(ENTRY, before, blanks, ENTRY * 3))


def test_other_prefixes_and_no_namespace() -> None:
    raw = _statement(ENTRY * 3).partition(b"?>")[2]
    prefixed = re.sub(rb"<(/?)(?=\w)", rb"<\1n:", raw).replace(b"xmlns=", b"xmlns:n=")
    for text in (prefixed, re.sub(rb' xmlns="[^"]*"', b"", raw), prefixed.replace(b"n:NtryRef", b"NtryRef")):
        assert isinstance(same(text), list)
    assert _taken(prefixed) == 3
    undeclared = prefixed.replace(b"xmlns:n=", b"xmlns:m=")
    assert isinstance(same(undeclared), Refusal)


@pytest.mark.parametrize(
    "hidden",
    [
        f"<!-- {ENTRY} -->",
        f"<AddtlStmtInf><![CDATA[{ENTRY}]]></AddtlStmtInf>",
        f"<?x {ENTRY} ?>",
        f"<SplmtryData>{ENTRY}</SplmtryData>",
        f"<Ntry>{ENTRY}</Ntry>",
        f"<TxsSummry>{ENTRY * 5}</TxsSummry>",
        "<!-- a comment -->",
        "text",
    ],
)
def test_what_only_looks_like_an_entry_is_none(hidden: str) -> None:
    for around in ("{0}{1}{2}", "{1}{0}{2}", "{1}{2}{0}", "{0}{1}{0}{2}{0}"):
        same(_statement(around.format(hidden, ENTRY, ENTRY.replace("E2E-1", "E2E-2"))))
    same(_statement(ENTRY, head=hidden + ACCOUNT))


def test_an_entry_in_a_text_is_kept_as_text() -> None:
    for text in (ENTRY, _SMALL * 3):
        inside = f"<Ustrd><![CDATA[{text}]]></Ustrd>"
        told = same(_statement(ENTRY + ENTRY.replace("<Ustrd>Invoice 1</Ustrd>", inside) + ENTRY))
        assert isinstance(told, list)
        assert len(told) == 4


def test_the_mark_of_what_was_taken_cannot_be_written_by_a_sender() -> None:
    forged = re.sub(r"<Ntry>", '<Ntry m0="1">', ENTRY)
    told = same(_statement(ENTRY + forged + ENTRY))
    assert isinstance(told, list)
    assert len(told) == 4


def test_a_comment_that_ends_leaves_the_rest_plain() -> None:
    assert _taken(_statement("<!-- <a> -->", ENTRY * 2, "<!-- b -->", ENTRY * 3)) >= 4


@pytest.mark.parametrize("encoding", ["utf-16", "iso8859-15", "cp1252"])
def test_encodings(encoding: str) -> None:
    text = _statement(ENTRY * 3).decode().replace("UTF-8", encoding)
    assert _taken(text.encode(encoding)) == 3
    assert isinstance(same(text.encode(encoding)), list)
    broken = _statement(ENTRY * 3).replace("ü".encode(), b"\xff")
    assert isinstance(same(broken), Refusal)


def test_entries_of_more_shapes_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [ENTRY.replace("<Ustrd>of November</Ustrd>", "<Ustrd>x</Ustrd>" * n) for n in range(30)]
    monkeypatch.setattr(camt_shapes, "_MOST", 7)
    assert isinstance(same(_statement(*entries, *entries)), list)
    monkeypatch.setattr(camt_shapes, "_MOST_NEW", 5)
    assert isinstance(same(_statement(*entries, *entries)), list)


_quick = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
_SEVERAL = _statement(ENTRY * 2, "<!-- x -->", ENTRY.replace("</TxDtls>", "</TxDtls><TxDtls/>"), _BATCH, ENTRY * 2)
_TWO_STATEMENTS = camt(ENTRY, ENTRY, kind="camt.053", between=f"<Stmt><Id>2</Id>{ACCOUNT}{ENTRY * 3}</Stmt>").encode()


@_quick
@given(st.sampled_from([_SEVERAL, _TWO_STATEMENTS]), st.integers(1, 3000))
def test_however_the_text_arrives(raw: bytes, size: int) -> None:
    told = same(raw, size)
    assert isinstance(told, list)
    assert told == _told(raw, None)


@_quick
@given(mutated([_SEVERAL, _TWO_STATEMENTS, VALID[0]]), st.none() | st.integers(1, 3000))
def test_mutated_statements(raw: bytes, size: int | None) -> None:
    same(raw, size)


_SMALL = '<Ntry><Amt Ccy="AED">1</Amt><CdtDbtInd>CRDT</CdtDbtInd></Ntry>'
_TOKENS = [
    _SMALL, _SMALL, "<Ntry>", "</Ntry>", '<Amt Ccy="AED">1</Amt>', "<CdtDbtInd>CRDT</CdtDbtInd>", '<Amt Ccy="AED">',
    "</Amt>", "<NtryDtls>", "</NtryDtls>", "<TxDtls>", "</TxDtls>", "<TxDtls/>", "<NtryRef>", "</NtryRef>",
    "<NtryRef/>", "<Refs><EndToEndId>E</EndToEndId></Refs>", "<Ntry/>", '<Ntry a="b">', "</Stmt>", "<Stmt>", "<Id>",
    "</Id>", "<x>", "</x>", "<!--", "-->", "<![CDATA[", "]]>", "<?a", "?>", "&amp;", "&lt;", "&quot;", "&", "<", ">",
    "'", '"', " ", "\n", "\r\n", "\x0c", "\u00a0", "\ufffe", "1", "AED", "=", "Ccy=", "/", ' Ccy="AED"',
]  # fmt: skip


@_quick
@given(st.lists(st.sampled_from(_TOKENS), max_size=30), st.none() | st.integers(1, 500))
def test_any_tokens_in_any_order(tokens: list[str], size: int | None) -> None:
    same(_statement(_SMALL + "".join(tokens) + _SMALL), size)


@_quick
@given(st.lists(st.sampled_from(_TOKENS), max_size=6), st.integers(0, 12))
def test_any_tokens_in_a_batch(tokens: list[str], place: int) -> None:
    parts = _BATCH.split("\n")
    parts.insert(min(place + 10, len(parts)), "".join(tokens))
    same(_statement(_SMALL, "\n".join(parts), _SMALL))


@_quick
@given(st.data())
def test_any_two_changes_at_once(data: st.DataObject) -> None:
    text, changes = data.draw(st.sampled_from([(ENTRY, _CHANGES), (_BATCH, _CHANGES + _CHANGES_OF_BATCH)]))
    for old, new, _ in data.draw(st.lists(st.sampled_from(changes), min_size=2, max_size=4)):
        text = text.replace(old, new, 1)
    same(_statement(ENTRY + text + ENTRY))


@_quick
@given(st.text(max_size=40), st.sampled_from(re.findall(r">([^<>\n]+)<", ENTRY)))
def test_any_text_in_any_element(text: str, leaf: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    changed = ENTRY.replace(f">{leaf}<", f">{escaped}<")
    same(_statement(ENTRY + changed + ENTRY + changed).decode().encode("utf-8", "replace"))
