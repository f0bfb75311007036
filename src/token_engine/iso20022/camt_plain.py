"""Takes plainly written entries out of an XML text before it is parsed: a statement has a hundred thousand of them.

In their place the parser sees an empty `Ntry` with a number, and where that turns up, and nowhere else, the entries
are told. So the parser still says what is well-formed, what stands in which statement, and on which line; what is not
plain goes through it as it is, whoever wrote it, and for whatever reason: `camt_entry` reads it, or says what is
wrong. Entries that are taken are well-formed: their tags are nested, and `<`, `>` and `&` stand where they may.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Final

from lxml.etree import _Element as Element

from token_engine.domain.entry import Entry
from token_engine.iso20022.camt_written import WrittenEntries
from token_engine.iso20022.sniff import end_of_prolog
from token_engine.iso20022.utf8 import Utf8Stream, check_kept

CHUNK_BYTES: Final = 122_880
"""What it holds is read at once, and the more the faster; but of larger ones the copies leave the processor's cache,
and the C library gives the memory of each back to the system, and asks for it again.
"""
_SHORT: Final = 1_500
"""A message with a single short entry is parsed in the time that looking for one takes."""
_LONGEST: Final = 524_288
"""A longer entry, a batch of some hundred payments, is left to the parser."""
_HIDING: Final = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
_FIRST: Final = re.compile(rb"<((?:[A-Za-z_][\w.-]*:)?)Ntry>")
_BLANKS: Final = " \t\r\n"
_NO_CHARACTERS: Final = ("\ufffe", "\uffff")


class PlainEntries:
    """`stream` without its plain entries, for the parser to read; `told` gives them back in their place."""

    def __init__(self, stream: Utf8Stream) -> None:
        self._stream = stream
        self._runs: dict[str, list[Entry]] = {}
        self._number = 0
        self._rest = b""
        self._kept = 0
        self._tags: tuple[bytes, bytes] | None = None
        self._prefix = ""
        self._written: WrittenEntries | None = None
        self._prolog = 0
        self._off = len(stream.opening) < _SHORT
        if not self._off:
            self._prolog = len(stream.opening[: end_of_prolog(stream.opening)].encode())
            # No sender can know it, and so none can write it.
            self._mark = f"m{secrets.token_hex(8)}"

    def told(self, ntry: Element) -> list[Entry] | None:
        """The entries in whose place this element stands; None for an entry of the message itself."""
        number = ntry.get(self._mark) if self._runs else None
        return None if number is None else self._runs.pop(number)

    def freed(self) -> None:
        """The parser keeps nothing of what it has read so far."""
        self._kept = 0

    def read(self, size: int = -1, /) -> bytes:  # noqa: ARG002  # a parser's chunk is too small to work on
        """More of the text, without the entries that were taken out of it. Raises RefusedError."""
        while True:
            data = self._chunk()
            rest, self._rest = self._rest, b""
            text = b"".join(self._passed(rest + data)) if data and not self._off else rest + data
            self._kept += len(text)
            check_kept(self._kept)
            if text or not data:
                return text

    def _chunk(self) -> bytes:
        """Enough to be worth looking through with what was kept back, however little a source gives at once."""
        parts: list[bytes] = []
        size = 0
        while size < CHUNK_BYTES and (part := self._stream.read(CHUNK_BYTES)):
            self._stream.freed()
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def _passed(self, text: bytes) -> Iterator[bytes]:
        """What goes to the parser of a text that begins outside of any tag; what is not complete is kept back."""
        if self._prolog:
            yield text[: self._prolog]
            text, self._prolog = text[self._prolog :], 0
        if self._tags is None and (first := _FIRST.search(text)) is not None:
            self._prefix = first[1].decode()
            self._written = WrittenEntries(self._prefix)
            self._tags = first[0], b"</" + first[0][1:]
        if self._tags is None:
            yield self._kept_back(text, text.rfind(b"<"))
            return
        opening, closing = self._tags
        start = text.find(opening)
        last = text.rfind(closing)
        if start < 0 or last < start:
            yield self._kept_back(text, start if start >= 0 else text.rfind(b"<"))
            return
        start, end = _with_blanks(text, start), last + len(closing)
        before, entries, after = text[:start], text[start:end], text[end:]
        yield self._checked(before)
        told = None if self._off else _decoded(entries)
        if told is None:
            self._off = True
            yield entries + after
            return
        for part in self._without_entries(told):
            yield self._checked(part)
        begun = after.find(opening)
        yield self._kept_back(after, begun if begun >= 0 else after.rfind(b"<"))

    def _kept_back(self, text: bytes, start: int) -> bytes:
        if self._off:
            return text
        start = _with_blanks(text, start)
        if start >= 0 and len(text) - start <= _LONGEST:
            self._rest = text[start:]
            text = text[:start]
        elif start >= 0 and (last := text.rfind(b"<")) > start:
            self._rest = text[last:]
            text = text[:last]
        return self._checked(text)

    def _checked(self, text: bytes) -> bytes:
        """In a comment, a CDATA section or an instruction what looks like an entry is none. Of one that does not end
        in the same text no end is looked for: nothing is taken out any more.
        """
        if b"<!" in text or b"<?" in text:
            left = _HIDING.sub(b"", text)
            self._off = self._off or b"<!" in left or b"<?" in left
        return text

    def _without_entries(self, text: str) -> Iterator[bytes]:
        """Of a text that begins with an entry, or the blanks before one, and ends with an entry."""
        assert self._written is not None
        run: list[Entry] = []
        begun = at = lines = 0
        for entries, end, breaks in self._written.read(text):
            if not entries:
                if run:
                    yield self._placeholder(run, text, begun, at, lines)
                    run, lines = [], 0
                yield text[at:end].encode()
                if self._off:
                    yield text[end:].encode()
                    return
                begun = end
            run += entries
            lines += breaks
            at = end
        if run:
            yield self._placeholder(run, text, begun, at, lines)

    def _placeholder(self, run: list[Entry], text: str, begun: int, end: int, lines: int) -> bytes:
        """An element with as many lines, and as long a last one, as what it stands for: places are told by them. The
        blanks before it stay: something may be wrong that began before them.
        """
        first = text.index("<", begun)
        blanks = text[begun:first]
        lines -= blanks.count("\n")
        self._number += 1
        number = str(self._number)
        self._runs[number] = run
        element = f'<{self._prefix}Ntry {self._mark}="{number}"'
        last_line = end - (text.rindex("\n", first, end) + 1 if lines else first + len(element))
        return f"{blanks}{element}{chr(10) * lines}{'/>'.rjust(last_line)}".encode()


def _with_blanks(text: bytes, start: int) -> int:
    """Where the blanks begin that stand before `start`: an entry is told by them, too."""
    return len(text[:start].rstrip(_BLANKS.encode())) if start > 0 else start


def _decoded(text: bytes) -> str | None:
    """None for bytes that are no UTF-8, and for the two characters of it that XML forbids: the parser says where."""
    try:
        told = text.decode()
    except UnicodeDecodeError:
        return None
    return told if told.isascii() or not any(c in told for c in _NO_CHARACTERS) else None
