"""From what a door received to deliveries: a bundle becomes one delivery for each message in it."""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import unbundle
from token_engine.tiers.delivery import Delivery, Door, delivery


def deliveries(raw: bytes, door: Door, source: str, received_at: datetime) -> list[Delivery]:
    """What is to be recorded of `raw`; an unreadable bundle is one delivery, refused with its reason."""
    members = unbundle(raw, source)
    if isinstance(members, Refusal):
        return [structs.replace(delivery(raw, door, source, received_at), refused=members)]
    return [delivery(member, door, name, received_at) for name, member in members]
