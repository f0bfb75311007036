"""What the HTTP door needs of the engine; wiring fills it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from token_engine.domain.receipt import Receipt
from token_engine.entrypoints.batcher import Batcher
from token_engine.storage.database import Database
from token_engine.tiers.delivery import Delivery
from token_engine.tiers.once import Answer
from token_engine.tiers.payouts import Hold


class Rooms(NamedTuple):
    """The database, the batcher that all doors share and the one of holds, and the clock (with a time zone)."""

    database: Database
    batcher: Batcher[Delivery, Receipt]
    holds: Batcher[Hold, Answer]
    clock: Callable[[], datetime]
