"""Whatever bytes come: a tuple of notifications or a refusal, never an exception, never for long."""

from __future__ import annotations

import gzip
import json
import re
from typing import cast
from xml.sax.saxutils import escape

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readers.messages import ACCOUNT, CLOSING, JSON, LINE, STATEMENT_JSON, blocks, camt, entry, mt940, mt942
from readers.test_bundle import zipped
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import read_message, unbundle

_RICH = entry(
    rest="<RvslInd>false</RvslInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2025-11-18</Dt></BookgDt>"
    "<ValDt><DtTm>2025-11-18T10:00:00Z</DtTm></ValDt><AcctSvcrRef>B-1</AcctSvcrRef><NtryDtls><TxDtls><Refs>"
    "<EndToEndId>E-1</EndToEndId></Refs></TxDtls></NtryDtls>"
)
_DETAIL = (
    '<TxDtls><Refs><EndToEndId>E-1</EndToEndId><TxId>T-1</TxId></Refs><Amt Ccy="AED">50.00</Amt><CdtDbtInd>CRDT'
    '</CdtDbtInd><AmtDtls><TxAmt><Amt Ccy="AED">50.00</Amt></TxAmt></AmtDtls><RmtInf><Strd><CdtrRefInf><Ref>RF1</Ref>'
    "</CdtrRefInf></Strd></RmtInf></TxDtls>"
)
_BATCH = entry(
    rest="<Sts>BOOK</Sts><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
    f"<NtryDtls><Btch><MsgId>B-1</MsgId><PmtInfId>P-1</PmtInfId></Btch>{_DETAIL}{_DETAIL}</NtryDtls>"
)
_BALANCE = (
    "<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><CdtLine><Incl>false</Incl></CdtLine>"
    '<Amt Ccy="AED">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2025-11-18</Dt></Dt></Bal>'
    "<TxsSummry><TtlNtries><NbOfNtries>3</NbOfNtries><Sum>3</Sum></TtlNtries></TxsSummry>"
)
_XML = '<?xml version="1.0" encoding="UTF-8"?>' + camt(_RICH, _BATCH, _RICH, kind="camt.053", head=ACCOUNT + _BALANCE)
_MT = mt940(
    f"{LINE}\r\nsupplement",
    ":86:166?00CREDIT?20EREF+E2E-1?21SVWZ+Invoice?30BANKAEAD?31AE070331234567890123456?32Acme",
    ":61:251231RD,50NMSCNONREF",
    ":86:/EREF/E2E-2/ORDP//NAME/Acme/REMI/USTD//Invoice 4711/",
    closing=f"{CLOSING}\r\n:64:C251118AED1,00\r\n:65:C251119AED1,00",
)
_AT_SIGNS = _MT.replace("\r\n", "@@")
_AS_SENT = mt940(
    ":61:250230    C 100,00 NTRFCUST-1\r\n//BANK-1",
    ":NS:x",
    ":86:EREF+E2E-1",
    ":61:2511181118CD\r\n20,NTRFNONREF",
    ":61:2511181118D5,05//1001",
    number=":28C:09/2021/M",
    opening=":60F:C000000AED0,",
)
_ADVICE = ":20:A-1\r\n:21:O-1\r\n:25:BANKAEAD/0012AED\r\n:32A:251118AED1,5\r\n:50K:/123\r\nAcme\r\n"
VALID_MT = [
    _MT.encode(),
    (_MT + "-\r\n" + _MT).encode(),
    blocks(_MT).encode(),
    mt942(LINE, ":86:text", rest=":90D:0AED0,\r\n:90C:1AED100,00").encode(),
    blocks(_ADVICE, "910").encode(),
    _MT.replace("Acme", "Müller").encode("cp1252"),
    _MT.encode("utf-16"),
    _AT_SIGNS.encode(),
    _AS_SENT.encode(),
    mt942(":61:251118    C 1,00", ":NS:x", ":86:EREF+E-1", rest=":90D:AED0,\r\n:90C:AED1,00").encode(),
]
_STATEMENT_JSON = STATEMENT_JSON | {
    "entries": [
        *cast("list[object]", STATEMENT_JSON["entries"]),
        {"amount": "1.00", "credit_debit_indicator": "DBIT", "bank_reference": "B-1", "transaction_id": "T-1",
         "uetr": "u", "booking_date": "2025-11-18", "value_date": "2025-11-18", "status": "PDNG", "currency": "AED"},
    ]
}  # fmt: skip
_STATEMENT = json.dumps(_STATEMENT_JSON)
VALID = [
    _XML.encode(),
    _XML.encode("utf-16"),
    _XML.encode("utf-16-be"),
    json.dumps(JSON | {"booking_date": "2025-11-18", "bank_reference": "B-1"}).encode(),
    json.dumps(JSON).encode("utf-16-le"),
    _STATEMENT.encode(),
    _STATEMENT.encode("utf-16"),
]
_BUNDLES = [zipped({"a.xml": VALID[0], "b.json": VALID[3]}), gzip.compress(VALID[0])]
_INSERTS = [
    b"", b"<", b">", b"&", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<!DOCTYPE x>", b"<Ntry>", b"</Ntry>",
    b"<TxDtls/>", b"</Stmt>", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"-", b"1e9", b'"', b"}", b"&#0;", b"&lt;",
    b"\r\n", b":61:", b":86:", b":62F:", b":20:", b":28C:", b"-}", b"{4:", b"{1:", b",", b"//", b"C", b"RD", b"0229",
    b"\x0c", b"\x1c", b"\x7f", b"\xc2\xa0", b"\xef\xbf\xbf", b"&quot;", b"&amp;", b"&x;", b"'", b'="', b"/", b"/>",
    b"\r", b"entries", b"[", b"{", b":", b"\\u0000", b"null",
]  # fmt: skip

_quick = settings(max_examples=400, deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A valid message with up to four stretches of it replaced, doubled or cut away."""
    raw = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 30)))
        insert = draw(st.one_of(st.sampled_from(_INSERTS), st.binary(max_size=6), st.just(raw[start:end] * 2)))
        raw = raw[:start] + insert + raw[end:]
    return raw


def _holds(raw: bytes) -> None:
    got = read_message(raw)
    if isinstance(got, Refusal):
        assert got.code
        assert got.message
    else:
        assert got
        for notification in got:
            assert notification.heading.message_id
            assert notification.heading.account_number
            assert all(e.amount >= 0 and e.currency for e in notification.entries)


@_quick
@given(mutated(VALID))
def test_mutated_messages(raw: bytes) -> None:
    _holds(raw)


@_quick
@given(mutated(VALID_MT))
def test_mutated_mt_messages(raw: bytes) -> None:
    _holds(raw)


@_quick
@given(st.sampled_from([_MT, _AS_SENT, mt942(LINE, ":86:x")]), st.data())
def test_any_text_in_any_mt_field(text: str, data: st.DataObject) -> None:
    lines = text.split("\r\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    tag = re.match(r"(:\d\d[A-Z]?:)?", lines[at])
    assert tag is not None
    lines[at] = tag[0] + data.draw(st.text(max_size=40) | st.sampled_from(lines))
    _holds("\r\n".join(lines).encode("utf-8", "replace"))


_CLOSED = [
    *((text, _MT.index(CLOSING) + len(CLOSING) - 1) for text in (_MT, _AT_SIGNS)),
    (_AS_SENT, len(_AS_SENT) - len("\r\n") - 1),
    (blocks(_MT), len(blocks(_MT)) - len("}{5:{CHK:0123456789AB}}") - 1),
]


@_quick
@given(st.sampled_from(_CLOSED), st.data())
def test_a_statement_cut_before_its_end_is_refused(original: tuple[str, int], data: st.DataObject) -> None:
    text, end = original
    cut = data.draw(st.integers(0, end - len("00")))
    assert isinstance(read_message(text[:cut].encode()), Refusal)


_ANY = st.recursive(st.none() | st.text() | st.floats() | st.integers(), st.lists)
_OF_ENTRY = cast("list[dict[str, str]]", _STATEMENT_JSON["entries"])[1]
_LEAVES = re.findall(r">([^<>]+)</", _XML)


@_quick
@given(st.sampled_from(_LEAVES), st.one_of(st.text(max_size=30), st.sampled_from(_LEAVES)))
def test_any_text_in_any_element(leaf: str, text: str) -> None:
    _holds(_XML.replace(f">{leaf}<", f">{escape(text)}<").encode("utf-8", "replace"))


@_quick
@given(st.sampled_from(sorted(JSON)), _ANY)
def test_any_value_in_any_member(member: str, value: object) -> None:
    _holds(json.dumps(JSON | {member: value}).encode())


@_quick
@given(st.sampled_from(sorted(_STATEMENT_JSON)), st.sampled_from(sorted(_OF_ENTRY)), _ANY)
def test_any_value_in_any_member_of_a_statement(member: str, of_entry: str, value: object) -> None:
    _holds(json.dumps(_STATEMENT_JSON | {member: value}).encode())
    _holds(json.dumps(_STATEMENT_JSON | {"entries": [_OF_ENTRY, _OF_ENTRY | {of_entry: value}, value]}).encode())


@_quick
@given(st.sampled_from(VALID), st.data())
def test_truncated_messages(raw: bytes, data: st.DataObject) -> None:
    cut = raw[: data.draw(st.integers(0, len(raw) - 3))]
    assert isinstance(read_message(cut), Refusal)


@_quick
@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_random_bytes(raw: bytes) -> None:
    _holds(raw)
    _holds(b"<" + raw)
    _holds(b"{" + raw)
    _holds(b"{4:" + raw)
    _holds(b":20:" + raw)


@_quick
@given(mutated(_BUNDLES))
def test_mutated_bundles(raw: bytes) -> None:
    got = unbundle(raw, "in.zip")
    assert isinstance(got, Refusal) or got
