"""Requests to hold tokens, and their answers, for the tests of payouts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from road.bench import NOW, NUMBER, Road
from token_engine.tiers import payout_acts
from token_engine.tiers.once import Answer, once
from token_engine.tiers.payout_acts import Cancelling, Sending
from token_engine.tiers.payouts import Hold, NewPayout, hold

HOLDER = "unattributed"
_numbers = count(1)


def asked(
    amount: str = "10", *, key: str | None = None, number: str = NUMBER, holder: str = HOLDER, actor: str = "ann",
    payout_id: UUID | None = None, **more: Any,
) -> Hold:  # fmt: skip
    """A request to hold, under a key and for a payout of its own unless said otherwise."""
    n = next(_numbers)
    wanted = NewPayout(account_id=number, amount=amount, holder=holder, actor=actor, **more)
    return Hold(key or f"hold-{n}", payout_id or UUID(int=n), wanted)


async def held(road: Road, *requests: Hold, at: datetime = NOW) -> list[Answer]:
    """One batch."""
    return await hold(road.tx, requests, at)


async def held_one(road: Road, request: Hold | None = None, at: datetime = NOW) -> UUID:
    """The id of a payout that is held."""
    [answer] = await held(road, request or asked(), at=at)
    assert answer.status == 201, answer
    return UUID(said(answer)["id"])


async def sent(road: Road, key: UUID, at: datetime = NOW, *, under: str | None = None) -> Answer:
    wanted = Sending(actor="ann")
    name = under or f"sent-{next(_numbers)}"
    return await once(
        road.tx, name, f"payout {key} sent", wanted, at, lambda: payout_acts.send(road.tx, key, wanted, at), 200
    )


async def cancelled(
    road: Road, key: UUID, at: datetime = NOW, *, rejected: bool = False, under: str | None = None
) -> Answer:  # fmt: skip
    wanted = Cancelling(actor="bob", reason="not wanted any more", rejected_by_bank=rejected)
    name = under or f"cancelled-{next(_numbers)}"
    return await once(
        road.tx, name, f"payout {key} cancelled", wanted, at,
        lambda: payout_acts.cancel(road.tx, key, wanted, at), 200,
    )  # fmt: skip


def said(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer.content)
    return content


def why(answer: Answer) -> tuple[str, list[str]]:
    """The code and the reasons of a refusal."""
    assert answer.status >= 400, answer
    return said(answer)["code"], said(answer).get("reasons", [])


def codes(answers: Sequence[Answer]) -> list[str]:
    """The code of each refusal, and the state of what was done."""
    return [said(a)["code"] if a.status >= 400 else said(a)["state"] for a in answers]


async def reserved(road: Road, account: UUID) -> str:
    return f"{(await road.state(account))['reserved_balance'].normalize():f}"
