"""Whatever bytes come: a tuple of notifications or a refusal, never an exception, never for long."""

from __future__ import annotations

import gzip
import json
import re
from xml.sax.saxutils import escape

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readers.messages import ACCOUNT, JSON, camt, entry
from readers.test_bundle import zipped
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import read_message, unbundle

_RICH = entry(
    rest="<RvslInd>false</RvslInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2025-11-18</Dt></BookgDt>"
    "<ValDt><DtTm>2025-11-18T10:00:00Z</DtTm></ValDt><AcctSvcrRef>B-1</AcctSvcrRef><NtryDtls><TxDtls><Refs>"
    "<EndToEndId>E-1</EndToEndId></Refs></TxDtls></NtryDtls>"
)
_BALANCE = (
    "<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><CdtLine><Incl>false</Incl></CdtLine>"
    '<Amt Ccy="AED">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2025-11-18</Dt></Dt></Bal>'
    "<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries><Sum>2</Sum></TtlNtries></TxsSummry>"
)
_XML = '<?xml version="1.0" encoding="UTF-8"?>' + camt(_RICH, _RICH, kind="camt.053", head=ACCOUNT + _BALANCE)
_VALID = [
    _XML.encode(),
    _XML.encode("utf-16"),
    _XML.encode("utf-16-be"),
    json.dumps(JSON | {"booking_date": "2025-11-18", "bank_reference": "B-1"}).encode(),
    json.dumps(JSON).encode("utf-16-le"),
]
_BUNDLES = [zipped({"a.xml": _VALID[0], "b.json": _VALID[3]}), gzip.compress(_VALID[0])]
_INSERTS = [
    b"", b"<", b">", b"&", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<!DOCTYPE x>", b"<Ntry>", b"</Ntry>",
    b"<TxDtls/>", b"</Stmt>", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"-", b"1e9", b'"', b"}", b"&#0;", b"&lt;",
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
@given(mutated(_VALID))
def test_mutated_messages(raw: bytes) -> None:
    _holds(raw)


_LEAVES = re.findall(r">([^<>]+)</", _XML)


@_quick
@given(st.sampled_from(_LEAVES), st.one_of(st.text(max_size=30), st.sampled_from(_LEAVES)))
def test_any_text_in_any_element(leaf: str, text: str) -> None:
    _holds(_XML.replace(f">{leaf}<", f">{escape(text)}<").encode("utf-8", "replace"))


@_quick
@given(st.sampled_from(sorted(JSON)), st.recursive(st.none() | st.text() | st.floats() | st.integers(), st.lists))
def test_any_value_in_any_member(member: str, value: object) -> None:
    _holds(json.dumps(JSON | {member: value}).encode())


@_quick
@given(st.sampled_from(_VALID), st.data())
def test_truncated_messages(raw: bytes, data: st.DataObject) -> None:
    cut = raw[: data.draw(st.integers(0, len(raw) - 3))]
    assert isinstance(read_message(cut), Refusal)


@_quick
@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_random_bytes(raw: bytes) -> None:
    _holds(raw)
    _holds(b"<" + raw)
    _holds(b"{" + raw)


@_quick
@given(mutated(_BUNDLES))
def test_mutated_bundles(raw: bytes) -> None:
    got = unbundle(raw, "in.zip")
    assert isinstance(got, Refusal) or got
