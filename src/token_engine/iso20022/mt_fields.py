"""Cuts SWIFT MT messages into fields, with and without the blocks of the network around them.

Banks send the text of block 4 bare, in its blocks `{1:…}{2:…}{4:…-}`, or under headers of their own. What
stands outside a message is never money; only the message type is taken from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NoReturn

import msgspec

from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.sniff import breaks_lines_with_at_signs
from token_engine.iso20022.utf8 import Utf8Stream

CHUNK_BYTES: Final = 65_536
FIELD_LINES: Final = 1_000
LINE_LENGTH: Final = 10_000
"""A whole message of the network has at most 10,000 characters; banks that write files of their own write more."""
END: Final = "end"
"""The tag of what ends a message."""

_FIELD: Final = re.compile(r":(\d\d[A-Z]?|NS):")
_INDENTED: Final = re.compile(r"\s+:(?:3[24]|6[0-5]|90)[A-Z]?:")
_KNOWN: Final = frozenset("13 13D 21 50A 50F 50K 52A 52D 56A 56D 71B 72 86 NS".split())
_BALANCES: Final = frozenset(("60F", "60M", "62F", "62M"))
MONEY: Final = frozenset("20 25 28 32 34 60 61 62 64 65 90".split())
"""The numbers of fields that say what is booked where. Where one is not expected, reading on would be guessing."""
# A statement's lines are followed by none of these: there it is a time, "12:30:00", that was broken over two lines.
_TIME_OF_DAY: Final = frozenset(f"{number:02}" for number in range(60))
_BEGINS: Final = ("{1:", "{2:", "{3:", "{4:", "{5:")
_APPLICATION: Final = re.compile(r"\{2:[IO](\d{3})")
_UETR: Final = re.compile(r"\{121:([0-9a-fA-F-]{36})\}")
# "940" or ":940:" on a line of its own, as Dutch banks head each statement.
_ANNOUNCED: Final = re.compile(r":?(?:MT ?)?(9[0-9]{2}):?")
_TRAINING: Final = "{TNG:"
# National variants of ASCII have letters where it has braces: {4: and -} from Sweden.
_NATIONAL: Final = str.maketrans("äå", "{}")

_CONTROLS: Final = "".join(map(chr, (*range(32), 127)))
_BLANKED: Final = dict.fromkeys((*range(32), *range(127, 160)), " ")


class Field(msgspec.Struct, gc=False):
    """`:tag:text` and the lines that go on with it. `nth` counts the statement lines (:61:) of a message."""

    message: int
    tag: str
    text: str
    line: int
    nth: int
    more: list[str]
    type: str | None = None
    """On :20: alone: "940", where the blocks or headers before it say so."""
    uetr: str | None = None

    @property
    def lines(self) -> list[str]:
        return [self.text, *self.more]

    @property
    def place(self) -> str:
        """ "MT[1]/61[3]": of the first message the third statement line."""
        numbered = f"[{self.nth}]" if self.tag == "61" else ""
        return f"MT[{self.message}]/{self.tag}{numbered}"

    def refuse(self, code: str, why: str, part: str = "") -> NoReturn:
        """Raise RefusedError naming this field, a part of it, and its line."""
        place = f"{self.place}/{part}" if part else self.place
        raise RefusedError(code, f"{place}: {why} (line {self.line})", place)


def fields(stream: Utf8Stream) -> Iterator[Field]:
    """Each message's fields from :20: on, then one with the tag `END`.

    Raises RefusedError for a field outside any message, a block that is not closed, and a message of a
    training session. Memory is bounded by one field.
    """
    cutter = _Cutter()
    for number, line in _lines(stream):
        yield from cutter.take(number, line)
        stream.freed()
    yield from cutter.at_end_of_file()


class _Cutter:
    """Where in the file we are: inside a message with a field begun, or between messages."""

    def __init__(self) -> None:
        self.messages = 0
        self._field: Field | None = None
        self._entries = 0
        self._unclosed = False
        self._block_line: int | None = None
        self._type: str | None = None
        self._uetr: str | None = None

    @property
    def _in_text(self) -> bool:
        """In the :86: of a statement that is not closed yet, where no message can end or begin."""
        return self._unclosed and self._field is not None and self._field.tag == "86"

    def take(self, number: int, line: str) -> Iterator[Field]:
        begun = self._field
        first = line[:1]
        if first == ":" and (found := _FIELD.match(line)):
            tag = found[1]
            if self._in_text and tag in _TIME_OF_DAY:
                assert begun is not None
                self._go_on(begun, line)
            elif tag == "20":
                yield from self._end()
                self._begin(number, line[4:])
            elif begun is None:
                self._refuse(tag, "unexpected_field", "stands outside any message", number)
            elif begun.tag == "86" and tag not in _KNOWN and tag[:2] not in MONEY:
                self._go_on(begun, line)
            else:
                yield begun
                if tag == "61":
                    self._entries += 1
                elif tag in _BALANCES:
                    self._unclosed = tag in ("60F", "60M")
                self._field = Field(self.messages, tag, line[found.end() :], number, self._entries, [])
                if len(line) > LINE_LENGTH:
                    self._field.refuse("too_large", f"is longer than {LINE_LENGTH} characters")
        elif begun is None:
            yield from self._between(number, line)
        elif first == "-" and ((line == "-" and not self._in_text) or line.startswith(("-}", "-å"))):
            yield from self._end()
            self._block_line = None
            yield from self._between(number, line[1:].translate(_NATIONAL).removeprefix("}"))
        elif first == "{" and line.startswith(_BEGINS):
            yield from self._end()
            yield from self._between(number, line)
        elif line:
            if _INDENTED.match(line):
                begun.refuse("unexpected_field", f"{line.split(':')[1]!r} does not begin its line, which is {number}")
            self._go_on(begun, line)

    def at_end_of_file(self) -> Iterator[Field]:
        yield from self._end()
        self._check_block_closed()

    def _go_on(self, begun: Field, line: str) -> None:
        begun.more.append(line)
        if len(begun.more) > FIELD_LINES or len(line) > LINE_LENGTH:
            begun.refuse(
                "too_large", f"has more than {FIELD_LINES} lines, or one of more than {LINE_LENGTH} characters"
            )

    def _begin(self, number: int, text: str) -> None:
        self.messages += 1
        self._entries = 0
        self._unclosed = False
        self._field = Field(self.messages, "20", text, number, 0, [], self._type, self._uetr)
        self._type = self._uetr = None

    def _end(self) -> Iterator[Field]:
        if self._field is not None:
            yield self._field
            yield Field(self.messages, END, "", self._field.line, 0, [])
            self._field = None

    def _between(self, number: int, line: str) -> Iterator[Field]:
        """Blocks 1, 2, 3 and 5, and the headers that banks and transports put before a message."""
        if _INDENTED.match(line):
            self._refuse(line.split(":")[1], "unexpected_field", "stands outside any message", number)
        if _TRAINING in line:
            self._refuse("TNG", "training_message", "a message of a training session (TNG) is not money", number)
        if "{" not in line:
            if announced := _ANNOUNCED.fullmatch(line.strip()):
                self._type = announced[1]
            return
        # The last header counts: an acknowledgement of the network, {1:F21…}{4:{177:…}}, may stand before it.
        begins = line.rfind("{1:")
        if begins >= 0:
            self._check_block_closed()
            self._type = self._uetr = None
        header = line[max(begins, 0) :]
        if application := _APPLICATION.search(header):
            self._type = application[1]
        if uetr := _UETR.search(header):
            self._uetr = uetr[1]
        _, block, text = header.rpartition("{4:")
        if block and not text.startswith("{"):
            self._check_block_closed()
            self._block_line = number
            if text.strip():
                yield from self.take(number, text)

    def _check_block_closed(self) -> None:
        if self._block_line is not None:
            self._refuse("{4:", "cut_short", "the text block is not closed by -}", self._block_line)

    def _refuse(self, place: str, code: str, why: str, number: int) -> NoReturn:
        raise RefusedError(code, f"{place}: {why} (line {number})", place)


def _lines(stream: Utf8Stream) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, however they end; each in UTF-8 or, where it is not, in Windows-1252.

    An MT declares no encoding, and files that were joined have two. Control characters (the SOH and ETX of
    the network, the Ctrl-Z of older systems) are dropped at both ends of a line and are blanks inside it. Half of an
    "@@" that the source has parted waits in `rest` for the other.
    """
    number = stream.lines_skipped
    at_signs = breaks_lines_with_at_signs(stream.opening)
    rest = b""
    while chunk := stream.read(CHUNK_BYTES):
        data = rest + chunk
        if at_signs:
            data = data.replace(b"@@", b"\n")
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        rest = data[cut:]
        for raw in data[:cut].splitlines():
            number += 1
            yield number, _text(raw)
    for raw in rest.splitlines():
        number += 1
        yield number, _text(raw)


def _text(raw: bytes) -> str:
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        line = raw.decode("cp1252", "replace")
    return line if line.isprintable() else line.strip(_CONTROLS).translate(_BLANKED)
