"""The one way in: bytes of one message, in whatever form the bank sends it, to domain values."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from io import BufferedReader, BytesIO
from typing import Final

from token_engine.domain.entry import Entry
from token_engine.domain.notification import Ending, Heading, MessageKind, Notification
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.iso20022 import bundle, camt, mt, notification_json, statement_json
from token_engine.iso20022.kind import kind_of, kind_of_json
from token_engine.iso20022.sniff import Form, form_of
from token_engine.iso20022.utf8 import Readable, Utf8Stream

__all__ = ["kind_of", "read_message", "sections", "unbundle"]

JSON_BYTES: Final = 1024 * 1024
"""A notification's JSON form carries one entry; a larger text is not one."""
STATEMENT_JSON_BYTES: Final = 64 * 1024 * 1024
"""A JSON text is read at once, other than XML and MT: a larger statement comes in one of those."""
CHUNK_BYTES: Final = 65_536


def read_message(raw: bytes) -> tuple[Notification, ...] | Refusal:
    """Read one message (no bundle) whole: at least one notification, or the reason why not.

    Never raises for what a sender may have put into `raw`.
    """
    try:
        # The hot path: nothing to sniff or transcode.
        if raw[:2] == b'{"' and len(raw) <= JSON_BYTES and b'"entries"' not in raw:
            try:
                return (notification_json.read(raw),)
            except RefusedError:
                if kind_of(raw) is not MessageKind.STATEMENT:
                    raise
        return _gather(sections(BytesIO(raw)))
    except RefusedError as error:
        return error.refusal


def unbundle(raw: bytes, name: str, expanded_bytes: int = bundle.EXPANDED_BYTES) -> list[tuple[str, bytes]] | Refusal:
    """The messages in a zip or gzip bundle, with their paths; `[(name, raw)]` itself where it is none."""
    if not bundle.is_bundle(raw[:4]):
        return [(name, raw)]
    try:
        found = [
            (path, b"".join(iter(partial(member.read, CHUNK_BYTES), b"")))
            for path, member in bundle.members(BufferedReader(BytesIO(raw)), name, expanded_bytes)
        ]
    except RefusedError as error:
        return error.refusal
    return found or Refusal("bundle_refused", f"{name}: the bundle is empty", name)


def sections(source: Readable) -> Generator[Heading | Entry | Ending, None, None]:
    """Read one message (no bundle) as it arrives: each heading, then its entries, and for an MT its ending.

    Raises RefusedError; what was yielded before is then void. Read it in one thread from beginning to end, and close
    it there: what the XML parser makes lies in memory of the thread that feeds it.
    """
    stream = Utf8Stream(source)
    match form_of(stream.opening):
        case Form.XML:
            yield from camt.sections(stream)
        case Form.MT:
            yield from mt.sections(stream)
        case Form.JSON:
            if kind_of_json(stream.opening) is MessageKind.STATEMENT:
                yield from statement_json.sections(_all_of(stream, STATEMENT_JSON_BYTES))
                return
            notification = notification_json.read(_all_of(stream, JSON_BYTES))
            yield notification.heading
            yield from notification.entries


def _gather(parts: Iterator[Heading | Entry | Ending]) -> tuple[Notification, ...]:
    gathered: list[tuple[Heading, list[Entry]]] = []
    for part in parts:
        if isinstance(part, Entry):
            gathered[-1][1].append(part)
        elif isinstance(part, Heading):
            gathered.append((part, []))
        else:
            heading, entries = gathered[-1]
            gathered[-1] = heading.ended(part), entries
    return tuple(Notification(heading=heading, entries=tuple(entries)) for heading, entries in gathered)


def _all_of(stream: Utf8Stream, most: int) -> bytes:
    chunks = []
    size = 0
    while chunk := stream.read(CHUNK_BYTES):
        stream.freed()
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise RefusedError("too_large", f"a JSON message of this kind is never larger than {most // 2**20} MiB")
    return b"".join(chunks)
