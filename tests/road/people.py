"""Two persons at one account's breaker, for the tests of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from road.bench import NOW, NUMBER, Road, came
from token_engine.domain.closing import Closing
from token_engine.domain.override import Override
from token_engine.domain.receipt import Receipt
from token_engine.tiers import breakers, closings, overrides
from token_engine.tiers.breakers import Act, Denied
from token_engine.tiers.notification import record
from token_engine.tiers.overrides import NewOverride


def act(actor: str, reason: str = "because") -> Act:
    return Act(actor=actor, reason=reason)


def closing(outcome: Closing | Denied) -> Closing:
    assert isinstance(outcome, Closing), outcome
    return outcome


def override(outcome: Override | Denied) -> Override:
    assert isinstance(outcome, Override), outcome
    return outcome


def why(outcome: Any) -> str:
    """The code of a refusal, or the state of what was done."""
    if isinstance(outcome, Denied):
        return outcome.refusal.code
    assert isinstance(outcome, Closing | Override), outcome
    return outcome.state.value


def after(**how_long: float) -> datetime:
    return NOW + timedelta(**how_long)


async def bank_says(road: Road, *messages: bytes, at: datetime = NOW) -> list[Receipt]:
    """One batch, at a time of one's own."""
    return await record(road.tx, [came(message) for message in messages], at)


async def ask_close(road: Road, actor: str = "ann", at: datetime = NOW, number: str = NUMBER) -> Closing | Denied:
    return await closings.request(road.tx, number, act(actor), at)


async def approve_close(
    road: Road, key: UUID, actor: str = "bob", at: datetime = NOW, number: str = NUMBER
) -> Closing | Denied:
    return await closings.approve(road.tx, number, key, act(actor), at)


async def ask_override(
    road: Road, actor: str = "ann", at: datetime = NOW, minutes: int = 60, number: str = NUMBER
) -> Override | Denied:
    return await overrides.request(
        road.tx, number, NewOverride(actor=actor, reason="because", minutes=minutes), at
    )  # fmt: skip


async def approve_override(
    road: Road, key: UUID, actor: str = "bob", at: datetime = NOW, number: str = NUMBER
) -> Override | Denied:
    return await overrides.approve(road.tx, number, key, act(actor), at)


async def payout_reasons(road: Road, at: datetime = NOW, number: str = NUMBER) -> list[str]:
    said = await breakers.gate(road.tx, number, at)
    assert isinstance(said, dict)
    assert said["payout"]["allowed"] is (not said["payout"]["reasons"])
    return [str(reason) for reason in said["payout"]["reasons"]]
