"""A statement written as an MT940 by other hands than the reader's, and read back, says what it said."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.checks import Tally, checks
from token_engine.domain.entry import CreditDebit, Entry, EntryStatus, booked_sum
from token_engine.domain.money import decimals_of
from token_engine.domain.notification import StatedBalance
from token_engine.domain.statement import Outcome
from token_engine.iso20022.reader import read_message
from token_engine.iso20022.words import reference

# Words that say that there is no reference, or that it stands elsewhere, are not written as one.
_REFERENCE = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789-", min_size=1, max_size=16).filter(
    lambda word: reference(word) == word and word not in ("EREF", "KREF", "PREF", "MARF", "MREF")
)
_MARKS = {
    (CreditDebit.CRDT, False): "C",
    (CreditDebit.DBIT, False): "D",
    (CreditDebit.DBIT, True): "RC",
    (CreditDebit.CRDT, True): "RD",
}


@st.composite
def amounts(draw: st.DrawFn, currency: str) -> Decimal:
    return Decimal(draw(st.integers(0, 10**14))).scaleb(-decimals_of(currency))


@st.composite
def entries(draw: st.DrawFn, currency: str) -> Entry:
    value = draw(st.dates(date(1981, 1, 1), date(2079, 6, 30)))
    return Entry(
        amount=draw(amounts(currency)),
        currency=currency,
        credit_debit=draw(st.sampled_from(CreditDebit)),
        status=EntryStatus.BOOK,
        reversal=draw(st.booleans()),
        value_date=value,
        # A back-valued entry may be half a year old; the year of an older one cannot be told.
        booking_date=draw(st.none() | st.integers(-180, 180).map(lambda days: value + timedelta(days=days))),
        servicer_reference=draw(st.none() | _REFERENCE),
        instruction_id=draw(st.none() | _REFERENCE),
        end_to_end_id=draw(st.none() | _REFERENCE),
    )


def written(amount: Decimal, digits: int, style: int) -> str:
    """The same amount as different banks write it: "1,50", "1,5", "0000000001,50", ",50"."""
    whole, _, fraction = f"{amount:.{digits}f}".partition(".")
    if style == 1:
        fraction = fraction.rstrip("0")
    elif style == 2:
        whole = whole.rjust(12, "0")
    elif style == 3 and whole == "0" and fraction:
        whole = ""
    return f"{whole},{fraction}"


def line(entry: Entry, style: int, dialect: int) -> list[str]:
    assert entry.value_date is not None
    as_sent = style == 4
    booked = f"{entry.booking_date:%m%d}" if entry.booking_date else "    " * as_sent
    funds = entry.currency[2] if style == 1 else ""
    amount = written(entry.amount, decimals_of(entry.currency), style)
    bank = f"//{entry.servicer_reference}" if entry.servicer_reference else ""
    bank_break, blank = ("\n" * bool(bank), " ") if as_sent else ("", "")
    mark = _MARKS[entry.credit_debit, entry.reversal]
    told = [
        f":61:{entry.value_date:%y%m%d}{booked}{mark}{funds}{blank}{amount}{blank}"
        f"NTRF{entry.instruction_id or 'NONREF'}{bank_break}{bank}"
    ]
    if as_sent:
        told.append(":NS:22Acme")
    id_ = entry.end_to_end_id or "NOTPROVIDED"
    match dialect:
        case 0:
            told.append(f":86:166?00CREDIT?20EREF+{id_}?21SVWZ+Invoice?32Acme")
        case 1:
            told.append(f":86:/EREF/{id_}/ORDP//NAME/Acme/REMI/Invoice")
        case 2:
            told += [f":86:EREF+{id_}", "SVWZ+Invoice"]
    return told


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    currency = data.draw(st.sampled_from(["AED", "USD", "INR", "EUR", "JPY", "KWD"]))
    stated = data.draw(st.lists(entries(currency), max_size=6))
    opening = data.draw(amounts(currency)) * data.draw(st.sampled_from([1, -1]))
    closing = opening + booked_sum(stated)
    style = data.draw(st.integers(0, 4))
    dialect = data.draw(st.integers(0, 2))
    digits = decimals_of(currency)

    def balance(tag: str, day: str, amount: Decimal) -> str:
        return f":{tag}:{'D' if amount < 0 else 'C'}{day}{currency}{written(abs(amount), digits, style)}"

    lines = [
        *(":20:STARTUMS", ":25:AE070331234567890123456", ":28C:00321/00001", balance("60F", "251117", opening)),
        *(part for entry in stated for part in line(entry, style, dialect)),
        balance("62F", "251118", closing),
    ]
    end = data.draw(st.sampled_from(["\r\n", "\n"]))
    text = end.join(lines) + end
    if data.draw(st.booleans()):
        text = f"{{1:F01BANKAEADAXXX0000000000}}{{2:I940BANKAEADXXXXN}}{{4:{end}{text}-}}"

    got = read_message(text.encode())
    assert isinstance(got, tuple), got
    (notification,) = got
    fields = ("amount currency credit_debit status reversal booking_date value_date servicer_reference "
              "instruction_id end_to_end_id").split()  # fmt: skip
    for entry, told in zip(stated, notification.entries, strict=True):
        assert [getattr(told, field) for field in fields] == [getattr(entry, field) for field in fields]
        assert told.remittance == "Invoice"
    heading = notification.heading
    assert [b.signed for b in heading.balances] == [opening, closing]
    assert all(isinstance(b, StatedBalance) and b.currency == currency for b in heading.balances)
    tally = Tally()
    for told in notification.entries:
        tally.add(told)
    assert checks(heading, tally)[0].outcome is Outcome.PASSED
