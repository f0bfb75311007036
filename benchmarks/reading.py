"""How fast large statements are read, and in how much memory: bytes to domain values, nothing is stored.

python -m benchmarks.reading FORM ENTRIES     reads in a process of its own; prints entries/s and peak memory as JSON
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.figure import Figure
from benchmarks.servers import run_module
from token_engine.domain.entry import Entry
from token_engine.iso20022.reader import sections

ENTRIES: Final = 200_000
_STATUS: Final = Path("/proc/self/status")
_AT_ONCE: Final = 1_000


class _Form(NamedTuple):
    name: str
    head: str
    entry: str
    end: str


CAMT_ENTRY: Final = """    <Ntry>
      <NtryRef>N-{0:010d}</NtryRef>
      <Amt Ccy="AED">100.00</Amt>
      <CdtDbtInd>CRDT</CdtDbtInd>
      <Sts>
        <Cd>BOOK</Cd>
      </Sts>
      <BookgDt>
        <Dt>2025-11-18</Dt>
      </BookgDt>
      <ValDt>
        <Dt>2025-11-18</Dt>
      </ValDt>
      <AcctSvcrRef>BANK-{0:010d}</AcctSvcrRef>
      <BkTxCd>
        <Domn>
          <Cd>PMNT</Cd>
          <Fmly>
            <Cd>RCDT</Cd>
            <SubFmlyCd>ESCT</SubFmlyCd>
          </Fmly>
        </Domn>
        <Prtry>
          <Cd>NTRF+166</Cd>
          <Issr>DK</Issr>
        </Prtry>
      </BkTxCd>
      <NtryDtls>
        <TxDtls>
          <Refs>
            <AcctSvcrRef>BANK-{0:010d}</AcctSvcrRef>
            <InstrId>INSTR-{0:010d}</InstrId>
            <EndToEndId>E2E-{0:010d}</EndToEndId>
            <UETR>8a562c67-ca16-48ba-b074-{0:012x}</UETR>
          </Refs>
          <Amt Ccy="AED">100.00</Amt>
          <CdtDbtInd>CRDT</CdtDbtInd>
          <AmtDtls>
            <TxAmt>
              <Amt Ccy="AED">100.00</Amt>
            </TxAmt>
          </AmtDtls>
          <RltdPties>
            <Dbtr>
              <Pty>
                <Nm>Acme Trading {0} LLC</Nm>
              </Pty>
            </Dbtr>
            <DbtrAcct>
              <Id>
                <IBAN>AE{0:021}</IBAN>
              </Id>
            </DbtrAcct>
            <Cdtr>
              <Pty>
                <Nm>Token Issuer Ltd</Nm>
              </Pty>
            </Cdtr>
            <CdtrAcct>
              <Id>
                <IBAN>AE070331234567890123456</IBAN>
              </Id>
            </CdtrAcct>
          </RltdPties>
          <RltdAgts>
            <DbtrAgt>
              <FinInstnId>
                <BICFI>BANKAEADXXX</BICFI>
              </FinInstnId>
            </DbtrAgt>
          </RltdAgts>
          <RmtInf>
            <Ustrd>Invoice {0} of November 2025</Ustrd>
          </RmtInf>
        </TxDtls>
      </NtryDtls>
    </Ntry>
"""
"""Of 2 kB, as the entries of the public samples are at the median (1.8 kB)."""
_FORMS: Final = {
    "mt940": _Form(
        f"MT940 of {ENTRIES * 5:,} lines read",
        ":20:STARTUMS\r\n:25:AE070331234567890123456\r\n:28C:321/1\r\n:60F:C251117AED1000000,00\r\n",
        ":61:2511181118C100,00NTRFNONREF//BANK-{0:010d}\r\nTRANSFER\r\n"
        ":86:166?00CREDIT?20EREF+E2E-{0:010d}?21SVWZ+Invoice {0} of November?30BAN\r\n"
        "KAEADXXX?31AE070331234567890123456?32ACME TRADING LLC?33, DUBAI\r\n"
        "?34000\r\n",
        ":62F:C251118AED1000000,00\r\n-\r\n",
    ),
    "camt": _Form(
        f"camt.053 of {ENTRIES:,} entries read, each with references, parties and remittance (2 kB)",
        """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
  <GrpHdr><MsgId>M-1</MsgId><CreDtTm>2025-11-18T20:00:00Z</CreDtTm></GrpHdr>
  <Stmt><Id>S-1</Id><Acct><Id><IBAN>AE070331234567890123456</IBAN></Id><Ccy>AED</Ccy></Acct>
""",
        CAMT_ENTRY,
        "</Stmt></BkToCstmrStmt></Document>",
    ),
}


class _Statement:
    """A statement that is written while it is read."""

    def __init__(self, form: _Form, entries: int) -> None:
        self._parts = self._written(form, entries)

    def read(self, _size: int = -1, /) -> bytes:
        return next(self._parts, b"")

    def _written(self, form: _Form, entries: int) -> Iterator[bytes]:
        yield form.head.encode()
        for first in range(0, entries, _AT_ONCE):
            yield "".join(map(form.entry.format, range(first, min(first + _AT_ONCE, entries)))).encode()
        yield form.end.encode()


def run() -> Iterator[Figure]:
    """Entries a second, writing them included, and the reading process's peak memory."""
    for key, form in _FORMS.items():
        told = json.loads(run_module("benchmarks.reading", key, str(ENTRIES), within=120))
        yield Figure(form.name, told["rate"], "entries/s")
        yield Figure("the same, peak memory", told["peak"], "MB")


def main(form: str, entries: int) -> None:
    started = time.perf_counter()
    read = sum(isinstance(part, Entry) for part in sections(_Statement(_FORMS[form], entries)))
    seconds = time.perf_counter() - started
    assert read == entries
    print(json.dumps({"rate": read / seconds, "peak": peak_mb()}))


def peak_mb() -> float:
    """This process's peak memory. Not getrusage's: that is of the process that started this one, if it was larger."""
    [peak] = [int(line.split()[1]) / 1024 for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return peak


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
