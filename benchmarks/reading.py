"""How fast a large MT940 is read, and in how much memory: bytes to domain values, nothing is stored.

python -m benchmarks.reading ENTRIES     reads in a process of its own; prints entries/s and peak memory as JSON
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.figure import Figure
from benchmarks.servers import run_module
from token_engine.domain.entry import Entry
from token_engine.iso20022.reader import sections

ENTRIES: Final = 200_000
"""Of five lines each: a file of a million lines."""
_STATUS: Final = Path("/proc/self/status")
_AT_ONCE: Final = 1_000
_HEAD: Final = ":20:STARTUMS\r\n:25:AE070331234567890123456\r\n:28C:321/1\r\n:60F:C251117AED1000000,00\r\n"
_ENTRY: Final = (
    ":61:2511181118C100,00NTRFNONREF//BANK-{0:010d}\r\nTRANSFER\r\n"
    ":86:166?00CREDIT?20EREF+E2E-{0:010d}?21SVWZ+Invoice {0} of November?30BAN\r\n"
    "KAEADXXX?31AE070331234567890123456?32ACME TRADING LLC?33, DUBAI\r\n"
    "?34000\r\n"
)
_END: Final = ":62F:C251118AED1000000,00\r\n-\r\n"


class _Statement:
    """A statement that is written while it is read."""

    def __init__(self, entries: int) -> None:
        self._parts = self._written(entries)

    def read(self, _size: int = -1, /) -> bytes:
        return next(self._parts, b"")

    def _written(self, entries: int) -> Iterator[bytes]:
        yield _HEAD.encode()
        for first in range(0, entries, _AT_ONCE):
            yield "".join(map(_ENTRY.format, range(first, min(first + _AT_ONCE, entries)))).encode()
        yield _END.encode()


def run() -> Iterator[Figure]:
    """Entries a second, writing them included, and the reading process's peak memory."""
    told = json.loads(run_module("benchmarks.reading", str(ENTRIES), within=120))
    yield Figure(f"MT940 of {ENTRIES * 5:,} lines read", told["rate"], "entries/s")
    yield Figure("the same, peak memory", told["peak"], "MB")


def main(entries: int) -> None:
    started = time.perf_counter()
    read = sum(isinstance(part, Entry) for part in sections(_Statement(entries)))
    seconds = time.perf_counter() - started
    assert read == entries
    # Not getrusage: its peak is that of the process that started this one, if that was larger.
    [peak] = [int(line.split()[1]) / 1024 for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    print(json.dumps({"rate": read / seconds, "peak": peak}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
