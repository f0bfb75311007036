"""Bank messages from all doors, each to its tier: notifications and reports to the first, statements to the third."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from token_engine.domain.notification import MessageKind
from token_engine.domain.receipt import Receipt
from token_engine.entrypoints.batcher import Batcher
from token_engine.entrypoints.lanes import STATEMENTS
from token_engine.iso20022.reader import kind_of
from token_engine.tiers.delivery import Delivery


class Road:
    """What every door hands bank messages to, whatever its name says that they are."""

    def __init__(self, notifications: Batcher[Delivery, Receipt], statements: Batcher[Delivery, Receipt]) -> None:
        self._notifications = notifications
        self._statements = statements

    async def submit(self, handed_in: Sequence[Delivery]) -> list[Receipt | Exception]:
        """What comes of each after its commit, at its place; an exception where nothing came of it."""
        stated = [place for place, delivery in enumerate(handed_in) if is_statement(delivery)]
        if not stated:
            return await self._notifications.submit(handed_in)
        # Notifications first, and committed: a statement pairs with what they told of.
        notified = [place for place in range(len(handed_in)) if place not in set(stated)]
        outcomes: dict[int, Receipt | Exception] = {}
        if notified:
            found = await self._notifications.submit([handed_in[place] for place in notified])
            outcomes |= zip(notified, found, strict=True)
        # As many together as a batch takes: one is read while the one before is recorded.
        parcels = list(_parcels(stated, handed_in))
        submitted = (self._statements.submit([handed_in[place] for place in places]) for places in parcels)
        for places, found in zip(parcels, await asyncio.gather(*submitted), strict=True):
            outcomes |= zip(places, found, strict=True)
        return [outcomes[place] for place in range(len(handed_in))]


def _parcels(places: Sequence[int], handed_in: Sequence[Delivery]) -> Iterator[list[int]]:
    parcel: list[int] = []
    size = 0
    for place in places:
        size += handed_in[place].size
        if parcel and size > STATEMENTS.batch_bytes:
            yield parcel
            parcel, size = [], handed_in[place].size
        parcel.append(place)
    if parcel:
        yield parcel


def is_statement(delivery: Delivery) -> bool:
    """Whether a delivery is Tier 3's. One that cannot be told is not: Tier 1's reader finds the reason."""
    return delivery.file is not None or kind_of(delivery.raw) is MessageKind.STATEMENT
