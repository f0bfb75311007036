"""Any text as a stream of UTF-8 without byte order mark or leading blanks, in bounded memory."""

from __future__ import annotations

import codecs
from typing import Final, Protocol

from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.sniff import HEAD_BYTES, encoding_of

KEPT_BYTES: Final = 8 * 1024 * 1024
"""The most that may be read between two points at which the reader frees what it has read."""


class Readable(Protocol):
    """What is needed of a source: an opened file, a pipe, a member of a bundle."""

    def read(self, size: int = -1, /) -> bytes: ...


class Utf8Stream:
    """Gives the text of `source` as UTF-8; the one place that decides about encodings.

    `opening` is its beginning for sniffing, without leading blanks. `read` raises RefusedError
    `invalid_text` for bytes that are not the encoding they claim, and `too_large` when more than
    `KEPT_BYTES` were read since the reader last called `freed`.
    """

    def __init__(self, source: Readable) -> None:
        head = _read_up_to(source, HEAD_BYTES)
        codec, mark = encoding_of(head)
        self._source = source
        self._decoder = None if codec == "utf-8" else codecs.getincrementaldecoder(codec)("strict")
        self._kept = 0
        self._pending = b""
        self.lines_skipped = 0
        head = head[mark:]
        while head and not self._pending:
            text = self._utf8(head, final=False)
            self._pending = text.lstrip(b" \t\r\n")
            self.lines_skipped += text[: len(text) - len(self._pending)].count(b"\n")
            head = b"" if self._pending else _read_up_to(source, HEAD_BYTES)
        self.opening = self._pending.decode("utf-8", "replace")

    def read(self, size: int = -1, /) -> bytes:
        data, self._pending = self._pending, b""
        while not data:
            raw = self._source.read(size)
            data = self._utf8(raw, final=not raw)
            if not raw:
                break
        self._kept += len(data)
        check_kept(self._kept)
        return data

    def freed(self) -> None:
        """The reader keeps nothing of what it has read so far."""
        self._kept = 0

    def _utf8(self, raw: bytes, *, final: bool) -> bytes:
        if self._decoder is None:
            return raw
        try:
            return self._decoder.decode(raw, final).encode()
        except UnicodeDecodeError as error:
            raise RefusedError("invalid_text", f"the text is not valid {error.encoding}: {error.reason}") from error


def check_kept(size: int) -> None:
    """Raise RefusedError `too_large` where a reader keeps more than `KEPT_BYTES`."""
    if size > KEPT_BYTES:
        raise RefusedError("too_large", f"a heading or a single entry is larger than {KEPT_BYTES // 2**20} MiB")


def _read_up_to(source: Readable, size: int) -> bytes:
    chunks = []
    while size > 0 and (chunk := source.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
