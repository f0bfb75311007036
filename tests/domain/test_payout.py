"""The payout's automaton, told once more in words; and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest
from msgspec import structs

from token_engine.domain.payout import RESERVING, Payout, PayoutEvent, PayoutState, expiry
from token_engine.domain.refusal import RefusedError

NOW = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
HELD = Payout(
    id=UUID(int=1), account_id=UUID(int=2), end_to_end_id="E", amount=Decimal(10), holder="h", beneficiary=None,
    state=PayoutState.HELD, requested_by="ann", requested_at=NOW, expires_at=NOW + timedelta(hours=1),
)  # fmt: skip
LAWFUL = {
    "HELD": {
        "sent_out": "SENT", "cancelled": "CANCELLED", "rejected": "CANCELLED", "timed_out": "EXPIRED",
        "debited": "SETTLED",
    },
    "SENT": {"rejected": "CANCELLED", "debited": "SETTLED"},
    "SETTLED": {"returned": "RETURNED"},
}  # fmt: skip


@pytest.mark.parametrize(("state", "event"), list(product(PayoutState, PayoutEvent)))
def test_a_payout_goes_where_the_table_says_and_nowhere_else(state: PayoutState, event: PayoutEvent) -> None:
    before = structs.replace(HELD, state=state)
    after = LAWFUL.get(state, {}).get(event)
    if after is None:
        with pytest.raises(RefusedError) as refused:
            before.moved(event, "bob", "r", NOW)
        on_its_way = (state, event) == ("SENT", "cancelled")
        assert refused.value.refusal.code == ("payout_not_rejected" if on_its_way else f"payout_{state.lower()}")
        return
    moved = before.moved(event, "bob", "r", NOW)
    assert moved.state == after
    told = (moved.sent_by, moved.sent_at) if after == "SENT" else (moved.settled_by, moved.settled_at)
    assert told == ("bob", NOW)
    assert moved.settled_reason == (None if after == "SENT" else "r")
    assert (moved.state in RESERVING) == (after in ("HELD", "SENT"))


@pytest.mark.parametrize("late", [False, True])
def test_one_that_is_over_by_the_clock_can_only_end(late: bool) -> None:
    now = HELD.expires_at - timedelta(microseconds=0 if late else 1)
    assert HELD.timed_out(now) is late
    sent = structs.replace(HELD, state=PayoutState.SENT)
    assert not sent.timed_out(now + timedelta(days=99))
    assert HELD.moved(PayoutEvent.CANCELLED, "bob", "r", now).state == "CANCELLED"
    if not late:
        assert HELD.moved(PayoutEvent.SENT_OUT, "bob", "", now).state == "SENT"
        return
    with pytest.raises(RefusedError) as refused:
        HELD.moved(PayoutEvent.SENT_OUT, "bob", "", now)
    assert refused.value.refusal.code == "payout_expired"


def test_how_long_a_hold_may_last() -> None:
    assert expiry(1, NOW) == NOW + timedelta(minutes=1)
    assert expiry(43_200, NOW) == NOW + timedelta(days=30)
    for minutes in (-1, 0, 43_201):
        with pytest.raises(RefusedError):
            expiry(minutes, NOW)
