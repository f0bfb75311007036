"""What a statement comes to while its lines pass by, and the lines as the database takes them: from many at once what
each by itself would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from io import BytesIO
from itertools import count

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from readers.messages import camt, entry
from token_engine.domain.entry import (
    CreditDebit,
    Entry,
    EntryDetail,
    EntryStatus,
    ReversalSign,
    booked_sum,
    signed_amount,
)
from token_engine.domain.money import UNSTATED, sum_exactly
from token_engine.domain.notification import Heading, MessageKind
from token_engine.domain.pairing import identity, sighting
from token_engine.tiers import stating
from token_engine.tiers.stating import Reading, Stated

HEADING = Heading(
    kind=MessageKind.STATEMENT, type="camt.053", message_id="M\\1", notification_id="S-1", account_number="1"
)
_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": "\ufffd"}


def _text(word: str | None) -> str:
    return r"\N" if word is None else "".join(_ESCAPES.get(letter, letter) for letter in word)


def _said(e: Entry, heading: Heading) -> str:
    """What one line says to COPY, from the rules of the domain, word by word."""
    details = None
    if e.details:
        told = [{"detail": number, **msgspec.structs.asdict(of)} for number, of in enumerate(e.details, 1)]
        details = msgspec.json.Encoder(decimal_format="string").encode(told).decode()
    signs = [heading.reversal_sign(sign) for sign in (ReversalSign.PUBLISHED, ReversalSign.INVERTED)]
    words = (
        str(e.amount), *(str(signed_amount(e, sign)) for sign in signs), e.credit_debit, e.status,
        "t" if e.reversal else "f", *(None if day is None else str(day) for day in (e.booking_date, e.value_date)),
        e.servicer_reference, e.entry_reference, e.end_to_end_id, e.uetr, e.instruction_id, e.transaction_id,
        e.creditor_reference, e.batch_reference, e.counterparty, e.counterparty_account, e.transaction_code,
        e.remittance, details, identity(e, sighting(e, heading.kind, heading.message_id)),
    )  # fmt: skip
    return "\t".join(map(_text, words))


_words = st.none() | st.sampled_from(["12345", "123456"]) | st.text("aB1-\\\t\n\r\0\x7f\u00e9\u0645\u2028 ", max_size=6)
_days = st.none() | st.dates(date(2025, 11, 17), date(2025, 11, 20))
_amounts = st.decimals(0, 10**18 - 1, places=2) | st.sampled_from(
    [Decimal("0.00"), Decimal("0E-8"), Decimal(f"{'9' * 18}.12345"), Decimal(f"1.{'0' * 38}"), Decimal("1.50000")]
)
_details = st.builds(
    EntryDetail,
    amount=st.none() | _amounts,
    credit_debit=st.none() | st.sampled_from(CreditDebit),
    end_to_end_id=_words,
    creditor_reference=_words,
)
_entries = st.builds(
    Entry,
    amount=_amounts,
    currency=st.sampled_from(["AED", "USD", UNSTATED]),
    credit_debit=st.sampled_from(CreditDebit),
    status=st.sampled_from(EntryStatus),
    reversal=st.booleans(),
    booking_date=_days,
    value_date=_days,
    **dict.fromkeys(Entry.__struct_fields__[7:-1], _words),
    details=st.just(()) | st.lists(_details, min_size=2, max_size=3).map(tuple),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(_entries, min_size=1, max_size=5), max_size=4),
    st.sampled_from(["camt.053", "MT940"]),
    st.dates(date(2025, 11, 17), date(2025, 11, 20)),
)
def test_many_lines_at_once_are_each_of_them(taken: list[list[Entry]], kind: str, until: date) -> None:
    heading = msgspec.structs.replace(HEADING, type=kind)
    stated = Stated(7, heading)
    copied = b"".join(stated.take(entries) for entries in taken)
    entries = [each for some in taken for each in some]
    said = [_said(each, heading) for each in entries]
    assert copied.decode() == "".join(f"7\t{line}\t{words}\n" for line, words in enumerate(said, 1))
    assert (
        stated.content()
        == blake2b("".join(f"{words}\n" for words in [*said]).encode() + b"[]", digest_size=32).digest()
    )
    _assert_summed(stated, entries, until)


def _assert_summed(stated: Stated, entries: Sequence[Entry], until: date) -> None:
    booked = [e for e in entries if e.booked]
    days = [e.booking_date for e in booked if e.booking_date is not None]
    assert stated.amounts == sum_exactly(e.amount for e in entries)
    assert stated.currencies == {e.currency for e in entries} - {UNSTATED}
    for sign in ReversalSign:
        whole, meant = stated.statement(sign, until), stated.heading.reversal_sign(sign)
        assert (whole.lines, whole.amount_sum) == (len(entries), stated.amounts)
        assert whole.booked_sum == booked_sum(entries, meant)
        assert whole.valued_later == booked_sum((e for e in booked if e.value_date and e.value_date > until), meant)
        assert (whole.first_booking, whole.last_booking) == (min(days, default=None), max(days, default=None))
        assert stated.statement(sign, None).valued_later == 0


def _reading(raw: bytes) -> Reading:
    return Reading(BytesIO(raw), count(1))


def _chunks(reading: Reading) -> list[bytes]:
    return list(iter(reading.chunk, b""))


_MIXED = camt(
    *[entry(f'<Amt Ccy="AED">{n}.5</Amt>', rest=f"<NtryRef>R{n}\\</NtryRef>") for n in range(450)],
    entry(indicator="<CdtDbtInd>DBIT</CdtDbtInd>", rest="<RvslInd>true</RvslInd><ValDt><Dt>2025-11-19</Dt></ValDt>"),
    entry(rest="<Sts>PDNG</Sts><NtryDtls><TxDtls><Refs><UETR>u\u2028</UETR></Refs></TxDtls><TxDtls/></NtryDtls>"),
    kind="camt.053",
).encode()


def test_what_was_stated_is_told_by_the_digest_that_earlier_statements_were_kept_with() -> None:
    reading = _reading(_MIXED)
    assert _chunks(reading)
    [stated] = reading.statements
    assert stated.content().hex() == "9d4fa90ad81839cd13eddc03be9db1c03bc722961b204061c510955cff40cd3b"


def test_the_first_thing_wrong_is_what_refuses() -> None:
    wrong = entry('<Amt Ccy="AED">1.005</Amt>')
    for size in (1, 3, 201):
        raw = camt(*[entry()] * (size - 1), wrong, entry(rest="<Sts/>"), kind="camt.053").encode()
        reading = _reading(raw)
        assert _chunks(reading) == []
        assert reading.refusal is not None
        assert reading.refusal.field == f"Ntry[{size}]/Amt"


def test_each_amount_has_the_decimals_of_its_own_currency() -> None:
    amounts = ['<Amt Ccy="KWD">1.005</Amt>', '<Amt Ccy="JPY">10</Amt>', '<Amt Ccy="AED">1.5000</Amt>']
    reading = _reading(camt(*map(entry, amounts), kind="camt.053").encode())
    assert b"".join(_chunks(reading)).count(b"\n") == 3
    assert reading.statements[0].currencies == {"KWD", "JPY", "AED"}
    reading = _reading(camt(*map(entry, [*amounts, '<Amt Ccy="JPY">1.5</Amt>']), kind="camt.053").encode())
    assert _chunks(reading) == []
    assert reading.refusal is not None
    assert reading.refusal.field == "Ntry[4]/Amt"


def test_a_chunk_is_no_larger_for_batches() -> None:
    payments = f"<NtryDtls>{'<TxDtls></TxDtls>' * 500}</NtryDtls>"
    reading = _reading(camt(*[entry(rest=payments)] * 30, kind="camt.053").encode())
    sizes = [chunk.count(b"\n") for chunk in _chunks(reading)]
    assert sum(sizes) == 30
    assert max(sizes) * 501 < stating._LINES + 501


def test_many_small_statements_in_one_message() -> None:
    between = "".join(
        f"<Stmt><Id>S{n}</Id><Acct><Id><IBAN>AE070331234567890123456</IBAN></Id></Acct>{entry() * (n % 3)}</Stmt>"
        for n in range(100)
    )
    reading = _reading(camt(entry(), kind="camt.053", between=between).encode())
    lines = b"".join(_chunks(reading)).decode().splitlines()
    assert [stated.lines for stated in reading.statements] == [1, *(n % 3 for n in range(100))]
    assert [line.split("\t")[:2] for line in lines] == [
        [str(stated.number), str(line)] for stated in reading.statements for line in range(1, stated.lines + 1)
    ]
