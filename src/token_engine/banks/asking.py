"""How a bank is to be asked, and what came of it."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from token_engine.domain.connector_guard import GuardPolicy, GuardState
from token_engine.domain.observation import NoObservation, Observation


class AskingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a bank can bear, by its rules for its API. A request here is one call of the connector."""

    at_once: int = 8
    requests_a_minute: int = 600
    most_requests: int = 3
    """For one balance, the first among them."""
    total_seconds: int = 60
    """For one balance, from its first request to the end of its last."""
    guard: GuardPolicy = msgspec.field(default_factory=GuardPolicy)

    def __post_init__(self) -> None:
        for name in ("at_once", "requests_a_minute", "most_requests", "total_seconds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is below one")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking, and how many requests it took: what the account's budget at its bank counts."""

    answer: Observation | NoObservation
    requests: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an access stands now, for metrics."""

    name: str
    guard: GuardState
    in_flight: int
    paused: timedelta
    """How long the bank is to be left alone, as it asked; zero: it may be asked."""
