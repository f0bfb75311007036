"""What stands behind an entry: its transaction code, the batch it books, and the payments in it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from readers.messages import camt, entry, mt940, read_entry, refused
from token_engine.domain.entry import DETAILS_KEPT, CreditDebit, EntryDetail, signed_details

_DOMAIN = "<Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn>"
_OWN = "<Prtry><Cd>NTRF+166</Cd><Issr>DK</Issr></Prtry>"


def detail(*parts: str) -> str:
    return f"<TxDtls>{''.join(parts)}</TxDtls>"


def refs(**said: str) -> str:
    return f"<Refs>{''.join(f'<{name}>{word}</{name}>' for name, word in said.items())}</Refs>"


def amt(digits: str, currency: str = "AED") -> str:
    return f'<Amt Ccy="{currency}">{digits}</Amt>'


def details_of(*details: str) -> tuple[EntryDetail, ...]:
    return read_entry(camt(entry(rest=f"<NtryDtls>{''.join(details)}</NtryDtls>"))).details


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (_DOMAIN, "PMNT/RCDT/ESCT"),
        (_DOMAIN + _OWN, "PMNT/RCDT/ESCT"),
        (_OWN, "NTRF+166"),
        ("<Domn><Cd>ACMT</Cd></Domn>" + _OWN, "ACMT"),
        ("<Domn><Cd> </Cd></Domn>" + _OWN, "NTRF+166"),
        ("<Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd></Fmly></Domn>", "PMNT/RCDT"),
        ("", None),
        (f"<Prtry><Cd>{'x' * 71}</Cd></Prtry>", None),
        ("<Prtry><Cd>a\nb</Cd></Prtry>", None),
    ],
)
def test_the_transaction_code(code: str, expected: str | None) -> None:
    assert read_entry(camt(entry(rest=f"<BkTxCd>{code}</BkTxCd>"))).transaction_code == expected


def test_only_details_may_say_the_transaction_code_and_the_entrys_own_goes_first() -> None:
    details = f"<NtryDtls>{detail(f'<BkTxCd>{_OWN}</BkTxCd>')}</NtryDtls>"
    assert read_entry(camt(entry(rest=details))).transaction_code == "NTRF+166"
    assert read_entry(camt(entry(rest=f"<BkTxCd>{_DOMAIN}</BkTxCd>{details}"))).transaction_code == "PMNT/RCDT/ESCT"


def test_the_transaction_code_of_an_mt_is_its_type() -> None:
    assert read_entry(mt940(":61:2511181118C100,00NTRFCUST-1//BANK-1")).transaction_code == "NTRF"
    assert read_entry(mt940(":61:2511181118C100,00NOV NONREF")).transaction_code == "NOV"


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ("<Btch><MsgId>MSG-1</MsgId><PmtInfId>PMT-1</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>", "PMT-1"),
        ("<Btch><MsgId>MSG-1</MsgId><PmtInfId>NOTPROVIDED</PmtInfId></Btch>", "MSG-1"),
        ("<Btch><NbOfTxs>2</NbOfTxs></Btch>", None),
        (f"<Btch><PmtInfId>{'x' * 141}</PmtInfId></Btch>", None),
        ("<Btch><PmtInfId>A</PmtInfId></Btch></NtryDtls><NtryDtls><Btch><PmtInfId>A</PmtInfId></Btch>", "A"),
        ("<Btch><PmtInfId>A</PmtInfId></Btch></NtryDtls><NtryDtls><Btch><PmtInfId>B</PmtInfId></Btch>", None),
    ],
)
@pytest.mark.parametrize("details", ["", detail(), detail() * 2])
def test_the_reference_of_a_batch(batch: str, details: str, expected: str | None) -> None:
    got = read_entry(camt(entry(rest=f"<NtryDtls>{batch}{details}</NtryDtls>")))
    assert got.batch_reference == expected


def test_each_payment_of_a_batch() -> None:
    first = detail(
        refs(EndToEndId="E-1", UETR="u-1", InstrId="I-1", TxId="T-1"),
        amt("60.00"),
        "<CdtDbtInd>CRDT</CdtDbtInd>",
        "<RmtInf><Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf>",
    )
    second = detail(refs(EndToEndId="NOTPROVIDED"), amt("40.00"))
    got = read_entry(camt(entry(rest=f"<NtryDtls>{first}{second}</NtryDtls>")))
    assert got.details == (
        EntryDetail(
            amount=Decimal("60.00"),
            credit_debit=CreditDebit.CRDT,
            end_to_end_id="E-1",
            uetr="u-1",
            instruction_id="I-1",
            transaction_id="T-1",
            creditor_reference="RF18539007547034",
        ),
        EntryDetail(amount=Decimal("40.00")),
    )
    assert (got.end_to_end_id, got.counterparty, got.creditor_reference, got.remittance) == (None,) * 4


def test_an_entry_of_one_payment_has_its_words_and_no_details() -> None:
    got = read_entry(camt(entry(rest=f"<NtryDtls>{detail(refs(EndToEndId='E-1'), amt('1'))}</NtryDtls>")))
    assert (got.end_to_end_id, got.details) == ("E-1", ())


def test_payments_may_stand_in_details_of_their_own_and_before_the_entrys_amount() -> None:
    each = [f"<NtryDtls>{detail(refs(EndToEndId=f'E-{n}'), amt(str(n)))}</NtryDtls>" for n in (1, 2, 3)]
    ntry = f"<Ntry>{''.join(each)}{amt('6')}<CdtDbtInd>DBIT</CdtDbtInd></Ntry>"
    got = read_entry(camt(ntry))
    assert [(d.end_to_end_id, d.amount) for d in got.details] == [(f"E-{n}", Decimal(n)) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (amt("5") + f"<AmtDtls><TxAmt>{amt('4')}</TxAmt></AmtDtls>", "4"),
        (amt("5") + f"<AmtDtls><TxAmt>{amt('4', 'EUR')}</TxAmt></AmtDtls>", "5"),
        (amt("5", "EUR") + f"<AmtDtls><TxAmt>{amt('4')}</TxAmt></AmtDtls>", "4"),
        (amt("5", "EUR"), None),
        (amt("5") + f"<AmtDtls><InstdAmt>{amt('4')}</InstdAmt></AmtDtls>", "5"),
        (amt("-5"), None),
        ("<Amt>5</Amt>", None),
        ("", None),
    ],
)
def test_the_amount_of_a_payment_is_in_the_currency_of_its_entry(said: str, expected: str | None) -> None:
    got = details_of(detail(said), detail(said))
    assert [d.amount for d in got] == [None if expected is None else Decimal(expected)] * 2


def test_details_refuse_nothing_but_the_only_one_names_what_is_wrong() -> None:
    long = refs(EndToEndId="x" * 141)
    odd = "<CdtDbtInd>both</CdtDbtInd>"
    got = details_of(detail(long, odd), detail(long, odd))
    assert got == (EntryDetail(), EntryDetail())
    alone = refused(camt(entry(rest=f"<NtryDtls>{detail(long)}</NtryDtls>")))
    assert alone.field == "Ntfctn[1]/Ntry[1]/NtryDtls/TxDtls/Refs/EndToEndId"


@pytest.mark.parametrize(("payments", "kept"), [(DETAILS_KEPT, DETAILS_KEPT), (DETAILS_KEPT + 1, 0)])
def test_of_more_details_than_are_kept_there_are_none(payments: int, kept: int) -> None:
    got = read_entry(camt(entry(rest=f"<NtryDtls>{detail(amt('0.01')) * payments}</NtryDtls>")))
    assert len(got.details) == kept
    assert got.end_to_end_id is None


def _batch(side: str, *sides: str, reversal: str = "") -> list[str]:
    details = "".join(detail(amt("10"), f"<CdtDbtInd>{each}</CdtDbtInd>" if each else "") for each in sides)
    rest = f"{reversal}<NtryDtls>{details}</NtryDtls>"
    got = read_entry(camt(entry(indicator=f"<CdtDbtInd>{side}</CdtDbtInd>", rest=rest)))
    return [str(each) for each in signed_details(got)]


def test_a_payment_against_its_entry_takes_away_from_it() -> None:
    assert _batch("CRDT", "CRDT", "DBIT", "") == ["10", "-10", "10"]
    assert _batch("DBIT", "CRDT", "DBIT", "") == ["10", "-10", "-10"]


def test_payments_that_all_go_against_their_entry_are_told_as_they_were_before_it_undid_them() -> None:
    assert _batch("DBIT", "CRDT", "CRDT", reversal="<RvslInd>true</RvslInd>") == ["-10", "-10"]
