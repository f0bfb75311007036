"""camt.054 as XML, and what packs it."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping


def entry(
    amount: str = "10.00", currency: str = "AED", indicator: str = "CRDT", reference: str = "", booked: str = ""
) -> str:
    date = f"<BookgDt><Dt>{booked}</Dt></BookgDt>" if booked else ""
    named = f"<AcctSvcrRef>{reference}</AcctSvcrRef>" if reference else ""
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{indicator}</CdtDbtInd>'
        f"<Sts><Cd>BOOK</Cd></Sts>{date}{named}</Ntry>"
    )


def section(number: str, *entries: str, currency: str = "AED") -> str:
    account = f"<Acct><Id><Othr><Id>{number}</Id></Othr></Id><Ccy>{currency}</Ccy></Acct>"
    return f"<Ntfctn><Id>N</Id>{account}{''.join(entries)}</Ntfctn>"


def camt054(message_id: str, *sections: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"><BkToCstmrDbtCdtNtfctn>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2025-11-18T10:00:00Z</CreDtTm></GrpHdr>"
        f"{''.join(sections)}</BkToCstmrDbtCdtNtfctn></Document>"
    ).encode()


def camt053(message_id: str, number: str) -> bytes:
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2025-11-18T10:00:00Z</CreDtTm></GrpHdr>"
        f"<Stmt><Id>S</Id><Acct><Id><Othr><Id>{number}</Id></Othr></Id><Ccy>AED</Ccy></Acct>"
        '<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="AED">1.00</Amt>'
        "<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2025-11-18</Dt></Dt></Bal>"
        "</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def zipped(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def gzip_of_blanks(mebibytes: int) -> bytes:
    """A bomb of a thousandth of its size, well-formed as far as it goes."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as file:
        file.write(b"<Document>")
        for _ in range(mebibytes):
            file.write(b" " * 2**20)
        file.write(b"</Document>")
    return out.getvalue()
