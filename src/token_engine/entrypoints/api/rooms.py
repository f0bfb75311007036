"""What the HTTP door needs of the engine; wiring fills it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from token_engine.entrypoints.batcher import Batcher
from token_engine.entrypoints.poller import Poller
from token_engine.entrypoints.road import Road
from token_engine.storage.database import Database
from token_engine.tiers.once import Answer
from token_engine.tiers.payouts import Hold


class Rooms(NamedTuple):
    """The database, the road that all doors share, the batcher of holds, the clock (with a time zone), who asks
    banks, and whose name stands on reports.
    """

    database: Database
    road: Road
    holds: Batcher[Hold, Answer]
    clock: Callable[[], datetime]
    poller: Poller
    firm: str | None = None
