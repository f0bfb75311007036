"""From what a door received to deliveries: a bundle becomes one delivery for each message in it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import structs

from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import unbundle
from token_engine.tiers.delivery import Delivery, Door, delivery

LARGEST_BODY: Final = 32 * 1024 * 1024
"""Bytes, also after expansion, that a door open to the network takes: what it keeps whole it must be able
to hold several times over. Larger files come through `token-engine ingest`.
"""


def deliveries(raw: bytes, door: Door, source: str, received_at: datetime) -> list[Delivery]:
    """What is to be recorded of `raw`; an unreadable bundle is one delivery, refused with its reason."""
    members = unbundle(raw, source) if door is Door.CLI else unbundle(raw, source, LARGEST_BODY)
    if isinstance(members, Refusal):
        return [structs.replace(delivery(raw, door, source, received_at), refused=members)]
    return [delivery(member, door, name, received_at) for name, member in members]
