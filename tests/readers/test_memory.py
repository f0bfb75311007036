"""Memory does not grow with the message: neither by entries, nor by the details of one entry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import resource, sys
from readers.messages import ACCOUNT, LINE, blocks, camt, entry, mt940
from token_engine.iso20022.reader import sections

class Lazy:
    "A message of some megabytes that is never in memory as a whole."
    def __init__(self, start, part, end, megabytes):
        self.start, self.part, self.end = start.encode(), part.encode() * 100, end.encode()
        self.left = megabytes * 10**6 // len(self.part)
    def read(self, size=-1):
        if self.start:
            data, self.start = self.start, b""
        elif self.left:
            data, self.left = self.part, self.left - 1
        else:
            data, self.end = self.end, b""
        return data

def peak(parts, megabytes):
    count = sum(1 for _ in sections(Lazy(*parts, megabytes)))
    return count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

refs = "<Refs><EndToEndId>E-1</EndToEndId></Refs><RmtInf><Ustrd>Invoice</Ustrd></RmtInf>"
rich = entry(rest=f"<Sts>BOOK</Sts><NtryDtls><TxDtls>{refs}</TxDtls></NtryDtls>") + chr(10)
detail = f"<TxDtls>{refs}</TxDtls>" + chr(10)
section = f"<Ntfctn><Id>N</Id>{ACCOUNT}{rich}</Ntfctn>"
message, part = {
    "entries": (camt("@@"), rich),
    "details": (camt(entry(rest="<NtryDtls>@@</NtryDtls>")), detail),
    "batches": (camt("@@"), entry(rest=f"<NtryDtls>{detail * 200}</NtryDtls>") + chr(10)),
    "odd entries": (camt("@@"), entry(rest="<Sts>BOOK</Sts><NtryRef> <!-- odd --> </NtryRef>") + chr(10)),
    "sections": (camt(between="@@"), section),
    "lines": (mt940("@@"), LINE + chr(10) + ":86:166?20EREF+E-1?21SVWZ+Invoice" + chr(10)),
    "statements": (mt940() + "@@" + mt940(), blocks(mt940(LINE)) + chr(10)),
    "texts": (mt940(LINE, "@@"), ":86:on and on" + chr(10)),
    "at signs": (mt940("@@"), LINE + chr(10) + ":86:EREF+E-1" + chr(10)),
}[sys.argv[1]]
start, end = message.split("@@")
parts = start, part, end
if sys.argv[1] == "at signs":
    parts = tuple(text.replace(chr(13), "").replace(chr(10), "@@") for text in parts)
small, before = peak(parts, 2)
large, after = peak(parts, int(sys.argv[2]))
print(small, large, before, after)
"""


@pytest.mark.parametrize(
    "shape", ["entries", "details", "batches", "odd entries", "sections", "lines", "statements", "texts", "at signs"]
)
def test_memory_is_flat(shape: str) -> None:
    out = subprocess.run(
        [sys.executable, "-c", _PROGRAM, shape, "30"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    ).stdout
    small, large, before, after = map(int, out.split())
    assert large >= small
    assert after - before < 8, f"30 MB took {after - before} MiB more than 2 MB did"


_JSON_PROGRAM = """
import resource
from io import BytesIO
from token_engine.iso20022.reader import sections

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

entry = b'{"entry_reference": "E001", "credit_debit_indicator": "CRDT", "amount": "1.00", "end_to_end_id": "E2E-1"}'
message = (
    b'{"message_id": "M", "account_id": "A", "statement_date": "2025-11-18", "closing_balance": "1", "entries": ['
    + b",".join([entry] * (30 * 10**6 // len(entry))) + b"]}"
)
before = peak()
count = sum(1 for _ in sections(BytesIO(message)))
print(len(message) // 2**20, count, before, peak())
"""


def test_a_json_statement_takes_little_more_than_its_text() -> None:
    out = subprocess.run([sys.executable, "-c", _JSON_PROGRAM], capture_output=True, text=True, check=True).stdout
    size, count, before, after = map(int, out.split())
    assert count > 200_000
    assert after - before < 4 * size, f"{size} MiB took {after - before} MiB"
