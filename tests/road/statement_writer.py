"""Statements as a bank writes them, for the tests of the end of day."""

from __future__ import annotations

from decimal import Decimal

from road.bench import NUMBER


def line(
    amount: str, *, reference: str | None = None, end_to_end: str | None = None, day: str | None = "2025-11-18",
    value: str | None = None, status: str = "BOOK", rest: str = "",
) -> str:  # fmt: skip
    """One `Ntry`; a negative amount is a debit."""
    signed = Decimal(amount)
    indicator = "CRDT" if signed >= 0 else "DBIT"
    booked = f"<BookgDt><Dt>{day}</Dt></BookgDt>" if day else ""
    valued = f"<ValDt><Dt>{value or day}</Dt></ValDt>" if value or day else ""
    servicer = f"<AcctSvcrRef>{reference}</AcctSvcrRef>" if reference else ""
    details = f"<NtryDtls><TxDtls><Refs><EndToEndId>{end_to_end}</EndToEndId></Refs></TxDtls></NtryDtls>"
    return (
        f'<Ntry><Amt Ccy="AED">{abs(signed)}</Amt><CdtDbtInd>{indicator}</CdtDbtInd><Sts><Cd>{status}</Cd></Sts>'
        f"{booked}{valued}{servicer}{details if end_to_end else rest}</Ntry>"
    )


def balance(code: str, amount: str, day: str) -> str:
    signed = Decimal(amount)
    indicator = "CRDT" if signed >= 0 else "DBIT"
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="AED">{abs(signed)}</Amt>'
        f"<CdtDbtInd>{indicator}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def statement(
    *lines: str, opening: str | None, closing: str, day: str = "2025-11-18", name: str | None = None,
    account: str = NUMBER, number: str | None = None, head: str = "",
) -> str:  # fmt: skip
    """One `Stmt`."""
    opens = balance("OPBD", opening, day) if opening is not None else ""
    sequence = f"<ElctrncSeqNb>{number}</ElctrncSeqNb>" if number else ""
    return (
        f"<Stmt><Id>{name or f'STMT-{day}'}</Id>{sequence}<CreDtTm>2025-11-18T20:00:00Z</CreDtTm>{head}"
        f"<Acct><Id><IBAN>{account}</IBAN></Id><Ccy>AED</Ccy></Acct>{opens}{balance('CLBD', closing, day)}"
        f"{''.join(lines)}</Stmt>"
    )


def message(*statements: str, name: str = "M-EOD-1") -> bytes:
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{name}</MsgId><CreDtTm>2025-11-18T20:00:00Z</CreDtTm></GrpHdr>{''.join(statements)}"
        "</BkToCstmrStmt></Document>"
    ).encode()
