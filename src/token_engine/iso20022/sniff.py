"""What is this? Told from the first bytes alone: never from a file name, never from a content type."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum
from typing import Final

from token_engine.domain.refusal import RefusedError

HEAD_BYTES: Final = 65_536
"""How much of a message is looked at before it is parsed. A prolog longer than this is not a bank's."""


class Form(StrEnum):
    """The forms a bank message arrives in."""

    XML = "xml"
    JSON = "json"
    MT = "mt"


_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED: Final = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")

# Encodings in which a blank, "<" and "!" are the ASCII bytes, so that a document type cannot hide.
_ASCII_LIKE: Final = re.compile(r"(utf-8|ascii|iso8859-\d+|cp125\d)")


def encoding_of(head: bytes) -> tuple[str, int]:
    """The codec of a text and the length of its byte order mark, from its first bytes.

    Order of evidence: the mark, the zero bytes of UTF-16, the XML declaration, else UTF-8. A declaration
    of UTF-16 on text that plainly is not is a known slip of banks' converters; the bytes are right.
    Raises RefusedError for a declared encoding that is not one banks use.
    """
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return codec, len(mark)
    if head[1:2] == b"\0" != head[:1]:
        return "utf-16-le", 0
    if head[:1] == b"\0" != head[1:2]:
        return "utf-16-be", 0
    declared = _DECLARED.match(head)
    if declared is None:
        return "utf-8", 0
    return _declared_codec(declared[1].decode("ascii")), 0


def _declared_codec(name: str) -> str:
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        codec = "unknown"
    if codec.startswith("utf-16") or codec == "ascii":
        return "utf-8"
    if not _ASCII_LIKE.fullmatch(codec):
        raise RefusedError("invalid_xml", f"the declared encoding {name!r} is not supported", "encoding")
    return codec


def form_of(opening: str) -> Form:
    """XML, JSON or SWIFT MT, from the first characters of a text without leading blanks.

    Raises RefusedError `empty_message` for no text, `not_a_bank_message` with what it looks like instead.
    """
    if not opening:
        raise RefusedError("empty_message", "the message is empty")
    if opening[0] == "<":
        return Form.XML
    if _MT.match(opening) or breaks_lines_with_at_signs(opening):
        return Form.MT
    if not opening.startswith(("%PDF", "{", "[")) and _MT_REFERENCE.search(opening):
        return Form.MT
    if opening[0] in "{[":
        return Form.JSON
    raise RefusedError(
        "not_a_bank_message", f"neither XML, JSON nor SWIFT MT: this looks like {_what_it_looks_like(opening)}"
    )


# A block of the network; the braces may be the letters that stand for them in a national variant of ASCII.
_MT: Final = re.compile(r"[\x01\x1a\s]*[{ä][1-4]:")
# The first field of every MT, at the beginning of a line: banks put headers of their own before it.
_MT_REFERENCE: Final = re.compile(r"^[\x01\x1a]?:20:", re.MULTILINE)
_AT_SIGNS: Final = re.compile(r"(?:@@)+:20:|:20:[^\r\n@]{0,100}@@:")


def breaks_lines_with_at_signs(opening: str) -> bool:
    """Whether an MT has "@@" for line breaks, as German banks' older dialogues (BTX, HBCI) hand it out."""
    return _AT_SIGNS.match(opening) is not None


def _what_it_looks_like(opening: str) -> str:
    if opening.startswith("%PDF"):
        return "a PDF document"
    if "\0" in opening or "\ufffd" in opening:
        return "binary data"
    first_line = opening.split("\n", 1)[0]
    if first_line.count(";") > 2 or first_line.count(",") > 2:
        return "a table of comma-separated values"
    return "plain text"


_ROOT: Final = re.compile(r"<(?:[^\s<>/!?:]+:)?([^\s<>/!?:]+)[\s/>]")
_ISO_NAME: Final = re.compile(r"\b([a-z]{4}\.\d{3}\.\d{3}\.\d{2})\b")


def name_of_xml(opening: str) -> str:
    """What an XML text that is no camt.052, 053 or 054 calls itself: "pain.001.001.03" or its root."""
    names = [name for name in _ISO_NAME.findall(opening) if not name.startswith("head.")]
    if names:
        return f"a {names[0]} message"
    root = _ROOT.search(opening)
    return f"XML with the root element {root[1][:60]!r}" if root else "XML without a root element"


_BEFORE_ROOT: Final = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->", re.DOTALL)


def end_of_prolog(opening: str) -> int:
    """Where the root element of an XML text begins, or a document type, or what is neither."""
    at = 0
    while skipped := _BEFORE_ROOT.match(opening, at):
        at = skipped.end()
    return at


def refuse_doctype(opening: str) -> None:
    """Raise RefusedError where the text declares a document type before its root element.

    No bank message has one; it is the way in for entity expansion and for reading local files.
    """
    at = end_of_prolog(opening)
    # Two characters decide, so that a declaration across the end of the opening is not overlooked.
    begins = opening[at : at + 2]
    if begins == "<!" and not opening.startswith("<!--", at):
        line = opening.count("\n", 0, at) + 1
        raise RefusedError(
            "doctype_refused",
            f"a document type declaration (DOCTYPE) is not allowed (line {line})",
            "DOCTYPE",
        )
    if len(begins) < 2 or begins[0] != "<" or begins in ("<!", "<?"):
        raise RefusedError("invalid_xml", "no root element where a message begins")
