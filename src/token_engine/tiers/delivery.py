"""A message as a door took it in, before anything is known of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import msgspec

from token_engine.domain.refusal import Refusal


class Door(StrEnum):
    """The ways into the engine."""

    NATS = "NATS"
    HTTP = "HTTP"
    CLI = "CLI"
    FILE = "FILE"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Raw bytes, the door they came through, and who brought them. `received_at` has a time zone.

    A door that would not take a message whole (too large, or the engine failed on it again and again)
    says so in `refused`; then `raw` may be its beginning only, while `size` and `digest` are the whole's.
    A statement too large for one value lies in `file`, and `raw` is empty.
    """

    raw: bytes
    digest: bytes
    size: int
    door: Door
    source: str
    received_at: datetime
    refused: Refusal | None = None
    file: Path | None = None

    def opened(self) -> BinaryIO:
        """What was received, to be read. Raises OSError where its file is gone."""
        return BytesIO(self.raw) if self.file is None else self.file.open("rb")


def delivery(raw: bytes, door: Door, source: str, received_at: datetime) -> Delivery:
    """A whole message. A source that is no Unicode (a file name may be none) gets question marks."""
    return Delivery(
        raw=raw,
        digest=sha256(raw).digest(),
        size=len(raw),
        door=door,
        source=source[:300].encode(errors="replace").decode(),
        received_at=received_at,
    )
