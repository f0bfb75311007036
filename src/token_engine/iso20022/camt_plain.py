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
from token_engine.iso20022.camt_shapes import Shapes
from token_engine.iso20022.camt_tags import NoShapeError
from token_engine.iso20022.sniff import end_of_prolog
from token_engine.iso20022.utf8 import Utf8Stream, check_kept

CHUNK_BYTES: Final = 131_072
_SHORT: Final = 1_500
"""A message with a single short entry is parsed in the time that looking for one takes."""
_LONGEST: Final = 524_288
"""A longer entry, a batch of some hundred payments, is left to the parser."""
_HIDING: Final = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
_FIRST: Final = re.compile(rb"<((?:[A-Za-z_][\w.-]*:)?)Ntry>")
_TEXT: Final = bytes(b for b in range(256) if (b >= 32 or b in b"\t\n\r") and b not in b"<>&")
_BLANKS: Final = " \t\r\n"
_ENTITY: Final = re.compile(r"&(?:lt|gt|quot|apos|amp);")
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
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
        self._shapes = Shapes("")
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
            self._shapes = Shapes(self._prefix)
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
        end = last + len(closing)
        before, entries, after = text[:start], text[start:end], text[end:]
        yield self._checked(before)
        told = None if self._off else _decoded(entries)
        if told is None:
            self._off = True
            yield entries + after
            return
        for part in self._without_entries(told, plain=_is_plain(entries)):
            yield self._checked(part)
        begun = after.find(opening)
        yield self._kept_back(after, begun if begun >= 0 else after.rfind(b"<"))

    def _kept_back(self, text: bytes, start: int) -> bytes:
        if self._off:
            return text
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

    def _without_entries(self, text: str, *, plain: bool) -> Iterator[bytes]:
        assert self._tags is not None
        opening, closing = (tag.decode() for tag in self._tags)
        run: list[Entry] = []
        begun = at = 0
        for piece in text.split(closing)[:-1]:
            end = at + len(piece) + len(closing)
            gap, _, inner = piece.partition(opening)
            entry = None if self._off or gap.strip(_BLANKS) else self._entry(inner, plain=plain)
            if entry is not None:
                run.append(entry)
            else:
                if run:
                    yield self._placeholder(run, text[begun:at])
                    run = []
                yield text[at:end].encode()
                begun = end
            at = end
        if run:
            yield self._placeholder(run, text[begun:at])

    def _entry(self, inner: str, *, plain: bool) -> Entry | None:
        if not plain and not _is_plain(inner.encode()):
            return None
        texts = inner.replace(">", "<").split("<")
        if "&" in inner or "\r" in inner:
            if len(_ENTITY.findall(inner)) != inner.count("&"):
                return None
            texts[::2] = map(_unescaped, texts[::2])  # never the tags between them
        try:
            return self._shapes.entry(texts)
        except NoShapeError:
            return None

    def _placeholder(self, run: list[Entry], text: str) -> bytes:
        """An element with as many lines, and as long a last one, as what it stands for: places are told by them."""
        self._number += 1
        number = str(self._number)
        self._runs[number] = run
        lines = text.count("\n")
        element = f'<{self._prefix}Ntry {self._mark}="{number}"'
        last_line = text[text.rfind("\n") + 1 :] if lines else text[len(element) :]
        return f"{element}{chr(10) * lines}{'/>'.rjust(len(last_line))}".encode()


def _decoded(text: bytes) -> str | None:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None  # the parser says where


def _is_plain(text: bytes) -> bool:
    """Whether `<` and `>` take turns, beginning with `<`, and every character is one that XML allows."""
    marks = text.translate(None, _TEXT).replace(b"&", b"")
    if marks != b"<>" * (len(marks) // 2):
        return False
    return text.isascii() or not any(c.encode() in text for c in _NO_CHARACTERS)


def _unescaped(text: str) -> str:
    """What a parser makes of the line ends and the five entities that XML knows without declaring them."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ENTITY.sub(lambda found: _ENTITIES[found[0]], text) if "&" in text else text
