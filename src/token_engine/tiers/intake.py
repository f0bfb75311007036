"""From what a door received to deliveries: a bundle becomes one delivery for each message in it."""

from __future__ import annotations

from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final

from msgspec import structs

from token_engine.domain.notification import MessageKind
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import kind_of, unbundle
from token_engine.iso20022.sniff import HEAD_BYTES
from token_engine.tiers.delivery import Delivery, Door, delivery

LARGE: Final = 32 * 1024 * 1024
"""Bytes from which on a file that holds a statement is not held in memory."""

LARGEST_FILE: Final = 256 * 1024 * 1024
"""Bytes of a file that is held in memory: a bundle, or many notifications."""

_KEPT_OF_TOO_LARGE: Final = 64 * 1024

LARGEST_BODY: Final = 32 * 1024 * 1024
"""Bytes, also after expansion, that a door open to the network takes: what it keeps whole it must be able
to hold several times over. Larger files come through `token-engine ingest`.
"""


def deliveries(raw: bytes, door: Door, source: str, received_at: datetime) -> list[Delivery]:
    """What is to be recorded of `raw`; an unreadable bundle is one delivery, refused with its reason."""
    theirs = door in (Door.HTTP, Door.NATS)
    members = unbundle(raw, source, LARGEST_BODY) if theirs else unbundle(raw, source)
    if isinstance(members, Refusal):
        return [structs.replace(delivery(raw, door, source, received_at), refused=members)]
    return [delivery(member, door, name, received_at) for name, member in members]


def file_deliveries(path: Path, door: Door, name: str, received_at: datetime) -> list[Delivery]:
    """What is to be recorded of a file, which `name` is the source of. Raises OSError where it cannot be read."""
    large = large_statement(path, door, received_at)
    if large is not None:
        return [structs.replace(large, source=name[:300])]
    with path.open("rb") as file:
        raw = file.read(LARGEST_FILE + 1)
        if len(raw) <= LARGEST_FILE:
            return deliveries(raw, door, name, received_at)
        file.seek(0)
        digest, size = file_digest(file, "sha256").digest(), file.tell()
    why = Refusal("too_large", f"{name[:100]}: {size} bytes; no statement, and larger than {LARGEST_FILE}", "file")
    beginning = delivery(raw[:_KEPT_OF_TOO_LARGE], door, name, received_at)
    return [structs.replace(beginning, digest=digest, size=size, refused=why)]


def large_statement(path: Path, door: Door, received_at: datetime) -> Delivery | None:
    """A file that holds a statement larger than is held in memory, to be read as it lies there; None for any other.

    Raises OSError where it cannot be read.
    """
    size = path.stat().st_size
    if size <= LARGE:
        return None
    with path.open("rb") as stream:
        if kind_of(stream.read(HEAD_BYTES)) is not MessageKind.STATEMENT:
            return None
        stream.seek(0)
        digest = file_digest(stream, "sha256").digest()
    source = path.name.encode("utf-8", "replace").decode()[:300]
    return Delivery(raw=b"", digest=digest, size=size, door=door, source=source, received_at=received_at, file=path)
