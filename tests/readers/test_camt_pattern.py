"""Entries that are written like others are told by a pattern of these, and read as they would be without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readers.test_camt_plain import ENTRY, _statement, _told, same
from token_engine.domain.entry import Entry
from token_engine.iso20022 import camt_plain, camt_shapes
from token_engine.iso20022.camt_details import party_account, short_reference
from token_engine.iso20022.camt_shapes import ENTRIES, PAYMENTS, Shapes
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.camt_texts import (
    _IN_ORDER,
    _REFERENCES_IN_ORDER,
    _kept,
    _ordered,
    _short_references,
    checked_reference,
)
from token_engine.iso20022.camt_written import WrittenEntries


@pytest.fixture(autouse=True)
def nothing_known_and_short_messages_too() -> Iterator[None]:
    ENTRIES.forget()
    PAYMENTS.forget()
    with patch.object(camt_plain, "_SHORT", 0):
        yield


def _taken_apart(raw: bytes) -> int:
    with patch.object(Shapes, "taken_apart", autospec=True, side_effect=Shapes.taken_apart) as spy:
        assert isinstance(_told(raw, None), list)
    return spy.call_count


_BATCH = ENTRY.replace("</TxDtls>", "</TxDtls>\n <TxDtls><Refs><UETR>u-2</UETR></Refs></TxDtls>")
_SHAPES = [ENTRY, ENTRY.replace("<TxId>T-1</TxId>", ""), ENTRY.replace('Ccy="AED"', 'Ccy="USD"')]
_INDENTED_OTHERWISE = [ENTRY.replace("\n", "\r\n"), re.sub(r"\n *", "", ENTRY)]


def test_of_entries_written_alike_some_are_taken_apart_and_the_others_matched() -> None:
    often = camt_shapes._OFTEN
    assert _taken_apart(_statement(ENTRY * 100)) == 1 + often
    assert _taken_apart(_statement(ENTRY * 100)) == 2, "what is known from one message helps the next"
    assert _taken_apart(_statement("".join(_SHAPES) * 100)) == 2 + 2 * often
    assert _taken_apart(_statement("".join(_SHAPES) * 100)) == 4
    assert _taken_apart(_statement(_BATCH * 100)) == 2 + 3 * often, "what stands around payments, and two of these"
    for twice, entry in enumerate(_INDENTED_OTHERWISE, 1):
        assert _taken_apart(_statement(entry * 200)) == 1 + (often << twice)


def test_messages_of_few_entries_make_one_pattern_and_those_of_one_make_none() -> None:
    for entries, patterns in ((1, 0), (2, 1)):
        for _ in range(200):
            _told(_statement(ENTRY * entries), None)
        assert ENTRIES.patterns == patterns


def test_patterns_and_what_is_tried_for_each_entry_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camt_shapes, "_OFTEN", 1)
    monkeypatch.setattr(camt_shapes, "_MOST_PATTERNS", 12)
    monkeypatch.setattr(camt_shapes, "_MOST_TRIED", 5)
    raw = _statement(*[ENTRY.replace("   <Ntry>\n", f"   <Ntry>{' ' * n}\n") for n in range(40)] * 2)
    told = _told(raw, None)
    assert isinstance(told, list)
    assert len(told) == 81
    assert ENTRIES.patterns <= 12
    long = ENTRY.replace("\n", "\n" + " " * camt_shapes._LONGEST, 2)
    ENTRIES.forget()
    assert _taken_apart(_statement(long * 3)) == 3
    assert ENTRIES.patterns == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("E2E-1", "NOTPROVIDED"),
        ("E2E-1", "NOTPROVIDED1"),
        ("E2E-1", "notprovided"),
        ("E2E-1", "0000"),
        ("E2E-1", ""),
        ("E2E-1", "a b 1"),
        ("E2E-1", " E2E-1 "),
        ("E2E-1", f"{'x' * 69}1{'x' * 70}"),
        ("E2E-1", f"{'x' * 70}1"),
        ("E2E-1", f"1{'x' * 139}"),
        ("E2E-1", f"1{'x' * 140}"),
        ("E2E-1", "1 &amp; 2"),
        ("E2E-1", "&amp;&lt;1"),
        ("E2E-1", "&nbsp;1"),
        ("E2E-1", "&#49;"),
        ("E2E-1", "1\n2"),
        ("E2E-1", "1\t2"),
        ("E2E-1", "1\x7f"),
        ("E2E-1", "1\x01"),
        ("E2E-1", "1\u00a0"),
        ("E2E-1", "1\u0661"),
        ("E2E-1", "\uffff"),
        ("E2E-1", "1>2"),
        ("E2E-1", "]]>"),
        ("E2E-1", "1<!-- 2 -->"),
        ("DE89 3704 0044 0532 0130 00", "NOTPROVIDED"),
        ("DE89 3704 0044 0532 0130 00", "abc"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("DE89 3704 0044 0532 0130 00", "1" * 50),
        ("DE89 3704 0044 0532 0130 00", "1" * 51),
        ("1234.50", "1234.500000"),
        ("1234.50", ".5"),
        ("CRDT", "DBIT"),
        ("2025-11-18<", "2025-02-30<"),
        ("false", "maybe"),
        ("   <Ntry>", "  <Ntry>"),
        ("<NtryRef>", "<NtryRef >"),
        ('Ccy="AED"', 'Ccy="AED" x="1"'),
        ('Ccy="AED"', 'x="1" Ccy="AED"'),
        ("<Sts><Cd>BOOK</Cd></Sts>", ""),
        ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Cd>BOOK</Cd></Sts><Sts><Cd>BOOK</Cd></Sts>"),
    ],
)
def test_one_among_many_that_are_written_alike(old: str, new: str) -> None:
    assert old in ENTRY
    changed = ENTRY.replace(old, new)
    same(_statement(ENTRY * 3 + changed + ENTRY + changed * 2 + ENTRY))


@pytest.mark.parametrize("odd", [0, 1, 7, 8, 12, 15])
def test_one_with_a_line_break_in_a_text_is_taken_apart_and_the_others_with_it_are_not(odd: int) -> None:
    _told(_statement(ENTRY * 100), None)
    alike = "\n" + ENTRY.rstrip()
    entries = [alike] * 16
    entries[odd] = alike.replace("E2E-1", "E2E\n1")
    for text in ("".join(entries), "".join(entries[odd:][:3])):
        written = WrittenEntries("")
        for _ in range(2):
            written._entries.taken_apart(alike)
        with patch.object(Shapes, "taken_apart", autospec=True, side_effect=Shapes.taken_apart) as spy:
            told = list(written.read(text))
        assert spy.call_count == 1
        assert all(run for run, _, _ in told)
        assert sum(len(run) for run, _, _ in told) == text.count("</Ntry>")
        assert sum(lines for _, _, lines in told) == text.count("\n")


_PARTS = [
    ["<NtryRef>{}</NtryRef>"],
    ['<Amt Ccy="AED">12.50</Amt>', '<Amt Ccy="AED">{}</Amt>', '<Amt x="y" Ccy="AED">1</Amt>', ""],
    ["<CdtDbtInd>CRDT</CdtDbtInd>", "<CdtDbtInd>DBIT</CdtDbtInd>", "<CdtDbtInd>{}</CdtDbtInd>"],
    ["", "<RvslInd>true</RvslInd>"],
    ["<Sts>BOOK</Sts>", "<Sts><Cd>PDNG</Cd></Sts>", "<Sts>{}</Sts>"],
    ["", "<BookgDt><Dt>2025-11-18</Dt></BookgDt>", "<BookgDt><Dt>{}</Dt></BookgDt>"],
    ["<AcctSvcrRef>{}</AcctSvcrRef>", "<AcctSvcrRef/>", "<AcctSvcrRef>1</AcctSvcrRef><AcctSvcrRef>2</AcctSvcrRef>"],
    [
        "",
        "<NtryDtls><TxDtls><Refs><EndToEndId>{}</EndToEndId></Refs><RmtInf><Ustrd>{}</Ustrd></RmtInf></TxDtls></NtryDtls>",
        "<NtryDtls><TxDtls><RltdPties><Dbtr><Nm>{}</Nm></Dbtr><DbtrAcct><Id><IBAN>{}</IBAN></Id></DbtrAcct></RltdPties>"
        "</TxDtls></NtryDtls>",
        "<NtryDtls><TxDtls><Refs><UETR>{}</UETR></Refs></TxDtls><TxDtls><Amt Ccy='AED'>{}</Amt></TxDtls></NtryDtls>",
        "<NtryDtls><TxDtls><Refs><UETR>{}</UETR></Refs></TxDtls><TxDtls><Refs><UETR>{}</UETR></Refs></TxDtls></NtryDtls>",
    ],
]  # fmt: skip
_template = st.tuples(*[st.sampled_from(part) for part in _PARTS])
_blanks = st.sampled_from(["", "\n", "\n  ", "\r\n", "\t", " x "])
_texts = st.one_of(
    st.sampled_from(
        [
            "R-1",
            "NOTPROVIDED",
            "BOOK",
            "1.50",
            "&amp;",
            "&lt;1",
            "&x;",
            "A  B",
            " 1",
            "",
            "\n",
            "1\r\n2",
            "\u00e9\u0645",
        ]
    ),
    st.text(st.characters(exclude_characters="<&", exclude_categories=["Cs"]), max_size=4),
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(_template, _blanks), min_size=1, max_size=3), st.data())
def test_entries_of_few_templates_with_any_texts(
    templates: list[tuple[tuple[str, ...], str]], data: st.DataObject
) -> None:
    entries = []
    for _ in range(data.draw(st.integers(2, 8))):
        parts, blanks = data.draw(st.sampled_from(templates))
        written = f"{blanks}<Ntry>{blanks}{blanks.join(parts)}</Ntry>"
        pieces = written.split("{}")
        texts = [data.draw(_texts) for _ in pieces[1:]]
        entries.append("".join(a + b for a, b in zip(pieces, [*texts, ""], strict=True)))
    same(_statement(*entries))


_ODD_WORDS = [
    "", "0", "00", "1", "NOTPROVIDED", "NOTPROVIDED1", "NotProvided", "NONREF", "N/A", "-", "abc", "ABC", "a 1", " 1",
    "1\n", "1\u0661", "de89370400440532013000", "1" * 50, "1" * 51,
    *(f"{'x' * before}1{'x' * behind}" for before, behind in ((69, 70), (70, 0), (69, 71), (0, 139), (0, 140))),
]  # fmt: skip
_words = st.sampled_from(_ODD_WORDS) | st.text("aA01- \n\t\u00a0\u0661\\", max_size=5)


@pytest.mark.parametrize("word", _ODD_WORDS)
@pytest.mark.parametrize("place", range(1, 10))
def test_one_odd_word_among_those_that_are_in_order(word: str, place: int) -> None:
    words = ["1.50", *["R-1"] * 9]
    words[place] = word
    _assert_kept(words)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.tuples(st.sampled_from(["1", "1.50", "1.", "x", ""]), *[_words] * 9))
def test_what_is_seen_at_once_to_be_in_order_is_what_each_word_would_be(words: tuple[str, ...]) -> None:
    _assert_kept(words)


def _assert_kept(words: Sequence[str]) -> None:
    amount, debtor, creditor, *references = words
    assert [word or None for word in _kept(tuple(references[:4]), _REFERENCES_IN_ORDER, _short_references)] == [
        short_reference(word) for word in references[:4]
    ]
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", amount) or _unreadable(references):
        with pytest.raises(NoShapeError):
            _kept(tuple(words), _IN_ORDER, _ordered)
        return
    kept = _kept(tuple(words), _IN_ORDER, _ordered)
    assert kept[0] == amount
    assert [word or None for word in kept[1:3]] == [party_account(debtor), party_account(creditor)]
    assert [word or None for word in kept[3:]] == [checked_reference(word) for word in references]


def _unreadable(references: list[str]) -> bool:
    try:
        return not [checked_reference(word) for word in references]
    except NoShapeError:
        return True


def test_entries_of_a_notification() -> None:
    raw = _statement(ENTRY * 5).replace(b"BkToCstmrStmt", b"BkToCstmrDbtCdtNtfctn").replace(b"Stmt>", b"Ntfctn>")
    told = same(raw.replace(b"camt.053", b"camt.054"))
    assert isinstance(told, list)
    assert sum(isinstance(part, Entry) for part in told) == 5
